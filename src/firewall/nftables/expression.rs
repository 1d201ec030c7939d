//! The expressions of the `nf_tables` virtual machine that our rules use.
//!
//! An expression loads a register, compares it, looks it up in a set, or ends with a verdict.
//! Registers are 4 bytes wide here. The key of a set is assembled in consecutive registers.

use crate::sys::net::netlink::message::Body;
use crate::sys::net::netlink::uapi::{
    NFT_CMP_EQ, NFT_CT_DIRECTION, NFT_CT_STATE, NFT_CT_STATUS, NFT_LOOKUP_F_INV, NFT_META_MARK,
    NFT_REG_VERDICT, NFT_REG32_00, NFT_REG32_SIZE, NFTA_BITWISE_DREG, NFTA_BITWISE_LEN,
    NFTA_BITWISE_MASK, NFTA_BITWISE_SREG, NFTA_BITWISE_XOR, NFTA_CMP_DATA, NFTA_CMP_OP,
    NFTA_CMP_SREG, NFTA_CT_DREG, NFTA_CT_KEY, NFTA_DATA_VALUE, NFTA_DATA_VERDICT, NFTA_EXPR_DATA,
    NFTA_EXPR_NAME, NFTA_IMMEDIATE_DATA, NFTA_IMMEDIATE_DREG, NFTA_LIST_ELEM, NFTA_LOOKUP_FLAGS,
    NFTA_LOOKUP_SET, NFTA_LOOKUP_SREG, NFTA_META_DREG, NFTA_META_KEY, NFTA_META_SREG,
    NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_DREG, NFTA_PAYLOAD_LEN, NFTA_PAYLOAD_OFFSET,
    NFTA_VERDICT_CHAIN, NFTA_VERDICT_CODE,
};
use nix::libc::{NFT_GOTO, NFT_JUMP};

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
    /// Sets these bits in a register, clears the others of the mask, and leaves the rest.
    SetBits {
        register: u32,
        mask: u32,
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
    /// Continues in another chain, and after it behind this one.
    Goto(&'static str),
    Verdict(i32),
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
            Self::Jump(_) | Self::Goto(_) | Self::Verdict(_) => "immediate",
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
            Self::SetBits { register, mask, bits } => bitwise(data, *register, !mask, *bits),
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
            Self::Goto(chain) => verdict(data, NFT_GOTO, Some(chain)),
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
