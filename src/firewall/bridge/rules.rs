//! The rules of the bridge table, as expressions of the `nf_tables` virtual machine.
//!
//! The type of a frame is that below an outer VLAN tag (`meta protocol`). The frame itself has the tag in place
//! of a type, also where the kernel keeps the tag elsewhere.

use super::keys::PortSetName;
use super::{BOUND, ISOLATED_IN, ISOLATED_OUT};
use crate::firewall::nftables::rules::{Expression, Rule, equals, has_mark};
use crate::model::Family;
use crate::sys::net::netlink::uapi::{
    NF_BR_FORWARD, NF_BR_LOCAL_IN, NF_BR_LOCAL_OUT, NFT_CMP_NEQ, NFT_META_IIF, NFT_META_MARK,
    NFT_META_OIF, NFT_META_PROTOCOL, NFT_PAYLOAD_LL_HEADER, NFT_PAYLOAD_NETWORK_HEADER,
    NFT_REG32_00,
};
use nix::libc::{ETH_P_8021AD, ETH_P_8021Q, ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, NF_DROP};

/// A chain of the table.
pub(super) struct Chain {
    /// Its name.
    pub(super) name: &'static str,
    /// Its hook (`NF_BR_…`).
    pub(super) hook: u32,
    /// Its rules in order.
    pub(super) rules: Vec<Rule>,
}

/// The chains of the table.
pub(super) fn chains() -> [Chain; 3] {
    [
        Chain { name: "input", hook: NF_BR_LOCAL_IN, rules: input() },
        Chain { name: "forward", hook: NF_BR_FORWARD, rules: forward() },
        Chain { name: "output", hook: NF_BR_LOCAL_OUT, rules: output() },
    ]
}

/// An end of a packet: the port, and the address that the packet names.
#[derive(Clone, Copy)]
enum End {
    Source,
    Destination,
}

/// What a set must say of a key.
#[derive(Clone, Copy)]
enum Want {
    Present,
    Missing,
}

/// Packets that the host takes: those that it routes, and its own.
fn input() -> Vec<Rule> {
    let mut all = Vec::new();
    for (family, name) in FAMILIES {
        let rule = [
            of_type(ethernet_type(family)),
            at(family, End::Source, Want::Present),
            seated(family, End::Destination),
            mark(BOUND),
        ];
        all.push(Rule::new(&format!("{name}, from a seat"), rule.concat()));
    }
    let rule = [on(End::Source, PortSetName::PortsOut), mark(ISOLATED_OUT)];
    all.push(Rule::new("from an isolated port", rule.concat()));
    all
}

/// Packets from one port to another.
fn forward() -> Vec<Rule> {
    let mut all = vec![Rule::new("marked by another", [has(BOUND), unmark(BOUND)].concat())];
    for (family, name) in FAMILIES {
        let rule = [
            of_type(ethernet_type(family)),
            at(family, End::Source, Want::Present),
            at(family, End::Destination, Want::Present),
            mark(BOUND),
        ];
        all.push(Rule::new(&format!("{name}, from a seat to a seat"), rule.concat()));
    }
    for (family, name) in FAMILIES {
        let rule = [
            of_type(ethernet_type(family)),
            has_tag(&[ethernet_type(family)]),
            at(family, End::Destination, Want::Present),
            at(family, End::Source, Want::Missing),
            seated(family, End::Source),
            drop(),
        ];
        all.push(Rule::new(&format!("{name}, forged behind a VLAN tag"), rule.concat()));
    }
    for (tag, name) in [(ETH_P_8021Q, "802.1Q"), (ETH_P_8021AD, "802.1ad")] {
        let rule = [of_type(number(tag)), on(End::Destination, PortSetName::Ports), drop()];
        all.push(Rule::new(&format!("{name} behind a VLAN tag"), rule.concat()));
    }
    let isolated = [
        (End::Source, PortSetName::PortsOut, ISOLATED_OUT, "from an isolated port"),
        (End::Destination, PortSetName::PortsIn, ISOLATED_IN, "to an isolated port"),
    ];
    for (end, set, bit, name) in isolated {
        all.push(Rule::new(name, [on(end, set), mark(bit)].concat()));
    }
    for (end, set, _, name) in isolated {
        let seen = [ETH_P_IP, ETH_P_IPV6, ETH_P_ARP].map(number);
        all.push(Rule::new(
            &format!("{name}, unseen"),
            [has_tag(&seen), on(end, set), drop()].concat(),
        ));
    }
    all
}

