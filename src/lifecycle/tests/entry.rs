//! Starts and ends while another process holds the host lock, and failures of a later stage.

use super::{db, linked, web};
use crate::error::{Cause, Kind};
use crate::lifecycle::fakes::{Listener, Scene, Sleeper, of_process, own};
use crate::model::sample::record;
use crate::model::{Phase, Record};
use crate::store::notes::Note;
use std::time::{Duration, Instant};

/// A container without links that the hook of another container can read. Its process is `sleeper`.
fn plain(sleeper: &Sleeper) -> Record {
    of_process(record("plain", "80", &["10.0.0.5/24"]), sleeper.pid())
}

/// Any container whose start works off the notes.
fn next(scene: &Scene) {
    scene.start(&own("next", "none", &["10.0.0.8/24"])).unwrap();
    assert!(scene.store.record("next").is_some());
}

/// The notes that are left.
fn notes(scene: &Scene) -> Vec<Note> {
    let notes = scene.host.notes();
    let names = notes.names(usize::MAX).unwrap();
    names.iter().map(|name| notes.read(name).unwrap().unwrap()).collect()
}

/// The note that the start of `record` leaves in `scene`.
fn started(scene: &Scene, record: &Record) -> Note {
    let bundle = Some(scene.bundle(record.id.as_str()));
    Note::started(&Record { bundle, ..record.clone() })
}

#[test]
fn an_unlinked_start_leaves_a_note_and_the_next_start_records_it() {
    let (scene, sleeper) = (Scene::new(), Sleeper::new());
    let plain = plain(&sleeper);
    let log = Listener::new();
    scene.store.hold(true);
    scene.start(&plain).unwrap();
    assert_eq!(log.lines(), ["INFO plain: recorded later: lock: held for 200 ms"]);
    assert_eq!(notes(&scene), [started(&scene, &plain)]);
    assert_eq!(scene.journal.effects(), [""; 0]);
    scene.store.hold(false);
    next(&scene);
    assert_eq!(notes(&scene), []);
    let order = ["put plain pending", "put plain ready", "put next pending", "put next ready"];
    assert_eq!(scene.journal.effects(), order);
    let recorded = scene.store.record("plain").unwrap();
    assert_eq!((recorded.phase, recorded.name.as_str()), (Phase::Ready, "plain"));
    assert_eq!(
        (recorded.instance.pid, recorded.instance.started),
        (plain.instance.pid, plain.instance.started)
    );
    assert_eq!(recorded.bundle, Some(scene.bundle("plain")));
}

#[test]
fn the_next_end_records_it_as_well() {
    let (scene, sleeper) = (Scene::new(), Sleeper::new());
    scene.store.hold(true);
    scene.start(&plain(&sleeper)).unwrap();
    scene.store.hold(false);
    scene.stop("absent").unwrap();
    assert_eq!(notes(&scene), []);
    assert_eq!(scene.store.record("plain").unwrap().phase, Phase::Ready);
}

#[test]
fn an_end_leaves_a_note_and_the_next_holder_removes_what_it_left() {
    let scene = linked();
    scene.end_process("web");
    let log = Listener::new();
    scene.store.hold(true);
    scene.stop("web").unwrap();
    assert_eq!(log.lines(), ["INFO web: its links are removed later: lock: held for 3000 ms"]);
    assert_eq!(notes(&scene), [Note::ended(&web().id, scene.host.boot)]);
    assert_eq!(scene.journal.effects(), [""; 0]);
    scene.store.hold(false);
    next(&scene);
    assert_eq!(notes(&scene), []);
    let order = [
        "remove web",
        "drop_connections 1",
        "hosts of web",
        "delete web",
        "put next pending",
        "put next ready",
    ];
    assert_eq!(scene.journal.effects(), order);
    assert_eq!((scene.store.record("web"), scene.permitted()), (None, vec![]));
}

#[test]
fn a_note_about_a_dead_process_is_dropped() {
    let (scene, sleeper) = (Scene::new(), Sleeper::new());
    scene.store.hold(true);
    scene.start(&plain(&sleeper)).unwrap();
    assert_eq!(notes(&scene).len(), 1);
    scene.store.hold(false);
    sleeper.end();
    let log = Listener::new();
    next(&scene);
    assert!(log.heard("DEBUG plain: ended before its start was recorded"), "{:?}", log.lines());
    assert_eq!((notes(&scene), scene.store.record("plain")), (vec![], None));
}

#[test]
fn a_note_about_a_process_id_that_was_used_again_is_dropped() {
    let (scene, sleeper) = (Scene::new(), Sleeper::new());
    let mut plain = plain(&sleeper);
    plain.instance.started += 1;
    scene.host.notes().leave(&started(&scene, &plain)).unwrap();
    next(&scene);
    assert_eq!((notes(&scene), scene.store.record("plain")), (vec![], None));
}

