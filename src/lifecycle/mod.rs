//! Everything that acts on one container: its start, its end, and the links of running containers.
//!
//! All of it runs under the host lock, so that what was planned is still true when it is applied.

pub(crate) mod absent;
pub(crate) mod addresses;
pub(crate) mod admitted;
pub(crate) mod adopt;
pub(crate) mod alive;
pub(crate) mod ambiguous;
pub(crate) mod apply;
pub(crate) mod awaited;
pub(crate) mod concern;
pub(crate) mod connect;
pub(crate) mod contested;
pub(crate) mod debug_log;
mod displaced;
pub(crate) mod disputes;
pub(crate) mod engine_links;
pub(crate) mod entry;
pub(crate) mod guests;
pub(crate) mod home;
pub(crate) mod inject;
pub(crate) mod isolating;
pub(crate) mod limited;
pub(crate) mod lookup;
pub(crate) mod notes;
pub(crate) mod one_run;
pub(crate) mod orphans;
pub(crate) mod others;
pub(crate) mod planning;
pub(crate) mod privileges;
pub(crate) mod remote;
pub(crate) mod renamed;
pub(crate) mod replan;
pub(crate) mod routing;
mod shared_network;
pub(crate) mod snapshot;
pub(crate) mod start;
pub(crate) mod starting;
pub(crate) mod stop;
pub(crate) mod together;
pub(crate) mod wait;

pub(crate) use entry::{retire, start, stop};
pub(crate) use stop::{remove, stop_if_dead};

#[cfg(test)]
pub(crate) mod fakes;
#[cfg(test)]
mod tests;
