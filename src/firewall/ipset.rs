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
//! flows between hosts have sets of their own: see crossing.rs
//! ```
//!
//! `-m physdev --physdev-is-bridged` is not used for two reasons. It matches any bridge instead of
//! a particular one. Its rules also load `br_netfilter`, after which iptables filters the packets
//! of unrelated bridges too.
//!
//! Elements are added and deleted by netlink, neighbouring ports in one message. The time for a change or for a
//! look-up does not grow with the number of links. Programs create the rules once per boot, and again if no rule
//! refers to a set any more.

mod changes;
mod crossing;
mod kernel;
mod lots;
pub(crate) mod messages;
pub(crate) mod rules;
pub(crate) mod sets;
mod shared;

use super::across::{self, has_crossing};
use super::elements::{Changes, by_owner, owned, shown};
use super::outside::Outside;
use super::setup_cache::SetupCache;
use super::walls::Walls;
use super::xtables::base::{Base, Between, Static};
use super::xtables::command::Tool;
use super::xtables::jump_order;
use super::{Firewall, InstalledRules, OwnerScope, RuleChange, failed};
use crate::error::Result;
use crate::model::{BackendName, BridgeName, Family, Flow, OwnerTag};
use crate::sys::net::netlink::Netlink;
use changes::{add, and_then, delete, update};
use kernel::{destroy_sets, is_in_use, list, list_all, make_sets};
use sets::{Bridges, IpSet, SetEntry};
use shared::Shared;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

pub(crate) use kernel::is_in_kernel;

/// The ipset backend.
#[derive(Debug)]
pub(crate) struct Ipset {
    base: Base,
    memory: SetupCache,
    /// The families whose rules [`Firewall::runs_programs`] found intact, for the next change.
    intact: RefCell<Vec<Family>>,
}

