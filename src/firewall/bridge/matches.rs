//! What the rules of the bridge table match and set, as expressions of the `nf_tables` virtual machine.
//!
//! The type of a frame is that below an outer VLAN tag (`meta protocol`). The frame itself has the tag in place
//! of a type, also where the kernel keeps the tag elsewhere.

use super::keys::PortSetName;
use super::{ISOLATED_BOTH, ISOLATED_IN};
use crate::firewall::nftables::expression::{Expression, equals};
use crate::firewall::nftables::rules::has_mark;
use crate::model::Family;
use crate::sys::net::netlink::uapi::{
    NFT_CMP_NEQ, NFT_META_IIF, NFT_META_MARK, NFT_META_OIF, NFT_META_PROTOCOL,
    NFT_PAYLOAD_LL_HEADER, NFT_PAYLOAD_NETWORK_HEADER, NFT_REG32_00,
};
use nix::libc::{ETH_P_ARP, ETH_P_IP, ETH_P_IPV6};

/// The register that a rule compares.
pub(super) const REGISTER: u32 = NFT_REG32_00;

/// An end of a packet: the port, and the address that the packet names.
#[derive(Clone, Copy)]
pub(super) enum End {
    Source,
    Destination,
}

/// What a set must say of a key.
#[derive(Clone, Copy)]
pub(super) enum Want {
    Present,
    Missing,
}

/// A number of `libc` as the two bytes of an ethernet header.
fn number(kind: i32) -> [u8; 2] {
    u16::try_from(kind).unwrap_or(0).to_be_bytes()
}

pub(super) fn ethernet_type(family: Family) -> [u8; 2] {
    number(match family {
        Family::V4 => ETH_P_IP,
        Family::V6 => ETH_P_IPV6,
    })
}

/// Matches packets of an ethernet type, also behind one VLAN tag.
pub(super) fn of_type(kind: [u8; 2]) -> Vec<Expression> {
    vec![Expression::Meta { key: NFT_META_PROTOCOL, to: REGISTER }, equals(kind.to_vec())]
}

/// Matches frames whose outer type is none that the chains of iptables and arptables see.
pub(super) fn has_tag() -> Vec<Expression> {
    let kinds = [ETH_P_IP, ETH_P_IPV6, ETH_P_ARP].map(number);
    let (header, offset, length) = (NFT_PAYLOAD_LL_HEADER, 12, 2);
    let mut all = vec![Expression::Payload { header, offset, length, to: REGISTER }];
    all.extend(kinds.iter().map(|kind| Expression::Compare {
        register: REGISTER,
        operator: NFT_CMP_NEQ,
        value: kind.to_vec(),
    }));
    all
}

/// Matches packets whose port is in the set.
pub(super) fn on(end: End, set: PortSetName) -> Vec<Expression> {
    vec![port(end, REGISTER), Expression::Lookup { set: set.name(), register: REGISTER }]
}

/// Matches packets whose port is in the sets of both directions.
pub(super) fn is_isolated_in_both(end: End) -> Vec<Expression> {
    let sets = [PortSetName::PortsOut, PortSetName::PortsIn].map(PortSetName::name);
    let mut all = vec![port(end, REGISTER)];
    all.extend(sets.map(|set| Expression::Lookup { set, register: REGISTER }));
    all
}

/// Matches packets that come from, or go to, the right or a wrong port for both their addresses.
pub(super) fn is_at(family: Family, end: End, want: Want) -> Vec<Expression> {
    let (set, register) = (PortSetName::ends(family).name(), REGISTER);
    let lookup = match want {
        Want::Present => Expression::Lookup { set, register },
        Want::Missing => Expression::LookupMissing { set, register },
    };
    let other = match end {
        End::Source => End::Destination,
        End::Destination => End::Source,
    };
    let second = REGISTER + 1 + length_of(family) / 4;
    vec![
        port(end, REGISTER),
        address(family, end, REGISTER + 1),
        address(family, other, second),
        lookup,
    ]
}

/// Matches packets that come from, and go to, the right ports for their addresses. The keys of both ends share the
/// registers of an address.
pub(super) fn is_between_ends(family: Family) -> Vec<Expression> {
    let (set, words) = (PortSetName::ends(family).name(), length_of(family) / 4);
    let [source, destination, again] = [1, 1 + words, 1 + 2 * words].map(|at| REGISTER + at);
    let second = REGISTER + words;
    let mut all = of_type(ethernet_type(family));
    all.extend([
        port(End::Source, REGISTER),
        address(family, End::Source, source),
        address(family, End::Destination, destination),
        Expression::Lookup { set, register: REGISTER },
        port(End::Destination, second),
        address(family, End::Source, again),
        Expression::Lookup { set, register: second },
    ]);
    all
}

fn port(end: End, to: u32) -> Expression {
    let key = match end {
        End::Source => NFT_META_IIF,
        End::Destination => NFT_META_OIF,
    };
    Expression::Meta { key, to }
}

fn address(family: Family, end: End, to: u32) -> Expression {
    let (header, length) = (NFT_PAYLOAD_NETWORK_HEADER, length_of(family));
    let first = match family {
        Family::V4 => 12,
        Family::V6 => 8,
    };
    let offset = match end {
        End::Source => first,
        End::Destination => first + length,
    };
    Expression::Payload { header, offset, length, to }
}

/// The length of an address in bytes.
fn length_of(family: Family) -> u32 {
    match family {
        Family::V4 => 4,
        Family::V6 => 16,
    }
}

/// Matches packets whose mark has this bit.
pub(super) fn has(bit: u32) -> Vec<Expression> {
    has_mark(bit).to_vec()
}

/// Matches routed packets that begin a connection and may not go to an isolated port.
pub(super) fn is_new() -> Vec<Expression> {
    let read = Expression::Meta { key: NFT_META_MARK, to: REGISTER };
    let mask = Expression::Mask { register: REGISTER, mask: ISOLATED_IN | ISOLATED_BOTH };
    vec![read, mask, equals(ISOLATED_IN.to_ne_bytes().to_vec())]
}

/// Sets a bit of the mark. The others stay.
pub(super) fn mark(bit: u32) -> Vec<Expression> {
    change_mark(Expression::SetBits { register: REGISTER, mask: bit, bits: bit })
}

pub(super) fn change_mark(by: Expression) -> Vec<Expression> {
    let read = Expression::Meta { key: NFT_META_MARK, to: REGISTER };
    vec![read, by, Expression::SetMark { from: REGISTER }]
}

/// Matches packets whose mark has one of these bits.
pub(super) fn has_any(bits: u32) -> Vec<Expression> {
    let none = Expression::Compare { register: REGISTER, operator: NFT_CMP_NEQ, value: vec![0; 4] };
    vec![
        Expression::Meta { key: NFT_META_MARK, to: REGISTER },
        Expression::Mask { register: REGISTER, mask: bits },
        none,
    ]
}

/// Matches packets whose mark has none of these bits.
pub(super) fn lacks(bits: u32) -> Vec<Expression> {
    vec![
        Expression::Meta { key: NFT_META_MARK, to: REGISTER },
        Expression::Mask { register: REGISTER, mask: bits },
        equals(vec![0; 4]),
    ]
}
