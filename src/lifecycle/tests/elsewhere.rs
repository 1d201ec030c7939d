//! Records that were made in another network namespace.

use super::{api, linked};
use crate::error::{Cause, Kind};
use crate::lifecycle::fakes::Scene;

/// Two linked containers whose rules are in another network namespace.
fn elsewhere() -> Scene {
    let scene = linked();
    let mut place = scene.host.place().unwrap();
    place.network += 1;
    for id in ["db", "web"] {
        scene.store.alter(id, |record| record.place = Some(place));
    }
    scene.store.set_epoch(None);
    scene
}

#[test]
fn nothing_changes_from_another_network() {
    let scene = elsewhere();
    let before = scene.state();
    let there = Cause::OtherNetwork(scene.host.place().unwrap().network + 1);
    let start = scene.start(&api());
    let connect = scene.connect("web", "db:sql");
    let disconnect = scene.disconnect("web", "db");
    scene.end_process("web");
    for refused in [start, connect, disconnect, scene.stop("web")] {
        let error = refused.unwrap_err();
        assert_eq!((error.kind, error.cause), (Kind::Namespace, there), "{error}");
    }
    assert_eq!(scene.state(), before);
    assert_eq!(scene.journal.effects(), [""; 0]);
}

#[test]
fn records_of_an_earlier_boot_refuse_nothing() {
    let scene = elsewhere();
    for id in ["db", "web"] {
        scene.store.alter(id, |record| record.instance.boot += 1);
    }
    scene.start(&super::db()).unwrap();
}

/// Versions that did not name the place made such records.
#[test]
fn records_without_a_place_were_made_here() {
    let scene = linked();
    scene.store.set_epoch(None);
    assert!(scene.store.records().iter().all(|record| record.place.is_none()));
    scene.start(&api()).unwrap();
}
