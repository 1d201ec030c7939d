//! What hostile images, users and bad days do. Every test carries the number that its hazard has
//! in the catalogue of hazards; one number may have several tests.
//!
//! "Refused" always means all of it: an exit status of its own, one clear line, at once, and
//! nothing changed. `Scene::refused` checks that.

mod bounds;
mod contents;
mod deaths;
mod environment;
mod flushes;
mod idmapped;
mod inside;
mod kinds;
mod leftovers;
mod mounts;
mod names;
mod network;
mod paths;
mod process;
mod races;
mod records;
// Registers are an architecture's own.
#[cfg(target_arch = "x86_64")]
mod restricted;
mod roots;
mod rules;
pub(crate) mod scene;
mod state_directory;
mod state_json;
mod table;
mod variables;
mod world;
mod writers;
