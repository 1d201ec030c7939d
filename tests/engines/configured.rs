//! Engines that `oci-link configure` told of us: what it writes is what they understand.

use crate::each_engine;
use crate::machine::wait_until;
use crate::rig::{Engine, Rig, With};
use crate::tool::PODMAN;

/// `db`, and `web` that is linked to it.
fn linked(engine: Engine, with: With) -> Rig {
    let rig = Rig::start(engine, with);
    rig.container("db").run().ok();
    rig.container("web").annotate("links", "db:database").run().ok();
    rig
}

fn assert_linked(rig: &Rig) {
    let address = rig.address("db");
    let environ = rig.environ("web");
    let entry = format!("DATABASE_PORT=tcp://{address}:3306");
    assert!(environ.contains(&entry), "no {entry} in {environ:#?}");
    rig.assert_reaches("web", "database", 3306);
    assert!(!rig.reaches("web", "database", 9999), "another port");
    assert!(!rig.reaches("db", &rig.address("web").to_string(), 3306), "the other way");
}

fn assert_nothing_is_left(rig: &Rig) {
    rig.remove("db");
    rig.remove("web");
    assert_eq!(rig.remains(), Vec::<String>::new());
}

each_engine! {
    fn a_link_works(engine) on [docker_28, podman_4, podman_5] {
        let rig = linked(engine, With::Configured);
        assert_linked(&rig);
        assert_nothing_is_left(&rig);
    }

    fn a_link_works_by_hooks_alone(engine) on [podman_4] {
        let rig = linked(engine, With::Hooks);
        assert_linked(&rig);
        rig.kill("web");
        rig.restart("web");
        assert_linked(&rig);
        assert_nothing_is_left(&rig);
    }

    /// The wrapper and the hooks, on one container.
    fn twice_is_once(engine) on [podman_4, podman_5] {
        let rig = Rig::start(engine, With::Configured);
        rig.configure("podman --hooks");
        rig.container("db").run().ok();
        rig.container("web").annotate("links", "db:database").run().ok();
        assert_linked(&rig);
        assert_nothing_is_left(&rig);
    }

    fn both_families_and_datagrams(engine) on [docker_28] {
        let rig = linked(engine, With::Configured);
        let (four, six) = (rig.address("db"), rig.address6("db"));
        rig.assert_reaches("web", &six.to_string(), 3306);
        assert!(!rig.reaches("web", &six.to_string(), 9999), "another port");
        assert!(!rig.reaches("db", &rig.address6("web").to_string(), 3306), "the other way");
        let (before, before6) = rig.datagrams("db");
        for port in [7000, 7001] {
            rig.send("web", four, port);
            rig.send("web", six, port);
        }
        assert_eq!(rig.datagrams("db"), (before + 1, before6 + 1));
    }

    /// containerd reads our part, and all that was there; it does not start otherwise.
    fn containerd_understands_it(engine) on [containerd_1, containerd_2] {
        let rig = Rig::start(engine, With::Wrapper);
        let dump = "containerd config dump 2>/dev/null | tr -d \"'\\\" \"";
        let asked = |text: &str| rig.machine.sh(&format!("{dump} | grep -q '{text}'")).is_ok();
        let mut versions = vec![""];
        if engine == Engine::containerd_2 {
            versions.push("version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\n\
                           conf_dir = '/etc/cni/net.d'\nbin_dirs = ['/usr/lib/cni']\n");
        }
        for config in versions {
            if !config.is_empty() {
                rig.write("/etc/containerd/config.toml", config);
            }
            let before = rig.machine.sh("cat /etc/containerd/config.toml").ok();
            rig.configure("containerd --default");
            for text in [
                "BinaryName=/usr/local/bin/oci-link-runtime",
                "default_runtime_name=oci-link",
                "pod_annotations=.*org.oci-link.*/*",
                "containerd.runtimes.runc]",
                "bin_dirs*=.*/usr/lib/cni",
            ] {
                assert!(asked(text), "no {text}: {}", rig.machine.sh("containerd config dump"));
            }
            rig.restart_containerd();
            rig.configure("containerd --remove");
            assert_eq!(rig.machine.sh("cat /etc/containerd/config.toml").ok(), before);
            assert!(!asked("oci-link"));
        }
    }

    /// Docker before 24 gives no annotations, but a container of it can be linked to.
    fn a_source_needs_no_annotations(engine) on [docker_20] {
        let rig = Rig::start(engine, With::Wrapper);
        rig.container("db").env("USER_SET=1").option("--expose 9999".into()).run().ok();
        let annotations = r#""annotations":{"org.oci-link.links":"db:database"},"ociVersion""#;
        rig.machine
            .sh(&format!(
                "mkdir -p /root/web/rootfs && cd /root/web && runc spec && \
                 sed -i 's/\"ociVersion\"/{annotations}/' config.json && oci-link prepare ."
            ))
            .ok();
        let config = rig.machine.sh("cat /root/web/config.json").ok();
        let address = rig.address("db");
        for entry in [
            &format!("DATABASE_PORT=tcp://{address}:3306"),
            &format!("DATABASE_PORT_7000_UDP=udp://{address}:7000"),
            &format!("DATABASE_PORT_9999_TCP=tcp://{address}:9999"),
            "DATABASE_ENV_COLOUR=green",
            "DATABASE_ENV_USER_SET=1",
        ] {
            assert!(config.contains(&format!("\"{entry}\"")), "no {entry} in {config}");
        }
        assert!(!config.contains("DATABASE_ENV_HOSTNAME"), "{config}");
    }

    /// podman 4 gives an image's annotations to its containers; since 5.0 it does not.
    fn images_ask_for_links_under_podman_4_only(engine) on [podman_4, podman_5] {
        let rig = Rig::start(engine, With::Configured);
        rig.machine
            .sh(&format!(
                "printf 'FROM docker.io/library/db\\nLABEL a=b\\n' >/root/Containerfile; \
                 {PODMAN} build --quiet --pull=never --format oci --tag asks \
                 --annotation org.oci-link.links=db:database --file /root/Containerfile /root"
            ))
            .ok();
        let create = format!("{PODMAN} create --name web asks");
        let show = "inspect --format '{{.Config.Annotations}}' web";
        rig.machine.sh(&create).ok();
        let shown = rig.machine.sh(&format!("{PODMAN} {show}")).ok();
        assert_eq!(shown.contains("org.oci-link.links"), engine == Engine::podman_4, "{shown}");
    }

    fn what_is_taken_back_is_gone(engine) on [docker_28] {
        let rig = linked(engine, With::Configured);
        let said = rig.configure("docker --remove");
        assert!(said.contains("restart"), "{said}");
        rig.assert_reaches("web", "database", 3306);
        rig.restart_docker();
        let runtimes = rig.machine.sh("docker info --format '{{.DefaultRuntime}} {{.Runtimes}}'").ok();
        assert!(runtimes.starts_with("runc ") && !runtimes.contains("oci-link"), "{runtimes}");
        let complaint = rig.machine.sh("docker start db").refused();
        assert!(complaint.contains("oci-link"), "{complaint}");
        rig.container("free").run().ok();
    }

    /// A container keeps its runtime until it is created again.
    fn containers_that_were_made_before_are_listed(engine) on [docker_28] {
        let rig = Rig::start(engine, With::Installed);
        rig.container("db").run().ok();
        rig.container("web").option("--link db:mysql".to_owned()).run().ok();
        rig.machine.sh("mkdir /root/shop").ok();
        let file = "services:\n  api:\n    image: db\n    network_mode: bridge\n    \
                    external_links: ['db:data']\n";
        rig.write("/root/shop/compose.yaml", file);
        rig.machine.sh("cd /root/shop && docker compose -p shop up -d").ok();
        let said = rig.configure("docker --default");
        assert!(said.contains("docker 28.5"), "{said}");
        let head = "2 containers with links keep another runtime; create again:";
        assert!(said.contains(head), "{said}");
        assert!(said.contains("  web (runc): docker rm -f web, then the docker run"), "{said}");
        let again = said.lines().find_map(|line| line.strip_prefix("  shop-api-1 (runc): "));
        let again = again.expect("a command");
        let expected =
            "cd /root/shop && docker compose -p shop up -d --force-recreate api";
        assert_eq!(again, expected);
        rig.machine.sh("kill -HUP $(pidof dockerd)").ok();
        let default = "docker info --format '{{.DefaultRuntime}}' | grep -qx oci-link";
        wait_until("a new default runtime", || rig.machine.sh(default).is_ok());
        rig.machine.sh(again).ok();
        rig.machine.sh("docker rm -f web").ok();
        rig.container("web").option("--link db:mysql".to_owned()).run().ok();
        for name in ["web", "shop-api-1"] {
            let show = format!("docker inspect --format '{{{{.HostConfig.Runtime}}}}' {name}");
            assert_eq!(rig.machine.sh(&show).ok(), "oci-link");
        }
        let said = rig.configure("docker --default");
        assert!(!said.contains("with links") && said.contains("1 container without"), "{said}");
    }
}
