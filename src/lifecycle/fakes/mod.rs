//! A store and a firewall in memory, for tests of the order of effects and of failing calls.
//!
//! Both write their calls into one [`Journal`], which can make any call fail. A [`Scene`] puts them
//! into a [`Host`](crate::host::Host). The processes and the hosts files of a scene are real. A
//! scene needs no privileges and does not touch the rules or records of the host.

mod containers;
mod firewall;
mod journal;
mod listener;
mod scene;
mod state;
mod store;

pub(crate) use containers::{Sleeper, again, of_process, own};
pub(crate) use firewall::{Kernel, MemoryFirewall};
pub(crate) use journal::{Fault, Journal};
pub(crate) use listener::Listener;
pub(crate) use scene::{Scene, every_failure};
pub(crate) use store::MemoryStore;
