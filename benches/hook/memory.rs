//! What a hook needs of memory at most. Measured first: a child's peak counts from its parent's, and
//! this process grows.

use crate::{
    once::{Stage, hooks},
    place::Place,
    report::{NOTHING, Report},
    sample::command,
};

/// MiB, of a hook or of a program that it runs.
const LIMIT: f64 = 6.0;

pub fn measure(place: &Place, report: &mut Report) {
    report.section_of_memory("Peak memory");
    report.memory(NOTHING, command(&place.noop).run().mebibytes, None);
    hooks(place, "memory", |backend, stage, hook| {
        let stage = match stage {
            Stage::Start => "createRuntime",
            Stage::End => "poststop",
        };
        report.memory(&format!("{stage}, {backend}"), hook.run().mebibytes, Some(LIMIT));
    });
}
