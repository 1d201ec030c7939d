//! The rules of the chain `OCI-LINK-ISOLATE`, which follow all links.
//!
//! ```text
//! OCI-LINK-ISOLATE   from an isolated port, and no answer: DROP
//! OCI-LINK-ISOLATE   on one bridge, to an isolated port, no answer and not to a published port: DROP
//! OCI-LINK-ISOLATE   from or to a port that is isolated in both directions, of a connection: DROP
//! OCI-LINK-ISOLATE   take the marks of packets to isolated ports off
//! OCI-LINK-ISOLATE   out by a bridge with isolated ports or by a VLAN of it, likewise: mark it
//! OCI-LINK-ISOLATE   -i br -o br -j DROP          one per pair of isolated bridges
//! OCI-LINK-ISOLATE   between a bridge of a network that is routed between hosts, and other hosts: DROP
//! ```
//!
//! The marks of the first rules are those of the table of family `bridge`, which knows the port of a
//! bridged packet. The port of a routed packet is known after this chain only: the last rules for ports mark it,
//! and that table drops it if the port is isolated. A routed packet may come with such a mark, if the host saves
//! marks in connections and restores them. So the second rule is about bridged packets only, and the third about those
//! that come from the bridge.

use crate::firewall::bridge::{ISOLATED_BOTH, ISOLATED_IN, ISOLATED_OUT};
use crate::firewall::outside::Outside;
use crate::firewall::walls::Walls;
use crate::model::BridgeName;

/// The chain.
pub(crate) const ISOLATE: &str = "OCI-LINK-ISOLATE";

/// The rules of the chain as `iptables -S` prints them. Empty if nothing is isolated.
pub(crate) fn separation(walls: &Walls) -> Vec<String> {
    let mut all = Vec::new();
    if !walls.gates.is_empty() {
        all.push(format!(
            "-A {ISOLATE} -m mark --mark {ISOLATED_OUT:#x}/{ISOLATED_OUT:#x} \
             -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP"
        ));
        for gate in &walls.gates {
            for way in ways(gate) {
                all.push(format!(
                    "-A {ISOLATE} -i {way} -o {gate} -m mark --mark {ISOLATED_IN:#x}/{ISOLATED_IN:#x} \
                     {FOREIGN} -j DROP"
                ));
                all.push(format!(
                    "-A {ISOLATE} -i {way} -m mark --mark {ISOLATED_BOTH:#x}/{ISOLATED_BOTH:#x} {KNOWN} -j DROP"
                ));
            }
        }
        // Judged, or restored from a connection by the host.
        let bits = ISOLATED_IN | ISOLATED_BOTH;
        all.push(format!("-A {ISOLATE} -j MARK --set-xmark 0x0/{bits:#x}"));
    }
    for way in walls.gates.iter().flat_map(ways) {
        for (which, bit) in [(FOREIGN, ISOLATED_IN), (KNOWN, ISOLATED_IN | ISOLATED_BOTH)] {
            all.push(format!(
                "-A {ISOLATE} -o {way} {which} -j MARK --set-xmark {bit:#x}/{bit:#x}"
            ));
        }
    }
    let bridges = &walls.bridges;
    let pairs = bridges.iter().flat_map(|from| bridges.iter().map(move |to| (from, to)));
    all.extend(pairs.map(|(from, to)| format!("-A {ISOLATE} -i {from} -o {to} -j DROP")));
    all.extend(from_outside(&walls.outside));
    all
}

/// The rules between bridges and other hosts, of one family. What comes to a bridge is dropped unless it answers or is
/// for a published port; what goes from it to other hosts unless it answers; and what has an address of its network
/// and comes in elsewhere.
fn from_outside(outside: &Outside) -> Vec<String> {
    let mut all = Vec::new();
    for (bridge, network) in &outside.inside {
        let to = format!("-A {ISOLATE} -d {network} ! -i {bridge} -o {bridge} -m conntrack");
        all.push(format!("{to} ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"));
        all.push(format!("{to} ! --ctstate DNAT --ctdir ORIGINAL -j DROP"));
        all.push(format!("-A {ISOLATE} -s {network} ! -i {bridge} -j DROP"));
    }
    for bridge in outside.bridges() {
        for network in &outside.declared {
            let from = format!("-A {ISOLATE} -d {network} -i {bridge} ! -o {bridge} -m conntrack");
            all.push(format!("{from} ! --ctstate RELATED,ESTABLISHED -j DROP"));
            all.push(format!("{from} --ctdir ORIGINAL -j DROP"));
        }
    }
    all
}

/// The interfaces by which packets come from a bridge or are routed to it: the bridge and its VLANs.
fn ways(gate: &BridgeName) -> impl Iterator<Item = String> {
    [Some(gate.to_string()), gate.vlans().map(|vlans| format!("{vlans}+"))].into_iter().flatten()
}

/// Matches packets that are neither answers nor for a published port.
const FOREIGN: &str = "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT";

