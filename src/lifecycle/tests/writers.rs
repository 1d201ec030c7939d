//! Another process changes a record between its reading and its commit.

use super::{db, linked, web};
use crate::error::Cause;
use crate::lifecycle::fakes::{Listener, Scene, own};
use crate::lifecycle::planning::conflicts;
use crate::lifecycle::privileges::AfterHook::Continue;
use crate::lifecycle::replan::ATTEMPTS;
use crate::model::{Missing, Phase};
use std::cell::Cell;

/// Another writer that changes the record `name` before each of the first `times` commits.
fn writes(scene: &Scene, name: &'static str, times: usize) {
    let (store, left) = (scene.store.clone(), Cell::new(times));
    scene.journal.before(&format!("put {name} pending"), move || {
        if left.replace(left.get().saturating_sub(1)) > 0 {
            store.alter(name, |record| record.revision += 1);
        }
    });
}

/// A record that its next start changes, because its source has ended.
fn stale() -> Scene {
    let scene = linked();
    scene.end_process("db");
    scene
}

#[test]
fn a_start_is_planned_again_after_a_conflict() {
    let scene = linked();
    writes(&scene, "web", ATTEMPTS - 1);
    scene.start(&web()).unwrap();
    assert_eq!(scene.journal.count_of("put web pending"), ATTEMPTS);
    assert_eq!(scene.permitted().len(), 1);
}

#[test]
fn a_start_gives_up_after_the_last_attempt() {
    let scene = linked();
    // Only a start that an earlier stage did not finish has a record that others can change.
    scene.store.alter("web", |record| record.phase = Phase::Pending);
    writes(&scene, "web", usize::MAX);
    let error = scene.start(&web()).unwrap_err();
    assert_eq!(error.cause, Cause::Conflict);
    assert_eq!(scene.journal.count_of("put web pending"), ATTEMPTS);
    scene.assert_named("after the conflicts");
}

#[test]
fn a_later_stage_that_gives_up_leaves_the_links_that_stand() {
    let scene = linked();
    let before = scene.state();
    writes(&scene, "web", usize::MAX);
    let log = Listener::new();
    scene.start(&web()).unwrap();
    let line = "ERROR web: its links stand as they were; run oci-link sync: ";
    let conflict = conflicts(&web().id);
    assert_eq!(conflict.cause, Cause::Conflict);
    assert!(log.lines().contains(&format!("{line}{conflict}")), "{:?}", log.lines());
    assert_eq!(scene.journal.count_of("put web pending"), ATTEMPTS);
    assert_eq!(scene.journal.effects(), [""; 0]);
    assert_eq!(scene.state(), before);
}

#[test]
fn a_recipient_is_planned_again_after_a_conflict() {
    let scene = stale();
    writes(&scene, "web", ATTEMPTS - 1);
    scene.stop("db").unwrap();
    assert_eq!(scene.journal.count_of("put web pending"), ATTEMPTS);
    assert_eq!(scene.permitted(), []);
}

#[test]
fn a_source_stays_after_the_last_attempt_for_its_recipient() {
    let scene = stale();
    writes(&scene, "web", usize::MAX);
    let error = scene.stop("db").unwrap_err();
    assert_eq!(error.cause, Cause::Conflict);
    assert_eq!(scene.journal.count_of("put web pending"), ATTEMPTS);
    assert!(scene.store.record("db").is_some());
    scene.assert_named("after the conflicts");
}

#[test]
fn a_recipient_that_is_gone_needs_no_plan() {
    let scene = stale();
    let store = scene.store.clone();
    scene.journal.before("get web", move || store.lose("web"));
    scene.stop("db").unwrap();
    assert_eq!(scene.journal.effects(), ["delete db"]);
}

#[test]
fn a_conflict_refuses_connect_and_disconnect() {
    let scene = linked();
    scene.start(&own("mq", "90", &["10.0.0.5/24"])).unwrap();
    writes(&scene, "web", usize::MAX);
    assert_eq!(scene.connect("web", "mq").unwrap_err().cause, Cause::Conflict);
    assert_eq!(scene.disconnect("web", "db").unwrap_err().cause, Cause::Conflict);
    assert_eq!(scene.permitted().len(), 1);
}

#[test]
fn a_new_record_of_the_same_container_is_continued() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    let (store, once) = (scene.store.clone(), Cell::new(false));
    scene.journal.before("put web pending", move || {
        if !once.replace(true) {
            store.insert(web());
        }
    });
    scene.start_with(&web(), Missing::Fail, Continue).unwrap();
    assert_eq!(scene.journal.count_of("put web pending"), 2);
    assert_eq!(scene.permitted().len(), 1);
}
