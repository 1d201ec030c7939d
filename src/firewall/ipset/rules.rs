//! The rules that match the sets.

use super::sets::{IpSet, Kind};
use crate::firewall::bridge::MATCH_BOUND;
use crate::firewall::xtables::common_chain::BASE;
use crate::model::Family;

/// The rules of a family that match the sets.
///
/// The first rule of a pair accepts packets to the source, the second one replies of an established
/// connection. In a match of the seats, the first word selects the address to compare. The second
/// word selects the interface: `src` on arrival, `dst` on departure.
pub(crate) fn rules(family: Family) -> Vec<String> {
    let [flows, ported, seats, routed] = IpSet::all_of(family).map(IpSet::name);
    let at =
        |end| format!("-m set --match-set {seats} {end},src -m set --match-set {seats} {end},dst ");
    let mut all = plain(ported);
    for rule in &mut all {
        *rule = rule.replace(&format!("-A {BASE} "), &format!("-A {BASE} {MATCH_BOUND} "));
    }
    all.extend(plain(flows));
    for (rule, end) in all.iter_mut().zip(["src", "dst"].into_iter().cycle()) {
        *rule = rule.replace("-j ACCEPT", &format!("{}-j ACCEPT", at(end)));
    }
    all.extend(plain(routed));
    all
}

/// The rules of a family for flows between hosts. Packets of a flow that leaves come in by the bridge of the recipient
/// and go out by another interface; those of a flow that enters come in by no closed bridge.
pub(crate) fn rules_between(family: Family) -> Vec<String> {
    let [leaves, enters, ends, closed] = IpSet::between_hosts(family).map(IpSet::name);
    let ways = [
        (leaves, format!("{ends} src,src"), format!("{ends} src,dst")),
        (leaves, format!("{ends} dst,dst"), format!("{ends} dst,src")),
        (enters, format!("{ends} dst,dst"), format!("{closed} src,src")),
        (enters, format!("{ends} src,src"), format!("{closed} dst,dst")),
    ];
    let mut all = Vec::new();
    for (set, near, others) in ways {
        let place = format!("-m set --match-set {near} -m set ! --match-set {others} -j ACCEPT");
        // Of each set there and back.
        let rule = plain(set).swap_remove(all.len() % 2);
        all.push(rule.replace("-j ACCEPT", &place));
    }
    all
}

/// All rules of a family that this or an earlier version makes.
pub(crate) fn every(family: Family) -> Vec<String> {
    [rules(family), outdated(family), rules_between(family)].concat()
}

/// The rules of earlier versions, which did not check the bridge.
pub(crate) fn outdated(family: Family) -> Vec<String> {
    plain(IpSet { family, kind: Kind::Bridged }.name())
}

fn plain(set: &str) -> Vec<String> {
    vec![
        format!("-A {BASE} -m set --match-set {set} src,dst,dst -j ACCEPT"),
        format!(
            "-A {BASE} -m conntrack --ctstate ESTABLISHED -m set --match-set {set} dst,src,src \
             -j ACCEPT"
        ),
    ]
}

#[cfg(test)]
mod tests;
