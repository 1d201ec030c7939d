//! Code shared by the iptables and ipset backends.
//!
//! It covers the base chain, the position of our jump in FORWARD, and the iptables programs.

pub(crate) mod allowance;
pub(crate) mod base;
pub(crate) mod chains;
pub(crate) mod command;
pub(crate) mod common_chain;
mod discovery;
pub(crate) mod dismantling;
pub(crate) mod jump_order;
pub(crate) mod listing;
mod separation;
pub(crate) mod strays;
