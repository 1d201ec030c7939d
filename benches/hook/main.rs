//! What a link costs the start and the end of a container: `make bench`.
//!
//! Machines differ and are busy, so everything is a ratio to the start of a program that does
//! nothing (static C; it reads its input and returns), run in turns with what is measured.
//! docs/performance.md says how to read the table.
//!
//! Real are: the hook (the release binary, given a state and a bundle as by a runtime), the kernel's
//! rules, the packets, and the records and rules of others, made by hooks of their own. Not real: a
//! host is a network namespace, containers are sleeping processes in others (but for `inside`, where
//! runc and crun run them, and `docker`), and all others of a host share one process and one
//! namespace, whose address changes from one to the next.

// A benchmark that cannot go on says why and stops.
#![allow(clippy::expect_used, clippy::panic)]

mod across;
mod among;
mod at_once;
mod containers;
mod crowd;
mod docker;
mod ends;
mod held;
mod hooks;
mod hostile;
mod inside;
mod instructions;
mod kernel;
mod lane;
mod lookup;
#[allow(dead_code)] // Its other parts are the engine tests'.
#[path = "../../tests/engines/machine.rs"]
mod machine;
mod memory;
mod namespace;
mod once;
mod packets;
mod passed;
mod peers;
mod place;
mod plot;
mod report;
mod restriction;
mod rig;
mod sample;
mod swarm;
mod walk;

/// Measures one section.
type Measure = fn(&place::Place, &mut report::Report);

/// All sections, in their order. Memory is first: a child's peak counts from its parent's.
const SECTIONS: [(&str, Measure); 13] = [
    ("memory", memory::measure),
    ("inside", inside::measure),
    ("passed", passed::measure),
    ("restriction", restriction::measure),
    ("docker", docker::measure),
    ("among", among::measure),
    ("swarm", swarm::measure),
    ("at-once", at_once::measure),
    ("ends", ends::measure),
    ("hostile", hostile::measure),
    ("across", across::measure),
    ("instructions", instructions::measure),
    ("lookup", lookup::measure),
];

fn main() {
    let place = place::Place::take();
    if let Some(file) = place.record() {
        return instructions::record(&place, file);
    }
    let mut report = report::Report::default();
    for (name, measure) in SECTIONS {
        if place.wants(name) {
            measure(&place, &mut report);
        }
    }
    report.finish();
}