/// Matches packets of connections that had an answer, but for a published port.
const KNOWN: &str = "-m conntrack --ctstate ESTABLISHED -m conntrack ! --ctstate DNAT";

/// The bridges on which the rules in the listing `there` judge packets of isolated containers. Another state
/// directory may have made them.
pub(crate) fn gates_of(there: &[String]) -> Vec<BridgeName> {
    let start = format!("-A {ISOLATE} -o ");
    let end = format!(" {FOREIGN} -j MARK --set-xmark {ISOLATED_IN:#x}/{ISOLATED_IN:#x}");
    let name = |rule: &String| rule.strip_prefix(&start)?.strip_suffix(&end).map(str::to_owned);
    there.iter().filter_map(|rule| BridgeName::new(&name(rule)?).ok()).collect()
}

/// Whether a rule of the chain separates two bridges.
pub(crate) fn is_between_bridges(rule: &str) -> bool {
    let words = rule.strip_prefix("-A OCI-LINK-ISOLATE -i ").map(|rest| rest.split(' ').count());
    words == Some("BRIDGE -o BRIDGE -j DROP".split(' ').count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_judged_by_marks_and_bridges_by_names() {
        let names = ["a", "a23456789012345"].map(|name| BridgeName::new(name).unwrap());
        assert!(separation(&Walls::default()).is_empty());
        let rules = separation(&Walls::of(&names[..1]).with_gates(&names));
        let expected = [
            "-m mark --mark 0x20000000/0x20000000 -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP",
            "-i a -o a -m mark --mark 0x40000000/0x40000000 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
            "-i a -m mark --mark 0x8000000/0x8000000 -m conntrack --ctstate ESTABLISHED -m conntrack ! --ctstate DNAT -j DROP",
            "-i a.+ -o a -m mark --mark 0x40000000/0x40000000 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
            "-i a.+ -m mark --mark 0x8000000/0x8000000 -m conntrack --ctstate ESTABLISHED -m conntrack ! --ctstate DNAT -j DROP",
            "-i a23456789012345 -o a23456789012345 -m mark --mark 0x40000000/0x40000000 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
            "-i a23456789012345 -m mark --mark 0x8000000/0x8000000 -m conntrack --ctstate ESTABLISHED -m conntrack ! --ctstate DNAT -j DROP",
            "-j MARK --set-xmark 0x0/0x48000000",
            "-o a -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j MARK --set-xmark 0x40000000/0x40000000",
            "-o a -m conntrack --ctstate ESTABLISHED -m conntrack ! --ctstate DNAT -j MARK --set-xmark 0x48000000/0x48000000",
            "-o a.+ -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j MARK --set-xmark 0x40000000/0x40000000",
            "-o a.+ -m conntrack --ctstate ESTABLISHED -m conntrack ! --ctstate DNAT -j MARK --set-xmark 0x48000000/0x48000000",
            "-o a23456789012345 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j MARK --set-xmark 0x40000000/0x40000000",
            "-o a23456789012345 -m conntrack --ctstate ESTABLISHED -m conntrack ! --ctstate DNAT -j MARK --set-xmark 0x48000000/0x48000000",
            "-i a -o a -j DROP",
        ];
        assert_eq!(rules, expected.map(|rule| format!("-A OCI-LINK-ISOLATE {rule}")));
        assert_eq!(gates_of(&rules), names);
        let between: Vec<&String> = rules.iter().filter(|rule| is_between_bridges(rule)).collect();
        assert_eq!(between, [rules.last().unwrap()]);
    }

    #[test]
    fn a_bridge_is_separated_from_other_hosts_by_destination_too() {
        let mut walls = Walls::default();
        for line in ["br0 10.10.1.0/24", "br0 fd10:1::/64", "/ 10.10.2.0/24"] {
            walls.outside.add(line);
        }
        let rules = separation(&walls.of_family(crate::model::Family::V4));
        let expected = [
            "-A OCI-LINK-ISOLATE -d 10.10.1.0/24 ! -i br0 -o br0 -m conntrack ! --ctstate \
             RELATED,ESTABLISHED,DNAT -j DROP",
            "-A OCI-LINK-ISOLATE -d 10.10.1.0/24 ! -i br0 -o br0 -m conntrack ! --ctstate DNAT \
             --ctdir ORIGINAL -j DROP",
            "-A OCI-LINK-ISOLATE -s 10.10.1.0/24 ! -i br0 -j DROP",
            "-A OCI-LINK-ISOLATE -d 10.10.2.0/24 -i br0 ! -o br0 -m conntrack ! --ctstate \
             RELATED,ESTABLISHED -j DROP",
            "-A OCI-LINK-ISOLATE -d 10.10.2.0/24 -i br0 ! -o br0 -m conntrack --ctdir ORIGINAL -j DROP",
        ];
        assert_eq!(rules, expected);
        assert_eq!(separation(&walls.of_family(crate::model::Family::V6)).len(), 3);
    }
}
