//! Docker's `--link` for every OCI runtime and engine.
//!
//! Data flows one way:
//!
//! ```text
//! bytes -> oci, engine -> model -> link (decides) -> apply (acts) -> firewall, store, sys
//! ```
//!
//! [`model`] and [`link`] use nothing but the standard library and each other; `tests/it/laws.rs`
//! reads the `use` lines and fails on a wrong arrow. ARCHITECTURE.md has the picture, the laws and
//! one container's way through the code.

pub mod cli;
pub mod commands;
pub mod compose;
pub mod config;
pub mod configure;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod firewall;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod graph;
pub mod host;
pub mod lifecycle;
pub mod link;
pub mod logging;
pub mod model;
pub mod oci;
pub mod recovery;
pub mod store;
pub mod sys;
pub mod watch;
