//! Unchanged commands with `--link`, by `oci-link docker` and `oci-link podman` early in `PATH`.

use crate::each_engine;
use crate::rig::{Engine, Rig, With};

/// An engine whose client is called through us, as all tests call it by `PATH`.
fn rig(engine: Engine) -> Rig {
    let rig = Rig::start(engine, With::Wrapper);
    let place = "/usr/local/sbin";
    let link = |name: &str| format!("ln -s /usr/local/bin/oci-link {place}/{name}");
    rig.machine.sh(&format!("mkdir -p {place}; {}; {}", link("docker"), link("podman"))).ok();
    let first = if engine.is_docker() { "docker" } else { "podman" };
    let found = rig.machine.sh(&format!("command -v {first}")).ok();
    assert_eq!(found, format!("{place}/{first}"));
    rig
}

each_engine! {
    fn an_unchanged_command_makes_a_link(engine) on [docker_28, podman_4, podman_5] {
        let rig = rig(engine);
        rig.container("db").env("USER_SET=1").run().ok();
        let web = rig.container("web").option("--link db:database".to_owned());
        web.option("--env --link".to_owned()).run().ok();
        let address = rig.address("db");
        let environ = rig.environ("web");
        for entry in [format!("DATABASE_PORT=tcp://{address}:3306"), "DATABASE_NAME=/web/database".to_owned()] {
            assert!(environ.contains(&entry), "no {entry} in {environ:#?}");
        }
        assert!(rig.hosts("web").contains(&format!("{address}\tdatabase ")), "{}", rig.hosts("web"));
        rig.assert_reaches("web", "database", 3306);
        assert!(!rig.reaches("web", "database", 9999), "another port");
        // Exit status, standard input and an annotation of the call itself.
        assert!(rig.exec("web", "sh -c 'exit 7'").to_string().contains("Some(7)"));
        let more = rig.container("more").annotate("links", "web:other");
        more.option("--link=db".to_owned()).run().ok();
        let environ = rig.environ("more");
        for entry in ["DB_NAME=/more/db", "OTHER_NAME=/more/other"] {
            assert!(environ.iter().any(|line| line == entry), "no {entry} in {environ:#?}");
        }
        for name in ["more", "web", "db"] {
            rig.remove(name);
        }
        assert_eq!(rig.remains(), Vec::<String>::new());
    }

    /// Docker's DNS keeps the alias, which the annotation does not give it.
    fn a_user_defined_network_keeps_the_link(engine) on [docker_28] {
        let rig = rig(engine);
        rig.machine.sh("docker network create n1").ok();
        rig.container("db").option("--network n1".to_owned()).run().ok();
        let web = rig.container("web").option("--network n1 --link db:database".to_owned());
        web.run().ok();
        let show = |what: &str| rig.machine.sh(&format!("docker inspect --format '{{{{json {what}}}}}' web")).ok();
        assert_eq!(show(".NetworkSettings.Networks.n1.Links"), r#"["db:database"]"#);
        assert!(show(".HostConfig.Annotations").contains(r#""org.oci-link.links":"db:database""#));
        rig.assert_reaches("web", "database", 3306);
        for name in ["web", "db"] {
            rig.remove(name);
        }
    }

    /// Neither a client before version 24 has annotations, nor a newer one with such a daemon.
    fn an_old_docker_gets_the_link_itself(engine) on [docker_20] {
        let rig = rig(engine);
        rig.container("db").run().ok();
        rig.container("web").option("--link db:database".to_owned()).run().ok();
        // The client of this Debian, if there is another one before it.
        rig.machine.sh("rm -f /usr/local/bin/docker").ok();
        rig.container("old").option("--link db:database".to_owned()).run().ok();
        for name in ["web", "old"] {
            let show = format!("docker inspect --format '{{{{.HostConfig.Links}}}}' {name}");
            let expected = format!("[/db:/{name}/database]");
            assert_eq!(rig.machine.sh(&show).ok(), expected);
            rig.assert_reaches(name, "database", 3306);
        }
    }
}
