//! The rules between isolated bridges and other hosts, as `xtables/separation.rs` has them for iptables.

use super::expression::{Expression, Rule, equals};
use super::messages::{interface, octets};
use super::rules::is_of;
use super::tracked::{ANSWERS, begins, is_foreign, not_published, state_lacks};
use crate::firewall::outside::Outside;
use crate::model::{BridgeName, Family, Subnet};
use crate::sys::net::netlink::uapi::{
    NFT_CMP_NEQ, NFT_META_IIFNAME, NFT_META_OIFNAME, NFT_PAYLOAD_NETWORK_HEADER,
    NFT_REG32_00 as REGISTER,
};
use nix::libc::NF_DROP;

/// What the names of these rules begin with.
const PREFIX: &str = "routed, ";

/// Which address of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Destination,
}

/// What comes to a bridge from elsewhere is dropped unless it answers or is for a published port; what goes from it to
/// other hosts unless it answers; and what has an address of its network and comes in elsewhere.
pub(super) fn rules(outside: &Outside) -> Vec<Rule> {
    let mut all = Vec::new();
    let mut add = |name: String, parts: &[Vec<Expression>]| {
        let mut parts = parts.concat();
        parts.push(Expression::Verdict(NF_DROP));
        all.push(Rule::new(&format!("{PREFIX}{name}"), parts));
    };
    for (bridge, network) in &outside.inside {
        let to = [
            within(network, End::Destination),
            interface_is(NFT_META_OIFNAME, bridge),
            interface_is_not(NFT_META_IIFNAME, bridge),
        ];
        add(format!("to {network} by {bridge}"), &[to.concat(), is_foreign()]);
        let begun = [to.concat(), begins(), not_published()];
        add(format!("to {network} by {bridge}, begun elsewhere"), &begun);
        let borrowed = [within(network, End::Source), interface_is_not(NFT_META_IIFNAME, bridge)];
        add(format!("from {network} not by {bridge}"), &borrowed);
    }
    for bridge in outside.bridges() {
        for network in &outside.declared {
            let from = [
                within(network, End::Destination),
                interface_is(NFT_META_IIFNAME, &bridge),
                interface_is_not(NFT_META_OIFNAME, &bridge),
            ];
            let name = format!("from {bridge} to {network}");
            add(name.clone(), &[from.concat(), state_lacks(ANSWERS)]);
            add(format!("{name}, begun there"), &[from.concat(), begins()]);
        }
    }
    all
}

/// The number of rules that [`rules`] returns.
pub(super) fn count(outside: &Outside) -> usize {
    3 * outside.inside.len() + 2 * outside.bridges().len() * outside.declared.len()
}

/// Whether a rule with this comment is one of [`rules`].
pub(super) fn is_rule(comment: &str) -> bool {
    comment.strip_prefix(Rule::MARK).is_some_and(|name| name.starts_with(PREFIX))
}

/// Matches packets with an address in `network`.
fn within(network: &Subnet, end: End) -> Vec<Expression> {
    let family = Family::of(network.first());
    let (source, length) = match family {
        Family::V4 => (12, 4),
        Family::V6 => (8, 16),
    };
    let at = if end == End::Source { source } else { source + length };
    let (octets, bits) = (octets(network.first()), network.prefix());
    let (whole, rest) = (usize::from(bits / 8), bits % 8);
    let load = |offset: u32, length: u32| Expression::Payload {
        header: NFT_PAYLOAD_NETWORK_HEADER,
        offset,
        length,
        to: REGISTER,
    };
    let mut all = is_of(family).to_vec();
    let bytes = u32::from(bits / 8);
    if let Some(prefix) = octets.get(..whole).filter(|prefix| !prefix.is_empty()) {
        all.extend([load(at, bytes), equals(prefix.to_vec())]);
    }
    if let (Some(next), true) = (octets.get(whole), rest > 0) {
        let mask = u32::from_ne_bytes([!(u8::MAX >> rest), 0, 0, 0]);
        all.extend([load(at + bytes, 1), Expression::Mask { register: REGISTER, mask }]);
        all.push(equals(vec![*next, 0, 0, 0]));
    }
    all
}

fn interface_is(key: u32, name: &BridgeName) -> Vec<Expression> {
    vec![Expression::Meta { key, to: REGISTER }, equals(interface(name))]
}

fn interface_is_not(key: u32, name: &BridgeName) -> Vec<Expression> {
    let (operator, value) = (NFT_CMP_NEQ, interface(name));
    let differs = Expression::Compare { register: REGISTER, operator, value };
    vec![Expression::Meta { key, to: REGISTER }, differs]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_rules_are_counted_and_have_names_of_their_own() {
        let mut outside = Outside::default();
        assert!(rules(&outside).is_empty());
        for line in ["br0 10.10.0.0/20", "br1 fd10:1::/64", "/ 10.10.16.0/20", "/ fd10:2::/64"] {
            outside.add(line);
            let rules = rules(&outside);
            assert_eq!(rules.len(), count(&outside));
            let names: HashSet<&String> = rules.iter().map(|rule| &rule.comment).collect();
            assert_eq!(names.len(), rules.len());
            assert!(names.iter().all(|name| is_rule(name)));
        }
    }
}
