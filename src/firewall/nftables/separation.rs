//! The rules of the chain that isolate single containers, as `xtables/separation.rs` does for iptables.
//!
//! A packet that is not tracked has no status, and a rule that asks for it does not match. So each rule for
//! packets to a port is followed by one for packets that are not tracked.

use super::crossing;
use super::expression::{Expression, Rule, equals};
use super::outside;
use super::rules::{has_mark, rules};
use super::tracked::{
    ANSWERS, ESTABLISHED, NOT_TRACKED, is_foreign, not_published, state_has, state_lacks,
};
use crate::firewall::bridge::{ISOLATED_BOTH, ISOLATED_IN, ISOLATED_OUT};
use crate::firewall::nftables::messages::interface;
use crate::firewall::walls::Walls;
use crate::model::BridgeName;
use crate::sys::net::netlink::uapi::{
    NFT_META_IIFNAME, NFT_META_MARK, NFT_META_OIFNAME, NFT_REG32_00 as REGISTER,
};
use nix::libc::NF_DROP;

/// What the names of these rules begin with.
pub(super) const PREFIX: &str = "isolated, ";

/// All rules of the chain in order: those for links and bridges, then those for single containers.
pub(super) fn all_rules(walls: &Walls) -> Vec<Rule> {
    let mut all = rules(&walls.bridges);
    if walls.crosses {
        // Behind the administrator's chain.
        all.splice(1..1, crossing::rules());
    }
    all.extend(gate_rules(&walls.gates));
    all.extend(outside::rules(&walls.outside));
    all
}

/// The number of rules that [`all_rules`] returns.
pub(super) fn count_all(walls: &Walls) -> usize {
    super::rules::count(&walls.bridges)
        + count(&walls.gates)
        + outside::count(&walls.outside)
        + if walls.crosses { crossing::COUNT } else { 0 }
}

/// The rules for containers on the bridges `gates`. Empty if there are none.
fn gate_rules(gates: &[BridgeName]) -> Vec<Rule> {
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
    // Bridged packets only: a routed one may come with a mark that the host restored from a connection.
    for gate in gates {
        let leaves = || leaves_by(interface(gate));
        for (way, comes) in ways(gate, NFT_META_IIFNAME) {
            let marked = || [comes.clone(), leaves(), to()].concat();
            add(&format!("{way} to a port"), [marked(), is_foreign(), drop()]);
            let not_tracked = [marked(), state_has(NOT_TRACKED), drop()];
            add(&format!("{way} to a port, not tracked"), not_tracked);
            let both = [comes, has_mark(ISOLATED_BOTH).to_vec()].concat();
            add(&format!("{way} from or to a port, in both directions"), [both, known(), drop()]);
        }
    }
    // Judged, or restored from a connection by the host.
    add("judged", [Vec::new(), Vec::new(), unmark(ISOLATED_IN | ISOLATED_BOTH)]);
    for gate in gates {
        for (way, leaves) in ways(gate, NFT_META_OIFNAME) {
            let parts = [leaves.clone(), is_foreign(), mark(ISOLATED_IN)];
            add(&format!("out by {way}"), parts);
            let parts = [leaves.clone(), state_has(NOT_TRACKED), mark(ISOLATED_IN)];
            add(&format!("out by {way}, not tracked"), parts);
            let parts = [leaves, known(), mark(ISOLATED_IN | ISOLATED_BOTH)];
            add(&format!("out by {way}, in a connection"), parts);
        }
    }
    all
}

/// The bridge of a rule with this comment, if it is the first one for a bridge.
pub(super) fn gate_of(comment: &str) -> Option<BridgeName> {
    let name = comment.strip_prefix(Rule::MARK)?.strip_prefix(PREFIX)?.strip_prefix("out by ")?;
    BridgeName::new(name).ok()
}

/// The number of rules that [`gate_rules`] returns.
fn count(gates: &[BridgeName]) -> usize {
    let ways = gates.iter().map(|gate| 1 + usize::from(gate.vlans().is_some()));
    if gates.is_empty() { 0 } else { 2 + 6 * ways.sum::<usize>() }
}

/// Matches packets of connections that had an answer, but for a published port.
fn known() -> Vec<Expression> {
    [state_has(ESTABLISHED), not_published()].concat()
}

/// The interfaces by which packets come from a bridge or are routed to it, the bridge and its VLANs, each with what
/// matches it as the value of `key`.
fn ways(gate: &BridgeName, key: u32) -> Vec<(String, Vec<Expression>)> {
    let is = |name| vec![Expression::Meta { key, to: REGISTER }, equals(name)];
    let vlans = gate.vlans().map(|vlans| (format!("{vlans}*"), is(vlans.into_bytes())));
    [Some((gate.to_string(), is(interface(gate)))), vlans].into_iter().flatten().collect()
}

/// Matches packets that leave by an interface whose name begins with these bytes.
fn leaves_by(name: Vec<u8>) -> Vec<Expression> {
    vec![Expression::Meta { key: NFT_META_OIFNAME, to: REGISTER }, equals(name)]
}

/// Sets bits of the mark. The others stay.
fn mark(bits: u32) -> Vec<Expression> {
    vec![
        Expression::Meta { key: NFT_META_MARK, to: REGISTER },
        Expression::SetBits { register: REGISTER, mask: bits, bits },
        Expression::SetMark { from: REGISTER },
    ]
}

/// Takes bits out of the mark. The others stay.
fn unmark(bits: u32) -> Vec<Expression> {
    vec![
        Expression::Meta { key: NFT_META_MARK, to: REGISTER },
        Expression::Mask { register: REGISTER, mask: !bits },
        Expression::SetMark { from: REGISTER },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_counted_and_have_names_of_their_own() {
        let names = ["a", "a23456789012345"].map(|name| BridgeName::new(name).unwrap());
        for gates in [&names[..0], &names[..1], &names] {
            let rules = gate_rules(gates);
            assert_eq!(rules.len(), count(gates));
            let walls = Walls::of(&names).with_gates(gates);
            for walls in [Walls { crosses: true, ..walls.clone() }, walls] {
                assert_eq!(all_rules(&walls).len(), count_all(&walls));
            }
            let mut comments: Vec<&String> = rules.iter().map(|rule| &rule.comment).collect();
            comments.sort();
            comments.dedup();
            assert_eq!(comments.len(), rules.len());
            let found: Vec<BridgeName> =
                rules.iter().filter_map(|rule| gate_of(&rule.comment)).collect();
            assert_eq!(found, gates);
        }
    }
}
