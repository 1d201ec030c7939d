//! The rules of the chain, as expressions of the `nf_tables` virtual machine.
//!
//! An expression loads a register, compares it, looks it up in a set, or ends with a verdict.
//! Registers are 4 bytes wide here. The key of a set is assembled in consecutive registers.

use super::messages::{RANGES, USER, interface};
use super::sets::NftSet;
use crate::firewall::bridge::BOUND;
use crate::model::{BridgeName, Family};
use crate::sys::net::netlink::message::{Body, family_number};
use crate::sys::net::netlink::uapi::{
    NFT_CMP_EQ, NFT_CMP_GTE, NFT_CMP_LTE, NFT_CMP_NEQ, NFT_CT_DIRECTION, NFT_CT_STATE,
    NFT_CT_STATUS, NFT_LOOKUP_F_INV, NFT_META_IIFNAME, NFT_META_L4PROTO, NFT_META_MARK,
    NFT_META_NFPROTO, NFT_META_OIFNAME, NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER,
    NFT_REG_VERDICT, NFT_REG32_00, NFT_REG32_SIZE, NFTA_BITWISE_DREG, NFTA_BITWISE_LEN,
    NFTA_BITWISE_MASK, NFTA_BITWISE_SREG, NFTA_BITWISE_XOR, NFTA_CMP_DATA, NFTA_CMP_OP,
    NFTA_CMP_SREG, NFTA_CT_DREG, NFTA_CT_KEY, NFTA_DATA_VALUE, NFTA_DATA_VERDICT, NFTA_EXPR_DATA,
    NFTA_EXPR_NAME, NFTA_IMMEDIATE_DATA, NFTA_IMMEDIATE_DREG, NFTA_LIST_ELEM, NFTA_LOOKUP_FLAGS,
    NFTA_LOOKUP_SET, NFTA_LOOKUP_SREG, NFTA_META_DREG, NFTA_META_KEY, NFTA_META_SREG,
    NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_DREG, NFTA_PAYLOAD_LEN, NFTA_PAYLOAD_OFFSET,
    NFTA_VERDICT_CHAIN, NFTA_VERDICT_CODE,
};
use nix::libc::{IPPROTO_ICMPV6, NF_ACCEPT, NF_DROP, NFT_JUMP};

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

/// One of our rules, identified by its comment.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The purpose of the rule, unique in the chain.
    pub(crate) comment: String,
    /// What the kernel does with a packet, in order.
    pub(crate) expressions: Vec<Expression>,
}

impl Rule {
    /// Prefix of the comments of our rules.
    pub(crate) const MARK: &'static str = "oci-link: ";

    pub(crate) fn new(purpose: &str, expressions: Vec<Expression>) -> Self {
        Self { comment: format!("{}{purpose}", Self::MARK), expressions }
    }

    /// Writes the list of the rule's expressions.
    pub(crate) fn write(&self, list: &mut Body<'_>) {
        for expression in &self.expressions {
            list.nest(NFTA_LIST_ELEM, |item| expression.write(item));
        }
    }
}

