//! A running container has other addresses than its record: rules and hosts lines follow at the next
//! look, and no rule names an address that it no longer has.

use super::{api, db, linked, web};
use crate::error::Kind;
use crate::lifecycle::addresses::{MAX_READ, follow_with_sources, look_at};
use crate::lifecycle::fakes::{Fault, Listener, Scene, again, own};
use crate::lifecycle::privileges::AfterHook::Continue;
use crate::model::{Missing, Record};
use std::net::IpAddr;

/// The flows that rules permit, as text and in order.
fn permitted(scene: &Scene) -> Vec<String> {
    let mut flows: Vec<String> = scene.permitted().iter().map(ToString::to_string).collect();
    flows.sort();
    flows
}

fn addresses(scene: &Scene, id: &str) -> Vec<String> {
    let record = scene.store.record(id).unwrap();
    record.network.addresses().iter().map(ToString::to_string).collect()
}

/// How many network namespaces were read since the journal began.
fn reads(scene: &Scene) -> usize {
    scene.journal.count_of("read addresses")
}

#[test]
fn the_start_of_a_recipient_finds_its_source_where_it_is_now() {
    let scene = linked();
    scene.move_to("db", &["10.0.0.9/24", "fd00::9/64"]);
    let mut both = api();
    both.network = own("api", "", &["10.0.0.4/24", "fd00::4/64"]).network;
    scene.start(&both).unwrap();
    let expected =
        ["10.0.0.3 -> 10.0.0.9 80/tcp", "10.0.0.4 -> 10.0.0.9 80/tcp", "fd00::4 -> fd00::9 80/tcp"];
    assert_eq!(permitted(&scene), expected);
    assert!(scene.hosts_text("web").contains("10.0.0.9\tdb"), "{}", scene.hosts_text("web"));
    assert!(!scene.hosts_text("web").contains("10.0.0.2"), "{}", scene.hosts_text("web"));
    assert_eq!(scene.kernel.borrow().connections, [], "those of the old address are ended");
    let ids: Vec<_> = scene.host.store.ids().unwrap().into_iter().collect();
    assert_eq!(look_at(&scene.host, &ids).moved.len(), 0);
    scene.assert_named("after the start");
}

#[test]
fn an_old_address_refuses_no_container_and_no_rule_names_it() {
    for (holder, freed) in [("db", "10.0.0.2/24"), ("web", "10.0.0.3/24")] {
        for links in [&[][..], &["db:sql"]] {
            let scene = linked();
            scene.move_to(holder, &["10.0.0.9/24"]);
            scene.start(&own("successor", "80", &[freed]).linked(links)).unwrap();
            assert_eq!(addresses(&scene, "successor"), [freed]);
            assert_eq!(addresses(&scene, holder), ["10.0.0.9/24"]);
            let ip: IpAddr = freed.split('/').next().unwrap().parse().unwrap();
            let mut named = permitted(&scene);
            named.retain(|flow| flow.contains(&ip.to_string()));
            assert_eq!(named.len(), links.len(), "{named:?}");
            assert_eq!(permitted(&scene).len(), 1 + links.len());
            scene.assert_named("after the start");
        }
    }
}

#[test]
fn the_start_of_a_source_finds_its_recipients_where_they_are_now() {
    let scene = linked();
    scene.end_process("db");
    scene.stop("db").unwrap();
    scene.move_to("web", &["10.0.0.8/24"]);
    scene.start(&again(&db())).unwrap();
    assert_eq!(permitted(&scene), ["10.0.0.8 -> 10.0.0.2 80/tcp"]);
}

#[test]
fn connect_and_disconnect_read_both_ends() {
    let scene = linked();
    scene.start(&own("mq", "90", &["10.0.0.5/24"])).unwrap();
    scene.move_to("mq", &["10.0.0.6/24"]);
    scene.move_to("web", &["10.0.0.8/24"]);
    scene.connect("web", "mq").unwrap();
    let expected = ["10.0.0.8 -> 10.0.0.2 80/tcp", "10.0.0.8 -> 10.0.0.6 90/tcp"];
    assert_eq!(permitted(&scene), expected);
    scene.move_to("mq", &["10.0.0.7/24"]);
    scene.disconnect("web", "db").unwrap();
    assert_eq!(permitted(&scene), ["10.0.0.8 -> 10.0.0.7 90/tcp"]);
}

#[test]
fn a_source_without_an_address_opens_nothing_until_it_has_one() {
    let scene = linked();
    let look = || {
        let host = scene.host.lock().unwrap();
        let web = scene.store.record("web").unwrap();
        let links = web.links.clone();
        follow_with_sources(&host, web, &links).unwrap();
    };
    scene.move_to("db", &[]);
    look();
    assert_eq!(permitted(&scene), [""; 0]);
    assert!(!scene.hosts_text("web").contains("\tdb"), "{}", scene.hosts_text("web"));
    scene.move_to("db", &["10.0.0.9/24"]);
    look();
    assert_eq!(permitted(&scene), ["10.0.0.3 -> 10.0.0.9 80/tcp"]);
    assert!(scene.hosts_text("web").contains("10.0.0.9\tdb"), "{}", scene.hosts_text("web"));
}

#[test]
fn pod_peers_move_together() {
    let scene = linked();
    let mut peer = own("peer", "none", &["10.0.0.3/24"]).linked(&["db"]);
    peer.instance.netns = web().instance.netns;
    scene.start(&peer).unwrap();
    scene.move_to("web", &["10.0.0.8/24"]);
    scene.connect("web", "db:sql").unwrap();
    for id in ["web", "peer"] {
        assert_eq!(addresses(&scene, id), ["10.0.0.8/24"]);
        assert_eq!(scene.store.record(id).unwrap().flows.len(), 1);
    }
    assert!(permitted(&scene).iter().all(|flow| flow == "10.0.0.8 -> 10.0.0.2 80/tcp"));
}

