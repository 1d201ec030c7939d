//! The expressions of a rule, as far as they are understood.

use crate::sys::net::netlink::message::Attributes;
use crate::sys::net::netlink::uapi::{
    NFT_CMP_EQ, NFT_CMP_NEQ, NFT_CT_STATE, NFT_CT_STATUS, NFT_META_BRI_IIFNAME,
    NFT_META_BRI_OIFNAME, NFT_META_IIF, NFT_META_IIFNAME, NFT_META_L4PROTO, NFT_META_NFPROTO,
    NFT_META_OIF, NFT_META_OIFNAME, NFT_META_PROTOCOL, NFT_PAYLOAD_NETWORK_HEADER,
    NFT_PAYLOAD_TRANSPORT_HEADER, NFT_REG_VERDICT, NFT_REG32_00, NFT_REG32_SIZE, NFTA_BITWISE_DREG,
    NFTA_BITWISE_MASK, NFTA_BITWISE_OP, NFTA_BITWISE_SREG, NFTA_BITWISE_XOR, NFTA_CMP_DATA,
    NFTA_CMP_OP, NFTA_CMP_SREG, NFTA_CT_DREG, NFTA_CT_KEY, NFTA_DATA_VALUE, NFTA_DATA_VERDICT,
    NFTA_EXPR_DATA, NFTA_EXPR_NAME, NFTA_IMMEDIATE_DATA, NFTA_IMMEDIATE_DREG, NFTA_LOOKUP_DREG,
    NFTA_LOOKUP_FLAGS, NFTA_LOOKUP_SET, NFTA_LOOKUP_SREG, NFTA_META_DREG, NFTA_META_KEY,
    NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_DREG, NFTA_PAYLOAD_LEN, NFTA_PAYLOAD_OFFSET,
    NFTA_VERDICT_CHAIN, NFTA_VERDICT_CODE, NFTA_XT_NAME,
};
use nix::libc::{NF_ACCEPT, NF_DROP, NFT_BREAK, NFT_CONTINUE, NFT_GOTO, NFT_JUMP, NFT_RETURN};

/// Expressions that decide nothing about the packet.
const NEUTRAL: [&str; 8] =
    ["counter", "log", "notrack", "dup", "last", "objref", "flow_offload", "tproxy"];
/// Registers 1 to 4 have 16 bytes, and are the same memory as those of 4 bytes from 8 on.
const WIDE: usize = 16;

/// The expressions of one rule.
pub(super) type Rule = Vec<Expression>;

/// One expression. Places in registers are counted in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// It matches every packet and changes nothing.
    Neutral,
    /// It may match or not.
    Unknown,
    Load {
        to: usize,
        field: Field,
        length: usize,
    },
    Constant {
        to: usize,
        bytes: Vec<u8>,
    },
    Mask {
        from: usize,
        to: usize,
        mask: Vec<u8>,
        xor: Vec<u8>,
    },
    Compare {
        from: usize,
        equal: bool,
        bytes: Vec<u8>,
    },
    Lookup {
        from: usize,
        set: String,
        inverted: bool,
        is_map: bool,
    },
    Verdict(Verdict),
}

/// Which interface of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The one on which it arrives.
    In,
    /// The one on which it leaves.
    Out,
}

/// What is loaded into a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// The name of an interface.
    Interface(Way),
    /// The index of an interface.
    Index(Way),
    /// The name of the bridge that has the interface.
    Bridge,
    NfProtocol,
    EtherType,
    L4Protocol,
    /// The state of the connection.
    State,
    /// The status bits of the connection, such as whether its address is translated.
    Status,
    Network {
        offset: usize,
    },
    Transport {
        offset: usize,
    },
    Other,
}

