//! The iptables backend: visible rules as Docker made them, one pair per flow.
//!
//! ```text
//! FORWARD              -j OCI-LINK                 first, once per boot
//! OCI-LINK             by bridge ports: -j OCI-LINKS-TIED; -j OCI-LINKS     once per boot
//! OCI-LINKS-TIED       -i br0 -o br0 -j OCI-LINK-<tag>     one per recipient, or in OCI-LINKS
//! OCI-LINK-<tag>       -s R -d S --dport N …       one pair per flow
//! ```
//!
//! The jump names the bridge that both ends of the flows are attached to. A packet with a borrowed
//! address that arrives on another interface does not reach the rules. Unrelated packets pass a
//! recipient after one comparison. A recipient with flows on several bridges, or on none, has one chain for
//! each (`OCI-LINK-<tag>-1` and so on), because the jump of one bridge must not lead to rules of another.
//!
//! Every change is one transaction in one run of `iptables-restore`. Creating a chain fails if it exists, flushing it
//! fails if it does not, and a failed transaction changes nothing. So the usual case needs no listing.

use super::across::stays_here;
use super::outside::Outside;
use super::setup_cache::SetupCache;
use super::walls::Walls;
use super::xtables::base::{Base, Static};
use super::xtables::chains::{Chains, is_chain_of};
use super::xtables::command::Tool;
use super::xtables::common_chain::{BASE, JUMP_TO_LINKS, JUMP_TO_TIED, LINKS, TIED, stands};
use super::xtables::dismantling::is_held;
use super::xtables::{jump_order, listing};
use super::{Firewall, InstalledRules, OwnerScope, RuleChange, failed, host_families, ipset};
use crate::error::{Error, Result};
use crate::model::{BackendName, BridgeName, Family, Flow, OwnerTag};
use crate::sys::net::netlink::Netlink;
use crate::sys::process;
use std::collections::BTreeMap;

/// The iptables backend.
#[derive(Debug)]
pub(crate) struct Iptables {
    base: Base,
}

impl Iptables {
    /// Creates the backend. `memory` records for which families the base chain was created.
    pub(crate) fn new(memory: SetupCache) -> Self {
        let own = Static {
            kind: "iptables with two chains of recipients, near neighbours",
            chains: &[LINKS, TIED],
            prepare: |_, _| Ok(()),
            rules: |_| [JUMP_TO_TIED, JUMP_TO_LINKS].map(str::to_owned).to_vec(),
            count: 2,
            outdated: |_| Vec::new(),
            others: ipset::rules::every,
            between: None,
        };
        Self { base: Base::with_rules(memory, own) }
    }

