//! Chains of other programs at the hooks forward and postrouting: whether they drop the packets of links,
//! or hide the recipient's address from the source.
//!
//! A packet passes the base chains of all tables. An accept in one of them ends the way through that
//! chain only, so a chain of another table can drop what ours accepts. Only `nf_tables` is read. The
//! rules of iptables-legacy are in no table there.

mod expression;
mod kernel;
mod sample;
mod text;
mod walk;

use super::nftables::messages::TABLE;
use crate::error::Result;
use crate::model::{BackendName, Family};
use kernel::{Chain, Hook, Kernel};
pub(crate) use sample::Sample;
use std::fmt;
use std::fs;
use walk::{Fate, walk};

/// The priority and the type of the chain FORWARD that iptables makes.
const IPTABLES: (i32, &str) = (0, "filter");

/// A table or chain of another program that keeps the packets of links away, or changes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// The family of the table, in the words of `nft`.
    pub(crate) family: &'static str,
    /// The table.
    pub(crate) table: String,
    /// The chain; empty if the whole table is meant.
    pub(crate) chain: String,
    /// The hook of the chain and its priority there, if it is at a hook that links pass.
    pub(crate) hook: Option<(&'static str, i32)>,
    /// What it does.
    pub(crate) why: String,
    /// The first packet that does not pass or is changed, if one was tried.
    pub(crate) packet: Option<Sample>,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} {}", self.family, self.table)?;
        if !self.chain.is_empty() {
            write!(f, ", chain {}", self.chain)?;
        }
        if let Some((hook, priority)) = self.hook {
            write!(f, ", hook {hook}, priority {priority}")?;
        }
        write!(f, ": {}", self.why)
    }
}

/// Finds what keeps `packets` of links from passing, with the backend that accepts each of them.
///
/// A rule that is not understood counts as one that may accept the packet. An empty result is no
/// proof that packets pass; what is found does drop them.
pub(crate) fn obstacles(packets: &[(BackendName, Sample)]) -> Result<Vec<Obstacle>> {
    let mut kernel = Kernel::open()?;
    let mut found = Vec::new();
    let uses = |of: fn(BackendName) -> bool| packets.iter().any(|(backend, _)| of(*backend));
    for table in kernel.owned_tables()? {
        let ours = (table.family, table.name.as_str()) == ("inet", TABLE);
        let theirs = table.name == "filter" && ["ip", "ip6"].contains(&table.family);
        if ours && uses(has_own_table) || theirs && uses(BackendName::is_in_iptables) {
            found.push(Obstacle {
                family: table.family,
                why: format!("belongs to {}, and no other program can change it", table.owner),
                table: table.name,
                chain: String::new(),
                hook: None,
                packet: None,
            });
        }
    }
    for chain in kernel.chains()? {
        if is_forward_of_iptables(&chain) && uses(BackendName::is_in_iptables) {
            found.extend(unusable(&chain));
        }
        let concerned = packets.iter().filter(|(backend, packet)| {
            let ours = is_forward_of_iptables(&chain) && backend.is_in_iptables();
            !ours && packet.passes(chain.family)
        });
        let mut fates = concerned.map(|(_, packet)| (packet, walk(&mut kernel, &chain, packet)));
        if let Some((packet, Fate::Dropped(why))) =
            fates.find(|(_, fate)| matches!(fate, Fate::Dropped(_)))
        {
            found.push(Obstacle { packet: Some(packet.clone()), ..of_chain(&chain, why) });
        }
    }
    Ok(found)
}