/// The end of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    /// It `drops` or `rejects`.
    Drop(&'static str),
    Continue,
    Return,
    Jump(String),
    Goto(String),
    /// It replaces the packet's source address, in the word of `nft`. The chain ends.
    Translate(&'static str),
    /// A program decides.
    Other,
}

impl Expression {
    /// Parses one expression of a rule.
    pub(super) fn of(item: &Attributes<'_>) -> Self {
        let data = item.inside(NFTA_EXPR_DATA);
        let name = item.text(NFTA_EXPR_NAME).unwrap_or_default();
        let parsed = match name {
            "immediate" => immediate(&data),
            "meta" => meta(&data),
            "ct" => ct(&data),
            "payload" => payload(&data),
            "bitwise" => bitwise(&data),
            "cmp" => compare(&data),
            "lookup" => lookup(&data),
            "reject" => Some(Self::Verdict(Verdict::Drop("rejects"))),
            // Destinations are translated at other hooks.
            "masq" => Some(Self::Verdict(Verdict::Translate("masquerade"))),
            "nat" => Some(Self::Verdict(Verdict::Translate("snat"))),
            "queue" => Some(Self::Verdict(Verdict::Other)),
            "target" => Some(target(data.text(NFTA_XT_NAME).unwrap_or_default())),
            "match" => (data.text(NFTA_XT_NAME) == Some("comment")).then_some(Self::Neutral),
            _ => NEUTRAL.contains(&name).then_some(Self::Neutral),
        };
        parsed.unwrap_or(Self::Unknown)
    }
}

impl Verdict {
    /// Parses a verdict; `None` if there is none.
    pub(super) fn of(verdict: &Attributes<'_>) -> Option<Self> {
        let chain = || verdict.text(NFTA_VERDICT_CHAIN).map(str::to_owned);
        Some(match verdict.signed(NFTA_VERDICT_CODE)? {
            NF_ACCEPT => Self::Accept,
            NF_DROP => Self::Drop("drops"),
            NFT_CONTINUE | NFT_BREAK => Self::Continue,
            NFT_RETURN => Self::Return,
            NFT_JUMP => Self::Jump(chain()?),
            NFT_GOTO => Self::Goto(chain()?),
            _ => Self::Other,
        })
    }
}

fn immediate(data: &Attributes<'_>) -> Option<Expression> {
    let value = data.inside(NFTA_IMMEDIATE_DATA);
    if data.number(NFTA_IMMEDIATE_DREG) == Some(NFT_REG_VERDICT) {
        return Verdict::of(&value.inside(NFTA_DATA_VERDICT)).map(Expression::Verdict);
    }
    let bytes = value.get(NFTA_DATA_VALUE)?.to_vec();
    Some(Expression::Constant { to: register(data, NFTA_IMMEDIATE_DREG)?, bytes })
}

fn meta(data: &Attributes<'_>) -> Option<Expression> {
    // Without a destination it sets a mark or the like.
    let Some(to) = register(data, NFTA_META_DREG) else { return Some(Expression::Neutral) };
    let field = match data.number(NFTA_META_KEY)? {
        NFT_META_IIFNAME => Field::Interface(Way::In),
        NFT_META_OIFNAME => Field::Interface(Way::Out),
        NFT_META_IIF => Field::Index(Way::In),
        NFT_META_OIF => Field::Index(Way::Out),
        NFT_META_BRI_IIFNAME | NFT_META_BRI_OIFNAME => Field::Bridge,
        NFT_META_NFPROTO => Field::NfProtocol,
        NFT_META_PROTOCOL => Field::EtherType,
        NFT_META_L4PROTO => Field::L4Protocol,
        _ => Field::Other,
    };
    Some(Expression::Load { to, field, length: WIDE })
}

fn ct(data: &Attributes<'_>) -> Option<Expression> {
    let Some(to) = register(data, NFTA_CT_DREG) else { return Some(Expression::Neutral) };
    let field = match data.number(NFTA_CT_KEY)? {
        NFT_CT_STATE => Field::State,
        NFT_CT_STATUS => Field::Status,
        _ => Field::Other,
    };
    Some(Expression::Load { to, field, length: WIDE })
}

fn payload(data: &Attributes<'_>) -> Option<Expression> {
    let Some(to) = register(data, NFTA_PAYLOAD_DREG) else { return Some(Expression::Neutral) };
    let offset = usize::try_from(data.number(NFTA_PAYLOAD_OFFSET)?).ok()?;
    let field = match data.number(NFTA_PAYLOAD_BASE)? {
        NFT_PAYLOAD_NETWORK_HEADER => Field::Network { offset },
        NFT_PAYLOAD_TRANSPORT_HEADER => Field::Transport { offset },
        _ => Field::Other,
    };
    let length = usize::try_from(data.number(NFTA_PAYLOAD_LEN)?).ok()?;
    Some(Expression::Load { to, field, length })
}

fn bitwise(data: &Attributes<'_>) -> Option<Expression> {
    // Other operations than a mask shift.
    if data.number(NFTA_BITWISE_OP).unwrap_or(0) != 0 {
        return None;
    }
    let value = |kind| data.inside(kind).get(NFTA_DATA_VALUE).map(<[u8]>::to_vec);
    Some(Expression::Mask {
        from: register(data, NFTA_BITWISE_SREG)?,
        to: register(data, NFTA_BITWISE_DREG)?,
        mask: value(NFTA_BITWISE_MASK)?,
        xor: value(NFTA_BITWISE_XOR)?,
    })
}

fn compare(data: &Attributes<'_>) -> Option<Expression> {
    let equal = match data.number(NFTA_CMP_OP)? {
        NFT_CMP_EQ => true,
        NFT_CMP_NEQ => false,
        _ => return None,
    };
    let bytes = data.inside(NFTA_CMP_DATA).get(NFTA_DATA_VALUE)?.to_vec();
    Some(Expression::Compare { from: register(data, NFTA_CMP_SREG)?, equal, bytes })
}

fn lookup(data: &Attributes<'_>) -> Option<Expression> {
    let map = data.number(NFTA_LOOKUP_DREG);
    // A map of other values than verdicts.
    if map.is_some_and(|to| to != NFT_REG_VERDICT) {
        return None;
    }
    Some(Expression::Lookup {
        from: register(data, NFTA_LOOKUP_SREG)?,
        set: data.text(NFTA_LOOKUP_SET)?.to_owned(),
        inverted: data.number(NFTA_LOOKUP_FLAGS).unwrap_or(0) & 1 != 0,
        is_map: map.is_some(),
    })
}

/// A target of iptables. Those that end the way of a packet are known.
fn target(name: &str) -> Expression {
    match name {
        "REJECT" => Expression::Verdict(Verdict::Drop("rejects")),
        "DROP" => Expression::Verdict(Verdict::Drop("drops")),
        "ACCEPT" => Expression::Verdict(Verdict::Accept),
        "MASQUERADE" => Expression::Verdict(Verdict::Translate("masquerade")),
        "SNAT" => Expression::Verdict(Verdict::Translate("snat")),
        "NETMAP" => Expression::Verdict(Verdict::Translate("netmap")),
        "NFQUEUE" | "QUEUE" | "SYNPROXY" => Expression::Verdict(Verdict::Other),
        _ => Expression::Neutral,
    }
}

/// The place of a register in bytes; `None` if the attribute is missing or no register for data.
fn register(data: &Attributes<'_>, kind: u16) -> Option<usize> {
    let number = data.number(kind)?;
    let narrow = number.checked_sub(NFT_REG32_00).map(|at| at * NFT_REG32_SIZE);
    match (number, narrow) {
        (NFT_REG_VERDICT, _) => None,
        (_, Some(at)) => usize::try_from(at).ok(),
        (wide, None) => Some((usize::try_from(wide).ok()? - 1) * WIDE),
    }
}
