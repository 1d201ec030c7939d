//! Isolation of bridges by the backend in use, and its removal from the other backends.
//!
//! A rule of one backend cannot override a drop of another. So only the backend that holds the
//! rules of starting containers may isolate.

use super::Firewall;
use super::nftables::Nftables;
use super::setup_cache::SetupCache;
use super::xtables::common_chain::Base;
use crate::error::Result;
use crate::model::{BackendName, BridgeName};

/// Isolates `bridges` in `firewall`, and ends the isolation by the other kind of backend.
///
/// Does nothing if both were done before. If `bridges` is empty and no backend was chosen yet, no
/// backend is chosen or set up.
pub fn isolate(firewall: &dyn Firewall, memory: &SetupCache, bridges: &[BridgeName]) -> Result<()> {
    if bridges.is_empty() && firewall.chosen().is_none() {
        return Ok(());
    }
    match firewall.name() {
        BackendName::Nftables => Base::plain(memory.clone()).isolate(&[])?,
        BackendName::Ipset | BackendName::Iptables => Nftables::new(memory.clone()).isolate(&[])?,
        BackendName::None => {}
    }
    firewall.isolate(bridges)
}
