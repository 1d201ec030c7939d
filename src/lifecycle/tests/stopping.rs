//! The end of a container: its neighbours first, then rules, connections, hosts block and record.

use super::{db, linked, web};
use crate::error::Kind;
use crate::lifecycle::fakes::{Listener, Scene, Sleeper, of_process, own};
use crate::lifecycle::privileges::AfterHook::Continue;
use crate::lifecycle::{stop, stop_if_dead};
use crate::model::sample::record;
use crate::model::{Created, HostsPlace, Missing, Phase, Record};
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn teardown_ends_with_the_record() {
    let scene = linked();
    scene.end_process("web");
    scene.stop("web").unwrap();
    let order = ["remove web", "drop_connections 1", "hosts of web", "delete web"];
    assert_eq!(scene.journal.effects(), order);
    assert_eq!(scene.hosts_text("web"), "127.0.0.1\tlocalhost\n");
    scene.journal.restart();
    scene.stop("web").unwrap();
    assert_eq!(scene.journal.effects(), [""; 0], "the second call finds no record");
}

#[test]
fn recipients_lose_a_source_before_its_record_goes() {
    let scene = linked();
    scene.end_process("db");
    scene.stop("db").unwrap();
    let order = [
        "put web pending",
        "ensure 0 for web",
        "drop_connections 1",
        "hosts of web",
        "put web ready",
        "delete db",
    ];
    assert_eq!(scene.journal.effects(), order);
    assert!(!scene.hosts_text("web").contains("db"));
    assert_eq!(scene.store.record("web").unwrap().links[0].source, None);
}

#[test]
fn a_source_stays_while_a_rule_names_its_address() {
    let scene = linked();
    scene.end_process("db");
    scene.journal.refuse("ensure 0 for web");
    let error = scene.stop("db").unwrap_err();
    assert_eq!(error.kind, Kind::Firewall);
    assert!(error.to_string().starts_with("links of web: ensure 0 for web"), "{error}");
    assert!(scene.store.record("db").is_some());
    scene.assert_named("after the failure");
}

#[test]
fn a_hosts_file_of_a_recipient_does_not_keep_its_source() {
    let scene = linked();
    scene.end_process("db");
    let path = scene.hosts("web");
    let log = Listener::new();
    // A file that is too large is one that the container spoiled.
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(2 << 20).unwrap();
    scene.stop("db").unwrap();
    assert!(log.heard("links of web: "), "{:?}", log.lines());
    assert_eq!(scene.store.record("db"), None);
    assert_eq!(scene.permitted(), []);
}

#[test]
fn a_spoiled_hosts_file_does_not_keep_its_own_record() {
    let scene = linked();
    scene.end_process("web");
    let file = fs::OpenOptions::new().write(true).open(scene.hosts("web")).unwrap();
    file.set_len(2 << 20).unwrap();
    scene.stop("web").unwrap();
    assert_eq!(scene.store.record("web"), None);
}

#[test]
fn a_hosts_file_that_cannot_be_reached_keeps_the_record_without_its_flows() {
    let scene = linked();
    scene.end_process("web");
    let path = scene.hosts("web");
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside).unwrap();
    symlink(&path, &path).unwrap();
    let error = scene.stop("web").unwrap_err();
    assert_eq!(error.kind, Kind::Hosts, "{error}");
    let left = scene.store.record("web").unwrap();
    assert!(left.flows.is_empty() && left.hosts.is_some());
    assert_eq!(scene.permitted(), []);
    fs::remove_file(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    scene.stop("web").unwrap();
    assert_eq!(scene.hosts_text("web"), "127.0.0.1\tlocalhost\n");
    assert_eq!(scene.store.record("web"), None);
}

#[test]
fn a_replaced_hosts_file_is_left_alone() {
    let scene = linked();
    scene.end_process("web");
    let path = scene.hosts("web");
    fs::rename(&path, path.with_extension("old")).unwrap();
    fs::write(&path, "another file\n").unwrap();
    scene.stop("web").unwrap();
    assert_eq!(scene.hosts_text("web"), "another file\n");
    assert_eq!(scene.store.record("web"), None);
}

/// The record of a container whose hosts file oci-link created in its root filesystem.
fn with_created_file(scene: &Scene) -> (Record, std::path::PathBuf) {
    let root = scene.directory().join("root");
    fs::create_dir(&root).unwrap();
    scene.start_with(&web(), Missing::Defer, Continue).unwrap();
    let file = crate::sys::hosts::HostsFile::of_rootfs(&root).unwrap();
    assert!(matches!(file.place(), HostsPlace::Rootfs { created: Created::FileAndDirectory, .. }));
    let place = file.place().clone();
    scene.store.alter("web", |record| record.hosts.as_mut().unwrap().place = place);
    (scene.store.record("web").unwrap(), root)
}

