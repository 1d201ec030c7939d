//! What must survive: hooks that are killed, calls that fail, a hundred hooks at once, and readers
//! of a file that changes under their eyes. They need root.
//!
//! `cargo test` tries a sample, `make test-crash` everything. Hooks, kernel, rules and files are
//! real. A host is a network namespace with a bridge, as in `tests/it`; containers are sleeping
//! processes with namespaces of their own, for thousands are wanted, and what is tried is the hook.

// A test fails by panicking; `expect` says what it had hoped for.
#![allow(clippy::expect_used, clippy::panic)]

mod actor;
mod attempts;
mod crowd;
#[cfg(target_arch = "x86_64")] // How a call is made to fail differs from one to the next.
mod faults;
mod full_disk;
mod kills;
mod others;
mod readers;
mod scene;
mod snapshot;
#[allow(dead_code, unused_imports, unused_macros)] // Its other parts are those of `tests/it`.
#[path = "../it/support/mod.rs"]
mod support;
mod tracer;
