//! Notes are worked off by the next holder of the host lock.

use super::{linked, web};
use crate::lifecycle::fakes::{Listener, Scene, Sleeper, of_process};
use crate::lifecycle::notes::{A_FEW, work_off};
use crate::model::sample::record;
use crate::store::notes::Note;
use std::fs;

/// Leaves a note that `web` has ended, and makes that true.
fn leave_ended(scene: &Scene) -> String {
    scene.end_process("web");
    let notes = scene.host.notes();
    notes.leave(&Note::ended(&web().id, scene.host.boot)).unwrap();
    notes.names(usize::MAX).unwrap().remove(0)
}

/// Puts a file with this text where the notes are.
fn scribble(scene: &Scene, name: &str, text: &str) {
    let notes = scene.host.config.state_dir.join("notes");
    fs::create_dir_all(&notes).unwrap();
    fs::write(notes.join(name), text).unwrap();
}

fn work_off_all(scene: &Scene) {
    work_off(&scene.host.lock().unwrap(), usize::MAX);
    assert_eq!(scene.host.notes().names(usize::MAX).unwrap(), [""; 0]);
}

#[test]
fn a_host_without_notes_has_nothing_to_do() {
    let (scene, log) = (linked(), Listener::new());
    let before = scene.state();
    work_off_all(&scene);
    assert_eq!((log.lines(), scene.state()), (vec![], before));
    assert_eq!(scene.journal.count(), 1, "the lock");
}

#[test]
fn an_end_is_worked_off_as_the_hook_would() {
    let scene = linked();
    leave_ended(&scene);
    work_off_all(&scene);
    let order = ["remove web", "drop_connections 1", "hosts of web", "delete web"];
    assert_eq!(scene.journal.effects(), order);
}

#[test]
fn the_end_of_an_earlier_run_does_not_end_a_running_container() {
    let (scene, log) = (linked(), Listener::new());
    scene.host.notes().leave(&Note::ended(&web().id, scene.host.boot)).unwrap();
    work_off_all(&scene);
    let line = "WARN web: still runs: poststop is about an earlier container with this id";
    assert_eq!(log.lines(), [line]);
    assert_eq!(scene.journal.effects(), [""; 0]);
}

#[test]
fn only_so_many_notes_are_worked_off() {
    let scene = Scene::new();
    for number in 0..=A_FEW {
        let id = record(&format!("c{number}"), "", &[]).id;
        scene.host.notes().leave(&Note::ended(&id, scene.host.boot)).unwrap();
    }
    assert_eq!(scene.host.notes().names(usize::MAX).unwrap().len(), A_FEW + 1);
    let locked = scene.host.lock().unwrap();
    work_off(&locked, A_FEW);
    assert_eq!(scene.host.notes().names(usize::MAX).unwrap().len(), 1);
    work_off(&locked, A_FEW);
    assert_eq!(scene.host.notes().names(usize::MAX).unwrap(), [""; 0]);
    assert_eq!(scene.journal.count(), A_FEW + 4, "lock, namespaces twice, each record once");
}

#[test]
fn a_note_that_cannot_be_read_is_removed_and_the_others_are_worked_off() {
    let (scene, log) = (linked(), Listener::new());
    leave_ended(&scene);
    scribble(&scene, "started-x", "{");
    let bad = format!(r#"{{"id":"../x","boot":"{:032x}","event":"Ended"}}"#, scene.host.boot);
    scribble(&scene, "ended-x", &bad);
    work_off_all(&scene);
    let lines = log.lines();
    let heard = |text: &str| lines.iter().any(|line| line.starts_with(text));
    assert!(heard("WARN notes/started-x: not recorded: notes/started-x: EOF"), "{lines:?}");
    assert!(heard(r#"WARN notes/ended-x: not recorded: container id "../x": "#), "{lines:?}");
    assert_eq!(scene.store.record("web"), None);
}

#[test]
fn a_failure_is_logged_and_its_note_is_removed() {
    let (scene, log) = (linked(), Listener::new());
    let name = leave_ended(&scene);
    scene.journal.refuse("remove web");
    work_off_all(&scene);
    let lines = log.lines();
    let line = format!("WARN {name}: not recorded: remove web: fails as call ");
    assert!(lines.iter().any(|heard| heard.starts_with(&line)), "{lines:?}");
    assert!(scene.store.record("web").is_some());
    scene.assert_named("after the failure");
}

#[test]
fn a_container_whose_bundle_is_gone_is_not_recorded() {
    let (scene, sleeper, log) = (Scene::new(), Sleeper::new(), Listener::new());
    let mut plain = of_process(record("plain", "80", &["10.0.0.5/24"]), sleeper.pid());
    let bundle = scene.directory().join("gone");
    plain.bundle = Some(bundle.clone());
    scene.host.notes().leave(&Note::started(&plain)).unwrap();
    work_off_all(&scene);
    let (lines, config) = (log.lines(), bundle.join("config.json"));
    let text = format!(": not recorded: {}: ", config.display());
    let is_it = |line: &String| line.starts_with("WARN notes/started-") && line.contains(&text);
    assert!(lines.iter().any(is_it), "{lines:?}");
    assert_eq!((scene.store.record("plain"), scene.journal.effects()), (None, vec![]));
}

/// A file of a writer that was killed, or that has not finished yet, is no note.
#[test]
fn an_unfinished_note_stays() {
    let scene = Scene::new();
    scribble(&scene, "new-7", "{");
    let log = Listener::new();
    work_off_all(&scene);
    assert_eq!(log.lines(), [""; 0]);
    assert!(scene.host.config.state_dir.join("notes/new-7").exists());
}
