//! A later stage of a container fails, for example its poststart hook. The container runs on.

use super::super::sync;
use super::{db, linked, web};
use crate::lifecycle::fakes::Fault;
use crate::model::Record;

/// Makes each call of a second stage of `container` fail once. The container runs on, so its record
/// and its links must stay, and `sync` finishes what is left.
fn takes_nothing_back(container: &Record) {
    let expected = linked().state();
    let calls = {
        let scene = linked();
        scene.start(container).unwrap();
        scene.journal.count()
    };
    for fault in [Fault::Refused, Fault::Killed] {
        for number in 1..=calls {
            let scene = linked();
            scene.journal.fail(fault, number);
            let outcome = scene.start(container);
            let case = format!("{fault:?} at {}: {outcome:?}", scene.journal.text_of(number));
            scene.journal.restart();
            assert!(scene.store.record(container.id.as_str()).is_some(), "{case}");
            assert_eq!(scene.permitted(), linked().permitted(), "{case}");
            sync(&scene.host).unwrap().failures.into_result().unwrap();
            assert_eq!(scene.state(), expected, "{case}");
        }
    }
}

#[test]
fn a_failing_second_stage_of_a_recipient_takes_nothing_back() {
    takes_nothing_back(&web());
}

#[test]
fn a_failing_second_stage_of_a_source_takes_nothing_back() {
    takes_nothing_back(&db());
}
