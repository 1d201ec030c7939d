//! Every call of an audit or a repair fails once in every way.

use super::super::{audit, end_all, gc, sync};
use super::{drift, outcome, start_both};
use crate::lifecycle::fakes::{Fault, Scene, every_failure};

#[test]
fn an_audit_changes_nothing_even_if_it_fails() {
    let scene = Scene::new();
    drift(&scene);
    let before = scene.state();
    scene.journal.restart();
    audit(&scene.host).unwrap();
    let calls = scene.journal.count();
    for number in 1..=calls {
        scene.journal.restart();
        scene.journal.fail(Fault::Refused, number);
        // A backend that is out of use may fail.
        if let Err(error) = audit(&scene.host) {
            assert!(error.to_string().ends_with(&format!("as call {number}")), "{error}");
        }
        assert_eq!(scene.journal.effects(), [""; 0]);
        assert_eq!(scene.state(), before);
    }
}

#[test]
fn every_failing_call_of_sync_is_repaired_by_the_next() {
    every_failure(drift, |scene| outcome(sync(&scene.host)));
}

#[test]
fn every_failing_call_of_sync_with_a_dead_source() {
    let prepare = |scene: &Scene| {
        start_both(scene);
        scene.end_process("db");
    };
    every_failure(prepare, |scene| outcome(sync(&scene.host)));
}

#[test]
fn every_failing_call_of_gc_is_repaired_by_the_next() {
    let prepare = |scene: &Scene| {
        start_both(scene);
        scene.end_process("web");
        scene.store.leave("records/new");
    };
    every_failure(prepare, |scene| outcome(gc(&scene.host)));
}

#[test]
fn every_failing_call_of_end_all_is_repaired_by_the_next() {
    every_failure(start_both, |scene| outcome(end_all(&scene.host)));
}
