//! The runtime below: podman's own stays, with what it can do, whichever is installed, before
//! `configure`, after it, and after its removal. containerd gets the first one that is installed.

use crate::each_engine;
use crate::rig::{Engine, Rig, With};

const DROP_IN: &str = "/etc/containers/containers.conf.d/oci-link.conf";

/// What podman's containers say and how they end. `podman` is the beginning of a command line.
fn account(rig: &Rig, podman: &str, options: &[&str]) -> Vec<String> {
    let mut account = Vec::new();
    for option in options {
        for command in ["echo hello", "sh -c 'echo complaint >&2; exit 7'", "/no/such"] {
            let run = format!("{podman} run --rm --name plain {option} db {command}");
            account.push(rig.machine.sh(&run).to_string());
        }
    }
    let names = format!("{podman} info --format '{{{{.Host.OCIRuntime.Version}}}}'");
    account.push(rig.machine.sh(&names).ok());
    account
}

/// What podman prints is equal to `before`. podman calls the runtime by its name in messages of its own.
#[track_caller]
fn assert_same(before: &[String], after: &[String], real: &str) {
    let after: Vec<String> = after.iter().map(|text| text.replace("oci-link", real)).collect();
    assert_eq!(before, after);
}

/// Moves a runtime away, and back when it is given again.
fn hide(rig: &Rig, name: Option<&str>) {
    rig.machine
        .sh("for file in /root/hidden/*; do [ ! -e $file ] || mv $file $(cat /root/places/${file##*/}); done")
        .ok();
    if let Some(name) = name {
        let script = format!(
            "mkdir -p /root/hidden /root/places; at=$(command -v {name}); mv $at /root/hidden/{name}; \
             echo $at >/root/places/{name}"
        );
        rig.machine.sh(&script).ok();
    }
}

each_engine! {
    fn podman_runs_its_own_runtime(engine) on [podman_4, podman_5] {
        let rig = Rig::start(engine, With::Installed);
        for hidden in [None, Some("runc"), Some("crun")] {
            hide(&rig, hidden);
            let real = if hidden == Some("crun") { "runc" } else { "crun" };
            let options = ["", "--cgroups=disabled", "--network none"];
            let before = account(&rig, "podman", &options);
            assert!(before[0].contains("Some(0)\nhello"), "{before:#?}");
            assert_eq!(before[3].contains("Some(0)\nhello"), real == "crun", "{before:#?}");

            let said = rig.configure("podman --default");
            assert!(said.contains(&format!("/{real}), the default")), "{said}");
            let program = rig.machine.sh("podman info --format '{{.Host.OCIRuntime.Path}}'").ok();
            assert!(program.ends_with(&format!("/oci-link-{real}")), "{program}");
            assert_same(&before, &account(&rig, "podman", &options), real);
            assert!(rig.configure("podman --default").contains("nothing to change"));
            // The wrapper is also given as a path.
            let by_path = format!("podman --runtime {program}");
            assert!(rig.machine.sh(&format!("{by_path} run --rm db echo hello")).is_ok());
            let disabled = format!("{by_path} run --rm --cgroups=disabled db echo hello");
            assert_eq!(rig.machine.sh(&disabled).is_ok(), real == "crun");

            rig.configure("podman --remove");
            assert!(!rig.machine.path(DROP_IN).exists());
            assert_eq!(before, account(&rig, "podman", &options));
        }
        hide(&rig, Some("crun"));
        rig.machine.sh("rm $(command -v runc)").ok();
        let complaint = rig.machine.sh("oci-link configure podman --default").refused();
        assert!(complaint.contains("runtime \"crun\" is not installed: install it"), "{complaint}");
        assert!(!rig.machine.path(DROP_IN).exists());
    }

    /// A user without further ids: newuidmap is not needed. The root of the host configures podman.
    fn containers_of_users_run_as_before(engine) on [podman_4] {
        let rig = Rig::start(engine, With::Installed);
        rig.machine
            .sh("mount --make-rshared / && useradd -m user && : >/etc/subuid && : >/etc/subgid && \
                 mkdir -p /run/user/1000 && cp /root/image.tar /home/user && \
                 chown -R user /run/user/1000 /home/user")
            .ok();
        let as_user = |words: &str| {
            format!("cd /home/user && setpriv --reuid user --regid user --clear-groups \
                     env HOME=/home/user USER=user XDG_RUNTIME_DIR=/run/user/1000 \
                     podman --storage-driver vfs {words}")
        };
        rig.machine.sh(&as_user("load --quiet --input /home/user/image.tar")).ok();
        let (podman, options) = (as_user(""), ["--network host"]);
        let before = account(&rig, &podman, &options);
        assert!(before[0].contains("Some(0)\nhello"), "{before:#?}");
        rig.configure("podman --default");
        let name = rig.machine.sh(&as_user("info --format '{{.Host.OCIRuntime.Name}}'")).ok();
        assert_eq!(name, "oci-link");
        assert_same(&before, &account(&rig, &podman, &options), "crun");
        rig.configure("podman --remove");
        assert_eq!(before, account(&rig, &podman, &options));
    }

    /// `oci-link-runtime` on a host without runc.
    fn a_host_with_crun_only(engine) on [containerd_2] {
        let rig = Rig::start(engine, With::Wrapper);
        hide(&rig, Some("runc"));
        rig.container("db").annotate("ports", "3306").run().ok();
        rig.container("web").annotate("links", "db:database").run().ok();
        rig.assert_reaches("web", "database", 3306);
        rig.remove("web");
        rig.remove("db");
        assert_eq!(rig.remains(), Vec::<String>::new());
    }
}
