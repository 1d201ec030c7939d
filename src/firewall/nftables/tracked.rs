//! Matches of what the kernel tracks of the connection of a packet.

use super::expression::{Expression, equals};
use crate::sys::net::netlink::uapi::{NFT_CMP_NEQ, NFT_REG32_00 as REGISTER};

/// `NF_CT_STATE_BIT` of `IP_CT_ESTABLISHED`.
pub(super) const ESTABLISHED: u32 = 1 << 1;
/// That bit, and that of `IP_CT_RELATED`.
pub(super) const ANSWERS: u32 = ESTABLISHED | 1 << 2;
/// `NF_CT_STATE_INVALID_BIT` and `NF_CT_STATE_UNTRACKED_BIT`.
pub(super) const NOT_TRACKED: u32 = 1 | 1 << 6;
/// `IPS_DST_NAT`.
const DST_NAT: u32 = 1 << 5;
/// `IP_CT_DIR_ORIGINAL`.
const ORIGINAL: u8 = 0;

/// Matches packets of tracked connections that are neither answers nor for a published port.
pub(super) fn is_foreign() -> Vec<Expression> {
    [state_lacks(ANSWERS), not_published()].concat()
}

pub(super) fn state_lacks(bits: u32) -> Vec<Expression> {
    vec![
        Expression::State { to: REGISTER },
        Expression::Mask { register: REGISTER, mask: bits },
        equals(vec![0; 4]),
    ]
}

pub(super) fn state_has(bits: u32) -> Vec<Expression> {
    vec![
        Expression::State { to: REGISTER },
        Expression::Mask { register: REGISTER, mask: bits },
        Expression::Compare { register: REGISTER, operator: NFT_CMP_NEQ, value: vec![0; 4] },
    ]
}

/// Matches packets in the direction of the first one of a connection.
pub(super) fn begins() -> Vec<Expression> {
    vec![Expression::Direction { to: REGISTER }, equals(vec![ORIGINAL])]
}

/// Matches packets that are not for a published port.
pub(super) fn not_published() -> Vec<Expression> {
    vec![
        Expression::Status { to: REGISTER },
        Expression::Mask { register: REGISTER, mask: DST_NAT },
        equals(vec![0; 4]),
    ]
}
