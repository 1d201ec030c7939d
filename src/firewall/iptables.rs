//! What Docker did: visible rules, one pair per flow, made by `iptables-restore`.
//!
//! ```text
//! FORWARD              -j OCI-LINK                 first, once per boot
//! OCI-LINK             -j OCI-LINK-<tag>           one per recipient
//! OCI-LINK-<tag>       -s R -d S --dport N …       one pair per flow
//! ```
//!
//! Every change is one transaction of one program run. Making a chain fails when it exists, flushing
//! it fails when it does not, and then nothing of the transaction has happened: so the usual case
//! needs no look at what is there, and the unusual one notices by itself.

use super::base::{BASE, Base};
use super::memory::Memory;
use super::tool::Tool;
use super::{Firewall, Kept, Ruleset, failed, front, host_families};
use crate::error::{Context, Kind, Result};
use crate::model::{BackendName, BridgeName, Family, Flow, OwnerTag, PortSet};
use crate::sys::netlink::Netlink;
use crate::sys::process;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

/// Begins a transaction that must fail if the base chain is entered no more.
const STANDS: &str = "-C FORWARD -j OCI-LINK\n";

/// See the module.
#[derive(Debug)]
pub struct Iptables {
    base: Base,
}

impl Iptables {
    /// `memory` knows whether the base chain was made.
    pub fn new(memory: Memory) -> Self {
        Self { base: Base::plain(memory) }
    }

    /// Goes from what the record remembers to `flows`, in one family.
    fn change(&self, family: Family, rules: Ruleset<'_>, flows: &[Flow]) -> Result<()> {
        let of = |flow: &&Flow| Family::of(flow.from) == family;
        let wanted: Vec<Flow> = flows.iter().filter(of).copied().collect();
        if !wanted.is_empty() {
            self.ensure_family(Tool::find(family)?, rules, &wanted)
        } else if rules.before.iter().any(|flow| of(&flow)) {
            self.remove_family(family, rules.owner)
        } else {
            Ok(())
        }
    }

    /// Makes the rules of one family. First the way that fits what the record remembers, then, if
    /// the kernel disagrees, by what is really there.
    fn ensure_family(&self, tool: Tool, rules: Ruleset<'_>, flows: &[Flow]) -> Result<()> {
        let front = front::is_ours(&mut Netlink::netfilter()?, tool.family)?;
        if front == Some(false) || !self.base.is_remembered(tool.family)? {
            self.base.make(tool)?;
        }
        let known = rules.before.iter().any(|flow| Family::of(flow.from) == tool.family);
        let text = if known { rewrite(rules.owner, flows) } else { create(rules.owner, flows) };
        let text = if front.is_none() { format!("{STANDS}{text}") } else { text };
        let Err(complaint) = tool.restore(&text)? else { return Ok(()) };
        log::debug!("{} disagrees with the record: {complaint}", tool.restore_name());
        self.base.make(tool)?;
        Self::reconcile(tool, rules.owner, Some(flows))
    }

    /// One transaction from what is there to what should be; without `flows`, to nothing.
    fn reconcile(tool: Tool, owner: &OwnerTag, flows: Option<&[Flow]>) -> Result<()> {
        let chain = chain(owner);
        let there = tool.list()?;
        let exists = there.contains(&format!("-N {chain}"));
        let jumps = there.iter().filter(|line| **line == format!("-A {BASE} -j {chain}")).count();
        let mut text = format!("-D {BASE} -j {chain}\n").repeat(jumps);
        if exists {
            let _ = writeln!(text, "-F {chain}");
        }
        match flows {
            Some(flows) if exists => {
                let _ = writeln!(text, "{}-I {BASE} -j {chain}", pairs(owner, flows));
            }
            Some(flows) => text.push_str(&create(owner, flows)),
            None if exists => {
                let _ = writeln!(text, "-X {chain}");
            }
            None => {}
        }
        if text.is_empty() { Ok(()) } else { tool.restore(&text)?.map_err(failed) }
    }

    /// Where no base chain was made since the host booted, there is nothing of ours.
    fn remove_family(&self, family: Family, owner: &OwnerTag) -> Result<()> {
        if !self.base.is_remembered(family)? {
            return Ok(());
        }
        let tool = Tool::find(family)?;
        match tool.restore(&delete(owner))? {
            Ok(()) => Ok(()),
            Err(_) => Self::reconcile(tool, owner, None),
        }
    }
}

impl Firewall for Iptables {
    fn name(&self) -> BackendName {
        BackendName::Iptables
    }

    fn restore(&self) -> Result<()> {
        self.base.make_all()
    }

    fn isolate(&self, bridges: &[BridgeName]) -> Result<()> {
        self.base.isolate(bridges)
    }

    /// A transaction has one family. IPv6 first: where the second fails, the one to take back is
    /// the one that fewer hosts use.
    fn ensure(&self, rules: Ruleset<'_>, flows: &[Flow]) -> Result<()> {
        self.change(Family::V6, rules, flows)?;
        self.change(Family::V4, rules, flows).map_err(|error| {
            let back = Ruleset { before: flows, ..rules };
            match self.change(Family::V6, back, rules.before) {
                Ok(()) => error,
                Err(another) => failed(format!("{error}; {another}")),
            }
        })
    }

    fn remove(&self, rules: Ruleset<'_>) -> Result<()> {
        for family in families(rules.before) {
            self.remove_family(family, rules.owner)?;
        }
        Ok(())
    }

