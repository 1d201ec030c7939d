//! Rootless links that something else damaged, several users at once, and root beside them.

use crate::each_engine;
use crate::machine::wait_until;
use crate::rig::Engine;
use crate::user::{Rootless, User};

fn linked(user: &User) {
    user.run_on_lan("db", "").ok();
    user.run_on_lan("web", "db:database").ok();
}

/// Kills the container and what watches it: no hook runs, and the engine learns nothing.
fn kill_hard(rig: &Rootless, user: &User, name: &str) {
    let pid = user.pid(name);
    let parent = rig.machine.sh(&format!("awk '/^PPid/ {{ print $2 }}' /proc/{pid}/status")).ok();
    rig.machine.sh(&format!("kill -KILL {parent} {pid}")).ok();
    wait_until("end of the container", || !rig.machine.path(&format!("/proc/{pid}/ns")).exists());
}

each_engine! {
    fn sync_and_gc_repair(engine) on [podman_4, podman_5, docker_28] {
        let rig = Rootless::start(engine);
        let alice = rig.user_with_network("alice");
        linked(&alice);
        let rules = alice.rules();
        assert!(!rules.is_empty());
        alice.inside("ipset flush").ok();
        assert!(!alice.reaches("web", "database", 3306), "{}", alice.situation("web"));
        alice.inside("iptables -D FORWARD -j OCI-LINK; iptables -F OCI-LINK; iptables -F OCI-LINK-ISOLATE; true").ok();
        let report = alice.oci_link("sync --check").refused();
        assert!(report.contains("problems found; run oci-link sync"), "{report}");
        alice.oci_link("sync").ok();
        alice.assert_linked("web", "database", "db");
        alice.oci_link("sync --check").ok();
        if engine.is_docker() {
            return; // dockerd notices the end of a shim, and ends the container by us.
        }
        kill_hard(&rig, &alice, "db");
        let report = alice.oci_link("gc --dry-run").to_string();
        assert!(report.contains("links of container db"), "{report}");
        alice.oci_link("gc").ok();
        assert_eq!((alice.rules(), alice.recorded()), (Vec::new(), vec!["web".to_owned()]));
        assert!(!alice.hosts("web").contains("database"), "{}", alice.hosts("web"));
        alice.remove("db");
        alice.run_on_lan("db", "").ok();
        alice.assert_linked("web", "database", "db");
    }

    fn users_do_not_meet(engine) on [podman_4, podman_5] {
        let rig = Rootless::start(engine);
        let before = rig.of_root();
        let (alice, bob) = (rig.user_with_network("alice"), rig.user_with_network("bob"));
        // The same names, and by the engines' own choice the same addresses.
        linked(&alice);
        linked(&bob);
        assert_eq!(alice.address("db", "-4"), bob.address("db", "-4"));
        alice.assert_linked("web", "database", "db");
        bob.assert_linked("web", "database", "db");
        let complaint = bob.sh("ls /run/user/1500/oci-link").refused();
        assert!(complaint.contains("Permission denied"), "{complaint}");
        let complaint = bob.sh("oci-link --state-dir /run/user/1500/oci-link ls").refused();
        assert!(complaint.contains("/run/user/1500"), "{complaint}");

        let of_alice = (alice.rules(), alice.hosts("web"), alice.recorded());
        for command in ["sync", "gc", "gc --all"] {
            if command != "gc --all" {
                bob.sh(&format!("oci-link {command}")).ok();
            }
            rig.machine.sh(&format!("oci-link {command}")).ok();
            assert_eq!((alice.rules(), alice.hosts("web"), alice.recorded()), of_alice, "{command}");
        }
        let root = "oci-link --state-dir /run/user/1500/oci-link";
        for command in ["ls", "sync", "gc"] {
            let refused = rig.machine.sh(&format!("{root} {command}")).to_string();
            assert!(refused.contains("exit status Some(7)"), "{refused}");
        }
        alice.assert_linked("web", "database", "db");
        bob.assert_linked("web", "database", "db");
        for name in ["web", "db"] {
            bob.remove(name);
        }
        assert_eq!((alice.rules(), alice.hosts("web"), alice.recorded()), of_alice);
        let after = rig.of_root().replace("oci-link", "");
        assert!(!after.contains("10.89.0."), "{before}\n{after}");
    }

    fn what_a_user_is_shown(engine) on [podman_4, podman_5, docker_28] {
        let rig = Rootless::start(engine);
        let alice = rig.user_with_network("alice");
        assert_eq!(alice.oci_link("ls --format json").ok(), "[]", "no state directory yet");
        linked(&alice);
        let shown = alice.oci_link("ls").ok();
        assert!(shown.contains("db:database"), "{shown}");
        let address = alice.address("db", "-4");
        let inspected = alice.oci_link("inspect web").ok();
        assert!(inspected.contains(&address) && inspected.contains("3306"), "{inspected}");
        let graph = alice.oci_link("graph --format dot").ok();
        assert!(graph.contains("database"), "{graph}");
        // What root's instance has is another matter.
        assert_eq!(rig.machine.sh("oci-link ls --format json").ok(), "[]");

        // What doctor proposes for the settings of bridges, typed as the user.
        let fixes = "oci-link doctor --json | sed -n 's/.*\"fix\": \"\\(\\(podman\\|nsenter\\) .*\\)\".*/\\1/p'";
        alice.sh(&format!("{fixes} | sh -e")).ok();
        let doctor = alice.oci_link("doctor --json").to_string();
        for wrong in ["chown root:root /", "65534", "belongs to user", "Permission denied", "EPERM"] {
            assert!(!doctor.contains(wrong), "{wrong}: {doctor}");
        }
        let state = if engine.is_docker() { "/run/oci-link" } else { "/run/user/1500/oci-link" };
        assert!(doctor.contains(&format!("\"{state}\"")), "{doctor}");
        assert!(doctor.contains("oci-link is registered"), "{doctor}");
        assert!(!doctor.contains("\"fault\""), "{doctor}");
        if engine.is_docker() {
            return;
        }
        // Containers run on without podman's pause process.
        let pause = "$(cat $XDG_RUNTIME_DIR/libpod/tmp/pause.pid)";
        alice.sh(&format!("kill {pause}; while readlink /proc/{pause}/ns/user; do sleep 0.05; done")).ok();
        let complaint = alice.oci_link("sync").refused();
        assert!(complaint.contains("call podman ps"), "{complaint}");
        alice.engine("ps").ok();
        alice.oci_link("sync --check").ok();
        // The same from inside podman's user namespace.
        let inside = alice.sh("podman unshare /usr/local/bin/oci-link ls --format json").ok();
        assert_eq!(inside, alice.oci_link("ls --format json").ok());
    }
}