    /// Changes the rules of one family from those in the record (`rules.before`) to `flows`.
    fn change(&self, family: Family, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<()> {
        let wanted: Vec<Flow> = of_family(flows, family).copied().collect();
        if !wanted.is_empty() {
            self.ensure_family(Tool::find(family)?, rules, &wanted)
        } else if of_family(rules.before, family).next().is_some() {
            self.remove_family(family, rules)
        } else {
            Ok(())
        }
    }

    /// Creates the rules of one family.
    ///
    /// The first attempt assumes the rules that the record names. If the kernel refuses it, the
    /// second attempt lists the existing rules.
    fn ensure_family(&self, tool: Tool, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<()> {
        let front = is_reached(tool.family)?;
        if front == Some(false) || !self.base.is_remembered(tool.family)? {
            self.base.make(tool)?;
        }
        let known = Chains::of(rules.owner, of_family(rules.before, tool.family));
        let text = Chains::of(rules.owner, flows.iter()).instead_of(&known);
        let text = if front.is_none() { stands() + &text } else { text };
        let Err(complaint) = tool.restore(&text)? else { return Ok(()) };
        log::debug!("{}: the rules differ from the record: {complaint}", tool.restore_name());
        self.base.make(tool)?;
        Self::reconcile(tool, rules.owner, flows)
    }

    /// Changes the rules of several owners in one transaction for each family.
    ///
    /// Returns `false` if the kernel refuses one, because rules differ from the records. Then each owner must
    /// be changed alone.
    fn change_together(&self, changes: &[RuleChange<'_>]) -> Result<bool> {
        for family in [Family::V6, Family::V4] {
            let of = |flows: &[Flow], owner| Chains::of(owner, of_family(flows, family));
            let texts = changes.iter().map(|RuleChange { rules, flows, .. }| {
                of(flows, rules.owner).instead_of(&of(rules.before, rules.owner))
            });
            let text: String = texts.collect();
            let wants = changes.iter().any(|it| of_family(it.flows, family).next().is_some());
            let is_made = self.base.is_remembered(family)?;
            if text.is_empty() || !wants && !self.base.may_exist(family)? {
                continue;
            }
            let tool = Tool::find(family)?;
            let front = if wants { is_reached(family)? } else { Some(true) };
            if front == Some(false) || !is_made {
                self.base.make(tool)?;
            }
            let text = if front.is_none() { stands() + &text } else { text };
            if let Err(complaint) = tool.restore(&text)? {
                let name = tool.restore_name();
                log::debug!("{name}: the rules differ from the records: {complaint}");
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lists the owner's chains and replaces them by those for `flows`, in one transaction.
    ///
    /// If a rule of another program leads to a chain, the kernel refuses to delete it, and the transaction with it.
    /// So the chains are emptied first then, and those that can be are deleted.
    fn reconcile(tool: Tool, owner: &OwnerTag, flows: &[Flow]) -> Result<()> {
        let there = Chains::listed(owner, &tool.list()?);
        let text = Chains::of(owner, flows.iter()).instead_of(&there);
        if text.is_empty() {
            return Ok(());
        }
        let Err(complaint) = tool.restore(&text)? else { return Ok(()) };
        let (deleted, rest): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with("-X "));
        if deleted.is_empty() {
            return Err(complaint);
        }
        tool.restore(&(rest.join("\n") + "\n"))??;
        for line in deleted {
            if let Err(complaint) = tool.restore(&format!("{line}\n"))? {
                log::warn!("a chain is empty and stays: another rule leads to it: {complaint}");
            }
        }
        Ok(())
    }

    /// Removes the owner's rules of one family. Runs no program if no base chain was created in this boot,
    /// because then no rule exists.
    fn remove_family(&self, family: Family, rules: OwnerScope<'_>) -> Result<()> {
        if !self.base.may_exist(family)? {
            return Ok(());
        }
        let tool = Tool::find(family)?;
        let known = Chains::of(rules.owner, of_family(rules.before, family));
        match tool.restore(&Chains::default().instead_of(&known))? {
            Ok(()) => Ok(()),
            Err(_) => Self::reconcile(tool, rules.owner, &[]),
        }
    }
}

/// Whether packets reach the jumps to the recipients' chains; `None` if `nf_tables` does not have them.
fn is_reached(family: Family) -> Result<Option<bool>> {
    let mut link = Netlink::netfilter()?;
    match jump_order::is_ours(&mut link, family)? {
        Some(true) => jump_order::jumps(&mut link, family, BASE, &[LINKS, TIED]).map(Some),
        other => Ok(other),
    }
}

impl Firewall for Iptables {
    fn name(&self) -> BackendName {
        BackendName::Iptables
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

    /// Changes IPv6 first, then IPv4, because one transaction covers one family only.
    ///
    /// If IPv4 fails, IPv6 is rolled back. This order rolls back the family that fewer hosts use.
    fn ensure(&self, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<()> {
        stays_here(flows)?;
        self.change(Family::V6, rules, flows)?;
        self.change(Family::V4, rules, flows).map_err(|error| {
            let back = OwnerScope { before: flows, ..rules };
            match self.change(Family::V6, back, rules.before) {
                Ok(()) => error,
                Err(another) => failed(format!("{error}; {another}")),
            }
        })
    }

    /// Runs one program for each family, whatever the number of owners, if the rules are as recorded.
    fn ensure_each(&self, changes: &[RuleChange<'_>]) -> Vec<Result<()>> {
        let one_by_one =
            || changes.iter().map(|change| self.ensure(change.rules, change.flows)).collect();
        if changes.len() < 2 || changes.iter().any(|it| stays_here(it.flows).is_err()) {
            return one_by_one();
        }
        match self.change_together(changes) {
            Ok(true) => changes.iter().map(|_| Ok(())).collect(),
            Ok(false) => one_by_one(),
            // A program that hangs for one owner hangs for all.
            Err(error) => changes.iter().map(|_| Err(error.again())).collect(),
        }
    }

    fn remove(&self, rules: OwnerScope<'_>) -> Result<()> {
        for family in families(rules.before) {
            self.remove_family(family, rules)?;
        }
        Ok(())
    }

    /// Uses the `iptables` crate, because this is not on the path of a container start.
    fn read(&self, rules: OwnerScope<'_>) -> Result<Vec<String>> {
        process::scrub_environment();
        let mut lines = Vec::new();
        for family in families(rules.before) {
            let tables = iptables::new(family == Family::V6).map_err(unreadable)?;
            let list = |chain: &str| -> Result<Vec<String>> {
                let rules = tables.list("filter", chain).map_err(unreadable)?;
                Ok(rules.into_iter().filter(|line| line.starts_with("-A ")).collect())
            };
            let chains = tables.list_chains("filter").map_err(unreadable)?;
            let mut own: Vec<_> =
                chains.iter().filter(|name| is_chain_of(rules.owner, name)).collect();
            own.sort();
            let mut entries = Vec::new();
            for chain in [BASE, LINKS, TIED].iter().filter(|_| !own.is_empty()) {
                if chains.iter().any(|name| name == chain) {
                    entries.extend(list(chain)?);
                }
            }
            for chain in own {
                let into = format!(" -j {chain}");
                lines.extend(entries.iter().filter(|rule| rule.ends_with(&into)).cloned());
                lines.extend(list(chain)?);
            }
        }
        Ok(lines)
    }

    fn expected(&self, owner: &OwnerTag, flows: &[Flow]) -> Vec<String> {
        families(flows)
            .flat_map(|family| Chains::of(owner, of_family(flows, family)).into_rules())
            .collect()
    }

    fn owners(&self) -> Result<BTreeMap<OwnerTag, InstalledRules>> {
        let mut owners = BTreeMap::new();
        for tool in installed() {
            if may_have_chains(tool.family) {
                listing::add_owners(&tool.list()?, &mut owners);
            }
        }
        Ok(owners)
    }

    /// Replaces chains and jumps as they are listed: a jump may be there twice, or another one.
    fn rewrite(&self, owner: &OwnerTag, flows: &[Flow]) -> Result<()> {
        for tool in installed().filter(|tool| may_have_chains(tool.family)) {
            let wanted: Vec<Flow> = of_family(flows, tool.family).copied().collect();
            if !wanted.is_empty() {
                self.base.make(tool)?;
            }
            Self::reconcile(tool, owner, &wanted)?;
        }
        Ok(())
    }

    fn held_chains(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for tool in installed().filter(|tool| may_have_chains(tool.family)) {
            let there = tool.list()?;
            let held = listing::held(&there).into_iter();
            all.extend(held.map(|(chain, rule)| is_held(tool, chain, rule).to_string()));
        }
        Ok(all)
    }

    fn remove_owner(&self, owner: &OwnerTag) -> Result<()> {
        let mut tools = installed().filter(|tool| may_have_chains(tool.family));
        tools.try_for_each(|tool| Self::reconcile(tool, owner, &[]))
    }

    fn remove_all(&self) -> Result<bool> {
        self.base.remove_all()
    }

    fn is_intact(&self, families: &[Family]) -> Result<bool> {
        self.base.is_intact(families)
    }

    fn runs_programs(&self, _: Family) -> Result<bool> {
        Ok(true)
    }

    fn walls(&self) -> Result<Walls> {
        self.base.walls()
    }
}

#[allow(clippy::needless_pass_by_value)] // The shape that map_err wants.
fn unreadable(error: Box<dyn std::error::Error>) -> Error {
    failed(format!("iptables: {error}"))
}

/// The installed iptables programs. Without them there can be no rules of ours.
fn installed() -> impl Iterator<Item = Tool> {
    host_families().filter_map(|family| Tool::find(family).ok())
}

/// Whether chains of ours may exist; `true` if the kernel cannot be asked.
///
/// Checked before a listing, because `iptables -S` creates the filter table on a host without one.
fn may_have_chains(family: Family) -> bool {
    let nft =
        Netlink::netfilter().and_then(|mut link| jump_order::has_chain(&mut link, family, BASE));
    nft.unwrap_or(true) || jump_order::is_legacy(family)
}

/// The families that occur in `flows`.
fn families(flows: &[Flow]) -> impl Iterator<Item = Family> {
    let has = |family| flows.iter().any(|flow| Family::of(flow.from) == family);
    Family::BOTH.into_iter().filter(move |family| has(*family)).collect::<Vec<_>>().into_iter()
}

fn of_family(flows: &[Flow], family: Family) -> impl Iterator<Item = &Flow> {
    flows.iter().filter(move |flow| Family::of(flow.from) == family)
}
