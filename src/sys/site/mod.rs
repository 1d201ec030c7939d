//! The user whose containers this process serves, and the place of their bridges and rules.
//!
//! Root has one set of records on a host, and each user with containers of its own has another one. The
//! *site* is the network namespace with the bridges and the rules. For rootless podman it is not that of the
//! engine: a process can go there, but not back. The kernel is asked for all of this, because the
//! environment of a hook is the caller's.

mod candidates;
mod enter;
mod join;
mod namespace;
mod whose;

pub(crate) use enter::{Standing, enter, enter_by_cookie, is_known, standing};
pub(crate) use join::join;
pub(crate) use whose::{Whose, is_unmapped, whose};
