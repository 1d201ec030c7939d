//! The nftables backend: a table of our own, for hosts without iptables.
//!
//! ```text
//! table inet oci-link {
//!     set bridged4 { type ifname . ipv4_addr . ipv4_addr . inet_proto . inet_service }
//!         "br0" . R . S . tcp . N
//!     set links4 { type ipv4_addr . ipv4_addr . inet_proto . inet_service }   R . S . tcp . N
//!     set bridged6, set links6 { … }
//!     chain user { the administrator's rules }
//!     chain forward { type filter hook forward priority filter - 10
//!         a jump to user, request and reply for each set, a jump to ranges, neighbor discovery,
//!         then the drops between bridges }
//!     chain ranges { request and reply for each range of ports }
//! }
//! ```
//!
//! R is the recipient, S the source. A flow is in `bridged…` if both are attached to one bridge.
//! Its packets are looked up twice: with the interface on which the packet arrived, and with the
//! one on which it leaves.
//!
//! Each change is one netlink transaction; no program is run. An accept verdict here ends the packet's way through
//! this table only. A packet that another table drops stays dropped, so the isolation must be done here too
//! (`isolate` in config.toml). Flows between hosts have sets of their own (crossing.rs).
//!
//! Deleting from `nf_tables` blocks the process for more than ten milliseconds. So the start of a container deletes
//! nothing, and at its end elements lapse instead (`lapse`).

mod crossing;
pub(crate) mod dormant;
pub(crate) mod expression;
mod found;
mod lapse;
pub(crate) mod messages;
mod outside;
pub(crate) mod owner;
mod ranges;
mod reading;
pub(crate) mod rules;
mod separation;
pub(crate) mod sets;
mod settle;
mod table;
mod tracked;

use super::across::has_crossing;
use super::elements::{Element, by_owner, shown};
use super::outside::Outside;
use super::setup_cache::SetupCache;
use super::strays::Strays;
use super::walls::Walls;
use super::{Firewall, InstalledRules, OwnerScope, Removal, RuleChange, failed};
use crate::error::{Error, Result};
use crate::model::{BackendName, BridgeName, Family, Flow, OwnerTag};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use crossing::singles;
use ranges::RangeRule;
use reading::list;
use sets::show;
use settle::{add, apply, settle};
use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
pub(crate) use table::is_in_kernel;

/// Name of the cache entry with the bridges that the table isolates.
const ISOLATION: &str = "nftables-isolation";

/// The nftables backend.
#[derive(Debug)]
pub(crate) struct Nftables {
    memory: SetupCache,
    /// Whether [`Firewall::hold`] found the table whole, for the next change.
    is_held: Cell<bool>,
}

impl Nftables {
    /// Creates the backend. `memory` records the isolated bridges.
    pub(crate) fn new(memory: SetupCache) -> Self {
        Self { memory, is_held: Cell::new(false) }
    }

    fn separate(&self, walls: &Walls) -> Result<()> {
        table::make(&mut Netlink::netfilter()?, walls, Strays::Total)?;
        self.memory.note_walls(ISOLATION, walls)
    }

    /// Makes what seems to be missing of the table.
    fn stand(&self, link: &mut Netlink) -> Result<()> {
        let walls = self.walls()?;
        if table::seems_whole(link, &walls)? {
            return Ok(());
        }
        table::make(link, &walls, Strays::Total)
    }

    /// Makes the sets and rules for flows between hosts, if they were not made before.
    fn cross(&self, link: &mut Netlink) -> Result<()> {
        let walls = self.walls()?;
        if walls.crosses {
            return Ok(());
        }
        let walls = Walls { crosses: true, ..walls };
        table::make(link, &walls, Strays::Total)?;
        self.memory.note_walls(ISOLATION, &walls)
    }

    /// Makes what those of `flows` that are between hosts need of the parts that all owners share.
    fn prepare<'f>(&self, flows: impl Iterator<Item = &'f Flow>) -> Result<()> {
        let between: Vec<Flow> = flows.filter(|flow| flow.crosses()).copied().collect();
        if between.is_empty() {
            return Ok(());
        }
        let mut link = Netlink::netfilter()?;
        self.cross(&mut link)?;
        crossing::close_bridges(&mut link, &between)
    }

    /// Changes the rules of one owner, after [`Self::prepare`].
    fn change_to(&self, change: RuleChange<'_>) -> Result<()> {
        let RuleChange { rules, flows, removal } = change;
        let mut link = Netlink::netfilter()?;
        let wanted: HashSet<&Flow> = flows.iter().collect();
        let grows = rules.before.iter().all(|flow| wanted.contains(flow));
        // Without the rules, the sets permit nothing and no bridge is isolated.
        if !self.is_held.take() {
            self.stand(&mut link)?;
        }
        if grows && add(&mut link, rules, flows)? {
            return Ok(());
        }
        apply(&mut link, rules, flows, removal)
    }
}

impl Firewall for Nftables {
    fn name(&self) -> BackendName {
        BackendName::Nftables
    }

    fn ensure_base(&self) -> Result<()> {
        let made = table::make(&mut Netlink::netfilter()?, &self.walls()?, Strays::Total);
        made.map_err(|error| match is_in_kernel() {
            Err(lack) if lack.cause.is_lack() => lack,
            _ => error,
        })
    }

    fn reclaim(&self) -> Result<()> {
        table::make(&mut Netlink::netfilter()?, &self.walls()?, Strays::All)
    }

    fn hold(&self) -> Result<()> {
        self.stand(&mut Netlink::netfilter()?)?;
        self.is_held.set(true);
        Ok(())
    }

    fn isolate(&self, bridges: &[BridgeName], outside: &Outside) -> Result<()> {
        let now = self.walls()?;
        if now.isolate(bridges, outside) {
            return Ok(());
        }
        self.separate(&now.with_bridges(bridges, outside))
    }

