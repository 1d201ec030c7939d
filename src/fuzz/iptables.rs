//! Fuzz target for the output of `iptables -S`. It lists the rules of all programs, and rule
//! comments can contain any text.

use crate::firewall::probe::{has_chain, in_front, wide_accepts};
use crate::firewall::walls::Walls;
use crate::firewall::xtables::chains::Chains;
use crate::firewall::xtables::command::lines;
use crate::firewall::xtables::common_chain::{isolates, missing, removal};
use crate::firewall::xtables::listing::add_owners;
use crate::model::{BridgeName, OwnerTag};
use std::collections::BTreeMap;

/// The owner tag in the corpus.
const TAG: &str = "aaaaaaaaaaaaaaaa";
/// The chains with jumps to the chains of recipients. Older versions had them in the first.
const JUMPS: [&str; 3] = ["OCI-LINK", "OCI-LINKS", "OCI-LINKS-TIED"];

/// Passes a listing to all its parsers. Whatever it contains, each line for iptables-restore must
/// be about our chains.
pub fn iptables(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let there = lines(&text);
    let whole = |text: &str| text.trim_end_matches('\n').to_owned();
    assert_eq!(whole(&there.join("\n")), whole(&text), "no byte is lost");

    let (Ok(owner), Ok(bridge)) = (OwnerTag::parse(TAG), BridgeName::new("br0")) else {
        panic!("{TAG}")
    };
    let known = Chains::listed(&owner, &there);
    for command in Chains::default().instead_of(&known).lines() {
        let own = ["-F ", "-X "].map(|verb| format!("{verb}OCI-LINK-{TAG}"));
        let is_own = own.iter().any(|own| command.starts_with(own));
        let is_jump = JUMPS.iter().any(|chain| command.starts_with(&format!("-D {chain} ")));
        assert!(is_own || is_jump, "{command}");
    }
    let walls = Walls { bridges: vec![bridge], gates: vec![bridge], ..Walls::default() };
    for text in [removal(&there), missing(&there, &[], &[], &[], &walls)] {
        for command in text.lines() {
            let (verb, chain) = command.split_once(' ').unwrap_or_default();
            let ours = chain.starts_with("OCI-LINK") || chain == "FORWARD -j OCI-LINK";
            let place =
                command.strip_prefix("-I FORWARD ").and_then(|it| it.strip_suffix(" -j OCI-LINK"));
            let first = place.is_some_and(|place| place.parse::<usize>().is_ok());
            assert!(first || ours && verb.len() == 2, "{command}");
        }
    }

    let mut owners = BTreeMap::new();
    add_owners(&there, &mut owners);
    for (owner, kept) in &owners {
        let flows = kept.flows.iter().copied();
        assert!(flows.count() <= there.len(), "{owner}: more than was listed");
        assert!(kept.lines.iter().all(|line| there.contains(line)), "{owner}: not listed");
    }
    let _ = isolates(&there, &[bridge]);
    if let Some(front) = in_front(&there) {
        assert!(wide_accepts(&there, &front).len() <= there.len());
        let _ = has_chain(&there);
    }
}
