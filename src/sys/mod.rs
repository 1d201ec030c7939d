//! System calls, netlink and all unsafe code.
//!
//! Files of a container are reached through [`hosts`], its namespaces through [`net`], its process
//! and other programs through [`process`].

pub(crate) mod daemon;
pub(crate) mod file;
pub(crate) mod hosts;
pub(crate) mod net;
pub(crate) mod private_dir;
pub(crate) mod process;
pub(crate) mod restrict;
