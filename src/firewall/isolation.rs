//! Which backend isolates bridges: the one that keeps the rules of containers that start now. A link
//! of one backend opens nothing in the drops of another, so only one may isolate at a time.

use super::Firewall;
use super::nftables::Nftables;
use super::setup_cache::SetupCache;
use super::xtables::common_chain::Base;
use crate::error::Result;
use crate::model::{BackendName, BridgeName};

/// Isolates `bridges` in `firewall`, and ends the isolation by the other kind of backend.
///
/// Costs nothing where both were done before. Nothing is chosen or set up where no bridge is to be
/// isolated and no backend is in use yet.
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
