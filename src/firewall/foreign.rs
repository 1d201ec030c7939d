//! Chains of other programs at the hook forward, and whether they drop the packets of links.
//!
//! A packet passes the base chains of all tables. An accept in one of them ends the way through that
//! chain only, so a chain of another table can drop what ours accepts. Only `nf_tables` is read. The
//! rules of iptables-legacy are in no table there.

mod expression;
mod kernel;
mod sample;
mod walk;

use super::nftables::messages::TABLE;
use crate::error::Result;
use crate::model::BackendName;
use kernel::{Chain, Kernel};
pub(crate) use sample::Sample;
use std::fmt;
use walk::{Fate, walk};

/// The priority and the type of the chain FORWARD that iptables makes.
const IPTABLES: (i32, &str) = (0, "filter");

/// A table or chain of another program that keeps the packets of links away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// The family of the table, in the words of `nft`.
    pub(crate) family: &'static str,
    /// The table.
    pub(crate) table: String,
    /// The chain; empty if the whole table is meant.
    pub(crate) chain: String,
    /// The priority of the chain at its hook, if it has one.
    pub(crate) priority: Option<i32>,
    /// What it does.
    pub(crate) why: String,
    /// The first packet that does not pass, if one was tried.
    pub(crate) packet: Option<Sample>,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} {}", self.family, self.table)?;
        if !self.chain.is_empty() {
            write!(f, ", chain {}", self.chain)?;
        }
        if let Some(priority) = self.priority {
            write!(f, ", hook forward, priority {priority}")?;
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
                priority: None,
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
            found.push(Obstacle {
                family: chain.family,
                priority: chain.base.as_ref().map(|base| base.priority),
                table: chain.table,
                chain: chain.name,
                why,
                packet: Some(packet.clone()),
            });
        }
    }
    Ok(found)
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
        Some(base) if !base.at_forward => {
            "is at another hook, so iptables cannot use it".to_owned()
        }
        Some(base) if base.priority != priority || base.kind != kind => {
            format!("iptables cannot use it: want type {kind} and priority {priority}")
        }
        Some(_) => return None,
    };
    Some(Obstacle {
        family: chain.family,
        table: chain.table.clone(),
        chain: chain.name.clone(),
        priority: chain.base.as_ref().filter(|base| base.at_forward).map(|base| base.priority),
        why,
        packet: None,
    })
}
