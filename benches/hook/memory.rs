//! What a hook needs of memory at most. Measured first: a child's peak counts from its parent's, and
//! this process grows.

use crate::{
    once::{Phase, hooks},
    place::Place,
    report::{NOTHING, Report},
    sample::command,
};

/// MiB, of a hook or of a program that it runs.
const LIMIT: f64 = 6.0;

pub(crate) fn measure(place: &Place, report: &mut Report) {
    report.section_of_memory("Peak memory");
    report.memory(NOTHING, command(&place.noop).run().mebibytes, None);
    hooks(place, "memory", |backend, phase, hook| {
        let phase = match phase {
            Phase::Start => "createRuntime",
            Phase::End => "poststop",
        };
        report.memory(&format!("{phase}, {backend}"), hook.run().mebibytes, Some(LIMIT));
    });
}
