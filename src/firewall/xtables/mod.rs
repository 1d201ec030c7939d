//! What the iptables and ipset backends share: the base chain, the place of our jump in FORWARD,
//! and the iptables programs.

pub(crate) mod chains;
pub(crate) mod command;
pub(crate) mod common_chain;
pub(crate) mod jump_order;
pub(crate) mod listing;
