//! What the iptables and ipset backends share: the chain that FORWARD enters first, and what in it
//! is nobody's in particular.
//!
//! ```text
//! FORWARD            -j OCI-LINK                  first
//! OCI-LINK           what permits links           one jump per recipient, or two set matches
//! OCI-LINK           -j OCI-LINK-ISOLATE          last, if bridges are to be isolated
//! OCI-LINK-ISOLATE   -i br -o br -j DROP          one per pair of bridges
//! ```
//!
//! Everything that permits is inserted at the head of the chain, so that the drops stay behind it.

use super::command::{Tool, program_of};
use crate::error::Result;
use crate::firewall::setup_cache::SetupCache;
use crate::firewall::{failed, host_families};
use crate::model::{BridgeName, Family};
use std::fmt::Write;

/// The chain that FORWARD enters first.
pub(crate) const BASE: &str = "OCI-LINK";
const JUMP_TO_BASE: &str = "-A FORWARD -j OCI-LINK";
const ISOLATE: &str = "OCI-LINK-ISOLATE";
/// Remembers the bridges whose containers the chain isolates.
const NOTE: &str = "isolation";
const JUMP_TO_ISOLATE: &str = "-A OCI-LINK -j OCI-LINK-ISOLATE";

/// A bridge filters what IPv6 has in place of ARP, while ARP itself passes: without it no
/// container finds another's link address, whatever its link permits. It opens nothing.
const NEIGHBOUR_DISCOVERY: [&str; 2] = [
    "-A OCI-LINK -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT",
    "-A OCI-LINK -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT",
];

/// What a backend has in the chain that is nobody's in particular. Rules are as `iptables -S`
/// prints them.
#[derive(Debug)]
pub(crate) struct Static {
    /// Tells its notes from others', and from those of versions that had other rules.
    pub(crate) kind: &'static str,
    /// Makes what the rules need, knowing what is there.
    pub(crate) prepare: fn(Family, &[String]) -> Result<()>,
    /// Its rules.
    pub(crate) rules: fn(Family) -> Vec<String>,
    /// Rules of earlier versions, which are to go.
    pub(crate) outdated: fn(Family) -> Vec<String>,
}

/// Makes the chain, and remembers that it did.
#[derive(Debug)]
pub(crate) struct Base {
    memory: SetupCache,
    own: Static,
}

impl Base {
    /// A chain with nothing in it that permits.
    pub(crate) fn plain(memory: SetupCache) -> Self {
        let own = Static {
            kind: "iptables",
            prepare: |_, _| Ok(()),
            rules: |_| Vec::new(),
            outdated: |_| Vec::new(),
        };
        Self { memory, own }
    }

    /// A chain with rules of a backend's own.
    pub(crate) fn with_rules(memory: SetupCache, own: Static) -> Self {
        Self { memory, own }
    }

    /// Whether the chain was made since the host booted.
    pub(crate) fn is_remembered(&self, family: Family) -> Result<bool> {
        let note = self.memory.recall(program_of(family))?;
        Ok(note.is_some_and(|kinds| kinds.lines().any(|kind| kind == self.own.kind)))
    }

    /// Makes what is missing, in one transaction. Rules that somebody else put into the chain stay.
    pub(crate) fn make(&self, tool: Tool) -> Result<()> {
        self.make_isolating(tool, &self.memory.isolated(NOTE)?)
    }

    /// The same for both families.
    pub(crate) fn make_all(&self) -> Result<()> {
        host_families().try_for_each(|family| self.make(Tool::find(family)?))
    }

    /// Takes the chain away, and whatever is entered from it: owners' chains too.
    pub(crate) fn remove_all(&self) -> Result<()> {
        for family in host_families() {
            let Ok(tool) = Tool::find(family) else { continue };
            let text = removal(&tool.list()?);
            if !text.is_empty() {
                tool.restore(&text)?.map_err(failed)?;
            }
            self.memory.note(tool.name(), "")?;
        }
        self.memory.note_isolated(NOTE, &[])
    }

    /// Isolates the containers of `bridges` from each other, and those of no other bridge. Does
    /// nothing if that was done already.
    pub(crate) fn isolate(&self, bridges: &[BridgeName]) -> Result<()> {
        if self.memory.isolated(NOTE)? == bridges {
            return Ok(());
        }
        // Where a family fails, the other is isolated all the same; the next start tries again.
        let mut all = Ok(());
        for family in host_families() {
            let made = Tool::find(family).and_then(|tool| self.make_isolating(tool, bridges));
            all = all.and(made);
        }
        all?;
        self.memory.note_isolated(NOTE, bridges)
    }

    /// The bridges whose containers were last isolated.
    pub(crate) fn isolated(&self) -> Result<Vec<BridgeName>> {
        self.memory.isolated(NOTE)
    }