#[test]
fn what_cannot_be_read_is_believed() {
    let scene = linked();
    scene.move_to("db", &["10.0.0.9/24"]);
    scene.journal.refuse("read addresses");
    let log = Listener::new();
    scene.start(&api()).unwrap();
    assert!(log.heard("DEBUG db: its addresses cannot be read again"), "{:?}", log.lines());
    assert_eq!(addresses(&scene, "db"), ["10.0.0.2/24"]);
}

/// A start that is killed while links follow: the records name all rules and lines, and the next start
/// with the old address finishes it.
#[test]
fn a_look_that_is_killed_is_finished_by_the_next() {
    let clean = linked();
    clean.move_to("db", &["10.0.0.9/24"]);
    clean.start(&own("other", "80", &["10.0.0.2/24"])).unwrap();
    for number in 1..=clean.journal.count() {
        let scene = linked();
        scene.move_to("db", &["10.0.0.9/24"]);
        scene.journal.fail(Fault::Killed, number);
        let other = own("other", "80", &["10.0.0.2/24"]);
        let _ = scene.start(&other);
        scene.journal.restart();
        scene.assert_named(&format!("killed at call {number}"));
        // The address is still free, or freed at the next start.
        scene.start(&other).unwrap();
        assert_eq!(permitted(&scene), ["10.0.0.3 -> 10.0.0.9 80/tcp"], "killed at call {number}");
        assert!(scene.store.records().iter().all(|record| record.former.is_empty()));
    }
}

/// Work under the host lock: one namespace for each source, and for a container that nothing concerns
/// none.
#[test]
fn a_start_reads_a_bounded_number_of_namespaces() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    assert_eq!(reads(&scene), 0);
    scene.start(&own("mq", "90", &["10.0.0.5/24"])).unwrap();
    scene.journal.restart();
    scene.start(&web().linked(&["db", "db:sql", "mq"])).unwrap();
    assert_eq!(reads(&scene), 2, "one for each source");

    scene.journal.restart();
    for number in 0..2 * MAX_READ {
        let name = format!("waits{number}");
        let waits = own(&name, "none", &[&format!("10.0.1.{number}/16")]).linked(&["late"]);
        scene.start_with(&waits, Missing::Defer, Continue).unwrap();
    }
    assert_eq!(reads(&scene), 0, "their source is not there");
    scene.start(&own("late", "80", &["10.0.0.7/16"])).unwrap();
    assert_eq!(reads(&scene), MAX_READ, "of its recipients");
    assert_eq!(scene.permitted().len(), 3 + 2 * MAX_READ - 1);

    // A container with the addresses of all of them.
    let all: Vec<String> = (0..MAX_READ + 6).map(|n| format!("10.0.1.{n}/16")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    scene.journal.restart();
    scene.start(&own("thief", "80", &all)).unwrap();
    assert_eq!(reads(&scene), MAX_READ, "of those that have its addresses");
}

/// A source that gave itself the address of a neighbour: no link leads there, whichever came first.
#[test]
fn the_address_of_a_neighbour_is_used_by_no_link() {
    let neighbour = own("neighbour", "none", &["10.0.0.7/24"]);
    let thief = own("thief", "80", &["10.0.0.7/24", "10.0.0.20/24"]);
    for order in [[&neighbour, &thief], [&thief, &neighbour]] {
        let scene = Scene::new();
        for record in order {
            scene.start(record).unwrap();
        }
        scene.start(&web().linked(&["thief"])).unwrap();
        assert_eq!(permitted(&scene), ["10.0.0.3 -> 10.0.0.20 80/tcp"]);
        assert!(!scene.hosts_text("web").contains("10.0.0.7\t"), "{}", scene.hosts_text("web"));
        assert_eq!(addresses(&scene, "thief").len(), 2, "the record says what is there");
    }
}

/// A recipient with the address of a neighbour only: its rules would be the neighbour's.
#[test]
fn a_recipient_with_the_address_of_a_neighbour_needs_another() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    scene.start(&own("neighbour", "none", &["10.0.0.3/24"])).unwrap();
    let refusal = scene.start(&web()).unwrap_err();
    assert_eq!(refusal.kind, Kind::Unsafe);
    let expected =
        "address \"10.0.0.3\": container neighbour has it too, and runs: links need another";
    assert!(refusal.to_string().contains(expected), "{refusal}");
    assert_eq!(scene.store.record("web"), None);
    let more = own("web", "none", &["10.0.0.3/24", "10.0.0.30/24"]).linked(&["db"]);
    scene.start(&more).unwrap();
    assert_eq!(permitted(&scene), ["10.0.0.30 -> 10.0.0.2 80/tcp"]);
}

/// A container that moves onto the address of a linked one takes no packets of its link.
#[test]
fn a_move_onto_the_address_of_a_source_closes_its_links() {
    let scene = linked();
    scene.start(&own("thief", "80", &["10.0.0.7/24"])).unwrap();
    scene.move_to("thief", &["10.0.0.2/24"]);
    let look = || {
        let host = scene.host.lock().unwrap();
        let thief = scene.store.record("thief").unwrap();
        follow_with_sources(&host, thief, &[]).unwrap()
    };
    let thief: Record = look();
    assert_eq!((addresses(&scene, "thief"), thief.flows), (vec!["10.0.0.2/24".to_owned()], vec![]));
    assert_eq!(permitted(&scene), [""; 0]);
    scene.move_to("thief", &["10.0.0.7/24"]);
    look();
    assert_eq!(permitted(&scene), ["10.0.0.3 -> 10.0.0.2 80/tcp"]);
}
