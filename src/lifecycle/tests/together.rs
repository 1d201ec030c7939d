//! Several containers are changed at one event: their connections are ended together.

use super::{api, db, web};
use crate::error::Kind;
use crate::lifecycle::contested::MOST;
use crate::lifecycle::fakes::{Listener, Scene, every_failure, own};
use crate::model::{Phase, Record};
use crate::sys::hosts::HostsFile;
use std::fs;

/// A scene in which `db` is linked to `log`, and `web` and `api` to `db`. Every flow is used.
fn prepare(scene: &Scene) {
    scene.start(&own("log", "514/udp", &["10.0.0.9/24"])).unwrap();
    scene.start(&db().linked(&["log"])).unwrap();
    scene.start(&web()).unwrap();
    scene.start(&api()).unwrap();
    scene.use_all_flows();
}

fn prepared() -> Scene {
    let scene = Scene::new();
    prepare(&scene);
    scene.journal.restart();
    scene
}

#[test]
fn the_connections_of_a_source_and_its_recipients_are_ended_by_one_call() {
    let scene = prepared();
    scene.end_process("db");
    scene.stop("db").unwrap();
    let order = [
        "put api pending",
        "put web pending",
        "ensure 0 for api",
        "ensure 0 for web",
        "remove db",
        "drop_connections 3",
        "hosts of api",
        "put api ready",
        "hosts of web",
        "put web ready",
        "hosts of db",
        "delete db",
    ];
    assert_eq!(scene.journal.effects(), order);
    assert_eq!(scene.kernel.borrow().connections, []);
}

#[test]
fn an_end_is_repeated_after_every_failure() {
    every_failure(
        |scene| {
            prepare(scene);
            scene.end_process("db");
        },
        |scene| scene.stop("db"),
    );
}

#[test]
fn recipients_whose_connections_go_on_keep_naming_them() {
    let scene = prepared();
    scene.end_process("db");
    scene.journal.refuse("drop_connections 3");
    let error = scene.stop("db").unwrap_err();
    assert_eq!(error.kind, Kind::Firewall);
    let text = error.to_string();
    assert!(text.contains("links of web: ") && text.contains("links of api: "), "{text}");
    for name in ["web", "api"] {
        let record = scene.store.record(name).unwrap();
        assert_eq!((record.phase, record.flows.len()), (Phase::Pending, 1), "{name}");
    }
    assert!(scene.store.record("db").is_some());
    scene.journal.restart();
    scene.stop("db").unwrap();
    assert_eq!(scene.kernel.borrow().connections, []);
    assert_eq!(scene.store.record("db"), None);
}

#[test]
fn a_recipient_whose_rules_stay_does_not_keep_the_connections_of_others() {
    let scene = prepared();
    scene.end_process("db");
    scene.journal.refuse("ensure 0 for web");
    let error = scene.stop("db").unwrap_err().to_string();
    assert!(error.starts_with("links of web: ensure 0 for web"), "{error}");
    let left = scene.kernel.borrow().connections.clone();
    let own: Vec<String> = left.iter().map(ToString::to_string).collect();
    let expected = ["10.0.0.2 -> 10.0.0.9 514/udp", "10.0.0.3 -> 10.0.0.2 80/tcp"];
    let mut own = own;
    own.sort();
    assert_eq!(own, expected, "only those of api are ended");
    assert_eq!(scene.store.record("api").unwrap().phase, Phase::Ready);
}

/// Containers of one pod have one address. Each record names the flow until both are changed.
#[test]
fn pod_peers_that_lose_a_source_together_do_not_keep_its_connections() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    scene.start(&web()).unwrap();
    let mut peer = own("peer", "none", &["10.0.0.3/24"]).linked(&["db"]);
    peer.instance.netns = web().instance.netns;
    scene.start(&peer).unwrap();
    scene.use_all_flows();
    scene.end_process("db");
    scene.journal.restart();
    scene.stop("db").unwrap();
    assert_eq!(scene.kernel.borrow().connections, []);
    assert_eq!(scene.permitted(), []);
}