    /// Whether nothing is missing, in both families.
    pub(crate) fn is_intact(&self) -> Result<bool> {
        let bridges = self.isolated()?;
        for family in host_families() {
            // Where a family's programs are not installed, none of its rules can be made.
            let Ok(tool) = Tool::find(family) else { continue };
            if !self.changes(family, &tool.list()?, &bridges).is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The transaction to all that is to stand in the chain for nobody in particular.
    fn changes(&self, family: Family, there: &[String], bridges: &[BridgeName]) -> String {
        let discovery = match family {
            Family::V4 => &[][..],
            Family::V6 => &NEIGHBOUR_DISCOVERY[..],
        };
        let mut rules: Vec<String> = discovery.iter().map(ToString::to_string).collect();
        rules.extend((self.own.rules)(family));
        missing(there, &rules, &(self.own.outdated)(family), bridges)
    }

    fn make_isolating(&self, tool: Tool, bridges: &[BridgeName]) -> Result<()> {
        let there = tool.list()?;
        (self.own.prepare)(tool.family, &there)?;
        let text = self.changes(tool.family, &there, bridges);
        if !text.is_empty() {
            tool.restore(&text)?.map_err(failed)?;
        }
        if self.is_remembered(tool.family)? {
            return Ok(());
        }
        let others = self.memory.recall(tool.name())?.unwrap_or_default();
        self.memory.note(tool.name(), &format!("{others}{}\n", self.own.kind))
    }
}

/// The transaction from what is `there` to a chain with `rules` and none of those that are
/// `outdated`, isolating `bridges`.
pub(crate) fn missing(
    there: &[String],
    rules: &[String],
    outdated: &[String],
    bridges: &[BridgeName],
) -> String {
    let has = |line: &str| there.iter().any(|other| other == line);
    let in_chain = |chain: &str| -> Vec<&str> {
        let start = format!("-A {chain} ");
        there.iter().filter(|line| line.starts_with(&start)).map(String::as_str).collect()
    };
    let mut text = String::new();
    if !has("-N OCI-LINK") {
        text.push_str("-N OCI-LINK\n");
    }
    for rule in rules.iter().rev().filter(|rule| !has(rule)) {
        let _ = writeln!(text, "-I{}", rule.trim_start_matches("-A"));
    }
    for rule in there.iter().filter(|rule| outdated.contains(rule)) {
        let _ = writeln!(text, "-D{}", rule.trim_start_matches("-A"));
    }

    let forward = in_chain("FORWARD");
    let jumps = forward.iter().filter(|line| **line == JUMP_TO_BASE).count();
    if jumps != 1 || forward.first() != Some(&JUMP_TO_BASE) {
        text.push_str(&"-D FORWARD -j OCI-LINK\n".repeat(jumps));
        text.push_str("-I FORWARD 1 -j OCI-LINK\n");
    }

    let base = in_chain(BASE);
    let (drops, wanted) = (in_chain(ISOLATE), drops(bridges));
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

/// The transaction from what is `there` to nothing of ours. A name that is more than a word would say
/// more than a name.
pub(crate) fn removal(there: &[String]) -> String {
    let chains = there.iter().filter_map(|line| line.strip_prefix("-N "));
    let chains = chains.filter(|name| *name == BASE || name.starts_with("OCI-LINK-"));
    let chains = chains.filter(|name| !name.contains(char::is_whitespace));
    let (mut emptied, mut removed) = (String::new(), String::new());
    for chain in chains {
        let _ = writeln!(emptied, "-F {chain}");
        let _ = writeln!(removed, "-X {chain}");
    }
    let jumps = there.iter().filter(|line| *line == JUMP_TO_BASE).count();
    "-D FORWARD -j OCI-LINK\n".repeat(jumps) + &emptied + &removed
}

/// Whether what is `there` keeps containers of `bridges` apart: by what the kernel has, whatever is
/// remembered.
pub(crate) fn isolates(there: &[String], bridges: &[BridgeName]) -> bool {
    let in_chain = |chain: &str| -> Vec<&String> {
        let start = format!("-A {chain} ");
        there.iter().filter(|line| line.starts_with(&start)).collect()
    };
    let last = in_chain(BASE).last().is_some_and(|line| *line == JUMP_TO_ISOLATE);
    last && in_chain(ISOLATE).into_iter().eq(&drops(bridges))
}

/// Every way from a container of `bridges` to another.
fn drops(bridges: &[BridgeName]) -> Vec<String> {
    let pairs = bridges.iter().flat_map(|from| bridges.iter().map(move |to| (from, to)));
    pairs.map(|(from, to)| format!("-A {ISOLATE} -i {from} -o {to} -j DROP")).collect()
}

#[cfg(test)]
mod tests;
