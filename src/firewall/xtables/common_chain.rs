//! The base chain of the iptables and ipset backends, and the rules in it that all owners share.
//!
//! ```text
//! FORWARD            -j OCI-LINK                  right behind the jump to DOCKER-USER, else first
//! OCI-LINK           -j OCI-LINK-USER             first
//! OCI-LINK-USER      the administrator's rules    created empty and never changed
//! OCI-LINK           the rules that accept        jumps to the next two chains, or rules that match sets
//! OCI-LINKS-TIED     -j OCI-LINK-<tag>            one per recipient, of the iptables backend: flows by bridge ports
//! OCI-LINKS          -j OCI-LINK-<tag>            the same for other flows
//! OCI-LINK           -j OCI-LINK-ISOLATE          last, if bridges or containers are to be isolated
//! OCI-LINK-ISOLATE   see separation.rs
//! ```
//!
//! Accepting rules are inserted behind the jump to the administrator's chain, so that the drops stay behind
//! them.

use super::separation::{ISOLATE, is_between_bridges, separation};
use super::strays::leads_to;
use crate::firewall::walls::Walls;
use crate::model::BridgeName;
use std::fmt::Write;

/// The base chain, to which FORWARD jumps before everything but [`DOCKER_USER`].
pub(crate) const BASE: &str = "OCI-LINK";
pub(super) const JUMP_TO_BASE: &str = "-A FORWARD -j OCI-LINK";
/// The chain in which Docker lets the administrator decide before its own rules.
pub(crate) const DOCKER_USER: &str = "DOCKER-USER";
const JUMP_TO_DOCKER_USER: &str = "-A FORWARD -j DOCKER-USER";
/// The administrator's chain, which is asked before every rule of ours.
const USER: &str = "OCI-LINK-USER";
pub(super) const JUMP_TO_USER: &str = "-A OCI-LINK -j OCI-LINK-USER";
/// Where rules that accept are inserted into the base chain.
const BEHIND_USER: usize = 2;
/// The chain with a jump for each recipient. In a chain of their own, jumps are appended: to insert one at a
/// number, iptables reads all rules of the chain first.
pub(crate) const LINKS: &str = "OCI-LINKS";
pub(crate) const JUMP_TO_LINKS: &str = "-A OCI-LINK -j OCI-LINKS";
/// The chain with the jumps of flows that are tied to bridge ports. One rule compares the mark for all recipients, so that
/// `iptables` does not load that match at each start.
pub(crate) const TIED: &str = "OCI-LINKS-TIED";
pub(crate) const JUMP_TO_TIED: &str =
    "-A OCI-LINK -m mark --mark 0x10000000/0x10000000 -j OCI-LINKS-TIED";
pub(super) const JUMP_TO_ISOLATE: &str = "-A OCI-LINK -j OCI-LINK-ISOLATE";

/// The first commands of a transaction of the iptables backend: they fail it if packets do not reach the jumps to the
/// recipients.
pub(crate) fn stands() -> String {
    let jumps = [JUMP_TO_BASE, JUMP_TO_TIED, JUMP_TO_LINKS].into_iter();
    jumps.map(|jump| jump.replacen("-A", "-C", 1) + "\n").collect()
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
    // A chain to which a rule of another program leads cannot be deleted.
    let held = leads_to(there, ISOLATE, |from| from != BASE).is_some();
    let is_over = exists && wanted.is_empty() && held && drops.is_empty() && jumps == 0;
    if !is_over && (exists == wanted.is_empty() || drops != wanted || (exists && !last)) {
        text.push_str(&"-D OCI-LINK -j OCI-LINK-ISOLATE\n".repeat(jumps));
        text.push_str(match (exists, wanted.is_empty()) {
            (true, true) if held => "-F OCI-LINK-ISOLATE\n",
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
    let ours = |name: &&str| [BASE, LINKS, TIED].contains(name) || name.starts_with("OCI-LINK-");
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
    let walls = Walls { bridges: bridges.to_vec(), ..Walls::default() };
    let drops = in_chain(ISOLATE).into_iter().filter(|rule| is_between_bridges(rule));
    last && drops.eq(&separation(&walls))
}

#[cfg(test)]
mod tests;
