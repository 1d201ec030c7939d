//! A container that waits for its sources.

use super::{db, web};
use crate::error::{Kind, Result};
use crate::lifecycle::fakes::{Listener, MemoryStore, Scene, Sleeper, of_process};
use crate::lifecycle::privileges::AfterHook::Continue;
use crate::model::sample::record;
use crate::model::{Missing, Record};
use std::cell::Cell;
use std::time::Duration;

fn start(scene: &Scene, record: &Record, milliseconds: u64) -> Result<()> {
    let missing = Missing::Wait(Some(Duration::from_millis(milliseconds)));
    scene.start_with(record, missing, Continue)
}

/// Calls `act` at the look number `at` for the source `db`.
fn at_look(scene: &Scene, at: usize, act: impl Fn(&MemoryStore) + 'static) {
    let (store, looks) = (scene.store.clone(), Cell::new(0));
    scene.journal.before("find db", move || {
        looks.set(looks.get() + 1);
        if looks.get() == at {
            act(&store);
        }
    });
}

#[test]
fn a_container_waits_until_its_source_appears() {
    let scene = Scene::new();
    at_look(&scene, 3, |store| store.insert(db()));
    start(&scene, &web(), 60_000).unwrap();
    assert_eq!(scene.permitted().len(), 1);
    assert!(scene.hosts_text("web").contains("10.0.0.2\tdb"));
}

/// Otherwise the source could not start.
#[test]
fn the_lock_is_free_while_a_container_waits() {
    let scene = Scene::new();
    let journal = scene.journal.clone();
    at_look(&scene, 3, move |store| {
        assert_eq!(journal.count_of("lock"), 0);
        store.insert(db());
    });
    start(&scene, &web(), 60_000).unwrap();
    assert_eq!(scene.journal.count_of("lock"), 1);
}

#[test]
fn the_refusal_says_how_long_the_container_waited() {
    let scene = Scene::new();
    let error = start(&scene, &web(), 30).unwrap_err();
    assert_eq!(error.kind, Kind::Source);
    assert!(error.to_string().ends_with("No such container: db: waited 30 ms"), "{error}");
    assert_eq!(scene.store.records(), []);
}

#[test]
fn a_source_that_ends_before_the_lock_is_taken_is_waited_for_again() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    scene.journal.restart();
    let (store, times) = (scene.store.clone(), Cell::new(0));
    scene.journal.before("lock", move || {
        times.set(times.get() + 1);
        if times.get() == 1 {
            store.alter("db", |record| record.instance.started += 1);
        }
    });
    at_look(&scene, 4, |store| store.alter("db", |record| record.instance.started -= 1));
    start(&scene, &web(), 60_000).unwrap();
    assert_eq!(scene.journal.count_of("lock"), 2);
    assert_eq!(scene.permitted().len(), 1);
}

#[test]
fn a_container_that_ends_while_it_waits_is_not_started() {
    let scene = Scene::new();
    let sleeper = Sleeper::new();
    let web = of_process(record("web", "none", &["10.0.0.3/24"]).linked(&["db"]), sleeper.pid());
    at_look(&scene, 2, move |_| sleeper.end());
    let error = start(&scene, &web, 60_000).unwrap_err();
    assert!(error.to_string().contains("ended while it waited for its sources"), "{error}");
    assert_eq!(scene.journal.effects(), [""; 0]);
}

#[test]
fn a_failure_other_than_a_missing_source_is_not_explained_by_the_wait() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    scene.journal.restart();
    scene.journal.refuse("ensure 1 for web");
    let error = start(&scene, &web(), 60_000).unwrap_err();
    assert_eq!(error.kind, Kind::Firewall);
    assert!(!error.to_string().contains("waited"), "{error}");
    assert_eq!(scene.store.record("web"), None);
}

#[test]
fn the_log_says_that_a_container_waits() {
    let (scene, log) = (Scene::new(), Listener::new());
    start(&scene, &web(), 1).unwrap_err();
    assert!(log.heard("DEBUG web: waits for its sources"), "{:?}", log.lines());
}
