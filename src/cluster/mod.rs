//! Records that hosts exchange about their containers. Another program, the courier, carries them.
//!
//! The courier is not trusted more than the other hosts: all bytes are checked here, by root.

pub(crate) mod format;
mod json;
pub(crate) mod mirror;
pub(crate) mod offers;
pub(crate) mod spool;
pub(crate) mod view;
