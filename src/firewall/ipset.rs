//! The ipset backend: static iptables rules that match sets, and one set element per port of a flow.
//!
//! It uses the base chain of the iptables backend. R is the recipient, S the source.
//! ```text
//! OCI-LINK       -m set --match-set oci-link4 src,dst,dst … -j ACCEPT      and the bridge of R
//! OCI-LINK       -m conntrack --ctstate ESTABLISHED
//!                -m set --match-set oci-link4 dst,src,src … -j ACCEPT      and the bridge of R
//! OCI-LINK       the same two rules for oci-link4-port, of packets with the mark of `bridge.rs`
//! OCI-LINK       the same two rules for oci-link4-routed, on any interface
//! oci-link4      R,tcp:N,S comment "<tag>"       one per port, between two containers on one bridge
//! oci-link4-port     R,tcp:N,S comment "<tag>"   the same for flows that are tied to ports of the bridge
//! oci-link4-at   R,br0 comment "<tag>"           the bridge that the recipient is attached to
//! oci-link4-routed   R,tcp:N,S comment "<tag>"   one per port of other flows
//! ```
//!
//! `-m physdev --physdev-is-bridged` is not used for two reasons. It matches any bridge instead of
//! a particular one. Its rules also load `br_netfilter`, after which iptables filters the packets
//! of unrelated bridges too.
//!
//! Elements are added and deleted by netlink, neighbouring ports in one message. The time for a change or for a
//! look-up does not grow with the number of links. Programs create the rules once per boot, and again if no rule
//! refers to a set any more.

mod kernel;
pub(crate) mod messages;
pub(crate) mod sets;
mod shared;

use super::elements::{Changes, Element, by_owner, owned, shown};
use super::setup_cache::SetupCache;
use super::walls::Walls;
use super::xtables::base::{Base, Static};
use super::xtables::command::Tool;
use super::xtables::jump_order;
use super::{Firewall, InstalledRules, OwnerScope, failed, stays_here};
use crate::error::{Error, Result};
use crate::model::{BackendName, BridgeName, Family, Flow, OwnerTag};
use crate::sys::net::netlink::uapi::{IPSET_ERR_EXIST, IPSET_ERR_HASH_FULL};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use kernel::{destroy_sets, is_in_use, is_ours, list, list_all, make_sets, send};
use messages::{MAX_PORTS, SetChange};
use nix::libc::{EINVAL, ENOENT};
use sets::{IpSet, SetEntry};
use shared::Shared;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

pub(crate) use kernel::is_in_kernel;

/// The ipset backend.
#[derive(Debug)]
pub(crate) struct Ipset {
    base: Base,
    memory: SetupCache,
    /// Result of [`Firewall::runs_programs`], used by the next change.
    looked: RefCell<Option<Look>>,
}

/// An open netlink socket, and the families whose rules were found intact.
#[derive(Debug)]
struct Look {
    link: Netlink,
    standing: Vec<Family>,
}

impl Ipset {
    /// Creates the backend. `memory` records for which families the rules were created.
    pub(crate) fn new(memory: SetupCache) -> Self {
        let own = Static {
            kind: "ipset on bridges and ports behind the user's, near neighbours",
            chains: &[],
            prepare: make_sets,
            rules: sets::rules,
            outdated: sets::outdated,
            others: |_| Vec::new(),
        };
        let base = Base::with_rules(memory.clone(), own);
        Self { base, memory, looked: RefCell::default() }
    }

    /// Takes the stored [`Look`], or opens a socket with no family checked.
    fn look(&self) -> Result<Look> {
        match self.looked.take() {
            Some(look) => Ok(look),
            None => Ok(Look { link: Netlink::netfilter()?, standing: Vec::new() }),
        }
    }

    /// Creates the rules of a family unless they are intact.
    fn ensure_rules(&self, link: &mut Netlink, family: Family) -> Result<()> {
        if self.family_is_intact(link, family)? {
            Ok(())
        } else {
            self.base.make(Tool::find(family)?)
        }
    }

    fn family_is_intact(&self, link: &mut Netlink, family: Family) -> Result<bool> {
        Ok(self.base.is_remembered(family)?
            && is_in_use(link, family)?
            && jump_order::is_ours(link, family)?.unwrap_or(true))
    }

