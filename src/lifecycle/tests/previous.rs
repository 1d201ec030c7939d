//! A container that starts where an earlier one left its id, its name or its address.

use super::{db, linked, web};
use crate::error::Kind;
use crate::lifecycle::fakes::{Listener, Scene, again, own};
use crate::model::{Address, Network, Record};
use std::os::unix::fs::symlink;

#[test]
fn a_dead_container_of_the_same_id_is_replaced() {
    let scene = linked();
    scene.end_process("web");
    let new = again(&web());
    scene.start(&new).unwrap();
    let order = [
        "remove web",
        "drop_connections 1",
        "hosts of web",
        "delete web",
        "put web pending",
        "ensure 1 for web",
        "hosts of web",
        "put web ready",
    ];
    assert_eq!(scene.journal.effects(), order);
    assert_eq!(scene.store.record("web").unwrap().owner, new.owner);
    assert_eq!(scene.kernel.borrow().rules.len(), 1);
}

#[test]
fn a_running_container_of_the_same_id_is_not_replaced() {
    let scene = linked();
    let before = scene.state();
    let refusal = scene.start(&again(&web())).unwrap_err();
    assert_eq!(refusal.kind, Kind::Unsafe);
    assert!(refusal.to_string().contains("which runs and has links"), "{refusal}");
    assert_eq!(scene.state(), before);
}

/// As below two roots of a runtime. Each of the two is judged by its own process.
#[test]
fn a_container_starts_beside_a_running_one_of_its_id() {
    let scene = linked();
    let first = scene.store.record("web").unwrap();
    let address = Network::Own(vec![Address::parse("10.0.0.7/24").unwrap()]);
    let new = Record { network: address, ..again(&web()) };
    scene.start(&new).unwrap();
    assert_eq!(scene.store.record("web"), Some(first.clone()));
    let records = scene.store.records();
    let second = records.iter().find(|record| record.id.tag().is_some()).unwrap();
    assert_eq!((second.id.as_str(), &second.instance), ("web", &new.instance));
    assert!(second.owner != first.owner);
    assert_eq!(scene.permitted().len(), 2);

    scene.stop("web").unwrap();
    assert_eq!(scene.store.records().len(), 3, "both run");
    scene.end_process("web");
    scene.stop("web").unwrap();
    assert_eq!(scene.store.record("web"), None);
    assert_eq!(scene.store.records().len(), 2, "the second runs");
    assert_eq!(scene.permitted()[0].to_string(), "10.0.0.7 -> 10.0.0.2 80/tcp");
    assert_eq!(scene.permitted().len(), 1);
    scene.assert_named("at the end");
}

#[test]
fn a_dead_container_of_the_same_name_is_replaced() {
    let scene = linked();
    scene.end_process("db");
    let new = Record { name: db().name, ..own("db2", "81", &["10.0.0.9/24"]) };
    scene.start(&new).unwrap();
    assert_eq!(scene.store.record("db"), None);
    assert_eq!(scene.permitted()[0].to_string(), "10.0.0.3 -> 10.0.0.9 81/tcp");
}

#[test]
fn a_running_container_keeps_its_name() {
    let scene = linked();
    let new = Record { name: db().name, ..own("db2", "81", &["10.0.0.9/24"]) };
    scene.start(&new).unwrap();
    assert!(scene.store.record("db").is_some());
    assert_eq!(scene.permitted()[0].to_string(), "10.0.0.3 -> 10.0.0.2 80/tcp");
}

#[test]
fn a_dead_holder_of_the_address_is_removed_with_its_rules() {
    let scene = linked();
    scene.end_process("db");
    scene.start(&own("new", "80", &["10.0.0.2/24"])).unwrap();
    assert_eq!(scene.store.record("db"), None);
    assert_eq!(scene.permitted(), []);
}

#[test]
fn a_dead_holder_whose_rules_stay_keeps_its_address() {
    let scene = linked();
    scene.end_process("db");
    scene.journal.refuse("ensure 0 for web");
    let new = own("new", "80", &["10.0.0.2/24"]).linked(&["web"]);
    let refusal = scene.start(&new).unwrap_err();
    assert_eq!(refusal.kind, Kind::Firewall, "{refusal}");
    assert_eq!(scene.store.record("new"), None);
    scene.assert_named("after the failure");
    // A container without links starts, whatever fails.
    let log = Listener::new();
    scene.start(&own("new", "80", &["10.0.0.2/24"])).unwrap();
    let complaint = "ERROR new: rules of db may name its address; run oci-link sync";
    assert!(log.heard(complaint), "{:?}", log.lines());
    assert!(scene.store.record("db").is_some());
    scene.assert_named("after the start");
}

#[test]
fn the_hosts_file_of_a_dead_holder_does_not_keep_its_address() {
    let scene = linked();
    scene.end_process("web");
    let path = scene.hosts("web");
    std::fs::remove_file(&path).unwrap();
    symlink(&path, &path).unwrap();
    let log = Listener::new();
    scene.start(&own("new", "80", &["10.0.0.3/24"])).unwrap();
    assert!(log.heard("ERROR links of web: "), "{:?}", log.lines());
    assert_eq!(scene.permitted(), []);
    assert!(scene.store.record("web").unwrap().flows.is_empty());
}

#[test]
fn a_running_holder_of_the_address_with_links_refuses_the_start() {
    for (address, source) in [("10.0.0.2/24", "web"), ("10.0.0.3/24", "db")] {
        let scene = linked();
        let before = scene.state();
        let refusal = scene.start(&own("new", "80", &[address]).linked(&[source])).unwrap_err();
        assert_eq!(refusal.kind, Kind::Unsafe);
        assert!(refusal.to_string().contains("which runs and has links"), "{refusal}");
        assert_eq!(scene.state(), before);
    }
}

/// No rule may let its packets through as if they were those of the holder.
#[test]
fn a_container_without_links_takes_the_address_from_the_links_of_a_running_one() {
    for (address, holder) in [("10.0.0.2/24", "db"), ("10.0.0.3/24", "web")] {
        let scene = linked();
        let log = Listener::new();
        scene.start(&own("new", "80", &[address])).unwrap();
        assert!(log.heard(&format!("the links of {holder} no longer use it")), "{:?}", log.lines());
        assert_eq!(scene.permitted(), []);
        assert!(scene.store.record("new").is_some() && scene.store.record(holder).is_some());
        scene.assert_named("after the start");
    }
}

#[test]
fn a_running_holder_of_the_address_without_links_does_not() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    scene.start(&own("new", "80", &["10.0.0.2/24"])).unwrap();
    assert_eq!(scene.store.records().len(), 2);
}

/// Neighbours whose firewall fails are left for a repair: a container that takes the id of a dead
/// one does not wait for them.
#[test]
fn the_end_of_a_dead_source_of_the_same_id_may_stay_unfinished() {
    let scene = linked();
    scene.end_process("db");
    scene.journal.refuse("ensure 0 for web");
    let log = Listener::new();
    scene.start(&again(&own("db", "80", &["10.0.0.9/24"]))).unwrap();
    assert!(
        log.heard("ERROR db: its links could not be removed; run oci-link sync"),
        "{:?}",
        log.lines()
    );
    scene.assert_named("after the failure");
    assert_eq!(scene.permitted()[0].to_string(), "10.0.0.3 -> 10.0.0.9 80/tcp");
}
