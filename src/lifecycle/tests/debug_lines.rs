//! The log at level `debug` describes a start and an end step by step.

use super::{db, web};
use crate::lifecycle::debug_log;
use crate::lifecycle::fakes::{Listener, Scene, own};
use crate::lifecycle::privileges::AfterHook::Continue;
use crate::link::Candidate;
use crate::model::{BridgeName, Created, HostsPlace, Inode, Missing, Network, Record};
use std::path::PathBuf;

#[test]
fn a_start_and_an_end_are_logged_step_by_step() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    let log = Listener::new();
    scene.start(&web()).unwrap();
    scene.end_process("web");
    scene.stop("web").unwrap();
    let lines: Vec<String> =
        log.lines().iter().filter(|line| !line.contains("lease")).cloned().collect();
    let expected = [
        "DEBUG web: has the lock; rules by ipset, the first that this host supports",
        "DEBUG web: found: db is db at 10.0.0.2",
        "DEBUG web: planned: 2 lines of hosts; flows 10.0.0.3 -> 10.0.0.2 80/tcp",
        "DEBUG web: record written: pending",
        "DEBUG web: rules of ipset made: 1 flows permitted, 0 before",
        "DEBUG web: hosts file written",
        "DEBUG web: record written: ready",
        "DEBUG web: linked to it: none",
        "DEBUG web: linked to it: none",
        "DEBUG web: rules of ipset removed",
        "DEBUG connections ended; flows: 1",
        "DEBUG web: hosts file restored",
        "DEBUG web: record removed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_container_without_links_has_the_lock_only() {
    let (scene, log) = (Scene::new(), Listener::new());
    scene.start(&db()).unwrap();
    assert!(log.heard("DEBUG db: has the lock"), "{:?}", log.lines());
    assert!(!log.heard("found: ") && !log.heard("planned: "), "{:?}", log.lines());
    scene.stop("absent").unwrap();
    assert!(log.heard("DEBUG absent: has no record"), "{:?}", log.lines());
}

#[test]
fn every_kind_of_source_is_named() {
    let log = Listener::new();
    let me = web().linked(&["a", "b", "c", "d", "e", "f"]);
    let bare = Record { network: Network::Host, ..db() };
    let candidates = [
        Candidate::Running(Box::new(db())),
        Candidate::Running(Box::new(bare)),
        Candidate::Stopped(db().name),
        Candidate::Ambiguous,
        Candidate::Missing,
        Candidate::Itself,
    ];
    debug_log::candidates(&me, &candidates);
    let line = "DEBUG web: found: a is db at 10.0.0.2, b is db without an address, c is db, which \
                does not run, d is the beginning of several ids, e is unknown, f is itself";
    assert_eq!(log.lines(), [line]);
}

#[test]
fn the_log_names_what_was_read_of_a_container() {
    let log = Listener::new();
    let (path, inode) = (PathBuf::from("/h"), Inode { device: 1, number: 2 });
    let mount = HostsPlace::Mount { path: path.clone(), inode };
    let mut me = own("web", "80", &["10.0.0.3/24", "fd00::3/64"]).linked(&["db:sql"]);
    if let Network::Own(addresses) = &mut me.network {
        addresses[0] = addresses[0].on(BridgeName::new("br0").ok());
    }
    me.bundle = Some("/b".into());
    me.instance.pid = 7;
    debug_log::started(&me, "bare", Some(&mount));
    let on_host = Record { network: Network::Host, ports: web().ports, ..me };
    let rootfs = HostsPlace::Rootfs { path, inode, created: Created::Nothing };
    debug_log::started(&on_host, "docker", Some(&rootfs));
    debug_log::started(&on_host, "docker", None);
    let lines = log.lines();
    let first =
        "DEBUG web: /b read: engine bare, called web, links db:sql, exposes 80/tcp, variables 0";
    assert_eq!(lines[0], first);
    assert_eq!(lines[1], "DEBUG web: process 7 has the addresses 10.0.0.3/24 on br0, fd00::3/64");
    assert_eq!(lines[2], "DEBUG web: hosts file /h, mounted on /etc/hosts");
    assert!(lines[3].contains("exposes nothing"), "{}", lines[3]);
    assert_eq!(lines[4], "DEBUG web: process 7 has the host's network");
    assert_eq!(lines[5], "DEBUG web: hosts file /etc/hosts, in the root filesystem /h");
    assert_eq!(lines.len(), 8);
}

#[test]
fn the_recipients_of_a_source_are_named() {
    let scene = Scene::new();
    for recipient in [web(), super::api()] {
        scene.start_with(&recipient, Missing::Defer, Continue).unwrap();
    }
    let log = Listener::new();
    scene.start(&db()).unwrap();
    assert!(log.heard("DEBUG db: linked to it: api, web"), "{:?}", log.lines());
}
