//! The rules of the chain that isolate single containers, as `xtables/separation.rs` does for iptables.
//!
//! A packet that is not tracked has no status, and a rule that asks for it does not match. So each rule for
//! packets to a port is followed by one for packets that are not tracked.

use super::rules::{Expression, Rule, equals, has_mark};
use crate::firewall::bridge::{ISOLATED_IN, ISOLATED_OUT};
use crate::firewall::nftables::messages::interface;
use crate::model::BridgeName;
use crate::sys::net::netlink::uapi::{
    NFT_CMP_NEQ, NFT_META_MARK, NFT_META_OIFNAME, NFT_REG32_00 as REGISTER,
};
use nix::libc::NF_DROP;

/// `NF_CT_STATE_BIT` of `IP_CT_ESTABLISHED` and of `IP_CT_RELATED`.
const ANSWERS: u32 = 1 << 1 | 1 << 2;
/// `NF_CT_STATE_INVALID_BIT` and `NF_CT_STATE_UNTRACKED_BIT`.
const NOT_TRACKED: u32 = 1 | 1 << 6;
/// `IPS_DST_NAT`.
const DST_NAT: u32 = 1 << 5;
/// What the names of these rules begin with.
pub(super) const PREFIX: &str = "isolated, ";

/// The rules for containers on the bridges `gates`. Empty if there are none.
pub(super) fn gate_rules(gates: &[BridgeName]) -> Vec<Rule> {
    if gates.is_empty() {
        return Vec::new();
    }
    let drop = || vec![Expression::Verdict(NF_DROP)];
    let mut all = Vec::new();
    let mut add = |name: &str, parts: [Vec<Expression>; 3]| {
        all.push(Rule::new(&format!("{PREFIX}{name}"), parts.concat()));
    };
    add("from a port", [has_mark(ISOLATED_OUT).to_vec(), state_lacks(ANSWERS), drop()]);
    let to = || has_mark(ISOLATED_IN).to_vec();
    add("to a port", [to(), is_foreign(), drop()]);
    add("to a port, not tracked", [to(), state_has(NOT_TRACKED), drop()]);
    for gate in gates {
        add(&format!("out by {gate}"), [leaves_by(gate), is_foreign(), mark(ISOLATED_IN)]);
        let not_tracked = [leaves_by(gate), state_has(NOT_TRACKED), mark(ISOLATED_IN)];
        add(&format!("out by {gate}, not tracked"), not_tracked);
    }
    all
}

/// The number of rules that [`gate_rules`] returns.
pub(super) fn count(gates: &[BridgeName]) -> usize {
    if gates.is_empty() { 0 } else { 3 + 2 * gates.len() }
}

/// Matches packets of tracked connections that are neither answers nor for a published port.
fn is_foreign() -> Vec<Expression> {
    let status = vec![
        Expression::Status { to: REGISTER },
        Expression::Mask { register: REGISTER, mask: DST_NAT },
        equals(vec![0; 4]),
    ];
    [state_lacks(ANSWERS), status].concat()
}

fn state_lacks(bits: u32) -> Vec<Expression> {
    vec![
        Expression::State { to: REGISTER },
        Expression::Mask { register: REGISTER, mask: bits },
        equals(vec![0; 4]),
    ]
}

fn state_has(bits: u32) -> Vec<Expression> {
    vec![
        Expression::State { to: REGISTER },
        Expression::Mask { register: REGISTER, mask: bits },
        Expression::Compare { register: REGISTER, operator: NFT_CMP_NEQ, value: vec![0; 4] },
    ]
}

fn leaves_by(bridge: &BridgeName) -> Vec<Expression> {
    vec![Expression::Meta { key: NFT_META_OIFNAME, to: REGISTER }, equals(interface(bridge))]
}

/// Sets a bit of the mark. The others stay.
fn mark(bit: u32) -> Vec<Expression> {
    vec![
        Expression::Meta { key: NFT_META_MARK, to: REGISTER },
        Expression::SetBits { register: REGISTER, bits: bit },
        Expression::SetMark { from: REGISTER },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_counted_and_have_names_of_their_own() {
        let names = ["a", "b"].map(|name| BridgeName::new(name).unwrap());
        for gates in [&names[..0], &names[..1], &names] {
            let rules = gate_rules(gates);
            assert_eq!(rules.len(), count(gates));
            let mut comments: Vec<&String> = rules.iter().map(|rule| &rule.comment).collect();
            comments.sort();
            comments.dedup();
            assert_eq!(comments.len(), rules.len());
        }
    }
}