    /// Lists all sets and changes them so that `owner` has exactly `wanted`.
    fn settle(&self, link: &mut Netlink, owner: &OwnerTag, wanted: &[SetEntry]) -> Result<()> {
        let there = list_all(link)?;
        let changes = Changes::plan(&there, owner, wanted);
        let mut changes = changes.map_err(|why| failed(format!("ipset: {why}")))?;
        // The listing has no order.
        changes.delete.sort_by_key(|element| element.key.order());
        Shared::recall(&self.memory)?
            .note(&self.memory, changes.change.iter().map(|element| element.key.recipient()))?;
        let changed = add(link, &changes.add).and_then(|_| update(link, &changes.change));
        // None of the added ones was there before.
        changed.map_err(|error| and_then(error, delete(link, &changes.add)))?;
        delete(link, &changes.delete)
    }

    /// Deletes what a failed change has added, which the kernel alone knows: `before` stays.
    fn undo(link: &mut Netlink, owner: &OwnerTag, before: &[SetEntry]) -> Result<()> {
        let changes = Changes::plan(&list_all(link)?, owner, before);
        let mut changes = changes.map_err(|why| failed(format!("ipset: {why}")))?;
        changes.delete.sort_by_key(|element| element.key.order());
        delete(link, &changes.delete)
    }
}

impl Firewall for Ipset {
    fn name(&self) -> BackendName {
        BackendName::Ipset
    }

    fn ensure_base(&self) -> Result<()> {
        self.base.make_all()
    }

    fn reclaim(&self) -> Result<()> {
        self.base.reclaim()
    }

    fn isolate(&self, bridges: &[BridgeName]) -> Result<()> {
        self.base.isolate(bridges)
    }

    fn hold(&self) -> Result<()> {
        self.base.hold()
    }

    fn guard(&self, gates: &[BridgeName]) -> Result<()> {
        self.base.guard(gates)
    }

    fn release(&self) -> Result<()> {
        self.base.release()
    }

