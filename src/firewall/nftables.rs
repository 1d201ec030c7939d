//! A table of our own, for hosts without iptables.
//!
//! ```text
//! table inet oci-link {
//!     set bridged4 { type ifname . ipv4_addr . ipv4_addr . inet_proto . inet_service }
//!         "br0" . R . S . tcp . N
//!     set links4 { type ipv4_addr . ipv4_addr . inet_proto . inet_service }   R . S . tcp . N
//!     set bridged6, set links6 { … }
//!     chain forward { type filter hook forward priority filter - 10
//!         there and back for each set, neighbour discovery, then the drops between bridges }
//! }
//! ```
//!
//! A flow is in `bridged…` where both ends sit on one bridge: the packet is looked up with the
//! interface that it came in by, and again with the one that it goes out by.
//!
//! Everything is one transaction by netlink; no program is run. To accept a packet here ends its
//! way through this table only: what iptables or another table drops stays dropped, so isolation
//! must be ours too (`isolate` in config.toml).
//!
//! Deleting from `nf_tables` stalls the process for more than ten milliseconds. A container that
//! starts deletes nothing.

pub(crate) mod messages;
mod rules;
mod table;

use super::elements::{Changes, Element, by_owner, owned, shown};
use super::setup_cache::SetupCache;
use super::{Firewall, InstalledRules, OwnerScope, failed};
use crate::error::{Error, Result};
use crate::model::{BackendName, BridgeName, Flow, OwnerTag};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use messages::{
    MAX_COMMENT, NftSet, Transaction, ask_for_elements, ask_for_these, element, elements,
};
use nix::libc::EEXIST;
use std::collections::{BTreeMap, HashSet};

/// Remembers the bridges whose containers the table isolates.
const ISOLATION: &str = "nftables-isolation";

/// See the module.
#[derive(Debug)]
pub(crate) struct Nftables {
    memory: SetupCache,
}

impl Nftables {
    /// `memory` knows whose containers are isolated.
    pub(crate) fn new(memory: SetupCache) -> Self {
        Self { memory }
    }

    /// Adds what the record does not name; false if anything is not as it says. What it names is
    /// looked at: when it was flushed, another container of the pod may have made it again, as its
    /// own.
    fn add(link: &mut Netlink, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<bool> {
        let known: HashSet<&Flow> = rules.before.iter().collect();
        let elements = flows.iter().map(|flow| owned(*flow, rules.owner));
        let (there, new): (Vec<_>, Vec<_>) =
            elements.partition(|element| known.contains(&element.key));
        if !has_all(link, rules.owner, &there)? {
            return Ok(false);
        }
        let mut transaction = Transaction::default();
        transaction.add_elements(&new);
        match transaction.commit(link)? {
            None => Ok(true),
            Some(refusal) if refusal.code == EEXIST => Ok(false),
            Some(refusal) => Err(complaint(refusal)),
        }
    }
}

impl Firewall for Nftables {
    fn name(&self) -> BackendName {
        BackendName::Nftables
    }

    fn ensure_base(&self) -> Result<()> {
        table::make(&mut Netlink::netfilter()?, &self.isolated()?)
    }

    fn isolate(&self, bridges: &[BridgeName]) -> Result<()> {
        if self.isolated()? == bridges {
            return Ok(());
        }
        table::make(&mut Netlink::netfilter()?, bridges)?;
        self.memory.note_isolated(ISOLATION, bridges)
    }

