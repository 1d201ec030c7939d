//! oci-link in the path of an unlinked container changes nothing that the caller of the runtime sees.
//!
//! `containers` and `environments` are tables. `catalogue` runs each entry without oci-link, behind the
//! wrapper and with the hooks, and compares every exit status and every line. `special` has the entries
//! that need a test of their own. The tests need root; CONTRIBUTING.md explains how to run one entry.

// A test fails by panicking; the argument of `expect` is what the test relies on.
#![allow(clippy::expect_used, clippy::panic)]

mod case;
mod catalogue;
mod compare;
mod containers;
mod ends;
mod environments;
mod harness;
mod life;
mod machine;
mod neighbours;
mod recursion;
mod special;
mod step;
#[allow(dead_code, unused_imports, unused_macros)] // `tests/it` uses the other parts.
#[path = "../it/support/mod.rs"]
mod support;
mod way;

/// Makes each scenario two tests, `name::runc` and `name::crun`, which only `make test-harmless` runs.
macro_rules! each_runtime_in_full {
    ($($(#[$about:meta])* fn $name:ident($runtime:ident) $story:block)*) => {$(
        $(#[$about])*
        mod $name {
            use super::*;

            fn scenario($runtime: $crate::support::Runtime) $story

            #[test]
            #[ignore = "minutes: make test-harmless"]
            fn runc() {
                scenario($crate::support::Runtime::Runc);
            }

            #[test]
            #[ignore = "minutes: make test-harmless"]
            fn crun() {
                scenario($crate::support::Runtime::Crun);
            }
        }
    )*};
}
pub(crate) use each_runtime_in_full;
