//! The base chain in the kernel: what is missing of it is created, and it is removed.

use super::command::{Tool, program_of};
use super::common_chain::{
    BASE, JUMP_TO_ISOLATE, JUMP_TO_LINKS, JUMP_TO_TIED, JUMP_TO_USER, LINKS, TIED, missing,
};
use super::discovery::Discovery;
use super::dismantling::dismantle;
use super::jump_order;
use super::separation::{ISOLATE, gates_of, separation};
use super::strays::{is_jump_to_owner, take_out};
use crate::error::{Error, Failures, Result};
use crate::firewall::outside::Outside;
use crate::firewall::setup_cache::SetupCache;
use crate::firewall::strays::Strays;
use crate::firewall::walls::Walls;
use crate::firewall::{failed, host_families};
use crate::model::{BridgeName, Family};
use crate::sys::net::netlink::Netlink;

/// Name of the cache entry with the bridges that the chain isolates.
const NOTE: &str = "isolation";

/// The rules of a backend in the base chain that all owners share, as `iptables -S` prints them.
#[derive(Debug)]
pub(crate) struct Static {
    /// Marks the cache entries of this backend and of this version of its rules.
    pub(crate) kind: &'static str,
    /// Chains that the rules jump to.
    pub(crate) chains: &'static [&'static str],
    /// Creates what the rules need. Its arguments are the family and the listing of the filter
    /// table.
    pub(crate) prepare: fn(Family, &[String]) -> Result<()>,
    /// The rules for a family.
    pub(crate) rules: fn(Family) -> Vec<String>,
    /// How many these are. A start compares this alone, and makes no rules.
    pub(crate) count: usize,
    /// Rules of earlier versions, to be deleted.
    pub(crate) outdated: fn(Family) -> Vec<String>,
    /// Rules that another backend may have there.
    pub(crate) others: fn(Family) -> Vec<String>,
    /// What flows between hosts need, of a backend that has them.
    pub(crate) between: Option<Between>,
}

/// What flows between hosts need of the base chain. It is made with the first such flow.
#[derive(Debug)]
pub(crate) struct Between {
    /// Creates what the rules need.
    pub(crate) prepare: fn(Family) -> Result<()>,
    /// The rules for a family.
    pub(crate) rules: fn(Family) -> Vec<String>,
}

/// Creates the base chain and stores in the cache that it did.
#[derive(Debug)]
pub(crate) struct Base {
    memory: SetupCache,
    own: Static,
}

impl Base {
    /// A base chain without accepting rules of its own.
    pub(crate) fn plain(memory: SetupCache) -> Self {
        let own = Static {
            kind: "iptables behind the user's, near neighbours",
            chains: &[],
            prepare: |_, _| Ok(()),
            rules: |_| Vec::new(),
            count: 0,
            outdated: |_| Vec::new(),
            others: |_| Vec::new(),
            between: None,
        };
        Self { memory, own }
    }

    /// A base chain with the rules of a backend.
    pub(crate) fn with_rules(memory: SetupCache, own: Static) -> Self {
        debug_assert!(Family::BOTH.iter().all(|family| (own.rules)(*family).len() == own.count));
        Self { memory, own }
    }

    /// Whether the chain was created in this boot, according to the cache.
    pub(crate) fn is_remembered(&self, family: Family) -> Result<bool> {
        let note = self.memory.recall(program_of(family))?;
        Ok(note.is_some_and(|kinds| kinds.lines().any(|kind| kind == self.own.kind)))
    }

    /// Whether chains of this boot may exist, according to the cache. An earlier version may have made them.
    pub(crate) fn may_exist(&self, family: Family) -> Result<bool> {
        let note = self.memory.recall(program_of(family))?;
        Ok(note.is_some_and(|kinds| !kinds.trim().is_empty()))
    }

    /// Creates what is missing, in one transaction. Rules that other programs added stay, except those that
    /// decide about every packet.
    pub(crate) fn make(&self, tool: Tool) -> Result<()> {
        self.make_isolating(tool, &self.walls()?, Strays::Total)
    }

    /// Creates what is missing in both families, and removes all rules that other programs added to our chains.
    /// Fails if the kernel does not ask the rules of a family.
    pub(crate) fn reclaim(&self) -> Result<()> {
        let (walls, mut link) = (self.walls()?, Netlink::netfilter()?);
        for family in host_families() {
            self.make_isolating(Tool::find(family)?, &walls, Strays::All)?;
            if jump_order::is_dormant(&mut link, family)? {
                let table = if family == Family::V4 { "ip filter" } else { "ip6 filter" };
                return Err(failed(format!(
                    "table {table} is dormant: no rule of it is asked; run: nft add table {table}"
                )));
            }
        }
        Ok(())
    }

