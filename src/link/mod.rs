//! Decides what a container's links require, without side effects.
//!
//! [`plan()`] takes a container's links and the present state, and returns the rules, the hosts
//! file and the record to reach. `lifecycle::apply` carries this plan out. [`mod@env`] computes the
//! variables that a recipient receives.

pub(crate) mod carry;
pub(crate) mod env;
pub(crate) mod flows;
pub(crate) mod guest;
pub(crate) mod hosts;
pub(crate) mod limit;
mod plan;
mod resolve;
pub(crate) mod shared;

pub(crate) use plan::{HostsInput, Plan, World, plan};
pub(crate) use resolve::{Candidate, OnMissing, RecipientNames, Refusal, There, resolve};
