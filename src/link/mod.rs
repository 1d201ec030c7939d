//! The mission: what a link is, decided without touching anything.
//!
//! [`plan`] takes what a container wants and what the world holds, and says what must be true:
//! which rules, which hosts file, which record. `apply` makes it so. [`env`] says which variables
//! a recipient is given.

pub mod env;
pub mod flows;
pub mod hosts;
mod plan;
mod resolve;

pub use plan::{HostsInput, Plan, World, plan};
pub use resolve::{Candidate, OnMissing, RecipientNames, Refusal, resolve};