/// One step of a rule.
#[derive(Debug, Clone)]
pub(crate) enum Expression {
    Meta {
        key: u32,
        to: u32,
    },
    Payload {
        header: u32,
        offset: u32,
        length: u32,
        to: u32,
    },
    State {
        to: u32,
    },
    Status {
        to: u32,
    },
    /// The direction of a tracked packet. A rule with it does not match others.
    Direction {
        to: u32,
    },
    Mask {
        register: u32,
        mask: u32,
    },
    /// Sets these bits in a register and leaves the others.
    SetBits {
        register: u32,
        bits: u32,
    },
    /// Makes the value of a register the mark of the packet.
    SetMark {
        from: u32,
    },
    Compare {
        register: u32,
        operator: u32,
        value: Vec<u8>,
    },
    Lookup {
        set: &'static str,
        register: u32,
    },
    /// Continues if the set does not contain the key.
    LookupMissing {
        set: &'static str,
        register: u32,
    },
    /// Continues in another chain, and after it with the next rule.
    Jump(&'static str),
    Verdict(i32),
}

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

/// Continues if the first register has this value.
pub(crate) fn equals(value: Vec<u8>) -> Expression {
    Expression::Compare { register: NFT_REG32_00, operator: NFT_CMP_EQ, value }
}

impl Expression {
    /// The name of its type in the kernel.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Meta { .. } | Self::SetMark { .. } => "meta",
            Self::Payload { .. } => "payload",
            Self::State { .. } | Self::Status { .. } | Self::Direction { .. } => "ct",
            Self::Mask { .. } | Self::SetBits { .. } => "bitwise",
            Self::Compare { .. } => "cmp",
            Self::Lookup { .. } | Self::LookupMissing { .. } => "lookup",
            Self::Jump(_) | Self::Verdict(_) => "immediate",
        }
    }

    pub(super) fn write(&self, item: &mut Body<'_>) {
        item.text(NFTA_EXPR_NAME, self.name()).nest(NFTA_EXPR_DATA, |data| match self {
            Self::Meta { key, to } => {
                data.number(NFTA_META_DREG, *to).number(NFTA_META_KEY, *key);
            }
            Self::Payload { header, offset, length, to } => {
                data.number(NFTA_PAYLOAD_DREG, *to).number(NFTA_PAYLOAD_BASE, *header);
                data.number(NFTA_PAYLOAD_OFFSET, *offset).number(NFTA_PAYLOAD_LEN, *length);
            }
            Self::State { to } => {
                data.number(NFTA_CT_DREG, *to).number(NFTA_CT_KEY, NFT_CT_STATE);
            }
            Self::Status { to } => {
                data.number(NFTA_CT_DREG, *to).number(NFTA_CT_KEY, NFT_CT_STATUS);
            }
            Self::Direction { to } => {
                data.number(NFTA_CT_DREG, *to).number(NFTA_CT_KEY, NFT_CT_DIRECTION);
            }
            Self::Mask { register, mask } => bitwise(data, *register, *mask, 0),
            Self::SetBits { register, bits } => bitwise(data, *register, !bits, *bits),
            Self::SetMark { from } => {
                data.number(NFTA_META_KEY, NFT_META_MARK).number(NFTA_META_SREG, *from);
            }
            Self::Compare { register, operator, value } => {
                data.number(NFTA_CMP_SREG, *register).number(NFTA_CMP_OP, *operator);
                data.nest(NFTA_CMP_DATA, |inside| {
                    inside.bytes(NFTA_DATA_VALUE, value);
                });
            }
            Self::Lookup { set, register } => {
                data.text(NFTA_LOOKUP_SET, set).number(NFTA_LOOKUP_SREG, *register);
            }
            Self::LookupMissing { set, register } => {
                data.text(NFTA_LOOKUP_SET, set).number(NFTA_LOOKUP_SREG, *register);
                data.number(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
            }
            Self::Jump(chain) => verdict(data, NFT_JUMP, Some(chain)),
            Self::Verdict(code) => verdict(data, *code, None),
        });
    }
}

/// Replaces the value of a register by `(value & mask) ^ xor`. A state or mark is in host byte order.
fn bitwise(data: &mut Body<'_>, register: u32, mask: u32, xor: u32) {
    data.number(NFTA_BITWISE_SREG, register).number(NFTA_BITWISE_DREG, register);
    data.number(NFTA_BITWISE_LEN, NFT_REG32_SIZE).nest(NFTA_BITWISE_MASK, |inside| {
        inside.bytes(NFTA_DATA_VALUE, &mask.to_ne_bytes());
    });
    data.nest(NFTA_BITWISE_XOR, |inside| {
        inside.bytes(NFTA_DATA_VALUE, &xor.to_ne_bytes());
    });
}

/// Writes the verdict to the verdict register, as data of type verdict. A jump names its chain.
fn verdict(data: &mut Body<'_>, code: i32, chain: Option<&str>) {
    data.number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT).nest(NFTA_IMMEDIATE_DATA, |inside| {
        inside.nest(NFTA_DATA_VERDICT, |verdict| {
            verdict.bytes(NFTA_VERDICT_CODE, &code.to_be_bytes());
            if let Some(chain) = chain {
                verdict.text(NFTA_VERDICT_CHAIN, chain);
            }
        });
    });
}

#[cfg(test)]
mod tests;