    /// Restores the isolation of bridges if rules of it seem to be missing: compares numbers of rules, in one
    /// request. With iptables-legacy the rules are assumed to be in place.
    pub(crate) fn hold(&self) -> Result<()> {
        let walls = self.walls()?;
        if walls.bridges.is_empty() {
            return Ok(());
        }
        let mut uses = Vec::new();
        for family in host_families() {
            let crossing = if walls.crosses { self.rules_between(family).len() } else { 0 };
            let shared = self.noted(family)?.count(family) + self.own.count + crossing + 3;
            // A jump to a chain is a use of it too.
            let separated = separation(&walls.of_family(family)).len() + 1;
            uses.extend([(family, BASE, shared), (family, ISOLATE, separated)]);
        }
        let stands = jump_order::have_uses(&mut Netlink::netfilter()?, &uses)?;
        if stands == Some(true) || stands.is_none() && host_families().any(jump_order::is_legacy) {
            return Ok(());
        }
        host_families()
            .try_for_each(|family| self.make_isolating(Tool::find(family)?, &walls, Strays::Total))
    }

    /// Creates what is missing in both families.
    pub(crate) fn make_all(&self) -> Result<()> {
        host_families().try_for_each(|family| self.make(Tool::find(family)?))
    }

    /// Removes the base chain, the chains of all owners and the isolation. Returns whether there was
    /// anything. A chain that cannot be deleted is an error.
    pub(crate) fn remove_all(&self) -> Result<bool> {
        let (mut found, mut kept) = (false, Failures::default());
        for family in host_families() {
            let Ok(tool) = Tool::find(family) else { continue };
            let (was_there, held) = dismantle(tool)?;
            found |= was_there;
            kept.note(held.map_or(Ok(()), Err));
            self.memory.note(tool.name(), "")?;
        }
        self.memory.note_walls(NOTE, &Walls::default())?;
        kept.into_result().map(|()| found)
    }

    /// Isolates exactly `bridges`: their containers reach each other by links only.
    ///
    /// Does nothing if the cache says that it was done.
    pub(crate) fn isolate(&self, bridges: &[BridgeName], outside: &Outside) -> Result<()> {
        let now = self.walls()?;
        if now.isolate(bridges, outside) {
            return Ok(());
        }
        self.separate(&now.with_bridges(bridges, outside))
    }

    /// Judges the packets of isolated containers on `gates` too.
    pub(crate) fn guard(&self, gates: &[BridgeName]) -> Result<()> {
        let now = self.walls()?;
        if gates.iter().all(|gate| now.gates.contains(gate)) {
            return Ok(());
        }
        self.separate(&now.with_gates(gates))
    }

    /// Ends all isolation, also that of another state directory.
    pub(crate) fn release(&self) -> Result<()> {
        if self.walls()?.is_empty() {
            return Ok(());
        }
        for family in host_families() {
            let tool = Tool::find(family)?;
            let walls = self.walls()?.without_isolation();
            self.apply(tool, &tool.list()?, &walls, Strays::Total)?;
        }
        self.memory.note_walls(NOTE, &self.walls()?.without_isolation())
    }

    /// Creates what flows between hosts need, and all else that is missing.
    pub(crate) fn cross(&self) -> Result<()> {
        self.separate(&Walls { crosses: true, ..self.walls()? })
    }

    fn separate(&self, walls: &Walls) -> Result<()> {
        // If one family fails, the other is isolated anyway. The next start tries both again.
        let mut all = Ok(());
        for family in host_families() {
            let made =
                Tool::find(family).and_then(|tool| self.make_isolating(tool, walls, Strays::Total));
            all = all.and(made);
        }
        all?;
        self.memory.note_walls(NOTE, walls)
    }

    /// What is isolated according to the cache.
    pub(crate) fn walls(&self) -> Result<Walls> {
        self.memory.walls(NOTE)
    }

