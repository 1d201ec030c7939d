//! Tests under real engines, each on a machine of its own: namespaces with a file system in memory
//! over Debian's, `rigs/machine.sh`. `make test-engines` runs them, as root; it installs the engines
//! of this Debian, and puts the newest ones into a directory of their own, once.
//!
//! What they say of links in general, `tests/it` says with runc and crun alone. Here is what only
//! an engine can show: that it takes us as its runtime, when it gives out addresses, when it writes
//! the hosts file, and what its containers are called. And what only a machine of its own can show:
//! what packages bring, and that they leave nothing (`packages`, by `make test-packages`).

// A test fails by panicking; `expect` says what it had hoped for.
#![allow(clippy::expect_used, clippy::panic)]

mod clients;
mod composed;
mod configured;
mod documents;
mod execs;
mod fixes;
mod links;
mod machine;
mod nested;
mod networks;
mod packages;
mod plain;
mod pods;
#[path = "../it/support/program.rs"]
mod program;
mod restarts;
mod rig;
mod rootless;
mod rootless_config;
mod rootless_hooks;
mod rootless_networks;
mod rootless_quadlet;
mod rootless_recovery;
mod runtimes;
mod start;
mod taken_over;
mod tool;
mod user;

/// Makes each scenario one test per engine.
macro_rules! each_engine {
    ($($(#[$about:meta])* fn $name:ident($engine:ident) on [$($on:ident),*] $story:block)*) => {$(
        #[allow(non_snake_case)] // A test is named after its engine.
        mod $name {
            use super::*;

            $(#[$about])*
            fn scenario($engine: Engine) $story

            $(
                #[test]
                #[ignore = "starts a real engine: make test-engines"]
                fn $on() {
                    scenario(Engine::$on);
                }
            )*
        }
    )*};
}
pub(crate) use each_engine;
