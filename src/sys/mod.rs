//! System calls, netlink and all unsafe code.
//!
//! Files of a container are reached through [`hosts`], its namespaces through [`net`], its process
//! and other programs through [`process`].

pub mod daemon;
pub mod file;
pub mod hosts;
pub mod net;
pub mod private_dir;
pub mod process;
pub mod restrict;