    /// Whether nothing is missing in these families, and no rule of another program is in our chains.
    pub(crate) fn is_intact(&self, families: &[Family]) -> Result<bool> {
        let walls = self.walls()?;
        for family in host_families().filter(|family| families.contains(family)) {
            // Without the programs of a family, none of its rules can be created.
            let Ok(tool) = Tool::find(family) else { continue };
            let there = tool.list()?;
            let walls = walls.clone().with_gates(&gates_of(&there));
            let dormant = jump_order::is_dormant(&mut Netlink::netfilter()?, family)?;
            let discovery = self.discovery(family, &there)?;
            if dormant || !self.changes(family, there, &walls, Strays::All, discovery).is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The rules that accept in the base chain.
    fn own_rules(&self, family: Family, discovery: Discovery, crosses: bool) -> Vec<String> {
        let mut rules = discovery.rules(family);
        rules.extend((self.own.rules)(family));
        if crosses {
            rules.extend(self.rules_between(family));
        }
        rules
    }

    fn rules_between(&self, family: Family) -> Vec<String> {
        self.own.between.as_ref().map_or_else(Vec::new, |between| (between.rules)(family))
    }

    /// The transaction from the listing `there` that creates the missing shared rules and removes `strays`. Empty
    /// if nothing is to be changed.
    fn changes(
        &self,
        family: Family,
        mut there: Vec<String>,
        walls: &Walls,
        strays: Strays,
        discovery: Discovery,
    ) -> String {
        let rules = self.own_rules(family, discovery, walls.crosses);
        let mut outdated = discovery.outdated(family);
        outdated.extend((self.own.outdated)(family));
        let jumps = [JUMP_TO_USER, JUMP_TO_TIED, JUMP_TO_LINKS, JUMP_TO_ISOLATE].map(str::to_owned);
        let others = [(self.own.others)(family), self.rules_between(family)].concat();
        let known = [&jumps, &rules[..], &outdated, &others].concat();
        let is_ours = |line: &str| known.iter().any(|own| own == line) || is_jump_to_owner(line);
        let text = take_out(&mut there, BASE, strays, is_ours)
            + &[TIED, LINKS].map(|it| take_out(&mut there, it, strays, is_jump_to_owner)).concat();
        text + &missing(&there, self.own.chains, &rules, &outdated, &walls.of_family(family))
    }

    /// What the rules for neighbor discovery ask for on this host: what those in the listing `there` ask for, else
    /// what the kernel accepted before.
    fn discovery(&self, family: Family, there: &[String]) -> Result<Discovery> {
        Discovery::found(family, there).map_or_else(|| self.noted(family), Ok)
    }

    /// What the kernel accepted before, according to the cache. IPv4 has no rules for it.
    fn noted(&self, family: Family) -> Result<Discovery> {
        if family == Family::V4 {
            return Ok(Discovery::default());
        }
        Ok(Discovery::noted(&self.memory.recall(program_of(family))?.unwrap_or_default()))
    }

    /// Creates what is missing. Where the host lacks a match for neighbor discovery, the next one is tried.
    fn apply(&self, tool: Tool, there: &[String], walls: &Walls, strays: Strays) -> Result<()> {
        let first = Discovery::found(tool.family, there).unwrap_or_default();
        let mut refusal = None;
        for discovery in Discovery::from(first, tool.family) {
            let text = self.changes(tool.family, there.to_vec(), walls, strays, discovery);
            if text.is_empty() {
                return Ok(());
            }
            let Err(error) = tool.restore(&text)? else {
                let noted = self.memory.recall(tool.name())?.unwrap_or_default();
                let text = discovery.note(&noted);
                return text.map_or(Ok(()), |text| self.memory.note(tool.name(), &text));
            };
            if !is_about_a_rule(&error) {
                return Err(error);
            }
            log::debug!("{}: neighbor discovery by {}: {error}", tool.name(), discovery.name());
            refusal.get_or_insert(error);
        }
        refusal.map_or(Ok(()), Err)
    }

    fn make_isolating(&self, tool: Tool, walls: &Walls, strays: Strays) -> Result<()> {
        let there = tool.list()?;
        (self.own.prepare)(tool.family, &there)?;
        if let Some(between) = self.own.between.as_ref().filter(|_| walls.crosses) {
            (between.prepare)(tool.family)?;
        }
        let walls = walls.clone().with_gates(&gates_of(&there));
        self.apply(tool, &there, &walls, strays)?;
        if self.is_remembered(tool.family)? {
            return Ok(());
        }
        let others = self.memory.recall(tool.name())?.unwrap_or_default();
        self.memory.note(tool.name(), &format!("{others}{}\n", self.own.kind))
    }
}

/// Whether the program or the kernel refused a rule, as it does without a match. iptables-legacy before 1.8.8 says
/// no more than the line.
fn is_about_a_rule(error: &Error) -> bool {
    error.cause.is_lack() || error.to_string().contains("line ")
}
