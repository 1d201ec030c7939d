//! The base chain of the iptables and ipset backends, and the rules in it that all owners share.
//!
//! ```text
//! FORWARD            -j OCI-LINK                  right behind the jump to DOCKER-USER, else first
//! OCI-LINK           -j OCI-LINK-USER             first
//! OCI-LINK-USER      the administrator's rules    created empty and never changed
//! OCI-LINK           the rules that accept        a jump to OCI-LINKS, or rules that match sets
//! OCI-LINKS          -j OCI-LINK-<tag>            one per recipient, of the iptables backend
//! OCI-LINK           -j OCI-LINK-ISOLATE          last, if bridges or containers are to be isolated
//! OCI-LINK-ISOLATE   see separation.rs
//! ```
//!
//! Accepting rules are inserted behind the jump to the administrator's chain, so that the drops stay behind
//! them.

use super::command::{Tool, program_of};
use super::discovery::Discovery;
use super::separation::{ISOLATE, gates_of, is_between_bridges, separation};
use crate::error::{Error, Result};
use crate::firewall::host_families;
use crate::firewall::setup_cache::SetupCache;
use crate::firewall::walls::Walls;
use crate::model::{BridgeName, Family};
use std::fmt::Write;

/// The base chain, to which FORWARD jumps before everything but [`DOCKER_USER`].
pub(crate) const BASE: &str = "OCI-LINK";
const JUMP_TO_BASE: &str = "-A FORWARD -j OCI-LINK";
/// The chain in which Docker lets the administrator decide before its own rules.
pub(crate) const DOCKER_USER: &str = "DOCKER-USER";
const JUMP_TO_DOCKER_USER: &str = "-A FORWARD -j DOCKER-USER";
/// The administrator's chain, which is asked before every rule of ours.
const USER: &str = "OCI-LINK-USER";
const JUMP_TO_USER: &str = "-A OCI-LINK -j OCI-LINK-USER";
/// Where rules that accept are inserted into the base chain.
const BEHIND_USER: usize = 2;
/// The chain with a jump for each recipient. In a chain of their own, jumps are appended: to insert one at a
/// number, iptables reads all rules of the chain first.
pub(crate) const LINKS: &str = "OCI-LINKS";
pub(crate) const JUMP_TO_LINKS: &str = "-A OCI-LINK -j OCI-LINKS";
/// Name of the cache entry with the bridges that the chain isolates.
const NOTE: &str = "isolation";
const JUMP_TO_ISOLATE: &str = "-A OCI-LINK -j OCI-LINK-ISOLATE";

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
    /// Rules of earlier versions, to be deleted.
    pub(crate) outdated: fn(Family) -> Vec<String>,
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
            outdated: |_| Vec::new(),
        };
        Self { memory, own }
    }

    /// A base chain with the rules of a backend.
    pub(crate) fn with_rules(memory: SetupCache, own: Static) -> Self {
        Self { memory, own }
    }

    /// Whether the chain was created in this boot, according to the cache.
    pub(crate) fn is_remembered(&self, family: Family) -> Result<bool> {
        let note = self.memory.recall(program_of(family))?;
        Ok(note.is_some_and(|kinds| kinds.lines().any(|kind| kind == self.own.kind)))
    }

    /// Creates what is missing, in one transaction. Rules that other programs added stay.
    pub(crate) fn make(&self, tool: Tool) -> Result<()> {
        self.make_isolating(tool, &self.walls()?)
    }

    /// Creates what is missing in both families.
    pub(crate) fn make_all(&self) -> Result<()> {
        host_families().try_for_each(|family| self.make(Tool::find(family)?))
    }

    /// Removes the base chain, the chains of all owners and the isolation. Returns whether there was
    /// anything.
    pub(crate) fn remove_all(&self) -> Result<bool> {
        let mut found = false;
        for family in host_families() {
            let Ok(tool) = Tool::find(family) else { continue };
            let text = removal(&tool.list()?);
            if !text.is_empty() {
                tool.restore(&text)??;
                found = true;
            }
            self.memory.note(tool.name(), "")?;
        }
        self.memory.note_walls(NOTE, &Walls::default())?;
        Ok(found)
    }

    /// Isolates exactly `bridges`: their containers reach each other by links only.
    ///
    /// Does nothing if the cache says that it was done.
    pub(crate) fn isolate(&self, bridges: &[BridgeName]) -> Result<()> {
        let now = self.walls()?;
        if now.bridges == bridges { Ok(()) } else { self.separate(&now.with_bridges(bridges)) }
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
            self.apply(tool, &tool.list()?, &Walls::default())?;
        }
        self.memory.note_walls(NOTE, &Walls::default())
    }

    fn separate(&self, walls: &Walls) -> Result<()> {
        // If one family fails, the other is isolated anyway. The next start tries both again.
        let mut all = Ok(());
        for family in host_families() {
            let made = Tool::find(family).and_then(|tool| self.make_isolating(tool, walls));
            all = all.and(made);
        }
        all?;
        self.memory.note_walls(NOTE, walls)
    }

    /// What is isolated according to the cache.
    pub(crate) fn walls(&self) -> Result<Walls> {
        self.memory.walls(NOTE)
    }

    /// Whether nothing is missing in these families.
    pub(crate) fn is_intact(&self, families: &[Family]) -> Result<bool> {
        let walls = self.walls()?;
        for family in host_families().filter(|family| families.contains(family)) {
            // Without the programs of a family, none of its rules can be created.
            let Ok(tool) = Tool::find(family) else { continue };
            let there = tool.list()?;
            let walls = walls.clone().with_gates(&gates_of(&there));
            let discovery = self.discovery(family, &there)?;
            if !self.changes(family, &there, &walls, discovery).is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The transaction that creates the missing shared rules. Empty if none is missing.
    fn changes(
        &self,
        family: Family,
        there: &[String],
        walls: &Walls,
        discovery: Discovery,
    ) -> String {
        let mut rules = discovery.rules(family);
        rules.extend((self.own.rules)(family));
        let mut outdated = discovery.outdated(family);
        outdated.extend((self.own.outdated)(family));
        missing(there, self.own.chains, &rules, &outdated, walls)
    }

    /// What the rules for neighbor discovery ask for on this host: what those in the listing `there` ask for, else
    /// what the kernel accepted before.
    fn discovery(&self, family: Family, there: &[String]) -> Result<Discovery> {
        if let Some(found) = Discovery::found(family, there) {
            return Ok(found);
        }
        Ok(Discovery::noted(&self.memory.recall(program_of(family))?.unwrap_or_default()))
    }

    /// Creates what is missing. Where the host lacks a match for neighbor discovery, the next one is tried.
    fn apply(&self, tool: Tool, there: &[String], walls: &Walls) -> Result<()> {
        let first = Discovery::found(tool.family, there).unwrap_or_default();
        let mut refusal = None;
        for discovery in Discovery::from(first, tool.family) {
            let text = self.changes(tool.family, there, walls, discovery);
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

    fn make_isolating(&self, tool: Tool, walls: &Walls) -> Result<()> {
        let there = tool.list()?;
        (self.own.prepare)(tool.family, &there)?;
        let walls = walls.clone().with_gates(&gates_of(&there));
        self.apply(tool, &there, &walls)?;
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

/// The transaction from the listing `there` to a base chain with `rules`, which jump to `chains`, and with the
/// isolation `walls`.
///
/// Rules in `outdated` are deleted. Empty if nothing is to be changed.
pub(crate) fn missing(
    there: &[String],
    chains: &[&str],
    rules: &[String],
    outdated: &[String],
    walls: &Walls,
) -> String {
    let has = |line: &str| there.iter().any(|other| other == line);
    let in_chain = |chain: &str| -> Vec<&str> {
        let start = format!("-A {chain} ");
        there.iter().filter(|line| line.starts_with(&start)).map(String::as_str).collect()
    };
    let mut text = String::new();
    let wanted = [BASE, USER];
    for chain in wanted.iter().chain(chains).filter(|chain| !has(&format!("-N {chain}"))) {
        let _ = writeln!(text, "-N {chain}");
    }
    let base = in_chain(BASE);
    let jumps = base.iter().filter(|line| **line == JUMP_TO_USER).count();
    if jumps != 1 || base.first() != Some(&JUMP_TO_USER) {
        text.push_str(&"-D OCI-LINK -j OCI-LINK-USER\n".repeat(jumps));
        text.push_str("-I OCI-LINK 1 -j OCI-LINK-USER\n");
    }
    for rule in rules.iter().rev().filter(|rule| !has(rule)) {
        let rule = rule.trim_start_matches("-A OCI-LINK ");
        let _ = writeln!(text, "-I {BASE} {BEHIND_USER} {rule}");
    }
    for rule in there.iter().filter(|rule| outdated.contains(rule)) {
        let _ = writeln!(text, "-D{}", rule.trim_start_matches("-A"));
    }

    let forward = in_chain("FORWARD");
    let (ours, others): (Vec<&str>, Vec<&str>) =
        forward.iter().partition(|line| **line == JUMP_TO_BASE);
    let behind = others.iter().position(|line| *line == JUMP_TO_DOCKER_USER);
    let at = behind.map_or(0, |user| user + 1);
    if ours.len() != 1 || forward.get(at) != Some(&JUMP_TO_BASE) {
        text.push_str(&"-D FORWARD -j OCI-LINK\n".repeat(ours.len()));
        let _ = writeln!(text, "-I FORWARD {} -j OCI-LINK", at + 1);
    }

    let (drops, wanted) = (in_chain(ISOLATE), separation(walls));
    let jumps = base.iter().filter(|line| **line == JUMP_TO_ISOLATE).count();
    let last = jumps == 1 && base.last() == Some(&JUMP_TO_ISOLATE);
    let exists = has("-N OCI-LINK-ISOLATE");
    if exists == wanted.is_empty() || drops != wanted || (exists && !last) {
        text.push_str(&"-D OCI-LINK -j OCI-LINK-ISOLATE\n".repeat(jumps));
        text.push_str(match (exists, wanted.is_empty()) {
            (true, true) => "-F OCI-LINK-ISOLATE\n-X OCI-LINK-ISOLATE\n",
            (true, false) => "-F OCI-LINK-ISOLATE\n",
            (false, true) => "",
            (false, false) => "-N OCI-LINK-ISOLATE\n",
        });
        for rule in &wanted {
            text.extend([rule, "\n"]);
        }
        if !wanted.is_empty() {
            text.extend([JUMP_TO_ISOLATE, "\n"]);
        }
    }
    text
}

/// The transaction that removes all our chains in the listing `there`.
///
/// The administrator's chain stays if it has rules. A chain name with white space is left out, because it would add words or lines to a command.
pub(crate) fn removal(there: &[String]) -> String {
    let chains = there.iter().filter_map(|line| line.strip_prefix("-N "));
    let ours = |name: &&str| [BASE, LINKS].contains(name) || name.starts_with("OCI-LINK-");
    let chains = chains.filter(ours);
    let chains = chains.filter(|name| !name.contains(char::is_whitespace));
    let start = format!("-A {USER} ");
    let is_used = there.iter().any(|line| line.starts_with(&start));
    let chains = chains.filter(|name| *name != USER || !is_used);
    let (mut emptied, mut removed) = (String::new(), String::new());
    for chain in chains {
        let _ = writeln!(emptied, "-F {chain}");
        let _ = writeln!(removed, "-X {chain}");
    }
    let jumps = there.iter().filter(|line| *line == JUMP_TO_BASE).count();
    "-D FORWARD -j OCI-LINK\n".repeat(jumps) + &emptied + &removed
}

/// Whether the rules in the listing `there` isolate the containers of `bridges`.
pub(crate) fn isolates(there: &[String], bridges: &[BridgeName]) -> bool {
    let in_chain = |chain: &str| -> Vec<&String> {
        let start = format!("-A {chain} ");
        there.iter().filter(|line| line.starts_with(&start)).collect()
    };
    let last = in_chain(BASE).last().is_some_and(|line| *line == JUMP_TO_ISOLATE);
    let walls = Walls { bridges: bridges.to_vec(), gates: Vec::new() };
    let drops = in_chain(ISOLATE).into_iter().filter(|rule| is_between_bridges(rule));
    last && drops.eq(&separation(&walls))
}

#[cfg(test)]
mod tests;
