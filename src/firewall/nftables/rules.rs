//! The rules of the chain that all links share.

use super::expression::{Expression, Rule, equals};
use super::messages::{RANGES, USER, interface};
use super::sets::NftSet;
use crate::firewall::bridge::BOUND;
use crate::model::{BridgeName, Family};
use crate::sys::net::netlink::message::family_number;
use crate::sys::net::netlink::uapi::{
    NFT_CMP_GTE, NFT_CMP_LTE, NFT_CMP_NEQ, NFT_META_IIFNAME, NFT_META_L4PROTO, NFT_META_MARK,
    NFT_META_NFPROTO, NFT_META_OIFNAME, NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER,
    NFT_REG32_00,
};
use nix::libc::{IPPROTO_ICMPV6, NF_ACCEPT, NF_DROP};

/// The number of registers that the name of an interface takes.
pub(super) const NAME_WORDS: u32 = 4;
/// `NF_CT_STATE_BIT(IP_CT_ESTABLISHED)`: packets in both directions have been seen.
const ESTABLISHED: u32 = 1 << 1;
/// ICMPv6 types of neighbor discovery: solicitation and advertisement.
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// The hop limit of neighbor discovery (RFC 4861, 7.1). A router lowers it before it forwards a packet.
const NEAR: u8 = 255;
/// Where the header of IPv6 has the hop limit.
const HOP_LIMIT_AT: u32 = 7;

/// All rules in order: first the administrator's, then those that accept, then those that drop.
pub(crate) fn rules(bridges: &[BridgeName]) -> Vec<Rule> {
    let mut all = vec![Rule::new("the administrator's chain", vec![Expression::Jump(USER)])];
    for (family, name) in [(Family::V4, "IPv4"), (Family::V6, "IPv6")] {
        for (bridged, by_port, place) in [
            (true, true, " between ports of a bridge"),
            (true, false, " on a bridge"),
            (false, false, ""),
        ] {
            let set = NftSet::within(family, bridged, by_port);
            all.push(Rule::new(&format!("{name}{place}, there"), there(set)));
            all.push(Rule::new(&format!("{name}{place}, back"), back(set)));
        }
    }
    all.push(Rule::new("ranges of ports", vec![Expression::Jump(RANGES)]));
    all.push(Rule::new("neighbour discovery", discovery()));
    for from in bridges {
        all.extend(bridges.iter().map(|to| Rule::new(&format!("{from} to {to}"), drop(from, to))));
    }
    all
}

/// The number of rules that [`rules`] returns.
pub(crate) fn count(bridges: &[BridgeName]) -> usize {
    rules(&[]).len() + bridges.len().pow(2)
}

/// Accepts packets whose source, destination, protocol and destination port are in the set.
fn there(set: NftSet) -> Vec<Expression> {
    let mut rule = is_in(set, false);
    rule.push(Expression::Verdict(NF_ACCEPT));
    rule
}

/// Accepts reply packets of established connections: source and destination are exchanged.
fn back(set: NftSet) -> Vec<Expression> {
    let mut rule = is_in(set, true);
    rule.extend(is_established());
    rule.push(Expression::Verdict(NF_ACCEPT));
    rule
}

/// Matches packets of established connections.
pub(super) fn is_established() -> [Expression; 3] {
    [
        Expression::State { to: NFT_REG32_00 },
        Expression::Mask { register: NFT_REG32_00, mask: ESTABLISHED },
        Expression::Compare { register: NFT_REG32_00, operator: NFT_CMP_NEQ, value: vec![0; 4] },
    ]
}

