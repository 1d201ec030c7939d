//! Fixes of `doctor` that need an engine, packages or systemd. Each is pasted as it is printed, and the finding
//! is gone. `tests/it/doctor` pastes all others.
//!
//! No test pastes these, because the finding is about the one kernel that all tests share:
//!
//! - `modprobe nf_tables`, `nf_conntrack_netlink` and `br_netfilter`: a test cannot unload a module that other
//!   tests use, and kernels that contain them have no module.
//! - `apt-get install iptables` is for a kernel without `nf_tables`: on others the backend nftables works without
//!   a program.

use crate::each_engine;
use crate::machine::{Debian, Machine, wait_until};
use crate::program::OCI_LINK;
use crate::rig::{Engine, Rig, With};
use serde_json::Value;
use std::path::Path;

/// The checks of `doctor` on `machine`.
fn checks(machine: &Machine, doctor: &str) -> Vec<Value> {
    let said = machine.sh(&format!("{doctor} --json || [ $? -gt 10 ]")).ok();
    let report: Value = serde_json::from_str(&said).expect("JSON");
    report["checks"].as_array().expect("a list").clone()
}

/// The check of `subject`, if there is one.
fn check(machine: &Machine, doctor: &str, subject: &str) -> Option<Value> {
    checks(machine, doctor).into_iter().find(|check| check["subject"] == subject)
}

/// Pastes the fix for `subject`, which is `expected`. Then the check is ok, or is not made any more.
#[track_caller]
fn cure(machine: &Machine, subject: &str, expected: &str) {
    let found = check(machine, "oci-link doctor", subject);
    let found = found.unwrap_or_else(|| panic!("no {subject}"));
    assert_eq!(found["fix"], expected, "{found}");
    machine.sh(expected).ok();
    let after = check(machine, "oci-link doctor", subject);
    assert!(after.as_ref().is_none_or(|after| after["verdict"] == "ok"), "{after:?}");
}

each_engine! {
    /// Links work again, and `gc` removes the rules that no record names.
    fn lost_records_come_back_with_a_restart(engine) on [docker_28] {
        let rig = Rig::start(engine, With::Wrapper);
        rig.container("db").run().ok();
        rig.container("web").annotate("links", "db:database").run().ok();
        rig.assert_reaches("web", "database", 3306);
        rig.machine.sh("rm -r /run/oci-link/*").ok();
        cure(&rig.machine, "lost records", "docker restart db web && oci-link gc");
        rig.assert_reaches("web", "database", 3306);
        assert!(!rig.reaches("web", "database", 9999), "another port");
    }

    /// The start of the source could not be recorded: the lock was held, and its note is lost.
    fn a_source_without_a_record_is_restarted(engine) on [docker_28] {
        let rig = Rig::start(engine, With::Wrapper);
        let web = rig.container("web").annotate("links", "db:database");
        web.annotate("missing", "defer").run().ok();
        rig.machine.sh("flock --close /run/oci-link/lock sleep 30 & echo $! >/root/holder; sleep 0.2").ok();
        rig.container("db").run().ok();
        rig.machine.sh("rm -r /run/oci-link/notes; kill $(cat /root/holder)").ok();
        cure(&rig.machine, "link of web", "docker restart db");
        rig.assert_reaches("web", "database", 3306);
    }
}

/// A machine with systemd and oci-link.
fn booted() -> Machine {
    let machine = Machine::boot();
    machine.install(Path::new(OCI_LINK), "/usr/local/bin/oci-link");
    machine
}

fn write(machine: &Machine, path: &str, text: &[u8]) {
    machine.feed("sh", &["-c", &format!("mkdir -p $(dirname {path}); cat >{path}")], text).ok();
}