/// Packets that the host sends or routes.
fn output() -> Vec<Rule> {
    let rule = [on(End::Destination, PortSetName::PortsIn), has(ISOLATED_IN), drop()];
    vec![Rule::new("to an isolated port", rule.concat())]
}

const FAMILIES: [(Family, &str); 2] = [(Family::V4, "IPv4"), (Family::V6, "IPv6")];
const REGISTER: u32 = NFT_REG32_00;

/// A number of `libc` as the two bytes of an ethernet header.
fn number(kind: i32) -> [u8; 2] {
    u16::try_from(kind).unwrap_or(0).to_be_bytes()
}

fn ethernet_type(family: Family) -> [u8; 2] {
    number(match family {
        Family::V4 => ETH_P_IP,
        Family::V6 => ETH_P_IPV6,
    })
}

/// Matches packets of an ethernet type, also behind one VLAN tag.
fn of_type(kind: [u8; 2]) -> Vec<Expression> {
    vec![Expression::Meta { key: NFT_META_PROTOCOL, to: REGISTER }, equals(kind.to_vec())]
}

/// Matches frames whose outer type is none of `kinds`.
fn has_tag(kinds: &[[u8; 2]]) -> Vec<Expression> {
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
fn on(end: End, set: PortSetName) -> Vec<Expression> {
    vec![port(end), Expression::Lookup { set: set.name(), register: REGISTER }]
}

/// Matches packets whose port and address are, or are not, those of a seat.
fn at(family: Family, end: End, want: Want) -> Vec<Expression> {
    let set = match family {
        Family::V4 => PortSetName::At4,
        Family::V6 => PortSetName::At6,
    };
    let (set, register) = (set.name(), REGISTER);
    let lookup = match want {
        Want::Present => Expression::Lookup { set, register },
        Want::Missing => Expression::LookupMissing { set, register },
    };
    vec![port(end), address(family, end, REGISTER + 1), lookup]
}

/// Matches packets whose address is that of a seat.
fn seated(family: Family, end: End) -> Vec<Expression> {
    let set = match family {
        Family::V4 => PortSetName::Seats4,
        Family::V6 => PortSetName::Seats6,
    };
    vec![address(family, end, REGISTER), Expression::Lookup { set: set.name(), register: REGISTER }]
}

fn port(end: End) -> Expression {
    let key = match end {
        End::Source => NFT_META_IIF,
        End::Destination => NFT_META_OIF,
    };
    Expression::Meta { key, to: REGISTER }
}

fn address(family: Family, end: End, to: u32) -> Expression {
    let (offset, length) = match family {
        Family::V4 => (12, 4),
        Family::V6 => (8, 16),
    };
    let offset = match end {
        End::Source => offset,
        End::Destination => offset + length,
    };
    Expression::Payload { header: NFT_PAYLOAD_NETWORK_HEADER, offset, length, to }
}

/// Matches packets whose mark has this bit.
fn has(bit: u32) -> Vec<Expression> {
    has_mark(bit).to_vec()
}

/// Sets a bit of the mark. The others stay.
fn mark(bit: u32) -> Vec<Expression> {
    vec![
        Expression::Meta { key: NFT_META_MARK, to: REGISTER },
        Expression::SetBits { register: REGISTER, bits: bit },
        Expression::SetMark { from: REGISTER },
    ]
}

/// Takes a bit out of the mark. The others stay.
fn unmark(bit: u32) -> Vec<Expression> {
    vec![
        Expression::Meta { key: NFT_META_MARK, to: REGISTER },
        Expression::Mask { register: REGISTER, mask: !bit },
        Expression::SetMark { from: REGISTER },
    ]
}

fn drop() -> Vec<Expression> {
    vec![Expression::Verdict(NF_DROP)]
}