    fn ensure(&self, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<()> {
        let mut link = Netlink::netfilter()?;
        let wanted: HashSet<&Flow> = flows.iter().collect();
        let grows = rules.before.iter().all(|flow| wanted.contains(flow));
        let bridges = self.isolated()?;
        // Sets without rules permit nothing, and then nobody is isolated either.
        if !table::seems_whole(&mut link, &bridges)? {
            table::make(&mut link, &bridges)?;
        }
        if grows && Self::add(&mut link, rules, flows)? {
            return Ok(());
        }
        settle(&mut link, rules.owner, flows)
    }

    fn remove(&self, rules: OwnerScope<'_>) -> Result<()> {
        settle(&mut Netlink::netfilter()?, rules.owner, &[])
    }

    /// Elements permit nothing when no rule asks for them.
    fn read(&self, rules: OwnerScope<'_>) -> Result<Vec<String>> {
        let mut link = Netlink::netfilter()?;
        if !table::is_intact(&mut link)? {
            return Ok(Vec::new());
        }
        let there = list(&mut link)?.into_iter();
        let own = there.filter(|element| element.belongs_to(rules.owner));
        Ok(shown(own.map(|element| element.key), show))
    }

    fn expected(&self, _: &OwnerTag, flows: &[Flow]) -> Vec<String> {
        shown(flows.iter().copied(), show)
    }

    fn owners(&self) -> Result<BTreeMap<OwnerTag, InstalledRules>> {
        let mut link = Netlink::netfilter()?;
        let asked = table::is_intact(&mut link)?;
        Ok(by_owner(&list(&mut link)?, |flow| asked.then(|| show(flow)), |flow| [*flow]))
    }

    fn remove_owner(&self, owner: &OwnerTag) -> Result<()> {
        settle(&mut Netlink::netfilter()?, owner, &[])
    }

    fn remove_all(&self) -> Result<()> {
        table::delete(&mut Netlink::netfilter()?)?;
        self.memory.note_isolated(ISOLATION, &[])
    }

    fn is_intact(&self) -> Result<bool> {
        table::is_whole(&mut Netlink::netfilter()?, &self.isolated()?)
    }

    fn isolated(&self) -> Result<Vec<BridgeName>> {
        self.memory.isolated(ISOLATION)
    }
}

/// Fails where the kernel has no `nf_tables`.
pub(crate) fn is_in_kernel() -> Result<()> {
    let answer = table::generation(&mut Netlink::netfilter()?)?;
    answer.map_err(|refusal| {
        failed(format!("nf_tables: not in the kernel ({})", refusal.errno().desc()))
    })
}

/// Whether the rules of the table keep containers of `bridges` apart.
pub(crate) fn isolates(bridges: &[BridgeName]) -> Result<bool> {
    table::is_whole(&mut Netlink::netfilter()?, bridges)
}

/// As `nft list set` prints it.
fn show(flow: &Flow) -> String {
    let Flow { from, to, port, bridge } = flow;
    let set = NftSet::of(flow).name();
    let bridge = bridge.map(|name| format!("\"{name}\" . ")).unwrap_or_default();
    format!("{set} {bridge}{from} . {to} . {} . {}", port.protocol, port.number)
}

/// The elements of all sets; none if there is no table.
fn list(link: &mut Netlink) -> Result<Vec<Element<Flow>>> {
    let mut all = Vec::new();
    for set in NftSet::ALL {
        let answer = link.ask(&ask_for_elements(set), |message| {
            let elements = elements(&message.attributes());
            all.extend(elements.filter_map(|attributes| element(set, &attributes)));
        })?;
        match answer {
            Err(refusal) if !table::is_absent(refusal) => return Err(complaint(refusal)),
            _ => {}
        }
    }
    Ok(all)
}

/// Whether all of these elements are there, and the owner's. Takes no longer the more others there
/// are.
fn has_all(link: &mut Netlink, owner: &OwnerTag, elements: &[Element<Flow>]) -> Result<bool> {
    let mut own = 0;
    for (set, question) in ask_for_these(elements) {
        let answer = link.ask(&question, |message| {
            let found = messages::elements(&message.attributes());
            let found = found.filter_map(|attributes| element(set, &attributes));
            own += found.filter(|element| element.belongs_to(owner)).count();
        })?;
        if answer.is_err() {
            return Ok(false);
        }
    }
    Ok(own == elements.len())
}

/// Goes from what is really there to exactly `flows`, all at once.
fn settle(link: &mut Netlink, owner: &OwnerTag, flows: &[Flow]) -> Result<()> {
    let changes = Changes::plan(&list(link)?, owner, flows);
    let changes = changes.map_err(|why| failed(format!("nftables: {why}")))?;
    if changes.change.iter().any(|element| element.comment.len() > MAX_COMMENT) {
        return Err(failed(
            "nftables: too many linked containers have the same address".to_owned(),
        ));
    }
    let mut transaction = Transaction::default();
    // An element's comment cannot change: it is made again.
    transaction.delete_elements(&changes.change);
    transaction.delete_elements(&changes.delete);
    transaction.add_elements(&changes.change);
    transaction.add_elements(&changes.add);
    transaction.commit(link)?.map_or(Ok(()), |refusal| Err(complaint(refusal)))
}

fn complaint(refusal: NetlinkError) -> Error {
    failed(format!("nftables: {} ({})", refusal.errno().desc(), refusal.code))
}
