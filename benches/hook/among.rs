//! What does not grow with the number of links on a host: hooks and packets, among more and more
//! others.

use crate::{crowd::Crowd, hooks::Hooks, packets::Packets, place::Place, report::Report, rig::Rig};

pub(crate) fn measure(place: &Place, report: &mut Report) {
    let rigs = Rig::all_isolating(place, "crowd");
    // Minutes later the machine is another: what is compared to a host without others is measured
    // in turns with it.
    let alone = Rig::all_isolating(place, "alone");
    let packets = Packets::new(&rigs, &alone);
    let hooks = Hooks::new(&rigs, &alone);
    let mut crowd = Crowd::new(&rigs);
    let sizes: &[usize] = if place.is_quick() { &[0, 100, 1000] } else { &[0, 100, 1000, 10_000] };
    for others in sizes {
        crowd.grow(*others);
        hooks.measure(*others, place, report);
        packets.measure(*others, place, report);
    }
}
