//! System calls, netlink and all unsafe code.
//!
//! [`hosts`] reads and edits a container's hosts file. [`net`] works in its network namespace.
//! [`process`] inspects its process and runs other programs.

pub(crate) mod allocator;
pub(crate) mod clock;
pub(crate) mod daemon;
pub(crate) mod file;
pub(crate) mod hosts;
pub(crate) mod net;
pub(crate) mod private_dir;
pub(crate) mod process;
pub(crate) mod restrict;
pub(crate) mod site;
pub(crate) mod spool;
pub(crate) mod terminal;
pub(crate) mod users;
