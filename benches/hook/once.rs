//! One hook of each backend and stage, for what does not change from one run to the next.

use crate::{
    containers::Network,
    place::Place,
    rig::{Rig, Wish},
    sample::Sample,
};

/// Which end of a container's life.
#[derive(Clone, Copy)]
pub(crate) enum Phase {
    Start,
    End,
}

/// Gives `each` the hook that starts a container with a link, not the first of its host, and the one
/// that ends it, on a host of each backend.
pub(crate) fn hooks(place: &Place, what: &str, mut each: impl FnMut(&'static str, Phase, Sample)) {
    let db = Network::new("10.0.0.2", None).start();
    let (first, web) = (Network::new("10.0.1.1", None).start(), Network::new("10.0.1.2", None));
    for rig in &Rig::all(place, what) {
        rig.create(&Wish { id: "db", links: "", ports: 1 }, &db).run();
        // Makes chains and sets.
        rig.create(&Wish { id: "first", links: "db", ports: 0 }, &first).run();
        let (process, wish) = (web.start(), Wish { id: "web", links: "db", ports: 0 });
        each(rig.backend, Phase::Start, rig.create(&wish, &process));
        drop(process);
        each(rig.backend, Phase::End, rig.delete(&wish));
    }
}
