//! Tests of what starts, stops and links do, in which order, and what is left when a step fails.

mod across;
mod concern;
mod confined;
mod debug_lines;
mod elsewhere;
mod engine_links;
mod entry;
mod failures;
mod flood;
mod injected;
mod linking;
mod meaning;
mod moving;
mod notes;
mod orphaned;
mod pods;
mod previous;
mod reading;
mod renamed;
mod second_stage;
mod starting_order;
mod stopping;
mod together;
mod waiting;
mod writers;

use super::fakes::{Scene, own};
use crate::model::Record;

/// A source that exposes one port.
fn db() -> Record {
    own("db", "80", &["10.0.0.2/24"])
}

/// A container that is linked to `db`.
fn web() -> Record {
    own("web", "none", &["10.0.0.3/24"]).linked(&["db"])
}

/// Another container that is linked to `db`.
fn api() -> Record {
    own("api", "none", &["10.0.0.4/24"]).linked(&["db:sql"])
}

/// A scene in which `db` and `web` run, with a fresh journal.
fn linked() -> Scene {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    scene.start(&web()).unwrap();
    scene.use_all_flows();
    scene.journal.restart();
    scene
}
