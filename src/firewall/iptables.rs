//! What Docker did: visible rules, one pair per flow, made by `iptables-restore`.
//!
//! ```text
//! FORWARD              -j OCI-LINK                 first, once per boot
//! OCI-LINK             -i br0 -o br0 -j OCI-LINK-<tag>     one per recipient
//! OCI-LINK-<tag>       -s R -d S --dport N …       one pair per flow
//! ```
//!
//! The jump names the bridge that both ends of the flows sit on: who borrows an address elsewhere
//! does not get as far as the rules, and other packets are through with a recipient after one
//! comparison. A recipient with flows on several bridges, or on none, has a chain for each
//! (`OCI-LINK-<tag>-1` and so on): a jump of one bridge must not lead to another's rules.
//!
//! Every change is one transaction of one program run. Making a chain fails when it exists, flushing
//! it fails when it does not, and then nothing of the transaction has happened: so the usual case
//! needs no look at what is there, and the unusual one notices by itself.

use super::setup_cache::SetupCache;
use super::xtables::chains::{Chains, is_chain_of};
use super::xtables::command::Tool;
use super::xtables::common_chain::{BASE, Base};
use super::xtables::jump_order;
use super::xtables::listing;
use super::{Firewall, InstalledRules, OwnerScope, failed, host_families};
use crate::error::{Context, Kind, Result};
use crate::model::{BackendName, BridgeName, Family, Flow, OwnerTag};
use crate::sys::net::netlink::Netlink;
use crate::sys::process;
use std::collections::BTreeMap;

/// Begins a transaction that must fail if the base chain is entered no more.
const STANDS: &str = "-C FORWARD -j OCI-LINK\n";

/// See the module.
#[derive(Debug)]
pub(crate) struct Iptables {
    base: Base,
}

impl Iptables {
    /// `memory` knows whether the base chain was made.
    pub(crate) fn new(memory: SetupCache) -> Self {
        Self { base: Base::plain(memory) }
    }

    /// Goes from what the record remembers to `flows`, in one family.
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

    /// Makes the rules of one family. First the way that fits what the record remembers, then, if
    /// the kernel disagrees, by what is really there.
    fn ensure_family(&self, tool: Tool, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<()> {
        let front = jump_order::is_ours(&mut Netlink::netfilter()?, tool.family)?;
        if front == Some(false) || !self.base.is_remembered(tool.family)? {
            self.base.make(tool)?;
        }
        let known = Chains::of(rules.owner, of_family(rules.before, tool.family));
        let text = Chains::of(rules.owner, flows.iter()).instead_of(&known);
        let text = if front.is_none() { format!("{STANDS}{text}") } else { text };
        let Err(complaint) = tool.restore(&text)? else { return Ok(()) };
        log::debug!("{}: the rules differ from the record: {complaint}", tool.restore_name());
        self.base.make(tool)?;
        Self::reconcile(tool, rules.owner, flows)
    }

    /// One transaction from what is there to what should be; without `flows`, to nothing.
    fn reconcile(tool: Tool, owner: &OwnerTag, flows: &[Flow]) -> Result<()> {
        let there = Chains::listed(owner, &tool.list()?);
        let text = Chains::of(owner, flows.iter()).instead_of(&there);
        if text.is_empty() { Ok(()) } else { tool.restore(&text)?.map_err(failed) }
    }

    /// Where no base chain was made since the host booted, there is nothing of ours.
    fn remove_family(&self, family: Family, rules: OwnerScope<'_>) -> Result<()> {
        if !self.base.is_remembered(family)? {
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

impl Firewall for Iptables {
    fn name(&self) -> BackendName {
        BackendName::Iptables
    }

    fn ensure_base(&self) -> Result<()> {
        self.base.make_all()
    }

    fn isolate(&self, bridges: &[BridgeName]) -> Result<()> {
        self.base.isolate(bridges)
    }

    /// A transaction has one family. IPv6 first: where the second fails, the one to take back is
    /// the one that fewer hosts use.
    fn ensure(&self, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<()> {
        self.change(Family::V6, rules, flows)?;
        self.change(Family::V4, rules, flows).map_err(|error| {
            let back = OwnerScope { before: flows, ..rules };
            match self.change(Family::V6, back, rules.before) {
                Ok(()) => error,
                Err(another) => failed(format!("{error}; {another}")),
            }
        })
    }

    fn remove(&self, rules: OwnerScope<'_>) -> Result<()> {
        for family in families(rules.before) {
            self.remove_family(family, rules)?;
        }
        Ok(())
    }

    /// Off the way of any container, so by the library for it.
    fn read(&self, rules: OwnerScope<'_>) -> Result<Vec<String>> {
        process::scrub_environment();
        let mut lines = Vec::new();
        for family in families(rules.before) {
            let tables =
                iptables::new(family == Family::V6).context(Kind::Firewall, || "iptables")?;
            let list = |chain: &str| -> Result<Vec<String>> {
                let rules = tables.list("filter", chain).context(Kind::Firewall, || "iptables")?;
                Ok(rules.into_iter().filter(|line| line.starts_with("-A ")).collect())
            };
            let chains = tables.list_chains("filter").context(Kind::Firewall, || "iptables")?;
            let mut own: Vec<_> =
                chains.iter().filter(|name| is_chain_of(rules.owner, name)).collect();
            own.sort();
            let entries = if own.is_empty() { Vec::new() } else { list(BASE)? };
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

    fn remove_owner(&self, owner: &OwnerTag) -> Result<()> {
        let mut tools = installed().filter(|tool| may_have_chains(tool.family));
        tools.try_for_each(|tool| Self::reconcile(tool, owner, &[]))
    }

    fn remove_all(&self) -> Result<()> {
        self.base.remove_all()
    }

    fn is_intact(&self) -> Result<bool> {
        self.base.is_intact()
    }

    fn runs_programs(&self, _: Family) -> Result<bool> {
        Ok(true)
    }

    fn isolated(&self) -> Result<Vec<BridgeName>> {
        self.base.isolated()
    }
}

/// The programs of this host. Where there are none, there are none of our rules.
fn installed() -> impl Iterator<Item = Tool> {
    host_families().filter_map(|family| Tool::find(family).ok())
}

/// Whether there can be chains of ours: to list the rules of a host that has no table of iptables
/// would make one. What cannot be found out may be.
fn may_have_chains(family: Family) -> bool {
    let nft =
        Netlink::netfilter().and_then(|mut link| jump_order::has_chain(&mut link, family, BASE));
    let legacy = match family {
        Family::V4 => "/proc/net/ip_tables_names",
        Family::V6 => "/proc/net/ip6_tables_names",
    };
    let legacy = std::fs::read_to_string(legacy);
    nft.unwrap_or(true) || legacy.is_ok_and(|tables| tables.lines().any(|name| name == "filter"))
}

/// The families that occur in `flows`.
fn families(flows: &[Flow]) -> impl Iterator<Item = Family> {
    let has = |family| flows.iter().any(|flow| Family::of(flow.from) == family);
    Family::BOTH.into_iter().filter(move |family| has(*family)).collect::<Vec<_>>().into_iter()
}

fn of_family(flows: &[Flow], family: Family) -> impl Iterator<Item = &Flow> {
    flows.iter().filter(move |flow| Family::of(flow.from) == family)
}