/// A peer that is linked to another container of the source's address keeps the connection.
#[test]
fn a_flow_that_is_kept_by_a_pod_peer_goes_on() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    let mut second = own("second", "80", &["10.0.0.2/24"]);
    second.instance.netns = db().instance.netns;
    scene.start(&second).unwrap();
    scene.start(&web()).unwrap();
    let mut peer = own("peer", "none", &["10.0.0.3/24"]).linked(&["second"]);
    peer.instance.netns = web().instance.netns;
    scene.start(&peer).unwrap();
    scene.use_all_flows();
    scene.end_process("db");
    scene.stop("db").unwrap();
    assert!(!scene.kernel.borrow().connections.is_empty());
    scene.end_process("second");
    scene.stop("second").unwrap();
    assert_eq!(scene.kernel.borrow().connections, []);
}

/// More hosts files than stay open, and more bytes.
#[test]
fn hosts_files_that_are_opened_again_lose_their_lines_too() {
    let scene = Scene::new();
    let recipient = |number: usize| -> Record {
        own(&format!("web{number}"), "none", &[&format!("10.0.1.{number}/16")]).linked(&["db"])
    };
    scene.start(&own("db", "80", &["10.0.0.2/16"])).unwrap();
    for number in 1..=70 {
        scene.start(&recipient(number)).unwrap();
    }
    // It belongs to the first ones, and takes all of the memory.
    let large = scene.hosts("web1");
    let comment = format!("# {}\n", "a comment of forty-eight bytes, one to a line");
    let text = fs::read_to_string(&large).unwrap() + &comment.repeat(15_000);
    fs::write(&large, text).unwrap();
    scene.end_process("db");
    scene.journal.restart();
    scene.stop("db").unwrap();
    for number in 1..=70 {
        let name = format!("web{number}");
        assert!(!scene.hosts_text(&name).contains("\tdb"), "{name}");
        assert_eq!(scene.store.record(&name).unwrap().phase, Phase::Ready, "{name}");
    }
    assert_eq!(scene.hosts_text("web1").matches(&comment).count(), 15_000);
    assert_eq!(scene.journal.count_of("drop_connections 70"), 1);
}

/// A container that removed its hosts file has none to change, and is not held up.
#[test]
fn a_hosts_file_that_is_gone_keeps_no_recipient_pending() {
    let scene = prepared();
    scene.end_process("db");
    let log = Listener::new();
    fs::remove_file(scene.hosts("web")).unwrap();
    scene.stop("db").unwrap();
    assert!(!log.heard("links of web"), "{:?}", log.lines());
    assert_eq!(scene.store.record("web").unwrap().phase, Phase::Ready);
    let place = scene.store.record("api").unwrap().hosts.unwrap().place;
    let file = HostsFile::again(&place, &scene.host.config.state_dir).unwrap().unwrap();
    assert!(!String::from_utf8_lossy(file.content().unwrap()).contains("sql"));
}

/// The start of a container without links does not wait for all recipients of a neighbour.
#[test]
fn a_start_with_the_address_of_a_linked_container_changes_a_bounded_number() {
    let scene = Scene::new();
    let db = own("db", "80", &["10.0.0.2/16"]);
    scene.start(&db).unwrap();
    let count = MOST + 20;
    for number in 0..count {
        let address = format!("10.0.{}.{}/16", 1 + number / 100, 1 + number % 100);
        let web = own(&format!("web{number}"), "none", &[&address]).linked(&["db"]);
        scene.start(&web).unwrap();
    }
    assert_eq!(scene.permitted().len(), count);
    scene.journal.restart();
    scene.start(&own("twin", "none", &["10.0.0.2/16"])).unwrap();
    let left = scene.permitted().len();
    assert_eq!(left, count - MOST);
    let notes = scene.host.notes().names(9).unwrap();
    assert_eq!(notes.len(), 1, "the next hook goes on: {notes:?}");
}
