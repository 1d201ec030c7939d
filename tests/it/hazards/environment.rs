//! Variables of the caller. None of them changes anything, and no child gets one.

use super::scene::{Scene, after};
use crate::{
    backends::each_backend,
    lifecycle::{by_hand, host_with},
    support::{Host, script},
};
use oci_link::testing::BackendName;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A directory with programs that are named like the firewall's and leave a note that they ran.
fn fakes(host: &Host) -> (PathBuf, PathBuf) {
    let (dir, note) = (host.path("fakes"), host.path("state").join("fake-ran"));
    fs::create_dir(&dir).expect("made");
    for name in [
        "iptables",
        "ip6tables",
        "iptables-restore",
        "ip6tables-restore",
        "iptables-save",
        "nft",
        "ipset",
        "sh",
    ] {
        let fake = dir.join(name);
        script(&fake, &format!("#!/bin/bash\necho $0 >> {}\n", note.display()));
    }
    (dir, note)
}

fn path_with(fakes: &Path) -> String {
    format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", fakes.display())
}

/// web is linked as if nothing were the matter.
#[track_caller]
fn assert_linked(scene: &Scene) {
    let hosts = fs::read_to_string(scene.rootfs("etc/hosts")).expect("readable");
    assert!(hosts.ends_with(&scene.block()), "{hosts}");
    scene.assert_permitted();
}

each_backend! {
    fn a34_hostile_variables_change_nothing(backend) {
        let host = host_with(backend);
        let scene = Scene::open(&host);
        let tmp = host.path("tmp");
        fs::create_dir(&tmp).expect("made");
        let mut hook = scene.command();
        hook.env("XTABLES_LIBDIR", "/nonexistent")
            .env("XTABLES_LOCKFILE", tmp.join("lock"))
            .env("LD_LIBRARY_PATH", &tmp)
            .env("RUST_LOG", "trace")
            .env("RUST_LOG_STYLE", "always")
            .env("TMPDIR", &tmp)
            .env("HOME", &tmp)
            .env("LC_ALL", "tr_TR.UTF-8")
            .env("TZ", "/nonexistent");
        scene.accepted_by(hook);
        assert_linked(&scene);
        assert_eq!(fs::read_dir(&tmp).expect("there").count(), 0);
        let log = fs::read_to_string(host.path("log")).unwrap_or_default();
        assert!(!log.contains(" trace ") && !log.contains(" debug "), "{log}");
    }

    fn a34_children_get_an_empty_environment(backend) {
        let host = host_with(backend);
        let scene = Scene::open(&host);
        // With ipset, programs run when the rules that ask its sets are gone.
        by_hand(&host, &["nft flush ruleset", "ipset destroy"]);
        let trace = host.path("trace");
        let strace = r#"strace -f -qq -e trace=execve -o "$1" "${@:2}"; exit $?"#;
        let mut hook = after(strace, &[&trace], &scene.command());
        hook.env("LD_PRELOAD", "/nonexistent.so").env("XTABLES_LIBDIR", "/nonexistent");
        scene.accepted_by(hook);
        assert_linked(&scene);
        let trace = fs::read_to_string(trace).expect("strace wrote it");
        let children: Vec<_> = trace.lines().filter(|line| line.contains("tables")).collect();
        assert_eq!(children.is_empty(), backend == BackendName::Nftables, "{trace}");
        for child in children {
            assert!(child.contains("execve(\"/") && child.contains("/* 0 vars */"), "{child}");
        }
    }

    fn a35_a_fake_iptables_is_never_run(backend) {
        let host = host_with(backend);
        let scene = Scene::open(&host);
        let (dir, note) = fakes(&host);
        let with_fakes = |mut command: Command| {
            command.env("PATH", path_with(&dir));
            command
        };
        scene.accepted_by(with_fakes(scene.command()));
        assert_linked(&scene);
        let inspect = host.oci_link(&["inspect", "web", "--format=json"]);
        let inspected = host.run(&mut with_fakes(inspect)).ok();
        assert!(inspected.contains("as recorded"), "{inspected}");
        assert!(!note.exists(), "{}", fs::read_to_string(&note).unwrap_or_default());
        // A shell does run them: the trap is set well.
        let _ = host.run(&mut with_fakes(after("iptables -S", &[], &Command::new("true")))).ok();
        assert!(note.exists());
    }
}