/// Finds what replaces the recipient's address in `packets` of links: the source then sees an address of
/// the host. One is returned for each chain and pair of networks.
///
/// A rule that is not understood counts as one that may let the packet pass unchanged.
pub(crate) fn translations(packets: &[(BackendName, Sample)]) -> Result<Vec<Obstacle>> {
    let mut kernel = Kernel::open()?;
    let seen = Family::BOTH.map(|family| (family, sees_bridged(family)));
    let is_seen =
        |packet: &Sample| packet.bridge().is_none() || seen.contains(&(packet.family, true));
    let mut found: Vec<Obstacle> = Vec::new();
    for chain in kernel.nat_chains()? {
        let mut named = Vec::new();
        for (_, packet) in packets.iter().filter(|(_, it)| it.passes(chain.family) && is_seen(it)) {
            let between = (packet.family, packet.bridge(), packet.networks.clone());
            if named.contains(&between) {
                continue;
            }
            if let Fate::Translated(rule) = walk(&mut kernel, &chain, packet) {
                let why = format!(
                    "it hides the address of the recipient from the source{}, by the {rule}",
                    way(packet)
                );
                found.push(Obstacle { packet: Some(packet.clone()), ..of_chain(&chain, why) });
                named.push(between);
            }
        }
    }
    Ok(found)
}

/// Finds what drops `packets` from other hosts before they are routed, as Docker does since version 28 with those
/// that come straight to a container. No rule of ours can undo it.
pub(crate) fn drops_on_arrival(packets: &[Sample]) -> Result<Vec<Obstacle>> {
    let mut kernel = Kernel::open()?;
    let mut found = Vec::new();
    for chain in kernel.arrival_chains()? {
        for packet in packets.iter().filter(|packet| packet.passes(chain.family)) {
            if let Fate::Dropped(why) = walk(&mut kernel, &chain, packet) {
                found.push(Obstacle { packet: Some(packet.clone()), ..of_chain(&chain, why) });
                break;
            }
        }
    }
    Ok(found)
}

/// An obstacle in `chain`, without a packet.
fn of_chain(chain: &Chain, why: String) -> Obstacle {
    Obstacle {
        family: chain.family,
        table: chain.table.clone(),
        chain: chain.name.clone(),
        hook: chain.base.as_ref().and_then(|base| Some((base.hook.name()?, base.priority))),
        why,
        packet: None,
    }
}

/// The way of a packet in words, behind a space; empty if nothing is known of it.
fn way(packet: &Sample) -> String {
    match (&packet.networks, packet.bridge()) {
        (_, Some(bridge)) => format!(" on {bridge}"),
        (Some((from, to)), None) => format!(" on the way from {from} to {to}"),
        (None, None) => String::new(),
    }
}

/// Whether rules for IP see packets between two ports of one bridge.
fn sees_bridged(family: Family) -> bool {
    let switch = match family {
        Family::V4 => "bridge-nf-call-iptables",
        Family::V6 => "bridge-nf-call-ip6tables",
    };
    let value = fs::read_to_string(format!("/proc/sys/net/bridge/{switch}"));
    value.is_ok_and(|value| value.trim() == "1")
}

/// Whether the backend accepts packets in the table `inet oci-link`.
fn has_own_table(backend: BackendName) -> bool {
    match backend {
        BackendName::Nftables => true,
        BackendName::None | BackendName::Ipset | BackendName::Iptables => false,
    }
}

/// Whether this is the chain that iptables calls FORWARD, whatever it is attached to.
fn is_forward_of_iptables(chain: &Chain) -> bool {
    chain.name == "FORWARD" && chain.table == "filter" && ["ip", "ip6"].contains(&chain.family)
}

/// Why iptables cannot use this chain FORWARD; `None` if it can.
fn unusable(chain: &Chain) -> Option<Obstacle> {
    let (priority, kind) = IPTABLES;
    let why = match &chain.base {
        None => "is no base chain, so iptables cannot use it".to_owned(),
        Some(base) if base.hook != Hook::Forward => {
            "is at another hook, so iptables cannot use it".to_owned()
        }
        Some(base) if base.priority != priority || base.kind != kind => {
            format!("iptables cannot use it: want type {kind} and priority {priority}")
        }
        Some(_) => return None,
    };
    let at_forward = |hook: &(&str, i32)| Some(hook.0) == Hook::Forward.name();
    let found = of_chain(chain, why);
    Some(Obstacle { hook: found.hook.filter(at_forward), ..found })
}