/// The daemon and the user that a fix names, with a real systemd: the unit starts in its sandbox.
#[test]
#[ignore = "boots systemd: make test-engines"]
fn units_are_enabled_and_users_are_added() {
    let machine = booted();
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/systemd/oci-link-watch.service");
    let unit = std::fs::read(unit).expect("a unit");
    write(&machine, "/etc/systemd/system/oci-link-watch.service", &unit);
    machine.sh("systemctl daemon-reload").ok();
    write(&machine, "/etc/ufw/ufw.conf", b"ENABLED=yes\n");
    cure(&machine, "ufw", "systemctl enable --now oci-link-watch");
    assert_eq!(machine.sh("systemctl is-active oci-link-watch").ok(), "active");
    assert_eq!(machine.sh("systemctl is-enabled oci-link-watch").ok(), "enabled");

    machine.sh("systemctl disable --now oci-link-watch && rm /etc/ufw/ufw.conf").ok();
    let cluster = "[cluster]\nname = \"a\"\nendpoints = [\"https://127.0.0.1:1\"]\nca = \"/etc/hostname\"\n\
                   cert = \"/etc/hostname\"\nkey = \"/etc/shadow\"\nnetworks = { a = [\"10.1.0.0/16\"] }\n";
    write(&machine, "/etc/oci-link/config.toml", cluster.as_bytes());
    cure(&machine, "user oci-link-cluster", "useradd --system --no-create-home oci-link-cluster");
    let enable = "systemctl enable --now oci-link-watch";
    let of_watch =
        || checks(&machine, "oci-link doctor").into_iter().find(|it| it["fix"] == enable);
    let found = of_watch().expect("watch does not run");
    assert_eq!(found["subject"], "other hosts");
    machine.sh(enable).ok();
    assert_eq!(of_watch().filter(|it| it["subject"] == "other hosts"), None);
}

/// A user without a login has no directory in /run/user, and so no place for records.
#[test]
#[ignore = "boots systemd: make test-engines"]
fn a_user_gets_a_directory_for_records() {
    let machine = booted();
    machine.sh("useradd --create-home --uid 1500 alice").ok();
    let doctor = "setpriv --reuid alice --regid alice --clear-groups oci-link doctor";
    let look = || check(&machine, doctor, "state directory").expect("a check");
    let found = look();
    assert_eq!(found["fix"], "sudo loginctl enable-linger 1500", "{found}");
    machine.sh("sudo loginctl enable-linger 1500").ok();
    // logind starts a unit that makes the directory.
    wait_until("a directory of the user", || look()["verdict"] == "ok");
    assert_eq!(machine.sh("stat --format %U /run/user/1500").ok(), "alice");
}

/// A Debian with the network of this machine, because apt downloads. `doctor` runs in a network namespace.
#[test]
#[ignore = "downloads a package: make test-engines"]
fn a_missing_runtime_is_installed() {
    let machine = Machine::online(Debian::Fresh);
    machine.install(Path::new(OCI_LINK), "/usr/local/bin/oci-link");
    machine.sh("ln -s oci-link /usr/local/bin/oci-link-runtime").ok();
    machine.sh("dpkg --remove runc && apt-get update").ok();
    let subject = "wrapped runtime";
    let look = || check(&machine, "unshare --net oci-link doctor", subject).expect("a check");
    let found = look();
    assert_eq!(
        (&found["verdict"], &found["fix"]),
        (&"fault".into(), &"apt-get install runc".into())
    );
    // apt asks whether it may install what runc recommends.
    machine.feed("sh", &["-c", "apt-get install runc"], b"y\n").ok();
    assert_eq!(look()["verdict"], "ok");

    // The runtime of podman's own configuration.
    write(&machine, "/etc/containers/containers.conf", b"[engine]\nruntime = \"runc\"\n");
    machine.sh("oci-link configure podman").ok();
    machine.sh("sed -i s/runc/crun/ /etc/containers/containers.conf").ok();
    let look = || check(&machine, "unshare --net oci-link doctor", "podman's runtime");
    let found = look().expect("a check");
    let fix = "apt-get install crun && oci-link configure podman";
    assert_eq!(found["fix"], fix, "{found}");
    machine.feed("sh", &["-c", fix], b"y\n").ok();
    assert_eq!(look().expect("a check")["verdict"], "ok");
}