/// Matches packets of a flow in the set; `back` selects the reply direction.
///
/// In a set with bridges, both the input and the output interface must be the flow's bridge.
fn is_in(set: NftSet, back: bool) -> Vec<Expression> {
    let mut rule = is_of(set.family).to_vec();
    if set.by_port {
        rule.extend(has_mark(BOUND));
    }
    let bridges: &[Option<u32>] =
        if set.bridged { &[Some(NFT_META_IIFNAME), Some(NFT_META_OIFNAME)] } else { &[None] };
    for interface in bridges {
        let (first, lookup) =
            (interface.map_or(NFT_REG32_00, |_| NFT_REG32_00 + NAME_WORDS), set.name());
        rule.extend(interface.map(|key| Expression::Meta { key, to: NFT_REG32_00 }));
        rule.extend(load(set.family, back, first));
        rule.push(Expression::Lookup { set: lookup, register: NFT_REG32_00 });
    }
    rule
}

/// Matches packets whose mark has this bit.
pub(crate) fn has_mark(bit: u32) -> [Expression; 3] {
    [
        Expression::Meta { key: NFT_META_MARK, to: NFT_REG32_00 },
        Expression::Mask { register: NFT_REG32_00, mask: bit },
        equals(bit.to_ne_bytes().to_vec()),
    ]
}

/// Matches packets of a family.
pub(super) fn is_of(family: Family) -> [Expression; 2] {
    let to = NFT_REG32_00;
    [Expression::Meta { key: NFT_META_NFPROTO, to }, equals(vec![family_number(family)])]
}

/// Matches packets that arrive on the interface `from` and leave on the interface `to`.
pub(super) fn is_between(from: &BridgeName, to: &BridgeName) -> [Expression; 4] {
    [
        Expression::Meta { key: NFT_META_IIFNAME, to: NFT_REG32_00 },
        equals(interface(from)),
        Expression::Meta { key: NFT_META_OIFNAME, to: NFT_REG32_00 },
        equals(interface(to)),
    ]
}

/// Loads addresses, protocol and port of the packet into the registers from `first` on.
pub(super) fn load(family: Family, back: bool, first: u32) -> [Expression; 4] {
    let (offset, length) = match family {
        Family::V4 => (12, 4),
        Family::V6 => (8, 16),
    };
    let address =
        |offset, to| Expression::Payload { header: NFT_PAYLOAD_NETWORK_HEADER, offset, length, to };
    let (words, second) = (length / 4, offset + length);
    let (from, to) = if back { (second, offset) } else { (offset, second) };
    let port = if back { 0 } else { 2 };
    let after = first + 2 * words;
    [
        address(from, first),
        address(to, first + words),
        Expression::Meta { key: NFT_META_L4PROTO, to: after },
        Expression::Payload {
            header: NFT_PAYLOAD_TRANSPORT_HEADER,
            offset: port,
            length: 2,
            to: after + 1,
        },
    ]
}

/// Accepts neighbor discovery that was not routed.
fn discovery() -> Vec<Expression> {
    let byte = |header, offset| Expression::Payload { header, offset, length: 1, to: NFT_REG32_00 };
    let compare = |operator, value| Expression::Compare {
        register: NFT_REG32_00,
        operator,
        value: vec![value],
    };
    let mut rule = is_of(Family::V6).to_vec();
    rule.extend([
        Expression::Meta { key: NFT_META_L4PROTO, to: NFT_REG32_00 },
        equals(vec![u8::try_from(IPPROTO_ICMPV6).unwrap_or(0)]),
        byte(NFT_PAYLOAD_NETWORK_HEADER, HOP_LIMIT_AT),
        equals(vec![NEAR]),
        byte(NFT_PAYLOAD_TRANSPORT_HEADER, 0),
        compare(NFT_CMP_GTE, NEIGHBOUR_SOLICITATION),
        compare(NFT_CMP_LTE, NEIGHBOUR_ADVERTISEMENT),
        Expression::Verdict(NF_ACCEPT),
    ]);
    rule
}

fn drop(from: &BridgeName, to: &BridgeName) -> Vec<Expression> {
    let mut rule = is_between(from, to).to_vec();
    rule.push(Expression::Verdict(NF_DROP));
    rule
}

#[cfg(test)]
mod tests;
