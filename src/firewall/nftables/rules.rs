//! The rules of the chain, as the small machine in the kernel runs them: each expression loads a
//! register, compares one, looks one up in a set, or ends the packet's way.
//!
//! Registers are 4 bytes wide here; a set's key is put together in several that follow each other.

use super::messages::{ITEM, NftSet, VALUE, interface};
use crate::model::{BridgeName, Family};
use crate::sys::net::netlink::message::Body;
use nix::libc::{IPPROTO_ICMPV6, NF_ACCEPT, NF_DROP, NFPROTO_IPV4, NFPROTO_IPV6};

/// The first of the small registers.
const REGISTER: u32 = 8;
/// How many of them an interface's name takes.
const NAME_WORDS: u32 = 4;
/// Where an expression's name and attributes are.
const NAME: u16 = 1;
const DATA: u16 = 2;
/// What `meta` can load.
const IN_INTERFACE: u32 = 6;
const OUT_INTERFACE: u32 = 7;
const FAMILY: u32 = 15;
const PROTOCOL: u32 = 16;
/// Which header `payload` loads from.
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
/// Connection tracking's word for a packet of a connection that both sides have spoken in.
const ESTABLISHED: u32 = 1 << 1;
/// What bridges need instead of ARP; see the chain of the other backends.
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// A rule of ours, known by its comment.
#[derive(Debug)]
pub(crate) struct Rule {
    /// What it is for; no two have the same.
    pub(crate) comment: String,
    expressions: Vec<Expression>,
}

impl Rule {
    /// How the comments of our rules begin.
    pub(crate) const MARK: &'static str = "oci-link: ";

    fn new(purpose: &str, expressions: Vec<Expression>) -> Self {
        Self { comment: format!("{}{purpose}", Self::MARK), expressions }
    }

    /// Writes the list of its expressions.
    pub(crate) fn write(&self, list: &mut Body<'_>) {
        for expression in &self.expressions {
            list.nest(ITEM, |item| expression.write(item));
        }
    }
}