#[test]
fn a_hosts_file_that_was_created_is_removed_with_its_directory() {
    let scene = Scene::new();
    let (_, root) = with_created_file(&scene);
    scene.start(&db()).unwrap();
    assert!(fs::read_to_string(root.join("etc/hosts")).unwrap().contains("10.0.0.2\tdb"));
    scene.end_process("web");
    scene.stop("web").unwrap();
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
}

#[test]
fn a_created_hosts_file_with_other_lines_stays() {
    let scene = Scene::new();
    let (_, root) = with_created_file(&scene);
    scene.start(&db()).unwrap();
    let path = root.join("etc/hosts");
    let more = fs::read_to_string(&path).unwrap() + "10.9.9.9\tmine\n";
    fs::write(&path, more).unwrap();
    scene.end_process("web");
    scene.stop("web").unwrap();
    let left = fs::read_to_string(&path).unwrap();
    assert!(left.ends_with("10.9.9.9\tmine\n") && !left.contains("oci-link"), "{left}");
}

#[test]
fn a_hosts_file_that_was_never_created_needs_no_removal() {
    let scene = Scene::new();
    let (_, root) = with_created_file(&scene);
    scene.end_process("web");
    scene.stop("web").unwrap();
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    assert_eq!(scene.store.record("web"), None);
}

#[test]
fn the_end_of_an_earlier_run_does_not_end_a_running_container() {
    let scene = linked();
    let log = Listener::new();
    scene.stop("web").unwrap();
    assert!(
        log.heard("WARN web: still runs: poststop is about an earlier container"),
        "{:?}",
        log.lines()
    );
    assert_eq!(scene.journal.effects(), [""; 0]);
}

#[test]
fn the_hook_waits_for_a_process_that_is_about_to_end() {
    let scene = Scene::new();
    let sleeper = Sleeper::new();
    scene.start(&of_process(record("web", "80", &["10.0.0.3/24"]), sleeper.pid())).unwrap();
    let ending = std::thread::spawn({
        let pid = sleeper.pid();
        move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let pid = nix::unistd::Pid::from_raw(pid);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        }
    });
    scene.stop("web").unwrap();
    ending.join().unwrap();
    assert_eq!(scene.store.record("web"), None);
}

#[test]
fn only_the_end_of_the_process_ends_a_container_without_a_hook() {
    let scene = linked();
    let id = web().id;
    assert_eq!(stop_if_dead(&scene.host, &id).unwrap(), scene.store.record("web"));
    scene.end_process("web");
    assert_eq!(stop_if_dead(&scene.host, &id).unwrap(), None);
    assert_eq!(scene.store.record("web"), None);
    assert_eq!(stop_if_dead(&scene.host, &id).unwrap(), None);
}

#[test]
fn a_lock_that_cannot_be_taken_is_an_error() {
    let scene = linked();
    scene.journal.refuse("lock");
    assert_eq!(stop(&scene.host, &web().id, Continue).unwrap_err().kind, Kind::State);
    assert!(scene.store.record("web").is_some());
}

#[test]
fn a_record_that_changes_during_its_removal_stays() {
    let scene = linked();
    scene.end_process("web");
    let store = scene.store.clone();
    scene.journal.before("delete web", move || store.alter("web", |record| record.revision += 1));
    let error = scene.stop("web").unwrap_err();
    assert!(error.to_string().contains("changed while it was removed"), "{error}");
    assert!(scene.store.record("web").is_some());
}

/// Containers of one pod have one address, and so the same flows.
#[test]
fn connections_that_a_pod_peer_is_permitted_go_on() {
    let scene = linked();
    let mut peer = own("peer", "none", &["10.0.0.3/24"]).linked(&["db"]);
    peer.instance.netns = web().instance.netns;
    scene.start(&peer).unwrap();
    scene.end_process("web");
    scene.journal.restart();
    scene.stop("web").unwrap();
    assert_eq!(scene.journal.effects(), ["remove web", "hosts of web", "delete web"]);
    assert_eq!(scene.kernel.borrow().connections.len(), 1);
}

/// After a failure a record may name flows whose rules belong to a pod peer.
#[test]
fn an_unfinished_record_loses_its_rules_by_their_tag() {
    let scene = linked();
    scene.store.alter("web", |record| record.phase = Phase::Pending);
    scene.end_process("web");
    scene.stop("web").unwrap();
    assert_eq!(scene.journal.effects()[0], "remove_owner web");
    assert_eq!(scene.store.record("web"), None);
}

#[test]
fn two_containers_that_are_linked_to_each_other_both_end() {
    let scene = Scene::new();
    let one = own("one", "80", &["10.0.0.2/24"]).linked(&["two"]);
    let two = own("two", "81", &["10.0.0.3/24"]).linked(&["one"]);
    for container in [&one, &two] {
        scene.start_with(container, Missing::Defer, Continue).unwrap();
    }
    assert_eq!(scene.permitted().len(), 2);
    for name in ["one", "two"] {
        scene.end_process(name);
        scene.stop(name).unwrap();
    }
    assert_eq!((scene.permitted(), scene.store.records()), (vec![], vec![]));
}
