//! Containers whose addresses have changed.

use super::super::{audit, sync};
use super::{linked, outcome, shown, start_both, web};
use crate::error::Kind;
use crate::lifecycle::fakes::{Scene, every_failure, own};

const MOVED: [&str; 1] = ["container db (db): its addresses have changed"];

#[test]
fn links_follow_a_source_that_moved() {
    let scene = linked();
    scene.move_to("db", &["10.0.0.9/24"]);
    let findings = audit(&scene.host).unwrap();
    assert_eq!(shown(&findings), MOVED);
    assert!(findings[0].is_grave());
    assert_eq!(scene.journal.effects(), [""; 0]);
    assert_eq!(shown(&sync(&scene.host).unwrap().findings), MOVED);
    assert_eq!(scene.permitted()[0].to_string(), "10.0.0.3 -> 10.0.0.9 80/tcp");
    assert!(scene.hosts_text("web").contains("10.0.0.9\tdb"));
    assert_eq!(audit(&scene.host).unwrap(), []);
}

#[test]
fn a_container_without_links_is_corrected_too() {
    let scene = linked();
    scene.start(&own("alone", "80", &["10.0.0.5/24"])).unwrap();
    scene.move_to("alone", &[]);
    assert_eq!(audit(&scene.host).unwrap().len(), 1);
    sync(&scene.host).unwrap();
    assert_eq!(scene.store.record("alone").unwrap().network.addresses(), []);
    assert_eq!(audit(&scene.host).unwrap(), []);
}

/// Each finding of a container is repaired in one pass.
#[test]
fn a_recipient_that_moved_and_lost_its_rules() {
    let scene = linked();
    scene.move_to("web", &["10.0.0.8/24"]);
    scene.kernel.borrow_mut().rules.clear();
    assert_eq!(audit(&scene.host).unwrap().len(), 2);
    sync(&scene.host).unwrap();
    assert_eq!(scene.permitted()[0].to_string(), "10.0.0.8 -> 10.0.0.2 80/tcp");
    assert_eq!(audit(&scene.host).unwrap(), []);
}

/// A twin has the recipient's address until it ends. Then the link is back.
#[test]
fn a_link_comes_back_when_its_address_is_the_containers_own_again() {
    let scene = linked();
    scene.start(&own("twin", "80", &["10.0.0.3/24"])).unwrap();
    assert_eq!(scene.permitted(), []);
    assert_eq!(audit(&scene.host).unwrap(), [], "the host is as it must be");
    scene.end_process("twin");
    scene.stop("twin").unwrap();
    sync(&scene.host).unwrap();
    assert_eq!(scene.permitted()[0].to_string(), "10.0.0.3 -> 10.0.0.2 80/tcp");
    assert_eq!(scene.store.record("web").unwrap().network, web().network);
    assert_eq!(audit(&scene.host).unwrap(), []);
}

#[test]
fn a_failed_look_is_reported_until_it_is_done() {
    let scene = linked();
    scene.move_to("db", &["10.0.0.9/24"]);
    scene.journal.refuse("ensure 1 for web");
    assert_eq!(outcome(sync(&scene.host)).unwrap_err().kind, Kind::Firewall);
    assert!(shown(&audit(&scene.host).unwrap()).contains(&MOVED[0].to_owned()));
    scene.journal.restart();
    outcome(sync(&scene.host)).unwrap();
    assert_eq!(audit(&scene.host).unwrap(), []);
    assert_eq!(scene.permitted()[0].to_string(), "10.0.0.3 -> 10.0.0.9 80/tcp");
}

#[test]
fn every_failing_call_of_sync_with_a_moved_source() {
    let moved = |scene: &Scene| {
        start_both(scene);
        scene.move_to("db", &["10.0.0.9/24"]);
    };
    every_failure(moved, |scene| outcome(sync(&scene.host)));
}