#[derive(Debug, Clone)]
enum Expression {
    Meta { key: u32, to: u32 },
    Payload { header: u32, offset: u32, length: u32, to: u32 },
    State { to: u32 },
    Mask { register: u32, mask: u32 },
    Compare { register: u32, equal: bool, value: Vec<u8> },
    Lookup { set: &'static str, register: u32 },
    Verdict(i32),
}

/// All rules, in order: what permits, then what drops.
pub(crate) fn rules(bridges: &[BridgeName]) -> Vec<Rule> {
    let mut all = Vec::new();
    for (family, name) in [(Family::V4, "IPv4"), (Family::V6, "IPv6")] {
        for (bridged, place) in [(true, " on a bridge"), (false, "")] {
            let set = NftSet { family, bridged };
            all.push(Rule::new(&format!("{name}{place}, there"), there(set)));
            all.push(Rule::new(&format!("{name}{place}, back"), back(set)));
        }
    }
    all.push(Rule::new("neighbour solicitation", discovery(NEIGHBOUR_SOLICITATION)));
    all.push(Rule::new("neighbour advertisement", discovery(NEIGHBOUR_ADVERTISEMENT)));
    for from in bridges {
        all.extend(bridges.iter().map(|to| Rule::new(&format!("{from} to {to}"), drop(from, to))));
    }
    all
}

/// How many they are.
pub(crate) fn count(bridges: &[BridgeName]) -> usize {
    rules(&[]).len() + bridges.len().pow(2)
}

/// Source, destination, protocol and destination port are in the set.
fn there(set: NftSet) -> Vec<Expression> {
    let mut rule = is_in(set, false);
    rule.push(Expression::Verdict(NF_ACCEPT));
    rule
}

/// The same the other way round, for packets of a connection.
fn back(set: NftSet) -> Vec<Expression> {
    let mut rule = is_in(set, true);
    rule.extend([
        Expression::State { to: REGISTER },
        Expression::Mask { register: REGISTER, mask: ESTABLISHED },
        Expression::Compare { register: REGISTER, equal: false, value: vec![0; 4] },
        Expression::Verdict(NF_ACCEPT),
    ]);
    rule
}

/// The packet is in the set; where its flow is bound to a bridge, by the interface that it comes
/// in by as well as by the one that it goes out by.
fn is_in(set: NftSet, back: bool) -> Vec<Expression> {
    let protocol = match set.family {
        Family::V4 => NFPROTO_IPV4,
        Family::V6 => NFPROTO_IPV6,
    };
    let mut rule = vec![
        Expression::Meta { key: FAMILY, to: REGISTER },
        equals(vec![u8::try_from(protocol).unwrap_or(0)]),
    ];
    let bridges: &[Option<u32>] =
        if set.bridged { &[Some(IN_INTERFACE), Some(OUT_INTERFACE)] } else { &[None] };
    for interface in bridges {
        let (first, lookup) = (interface.map_or(REGISTER, |_| REGISTER + NAME_WORDS), set.name());
        rule.extend(interface.map(|key| Expression::Meta { key, to: REGISTER }));
        rule.extend(load(set.family, back, first));
        rule.push(Expression::Lookup { set: lookup, register: REGISTER });
    }
    rule
}

/// Puts the packet's addresses, protocol and port into the registers from `first` on.
fn load(family: Family, back: bool, first: u32) -> [Expression; 4] {
    let (offset, length) = match family {
        Family::V4 => (12, 4),
        Family::V6 => (8, 16),
    };
    let address = |offset, to| Expression::Payload { header: NETWORK, offset, length, to };
    let (words, second) = (length / 4, offset + length);
    let (from, to) = if back { (second, offset) } else { (offset, second) };
    let port = if back { 0 } else { 2 };
    let after = first + 2 * words;
    [
        address(from, first),
        address(to, first + words),
        Expression::Meta { key: PROTOCOL, to: after },
        Expression::Payload { header: TRANSPORT, offset: port, length: 2, to: after + 1 },
    ]
}

fn discovery(kind: u8) -> Vec<Expression> {
    vec![
        Expression::Meta { key: PROTOCOL, to: REGISTER },
        equals(vec![u8::try_from(IPPROTO_ICMPV6).unwrap_or(0)]),
        Expression::Payload { header: TRANSPORT, offset: 0, length: 1, to: REGISTER },
        equals(vec![kind]),
        Expression::Verdict(NF_ACCEPT),
    ]
}

fn drop(from: &BridgeName, to: &BridgeName) -> Vec<Expression> {
    let named = |bridge: &BridgeName| equals(interface(bridge));
    vec![
        Expression::Meta { key: IN_INTERFACE, to: REGISTER },
        named(from),
        Expression::Meta { key: OUT_INTERFACE, to: REGISTER },
        named(to),
        Expression::Verdict(NF_DROP),
    ]
}

fn equals(value: Vec<u8>) -> Expression {
    Expression::Compare { register: REGISTER, equal: true, value }
}

impl Expression {
    fn name(&self) -> &'static str {
        match self {
            Self::Meta { .. } => "meta",
            Self::Payload { .. } => "payload",
            Self::State { .. } => "ct",
            Self::Mask { .. } => "bitwise",
            Self::Compare { .. } => "cmp",
            Self::Lookup { .. } => "lookup",
            Self::Verdict(_) => "immediate",
        }
    }

    fn write(&self, item: &mut Body<'_>) {
        item.text(NAME, self.name()).nest(DATA, |data| match self {
            Self::Meta { key, to } => {
                data.number(1, *to).number(2, *key);
            }
            Self::Payload { header, offset, length, to } => {
                data.number(1, *to).number(2, *header).number(3, *offset).number(4, *length);
            }
            Self::State { to } => {
                data.number(1, *to).number(2, 0);
            }
            // Connection tracking's numbers are the host's; so is the mask.
            Self::Mask { register, mask } => {
                data.number(1, *register).number(2, *register).number(3, 4);
                data.nest(4, |inside| {
                    inside.bytes(VALUE, &mask.to_ne_bytes());
                });
                data.nest(5, |inside| {
                    inside.bytes(VALUE, &[0; 4]);
                });
            }
            Self::Compare { register, equal, value } => {
                data.number(1, *register).number(2, u32::from(!equal)).nest(3, |inside| {
                    inside.bytes(VALUE, value);
                });
            }
            Self::Lookup { set, register } => {
                data.text(1, set).number(2, *register);
            }
            // Into the register of verdicts, as data of that kind.
            Self::Verdict(verdict) => {
                data.number(1, 0).nest(2, |inside| {
                    inside.nest(2, |code| {
                        code.bytes(1, &verdict.to_be_bytes());
                    });
                });
            }
        });
    }
}

#[cfg(test)]
mod tests;