    fn guard(&self, gates: &[BridgeName]) -> Result<()> {
        let now = self.walls()?;
        if gates.iter().all(|gate| now.gates.contains(gate)) {
            return Ok(());
        }
        self.separate(&now.with_gates(gates))
    }

    fn release(&self) -> Result<()> {
        if self.walls()?.is_empty() {
            return Ok(());
        }
        table::release(&mut Netlink::netfilter()?)?;
        self.memory.note_walls(ISOLATION, &self.walls()?.without_isolation())
    }

    fn ensure(&self, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<()> {
        self.prepare(flows.iter())?;
        self.change_to(RuleChange { rules, flows, removal: Removal::AtOnce })
    }

    fn prepare_crossing(&self) -> Result<()> {
        self.cross(&mut Netlink::netfilter()?)
    }

    fn renew(&self, owner: &OwnerTag, flows: &[Flow], lifetime: Duration) -> Result<()> {
        self.renew_each(&[(owner, flows)], lifetime).into_iter().collect()
    }

    fn renew_each(&self, all: &[(&OwnerTag, &[Flow])], lifetime: Duration) -> Vec<Result<()>> {
        let begun = self.prepare(all.iter().flat_map(|(_, flows)| *flows));
        let stood = begun.and_then(|()| {
            let mut link = Netlink::netfilter()?;
            self.stand(&mut link).map(|()| link)
        });
        let mut link = match stood {
            Ok(link) => link,
            Err(error) => return all.iter().map(|_| Err(error.again())).collect(),
        };
        let mut renew = |(owner, flows): &(&OwnerTag, &[Flow])| {
            if has_crossing(flows) {
                return crossing::renew(&mut link, owner, flows, lifetime);
            }
            Ok(())
        };
        all.iter().map(&mut renew).collect()
    }

    fn ensure_each(&self, changes: &[RuleChange<'_>]) -> Vec<Result<()>> {
        let begun = self.prepare(changes.iter().flat_map(|change| change.flows));
        // Links on this host do not depend on what those to other hosts need.
        let change_to = |change: &RuleChange<'_>| match &begun {
            Err(error) if has_crossing(change.flows) => Err(error.again()),
            _ => self.change_to(*change),
        };
        changes.iter().map(change_to).collect()
    }

    fn remove(&self, rules: OwnerScope<'_>) -> Result<()> {
        apply(&mut Netlink::netfilter()?, rules, &[], Removal::Soon)
    }

    /// Empty if the rules that use the sets are missing, because the elements then permit nothing.
    fn read(&self, rules: OwnerScope<'_>) -> Result<Vec<String>> {
        let mut link = Netlink::netfilter()?;
        if !table::is_intact(&mut link)? {
            return Ok(Vec::new());
        }
        let there = list(&mut link)?.into_iter();
        let is_own = |it: &Element<Flow>| it.belongs_to(rules.owner) && !it.is_timed();
        let own = there.filter(is_own);
        let mut lines = shown(own.map(|element| element.key), show);
        let ranges =
            ranges::list(&mut link)?.into_iter().filter(|range| range.owner == *rules.owner);
        lines.extend(ranges.filter_map(|range| Some(range.rule?.show())));
        lines.sort();
        Ok(lines)
    }

    fn expected(&self, _: &OwnerTag, flows: &[Flow]) -> Vec<String> {
        let mut lines = shown(singles(flows), show);
        lines.extend(ranges::rules(flows).map(RangeRule::show));
        lines.sort();
        lines
    }

    fn owners(&self) -> Result<BTreeMap<OwnerTag, InstalledRules>> {
        let mut link = Netlink::netfilter()?;
        let asked = table::is_intact(&mut link)?;
        let there = list(&mut link)?;
        let mut owners = by_owner(&there, |flow| asked.then(|| show(flow)), |flow| [*flow]);
        for range in ranges::list(&mut link)? {
            let installed = owners.entry(range.owner).or_default();
            installed.flows.extend(range.rule.and_then(RangeRule::as_flow));
            installed.lines.extend(range.rule.filter(|_| asked).map(RangeRule::show));
        }
        for installed in owners.values_mut() {
            installed.lines.sort();
        }
        Ok(owners)
    }

    fn remove_owner(&self, owner: &OwnerTag) -> Result<()> {
        let mut link = Netlink::netfilter()?;
        let there = list(&mut link)?;
        let rules = OwnerScope::new(owner, &[]);
        settle(&mut link, &there, rules, &[], true, Removal::AtOnce)
    }

    fn remove_all(&self) -> Result<bool> {
        let found = table::delete(&mut Netlink::netfilter()?)?;
        self.memory.note_walls(ISOLATION, &Walls::default())?;
        Ok(found)
    }

    /// All families share one table.
    fn is_intact(&self, _: &[Family]) -> Result<bool> {
        table::is_whole(&mut Netlink::netfilter()?, &self.walls()?, Strays::All)
    }

    fn runs_programs(&self, _: Family) -> Result<bool> {
        Ok(false)
    }

    fn walls(&self) -> Result<Walls> {
        self.memory.walls(ISOLATION)
    }
}

/// Whether the error means that an object or the kernel's `nf_tables` is missing.
pub(crate) fn is_absent(refusal: NetlinkError) -> bool {
    table::is_absent(refusal)
}

/// Whether the rules of the table isolate the containers of `bridges`.
pub(crate) fn isolates(bridges: &[BridgeName]) -> Result<bool> {
    table::separates(&mut Netlink::netfilter()?, bridges)
}

fn complaint(refusal: NetlinkError) -> Error {
    failed(format!("nftables: {} ({})", refusal.errno().desc(), refusal.code))
}
