//! Finds the rules of all owners in a listing of `iptables -S`.

use super::chains::is_in_ours;
use super::common_chain::TIED;
use super::strays::{leads_to, owner_of};
use crate::firewall::InstalledRules;
use crate::model::{BridgeName, Flow, OnBridge, OwnerTag, PortRange};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Adds the rules in the listing `there` to their owners.
///
/// A chain without a jump to it, or without rules, adds no lines. The flows of its rules are added
/// anyway. An empty chain that [`held`] returns is none of an owner's.
pub(crate) fn add_owners(there: &[String], owners: &mut BTreeMap<OwnerTag, InstalledRules>) {
    for name in there.iter().filter_map(|line| line.strip_prefix("-N ")) {
        let Some(owner) = owner_of(name) else { continue };
        let (into, own) = (format!(" -j {name}"), format!("-A {name} "));
        let in_ours = |line: &String| line.strip_prefix("-A ").is_some_and(is_in_ours);
        let entered = |line: &&String| in_ours(line) && line.ends_with(&into);
        let jumps: Vec<&String> = there.iter().filter(entered).collect();
        let bridge = jumps.iter().find_map(|jump| bridge_of(jump, name));
        let rules: Vec<&String> = there.iter().filter(|line| line.starts_with(&own)).collect();
        if jumps.is_empty() && rules.is_empty() && leads_to(there, name, |_| true).is_some() {
            continue;
        }
        let kept = owners.entry(owner).or_default();
        kept.flows.extend(rules.iter().filter_map(|rule| permitted(rule, bridge)));
        if !jumps.is_empty() && !rules.is_empty() {
            kept.lines.extend(jumps.into_iter().chain(rules).cloned());
        }
    }
}

/// The empty chains of recipients in the listing `there` that cannot be deleted, each with a rule of another
/// program that leads to it.
pub(crate) fn held(there: &[String]) -> Vec<(&str, &String)> {
    let names = there.iter().filter_map(|line| line.strip_prefix("-N "));
    let is_empty = |name: &&str| {
        let start = format!("-A {name} ");
        owner_of(name).is_some() && !there.iter().any(|line| line.starts_with(&start))
    };
    let in_ours = |chain: &str| is_in_ours(&format!("{chain} "));
    let is_entered = |name: &str| leads_to(there, name, in_ours).is_some();
    names
        .filter(is_empty)
        .filter(|name| !is_entered(name))
        .filter_map(|name| Some((name, leads_to(there, name, |_| true)?)))
        .collect()
}

/// The bridge in a jump to the chain `name`; `None` if the jump names none.
fn bridge_of(jump: &str, name: &str) -> Option<OnBridge> {
    let by_port = jump.strip_prefix("-A ").is_some_and(|rule| rule.starts_with(TIED));
    let (_, place) = jump.split_once(" -i ")?;
    let place = place.strip_suffix(&format!(" -j {name}"))?;
    let (enters, leaves) = place.split_once(" -o ")?;
    let name = BridgeName::new(enters).ok().filter(|_| enters == leaves)?;
    Some(OnBridge { by_port, ..name.into() })
}

/// The flow that the first rule of a pair permits; `None` for the second rule.
fn permitted(rule: &str, bridge: Option<OnBridge>) -> Option<Flow> {
    let mut words = rule.split(' ');
    let mut after = |option: &str| {
        words.by_ref().find(|word| *word == option)?;
        words.next()
    };
    let address = |text: &str| text.split('/').next()?.parse::<IpAddr>().ok();
    let (from, to) = (address(after("-s")?)?, address(after("-d")?)?);
    let protocol = after("-p")?;
    let ports = after("--dport")?.replace(':', "-");
    let ports = PortRange::parse(&format!("{ports}/{protocol}")).ok()?;
    Some(Flow { from, to, ports, bridge })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_chain_to_which_a_rule_leads_is_held_and_of_no_owner() {
        let chain = "OCI-LINK-aaaaaaaaaaaaaaaa";
        let mut there = vec![format!("-N {chain}"), format!("-A FORWARD -s 1.2.3.4/32 -g {chain}")];
        let owners = |there: &[String]| {
            let mut owners = BTreeMap::new();
            add_owners(there, &mut owners);
            owners.len()
        };
        assert_eq!(held(&there), [(chain, &there[1])]);
        assert_eq!(owners(&there), 0);
        there.push(format!("-A {chain} -j ACCEPT"));
        assert_eq!((held(&there).len(), owners(&there)), (0, 1));
        there.truncate(1);
        assert_eq!((held(&there).len(), owners(&there)), (0, 1));
    }

    #[test]
    fn a_chain_is_its_owners_and_its_flows_are_where_the_jump_says() {
        let tag = "aaaaaaaaaaaaaaaa";
        let listing = format!(
            "-N OCI-LINK\n-N OCI-LINK-{tag}\n-N OCI-LINK-{tag}-1\n-N OCI-LINK-{tag}-2\n\
             -N OCI-LINK-{tag}-3\n-A OCI-LINKS-TIED -i a -o a -j OCI-LINK-{tag}-3\n-A OCI-LINK-{tag}-3 -s 10.0.0.2/32 \
             -d 10.0.0.6/32 -p tcp -m tcp --dport 4 -j ACCEPT\n\
             -N OCI-LINK-ISOLATE\n-A OCI-LINK -i a -o a -j OCI-LINK-{tag}\n\
             -A OCI-LINK -j OCI-LINK-{tag}-1\n-A OCI-LINK-{tag} -s 10.0.0.2/32 -d 10.0.0.3/32 \
             -p tcp -m tcp --dport 1 -j ACCEPT\n-A OCI-LINK-{tag}-1 -s 10.0.0.2/32 \
             -d 10.0.0.4/32 -p udp -m udp --dport 2:9 -j ACCEPT\n-A OCI-LINK-{tag}-2 \
             -s 10.0.0.2/32 -d 10.0.0.5/32 -p tcp -m tcp --dport 3 -j ACCEPT"
        );
        let there: Vec<String> = listing.lines().map(ToOwned::to_owned).collect();
        let mut owners = BTreeMap::new();
        add_owners(&there, &mut owners);
        let kept = &owners[&OwnerTag::parse(tag).unwrap()];
        let flows: Vec<String> = kept.flows.iter().map(ToString::to_string).collect();
        let expected = [
            "10.0.0.2 -> 10.0.0.3 1/tcp on a",
            "10.0.0.2 -> 10.0.0.4 2-9/udp",
            "10.0.0.2 -> 10.0.0.5 3/tcp",
            "10.0.0.2 -> 10.0.0.6 4/tcp on a",
        ];
        let tied = kept.flows.iter().map(|flow| flow.bridge.is_some_and(|on| on.by_port));
        assert!(tied.eq([false, false, false, true]));
        assert_eq!((owners.len(), &flows[..]), (1, &expected.map(String::from)[..]));
        assert_eq!(kept.lines.len(), 6, "nothing leads to the third: {:?}", kept.lines);
    }
}
