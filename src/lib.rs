//! Docker's `--link` for every OCI runtime and engine.
//!
//! Data flows one way:
//!
//! ```text
//! bytes -> oci, engine -> model -> link (decides) -> lifecycle (acts) -> firewall, store, sys
//! ```
//!
//! `model` and `link` use nothing but the standard library and each other; `tests/it/laws.rs` reads
//! the `use` lines and fails on a wrong one. ARCHITECTURE.md has the picture, the rules and one
//! container's way through the code.
//!
//! The library is for the program `oci-link`: its interface is [`run`].

pub(crate) mod cli;
pub(crate) mod cluster;
pub(crate) mod commands;
pub(crate) mod compose;
pub(crate) mod config;
pub(crate) mod configure;
pub(crate) mod doctor;
pub(crate) mod engine;
pub(crate) mod error;
pub(crate) mod firewall;
pub(crate) mod frontend;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub(crate) mod graph;
pub(crate) mod host;
pub(crate) mod lifecycle;
pub(crate) mod link;
pub(crate) mod logging;
pub(crate) mod model;
pub(crate) mod oci;
pub(crate) mod recovery;
pub(crate) mod store;
pub(crate) mod sys;
pub(crate) mod watch;

pub use commands::run;
#[doc(hidden)]
pub use sys::allocator::Allocator;
#[doc(hidden)]
pub use sys::process::entry;

/// What the tests, the benchmark and the fuzz targets use. Not an interface: it may change at any
/// time.
#[doc(hidden)]
pub mod testing {
    pub use crate::error::Result;
    pub use crate::firewall::{
        Choice, Firewall, Outside, OwnerScope, RuleChange, SetupCache, isolate, select,
    };
    pub use crate::link::env::{Dialect, LeftOut, LinkVariables, link_variables};
    pub use crate::model::{
        Address, Admitted, Alias, BackendName, BridgeName, ContainerId, ContainerName, Crossing,
        Engine, Family, Flow, Hostname, HostsPlace, Inode, Instance, Isolation, NamespaceName,
        Network, OnBridge, OwnerTag, Phase, Pod, PodKey, PodName, PortRange, PortSet, Protocol,
        Record, Reference, Share, StateId, Variable,
    };
    pub use crate::store::{Change, Commit, Found, NewerRecord, Store, open as open_store};
    pub use crate::sys::hosts::HostsFile;
    pub use crate::sys::net::conntrack::drop_connections;
    pub use crate::sys::private_dir::Directory;
    pub use crate::sys::process::boot_id;
    pub use crate::sys::restrict::landlock::{Needs, enter};

    /// Blocks of a hosts file.
    pub mod hosts {
        pub use crate::link::hosts::{BEGIN, END, block, contains, edited, line, without};
    }
}