    /// Off the way of any container, so by the library for it.
    fn read(&self, rules: Ruleset<'_>) -> Result<Vec<String>> {
        process::scrub_environment();
        let chain = chain(rules.owner);
        let mut lines = Vec::new();
        for family in families(rules.before) {
            let tables =
                iptables::new(family == Family::V6).context(Kind::Firewall, || "iptables")?;
            let there = tables.chain_exists("filter", &chain);
            if there.context(Kind::Firewall, || "iptables")? {
                let rules = tables.list("filter", &chain).context(Kind::Firewall, || "iptables")?;
                lines.extend(rules.into_iter().filter(|line| line.starts_with("-A ")));
            }
        }
        Ok(lines)
    }

    fn expected(&self, owner: &OwnerTag, flows: &[Flow]) -> Vec<String> {
        families(flows)
            .flat_map(|family| flows.iter().filter(move |flow| Family::of(flow.from) == family))
            .flat_map(|flow| pair(owner, flow))
            .collect()
    }

    fn owners(&self) -> Result<BTreeMap<OwnerTag, Kept>> {
        let mut owners: BTreeMap<OwnerTag, Kept> = BTreeMap::new();
        for tool in installed() {
            let there = tool.list()?;
            for owner in there.iter().filter_map(|line| owner_of_chain(line)) {
                let chain = chain(&owner);
                let own = format!("-A {chain} ");
                let rules: Vec<&String> =
                    there.iter().filter(|line| line.starts_with(&own)).collect();
                let entered = there.contains(&format!("-A {BASE} -j {chain}"));
                let kept = owners.entry(owner).or_default();
                kept.flows.extend(rules.iter().filter_map(|rule| permitted(rule)));
                kept.lines.extend(rules.into_iter().filter(|_| entered).cloned());
            }
        }
        Ok(owners)
    }

    fn purge(&self, owner: &OwnerTag) -> Result<()> {
        installed().try_for_each(|tool| Self::reconcile(tool, owner, None))
    }

    fn stands(&self) -> Result<bool> {
        self.base.stands()
    }

    fn isolated(&self) -> Result<Vec<BridgeName>> {
        self.base.isolated()
    }
}

/// The programs of this host. Where there are none, there are none of our rules.
fn installed() -> impl Iterator<Item = Tool> {
    host_families().filter_map(|family| Tool::find(family).ok())
}

/// Whose chain this line of a listing makes.
fn owner_of_chain(line: &str) -> Option<OwnerTag> {
    OwnerTag::parse(line.strip_prefix("-N OCI-LINK-")?).ok()
}

/// What the first rule of a pair permits.
fn permitted(rule: &str) -> Option<Flow> {
    let mut words = rule.split(' ');
    let mut after = |option: &str| {
        words.by_ref().find(|word| *word == option)?;
        words.next()
    };
    let address = |text: &str| text.split('/').next()?.parse::<IpAddr>().ok();
    let (from, to) = (address(after("-s")?)?, address(after("-d")?)?);
    let protocol = after("-p")?;
    let ports = PortSet::parse(&format!("{}/{protocol}", after("--dport")?)).ok()?;
    ports.iter().next().map(|port| Flow { from, to, port })
}

/// The families that occur in `flows`.
fn families(flows: &[Flow]) -> impl Iterator<Item = Family> {
    let has = |family| flows.iter().any(|flow| Family::of(flow.from) == family);
    Family::BOTH.into_iter().filter(move |family| has(*family)).collect::<Vec<_>>().into_iter()
}

/// 25 of the 28 characters that a chain's name may have.
fn chain(owner: &OwnerTag) -> String {
    format!("{BASE}-{owner}")
}

/// The transaction for a recipient that has no chain yet. Its jump goes before whatever drops.
fn create(owner: &OwnerTag, flows: &[Flow]) -> String {
    let chain = chain(owner);
    format!("-N {chain}\n{}-I {BASE} -j {chain}\n", pairs(owner, flows))
}

/// The transaction for a recipient that has one. It moves the jump only to see that nobody has
/// flushed it.
fn rewrite(owner: &OwnerTag, flows: &[Flow]) -> String {
    let chain = chain(owner);
    let pairs = pairs(owner, flows);
    format!("-D {BASE} -j {chain}\n-F {chain}\n{pairs}-I {BASE} -j {chain}\n")
}

/// The transaction that ends a recipient's chain.
fn delete(owner: &OwnerTag) -> String {
    let chain = chain(owner);
    format!("-D {BASE} -j {chain}\n-F {chain}\n-X {chain}\n")
}

fn pairs(owner: &OwnerTag, flows: &[Flow]) -> String {
    flows
        .iter()
        .flat_map(|flow| pair(owner, flow))
        .fold(String::new(), |text, rule| text + &rule + "\n")
}

/// There: new connections to the port. Back: only what belongs to one of them, where Docker let
/// the source open connections of its own from that port.
fn pair(owner: &OwnerTag, flow: &Flow) -> [String; 2] {
    let (chain, bits) = (chain(owner), if flow.from.is_ipv4() { 32 } else { 128 });
    let Flow { from, to, port } = flow;
    let (proto, number) = (port.protocol, port.number);
    [
        format!(
            "-A {chain} -s {from}/{bits} -d {to}/{bits} -p {proto} -m {proto} --dport {number} \
             -j ACCEPT"
        ),
        format!(
            "-A {chain} -s {to}/{bits} -d {from}/{bits} -p {proto} -m {proto} --sport {number} \
             -m conntrack --ctstate ESTABLISHED -j ACCEPT"
        ),
    ]
}