impl Ipset {
    /// Creates the backend. `memory` records for which families the rules were created.
    pub(crate) fn new(memory: SetupCache) -> Self {
        let own = Static {
            kind: "ipset on bridges and ports behind the user's, near neighbours",
            chains: &[],
            prepare: make_sets,
            rules: rules::rules,
            count: 6,
            outdated: rules::outdated,
            others: |_| Vec::new(),
            between: Some(Between { prepare: crossing::make_sets, rules: rules::rules_between }),
        };
        let base = Base::with_rules(memory.clone(), own);
        Self { base, memory, intact: RefCell::default() }
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

    /// Lists all sets of flows on this host and changes them so that `owner` has exactly `wanted`.
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

    /// Adds the elements of flows on this host without listing the sets first.
    fn ensure_here(
        &self,
        link: &mut Netlink,
        standing: &[Family],
        rules: OwnerScope<'_>,
        flows: &[Flow],
    ) -> Result<()> {
        for family in Family::BOTH {
            let wants = flows.iter().any(|flow| Family::of(flow.from) == family);
            if wants && !standing.contains(&family) {
                self.ensure_rules(link, family)?;
            }
        }
        let within = across::within;
        let (wanted, before) =
            (SetEntry::all(&within(flows)), SetEntry::all(&within(rules.before)));
        let own = |entry: &SetEntry| owned(*entry, rules.owner);
        if !Shared::recall(&self.memory)?.has_any(wanted.iter().chain(&before)) {
            let known: HashSet<&SetEntry> = before.iter().collect();
            let there = add(link, &wanted.iter().map(own).collect::<Vec<_>>());
            let there =
                there.map_err(|error| and_then(error, Self::undo(link, rules.owner, &before)))?;
            if there.iter().all(|entry| known.contains(entry)) {
                let wanted: HashSet<&SetEntry> = wanted.iter().collect();
                let stale = before.iter().filter(|entry| !wanted.contains(entry)).map(own);
                return delete(link, &stale.collect::<Vec<_>>());
            }
        }
        self.settle(link, rules.owner, &wanted)
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

    fn isolate(&self, bridges: &[BridgeName], outside: &Outside) -> Result<()> {
        self.base.isolate(bridges, outside)
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
    /// An element that already exists and is in the record is the owner's own. An element that exists without being
    /// in the record may have other owners, so all sets are listed and compared.
    fn ensure(&self, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<()> {
        let (mut link, intact) = (Netlink::netfilter()?, self.intact.take());
        self.settle_crossing(&mut link, rules, flows)?;
        let made = self.ensure_here(&mut link, &intact, rules, flows);
        made.map_err(|error| {
            let back = OwnerScope { before: flows, ..rules };
            and_then(error, self.settle_crossing(&mut link, back, rules.before))
        })
    }

    fn prepare_crossing(&self) -> Result<()> {
        self.cross(&mut Netlink::netfilter()?)
    }

    fn renew(&self, owner: &OwnerTag, flows: &[Flow], lifetime: Duration) -> Result<()> {
        self.renew_each(&[(owner, flows)], lifetime).into_iter().collect()
    }

    fn renew_each(&self, all: &[(&OwnerTag, &[Flow])], lifetime: Duration) -> Vec<Result<()>> {
        self.renew_lot(all, lifetime)
    }

    fn ensure_each(&self, changes: &[RuleChange<'_>]) -> Vec<Result<()>> {
        self.ensure_lot(changes)
    }

    fn remove(&self, rules: OwnerScope<'_>) -> Result<()> {
        let mut link = Netlink::netfilter()?;
        self.settle_crossing(&mut link, rules, &[])?;
        let before = SetEntry::all(&across::within(rules.before));
        if before.is_empty() && has_crossing(rules.before) {
            return Ok(());
        }
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
        if has_crossing(rules.before) && crossing::are_in_use(&mut link)? {
            let ends: HashSet<SetEntry> = SetEntry::all(rules.before).into_iter().collect();
            let own = crossing::list_all(&mut link)?.into_iter();
            let own = own.filter(|it| it.belongs_to(rules.owner) || ends.contains(&it.key));
            entries.extend(own.map(|element| element.key));
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
        there.extend(crossing::list_all(&mut link)?);
        let (mut seats, mut ends) = (Bridges::new(), Bridges::new());
        for (ip, bridge) in there.iter().filter_map(|element| element.key.as_seat()) {
            seats.entry(ip).or_default().push(bridge);
        }
        for (ip, bridge) in there.iter().filter_map(|element| element.key.as_end()) {
            ends.entry(ip).or_default().push(bridge);
        }
        let show =
            |entry: &SetEntry| asked.contains(&IpSet::of(entry).family).then(|| entry.show());
        let mut owners = by_owner(&there, show, |entry| entry.as_flows(&seats, &ends));
        let ends: HashSet<SetEntry> = there.iter().map(|element| element.key).collect();
        for installed in owners.values_mut() {
            // All flows with an address share its end, which names no owner.
            let own = SetEntry::all(&installed.flows).into_iter();
            let own = own.filter(|entry| entry.as_end().is_some() && ends.contains(entry));
            installed.lines.extend(own.filter_map(|entry| show(&entry)));
            installed.lines.sort();
            installed.flows = sets::with_ranges(&installed.flows);
        }
        Ok(owners)
    }

    fn remove_owner(&self, owner: &OwnerTag) -> Result<()> {
        let mut link = Netlink::netfilter()?;
        let there = &mut crossing::There::list(&mut link)?;
        crossing::settle(&mut link, there, owner, &[], None)?;
        self.settle(&mut link, owner, &[])
    }

    fn remove_all(&self) -> Result<bool> {
        // A chain that stays is empty, and refers to no set.
        let (rules, mut link) = (self.base.remove_all(), Netlink::netfilter()?);
        Ok(destroy_sets(&mut link)? | rules?)
    }

    fn is_intact(&self, families: &[Family]) -> Result<bool> {
        self.base.is_intact(families)
    }

    /// A flush by another process after this check goes unnoticed. `sync` then creates the rules again.
    fn runs_programs(&self, family: Family) -> Result<bool> {
        let is_intact = self.family_is_intact(&mut Netlink::netfilter()?, family)?;
        if is_intact {
            self.intact.borrow_mut().push(family);
        }
        Ok(!is_intact)
    }

    fn walls(&self) -> Result<Walls> {
        self.base.walls()
    }
}
