//! Rules that no record names, found by a start in a store that may lack records.

use super::{db, linked};
use crate::lifecycle::fakes::{Listener, Scene, own};
use crate::model::{Flow, OwnerTag, Record, StateId};
use std::path::Path;

/// Puts rules without a record into a backend.
fn orphan(scene: &Scene, backend: &'static str, flow: Flow) -> OwnerTag {
    let of = own("lost", "", &[]);
    let key = (backend, of.owner.clone());
    scene.kernel.borrow_mut().rules.insert(key, vec![flow]);
    of.owner
}

/// Puts rules with this tag into a backend.
fn tagged(scene: &Scene, owner: OwnerTag) {
    scene.kernel.borrow_mut().rules.insert(("nftables", owner), vec![flow()]);
}

/// The flow of `web` to `db`.
fn flow() -> Flow {
    linked().permitted()[0]
}

#[test]
fn rules_that_name_the_address_are_removed_with_their_connections() {
    let scene = Scene::new();
    scene.store.set_epoch(None);
    orphan(&scene, "nftables", flow());
    scene.use_all_flows();
    scene.start(&own("new", "80", &["10.0.0.2/24"])).unwrap();
    let effects = scene.journal.effects();
    assert!(effects[0].starts_with("remove_owner "), "{effects:?}");
    assert_eq!(effects[1..3], ["drop_connections 1", "mark_complete"]);
    assert_eq!(scene.kernel.borrow().connections, []);
    assert_eq!(scene.permitted(), []);
}

#[test]
fn other_rules_stay_and_are_looked_for_again() {
    let scene = Scene::new();
    scene.store.set_epoch(None);
    orphan(&scene, "nftables", flow());
    scene.start(&own("new", "80", &["10.0.0.7/24"])).unwrap();
    assert_eq!(scene.permitted().len(), 1);
    assert_eq!(scene.journal.effects(), ["put new pending", "put new ready"]);
}

#[test]
fn rules_of_another_state_directory_stay_and_are_not_looked_for_again() {
    let scene = Scene::new();
    scene.store.set_epoch(None);
    let lost = own("lost", "", &[]);
    let other = StateId::of(Path::new("/run/other"));
    tagged(&scene, OwnerTag::new(other, &lost.id, &lost.instance));
    scene.start(&own("new", "80", &["10.0.0.2/24"])).unwrap();
    assert_eq!(scene.permitted().len(), 1);
    assert_eq!(scene.journal.effects()[0], "mark_complete");
}

/// Its tags do not name the state directory.
#[test]
fn rules_of_an_earlier_version_go_with_their_address() {
    for (address, stay) in [("10.0.0.2/24", 0), ("10.0.0.7/24", 1)] {
        let scene = Scene::new();
        scene.store.set_epoch(None);
        tagged(&scene, OwnerTag::parse("aaaaaaaaaaaaaaaa").unwrap());
        scene.start(&own("new", "80", &[address])).unwrap();
        assert_eq!(scene.permitted().len(), stay, "{address}");
        assert_eq!(scene.journal.count_of("mark_complete"), 1 - stay, "{address}");
    }
}

#[test]
fn a_complete_store_is_not_searched() {
    let scene = Scene::new();
    orphan(&scene, "nftables", flow());
    scene.start(&db()).unwrap();
    assert_eq!(scene.journal.count_of("owners nftables"), 0);
    assert_eq!(scene.permitted().len(), 1);
}

#[test]
fn a_backend_in_use_that_fails_does_not_keep_a_container_from_starting() {
    let scene = Scene::new();
    scene.store.set_epoch(None);
    scene.journal.refuse("owners ipset");
    let log = Listener::new();
    scene.start(&db()).unwrap();
    assert!(log.heard("ERROR orphaned rules: cannot look for them"), "{:?}", log.lines());
    assert_eq!(scene.journal.count_of("mark_complete"), 0);
}

#[test]
fn a_backend_out_of_use_that_fails_is_looked_at_again() {
    let scene = Scene::new();
    scene.store.set_epoch(None);
    scene.journal.refuse("owners iptables");
    scene.start(&db()).unwrap();
    assert_eq!(scene.journal.count_of("owners nftables"), 1);
    assert_eq!(scene.journal.count_of("mark_complete"), 0);
}

#[test]
fn rules_that_cannot_be_removed_refuse_the_address() {
    let scene = Scene::new();
    scene.store.set_epoch(None);
    let owner = orphan(&scene, "nftables", flow());
    scene.journal.refuse(&format!("remove_owner {owner}"));
    scene.start(&db()).unwrap_err();
    assert_eq!(scene.store.records(), []);
}

/// The backend of an earlier boot may not know its rules when their record is removed.
#[test]
fn rules_of_a_container_of_an_earlier_boot_keep_the_store_incomplete() {
    let scene = linked();
    scene.store.set_epoch(None);
    scene.store.alter("web", |record| record.instance.boot += 1);
    scene.start(&own("new", "80", &["10.0.0.7/24"])).unwrap();
    assert_eq!(scene.journal.count_of("mark_complete"), 0);
}

/// Containers of one pod may have the same flows under different tags.
#[test]
fn connections_that_a_running_container_is_permitted_go_on() {
    let scene = linked();
    scene.store.set_epoch(None);
    orphan(&scene, "ipset", flow());
    let peer = Record {
        instance: crate::model::Instance { netns: db().instance.netns, ..db().instance },
        ..own("peer", "none", &["10.0.0.2/24"])
    };
    scene.start(&peer).unwrap();
    let effects = scene.journal.effects();
    assert!(effects[0].starts_with("remove_owner "), "{effects:?}");
    assert_eq!(scene.kernel.borrow().connections.len(), 1, "{effects:?}");
    assert_eq!(scene.permitted().len(), 1);
}