    /// Adds the elements without listing the sets first.
    ///
    /// An element that already exists and is in the record is the owner's own. An element that
    /// exists without being in the record may have other owners, so all sets are listed and
    /// compared.
    fn ensure(&self, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<()> {
        stays_here(flows)?;
        let Look { mut link, standing } = self.look()?;
        for family in Family::BOTH {
            let wants = flows.iter().any(|flow| Family::of(flow.from) == family);
            if wants && !standing.contains(&family) {
                self.ensure_rules(&mut link, family)?;
            }
        }
        let (wanted, before) = (SetEntry::all(flows), SetEntry::all(rules.before));
        let own = |entry: &SetEntry| owned(*entry, rules.owner);
        if !Shared::recall(&self.memory)?.has_any(wanted.iter().chain(&before)) {
            let known: HashSet<&SetEntry> = before.iter().collect();
            let there = add(&mut link, &wanted.iter().map(own).collect::<Vec<_>>());
            let there = there
                .map_err(|error| and_then(error, Self::undo(&mut link, rules.owner, &before)))?;
            if there.iter().all(|entry| known.contains(entry)) {
                let wanted: HashSet<&SetEntry> = wanted.iter().collect();
                let stale = before.iter().filter(|entry| !wanted.contains(entry)).map(own);
                return delete(&mut link, &stale.collect::<Vec<_>>());
            }
        }
        self.settle(&mut link, rules.owner, &wanted)
    }

    fn remove(&self, rules: OwnerScope<'_>) -> Result<()> {
        let mut link = self.look()?.link;
        let before = SetEntry::all(rules.before);
        if before.is_empty() || Shared::recall(&self.memory)?.has_any(&before) {
            return self.settle(&mut link, rules.owner, &[]);
        }
        let own = before.iter().map(|entry| owned(*entry, rules.owner));
        delete(&mut link, &own.collect::<Vec<_>>())
    }

    /// Elements of a set that no rule uses are left out, because they permit nothing.
    fn read(&self, rules: OwnerScope<'_>) -> Result<Vec<String>> {
        let mut link = Netlink::netfilter()?;
        let mut entries = Vec::new();
        for family in Family::BOTH {
            if is_in_use(&mut link, family)? {
                for set in IpSet::all_of(family) {
                    let own = list(&mut link, set)?.into_iter();
                    let own = own.filter(|element| element.belongs_to(rules.owner));
                    entries.extend(own.map(|element| element.key));
                }
            }
        }
        Ok(shown(entries, SetEntry::show))
    }

    fn expected(&self, _: &OwnerTag, flows: &[Flow]) -> Vec<String> {
        shown(SetEntry::all(flows), SetEntry::show)
    }

    fn owners(&self) -> Result<BTreeMap<OwnerTag, InstalledRules>> {
        let mut link = Netlink::netfilter()?;
        let (mut there, mut asked) = (Vec::new(), Vec::new());
        for family in Family::BOTH {
            for set in IpSet::all_of(family) {
                there.extend(list(&mut link, set)?);
            }
            asked.extend(is_in_use(&mut link, family)?.then_some(family));
        }
        let mut seats: HashMap<_, Vec<_>> = HashMap::new();
        for (ip, bridge) in there.iter().filter_map(|element| element.key.as_seat()) {
            seats.entry(ip).or_default().push(bridge);
        }
        let show =
            |entry: &SetEntry| asked.contains(&IpSet::of(entry).family).then(|| entry.show());
        let mut owners = by_owner(&there, show, |entry| entry.as_flows(&seats));
        for installed in owners.values_mut() {
            installed.flows = sets::with_ranges(&installed.flows);
        }
        Ok(owners)
    }

    fn remove_owner(&self, owner: &OwnerTag) -> Result<()> {
        self.settle(&mut Netlink::netfilter()?, owner, &[])
    }

    fn remove_all(&self) -> Result<bool> {
        // A chain that stays is empty, and refers to no set.
        let (rules, mut link) = (self.base.remove_all(), Netlink::netfilter()?);
        Ok(destroy_sets(&mut link)? | rules?)
    }

    fn is_intact(&self, families: &[Family]) -> Result<bool> {
        self.base.is_intact(families)
    }

    /// A flush by another process after this check goes unnoticed. `sync` then creates the rules
    /// again.
    fn runs_programs(&self, family: Family) -> Result<bool> {
        let mut look = self.look()?;
        let stands = self.family_is_intact(&mut look.link, family)?;
        if stands {
            look.standing.push(family);
        }
        self.looked.replace(Some(look));
        Ok(!stands)
    }

    fn walls(&self) -> Result<Walls> {
        self.base.walls()
    }
}

/// Adds the elements. Returns those that existed before. On an error, some may have been added.
fn add(link: &mut Netlink, elements: &[Element<SetEntry>]) -> Result<Vec<SetEntry>> {
    let mut there = Vec::new();
    for (run, refusal) in send(link, SetChange::Add, elements, MAX_PORTS)? {
        match run {
            _ if refusal.code != IPSET_ERR_EXIST => return Err(complaint(run, refusal)),
            [element] => there.push(element.key),
            // The kernel stopped at the first port that exists.
            _ => there.extend(add_one_by_one(link, run)?),
        }
    }
    Ok(there)
}

/// Adds the elements of a run of which one exists, and perhaps more. Returns those that existed before this.
fn add_one_by_one(link: &mut Netlink, run: &[Element<SetEntry>]) -> Result<Vec<SetEntry>> {
    let mut there = Vec::new();
    for (one, refusal) in send(link, SetChange::Add, run, 1)? {
        if refusal.code != IPSET_ERR_EXIST {
            return Err(complaint(one, refusal));
        }
        there.extend(one.iter().map(|element| element.key));
    }
    Ok(there)
}

/// Replaces the comments of existing elements.
fn update(link: &mut Netlink, elements: &[Element<SetEntry>]) -> Result<()> {
    let refused = send(link, SetChange::Update, elements, MAX_PORTS)?;
    refused.first().map_or(Ok(()), |(run, refusal)| Err(complaint(run, *refusal)))
}

/// Deletes the elements. A missing element or set is not an error.
fn delete(link: &mut Netlink, elements: &[Element<SetEntry>]) -> Result<()> {
    for (run, refusal) in send(link, SetChange::Delete, elements, MAX_PORTS)? {
        let is_gone = [ENOENT, EINVAL].contains(&refusal.code);
        let Some(first) = run.first().filter(|_| !is_gone) else { continue };
        // A set of another type was not created by us, so it contains no element of ours.
        if is_ours(link, IpSet::of(&first.key))? {
            return Err(complaint(run, refusal));
        }
    }
    Ok(())
}

/// Returns `error`, with a second one appended if what followed failed too.
fn and_then(error: Error, next: Result<()>) -> Error {
    match next {
        Ok(()) => error,
        Err(another) => failed(format!("{error}; {another}")),
    }
}

fn complaint(run: &[Element<SetEntry>], refusal: NetlinkError) -> Error {
    let why = match refusal.code {
        IPSET_ERR_HASH_FULL => "the set is full".to_owned(),
        code => format!("{} ({code})", refusal.errno().desc()),
    };
    let first = run.first().map(|element| element.key.show()).unwrap_or_default();
    failed(format!("ipset {first}: {why}"))
}
