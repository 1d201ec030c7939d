//! Isolation by the backend in use, and its removal from the other backends.
//!
//! A rule of one backend cannot override a drop of another. So only the backend that holds the
//! rules of starting containers may isolate.

use super::Firewall;
use super::nftables::Nftables;
use super::outside::Outside;
use super::setup_cache::SetupCache;
use super::xtables::base::Base;
use crate::error::Result;
use crate::model::{BackendName, BridgeName};

/// Isolates `bridges` in `firewall`, those of `outside` also from other hosts, and ends the isolation by the other kind of backend. The gates of
/// isolated containers move with it.
///
/// Does nothing if both were done before. If `bridges` is empty and no backend was chosen yet, no
/// backend is chosen or set up.
pub fn isolate(
    firewall: &dyn Firewall,
    memory: &SetupCache,
    bridges: &[BridgeName],
    outside: &Outside,
) -> Result<()> {
    if bridges.is_empty() && firewall.chosen().is_none() {
        return Ok(());
    }
    match firewall.name() {
        BackendName::Nftables => {
            let other = Base::plain(memory.clone());
            let left = other.walls()?;
            if !left.is_empty() {
                move_gates(firewall, &left.gates)?;
                other.release()?;
            }
        }
        BackendName::Ipset | BackendName::Iptables => {
            let other = Nftables::new(memory.clone());
            let left = other.walls()?;
            if !left.is_empty() {
                move_gates(firewall, &left.gates)?;
                other.release()?;
            }
        }
        BackendName::None => {}
    }
    firewall.isolate(bridges, outside)
}

fn move_gates(firewall: &dyn Firewall, gates: &[BridgeName]) -> Result<()> {
    if gates.is_empty() { Ok(()) } else { firewall.guard(gates) }
}
