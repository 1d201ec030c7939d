//! The mission: what a link is, decided without touching anything.
//!
//! [`plan`] takes what a container wants and what the world holds, and says what must be true:
//! which rules, which hosts file, which record. `apply` makes it so. [`env`] says which variables
//! a recipient is given.

pub(crate) mod env;
pub(crate) mod flows;
pub(crate) mod hosts;
mod plan;
mod resolve;

pub(crate) use plan::{HostsInput, Plan, World, plan};
pub(crate) use resolve::{Candidate, OnMissing, RecipientNames, Refusal, resolve};