#[test]
fn notes_of_another_boot_are_dropped() {
    let (scene, sleeper) = (linked(), Sleeper::new());
    scene.end_process("web");
    let mut plain = plain(&sleeper);
    plain.instance.boot += 1;
    for note in [started(&scene, &plain), Note::ended(&web().id, scene.host.boot + 1)] {
        scene.host.notes().leave(&note).unwrap();
    }
    next(&scene);
    assert_eq!((notes(&scene), scene.store.record("plain")), (vec![], None));
    assert_eq!(scene.journal.effects(), ["put next pending", "put next ready"]);
    assert!(scene.store.record("web").is_some());
    assert_eq!(scene.permitted().len(), 1);
}

#[test]
fn the_end_of_a_container_removes_the_note_of_its_start() {
    let (scene, sleeper) = (Scene::new(), Sleeper::new());
    scene.store.hold(true);
    scene.start(&plain(&sleeper)).unwrap();
    scene.store.hold(false);
    scene.stop("plain").unwrap();
    assert_eq!((notes(&scene), scene.store.record("plain")), (vec![], None));
    assert_eq!(scene.journal.effects(), [""; 0]);
}

/// A start and an end that both came too late, in whatever order the notes are read.
#[test]
fn a_start_and_an_end_in_two_notes_leave_nothing() {
    let (scene, sleeper) = (Scene::new(), Sleeper::new());
    scene.store.hold(true);
    scene.start(&plain(&sleeper)).unwrap();
    sleeper.end();
    scene.stop("plain").unwrap();
    assert_eq!(notes(&scene).len(), 2);
    scene.store.hold(false);
    next(&scene);
    assert_eq!((notes(&scene), scene.store.record("plain")), (vec![], None));
}

#[test]
fn a_linked_start_waits_longer_and_fails() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    scene.journal.restart();
    scene.store.hold(true);
    let error = scene.start(&web()).unwrap_err();
    assert_eq!((error.kind, error.cause), (Kind::State, Cause::LockHeld));
    assert_eq!(error.to_string(), "lock: held for 20000 ms");
    assert_eq!((notes(&scene), scene.store.record("web")), (vec![], None));
    assert_eq!(scene.journal.effects(), [""; 0]);
}

#[test]
fn a_lock_that_fails_for_another_reason_leaves_no_note() {
    let scene = linked();
    scene.end_process("web");
    scene.journal.refuse("lock");
    for error in [scene.start(&own("next", "", &[])), scene.stop("web")] {
        let error = error.unwrap_err();
        assert_eq!((error.kind, error.cause), (Kind::State, Cause::Other), "{error}");
    }
    assert_eq!(notes(&scene), []);
}

#[test]
fn a_failure_of_a_later_stage_is_logged() {
    let scene = linked();
    let before = scene.state();
    let log = Listener::new();
    scene.store.hold(true);
    scene.start(&web()).unwrap();
    let line = "ERROR web: its links stand as they were; run oci-link sync: ";
    assert_eq!(log.lines(), [format!("{line}lock: held for 20000 ms")]);
    scene.store.hold(false);
    scene.journal.refuse("isolate");
    scene.start(&web()).unwrap();
    let isolate = format!("{line}isolate: fails as call {}", scene.journal.count() - 1);
    assert!(log.lines().contains(&isolate), "{isolate}: {:?}", log.lines());
    assert_eq!((notes(&scene), scene.state()), (vec![], before));
}

/// Neither the record of an earlier run nor an unfinished one stands for a finished stage.
#[test]
fn a_failure_of_a_first_stage_is_an_error() {
    for alter in [
        |record: &mut Record| record.phase = Phase::Pending,
        |record: &mut Record| record.instance.started += 1,
    ] {
        let scene = linked();
        scene.store.alter("web", alter);
        scene.store.hold(true);
        assert_eq!(scene.start(&web()).unwrap_err().cause, Cause::LockHeld);
    }
}

/// A killed process may be unable to exit: a device or a network file system keeps it.
#[test]
fn a_process_that_lives_on_delays_an_end_without_rules_only_briefly() {
    let scene = linked();
    let sleeper = Sleeper::new();
    let plain = plain(&sleeper);
    scene.start(&plain).unwrap();
    let took = |id: &str| {
        let begun = Instant::now();
        scene.stop(id).unwrap();
        assert!(scene.store.record(id).is_some(), "{id}: its process still runs");
        begun.elapsed()
    };
    assert!(took("plain") < Duration::from_millis(900), "as long as a start without links waits");
    // A source and a recipient: rules name their addresses.
    for id in ["db", "web"] {
        assert!(took(id) >= Duration::from_secs(1), "{id}");
    }
    scene.assert_named("whose processes still run");
}
