//! Another host declares more links to one source than a source may have guests.

use super::across::{mirrored, scene, shared};
use crate::cluster::format::MAX_GUESTS;
use crate::lifecycle::fakes::Scene;
use crate::lifecycle::guests;
use crate::lifecycle::others::Others;

/// The recipient `number` of `b` wants the source `db`.
fn wants(scene: &Scene, number: usize) {
    let (high, low) = (number / 250, number % 250 + 2);
    let text = format!(
        r#"{{"v":1,"host":"b","id":"w{number:05}","run":"{number:016x}","name":"w{number}","addresses":["10.10.{}.{low}"],"sources":[{{"host":"a","id":"db","run":"{}"}}]}}"#,
        4 + high,
        shared().owner
    );
    mirrored(scene, &format!("b~w{number:05}.want"), Some(&text));
}

fn settle_all(scene: &Scene) {
    guests::settle(&scene.host.lock().unwrap(), [shared().id].iter()).unwrap();
}

#[test]
fn a_source_has_a_limited_number_of_guests_and_those_that_are_there_stay() {
    let scene = scene();
    scene.start(&shared()).unwrap();
    wants(&scene, 900);
    settle_all(&scene);
    (0..MAX_GUESTS + 50).for_each(|number| wants(&scene, number));
    settle_all(&scene);
    let there = guests::all(&scene.host).unwrap();
    assert_eq!(there.len(), MAX_GUESTS);
    assert!(there.iter().any(|guest| guest.recipient.id.as_str() == "w00900"));
    let others = Others::of(&scene.host).unwrap();
    let due = guests::due(&scene.host, others.as_ref(), &shared().id).unwrap();
    assert_eq!(due, [], "nothing is left to do");
}

#[test]
fn a_lot_changes_its_own_guests_only() {
    let scene = scene();
    scene.start(&shared()).unwrap();
    (0..50).for_each(|number| wants(&scene, number));
    let others = Others::of(&scene.host).unwrap();
    let due = guests::due(&scene.host, others.as_ref(), &shared().id).unwrap();
    assert_eq!(due.len(), 50);
    let locked = scene.host.lock().unwrap();
    scene.journal.restart();
    assert_eq!(guests::settle_lot(&locked, &shared().id, &due[..20]).unwrap(), 20);
    // For each: which containers here have its address, and a change of rules.
    assert!(scene.journal.count() <= 2 * 20 + 5, "{} calls", scene.journal.count());
    assert_eq!(guests::all(&scene.host).unwrap().len(), 20);
    assert_eq!(guests::settle_lot(&locked, &shared().id, &due[..20]).unwrap(), 0);
}
