//! Runs the rules on packets, in an interpreter of the expressions.

use super::*;
use crate::firewall::nftables::messages::key;
use crate::firewall::nftables::ranges;
use crate::model::sample::port;
use crate::model::{Flow, OnBridge, PortRange};
use crate::sys::net::netlink::uapi::{NFT_CMP_EQ, NFT_CMP_NEQ};
use std::net::IpAddr;

/// Connection states: `NF_CT_STATE_BIT` of `IP_CT_NEW` and of `IP_CT_ESTABLISHED`.
const NEW: u32 = 8;
const SPOKEN_BY_BOTH: u32 = 2;

#[derive(Clone)]
struct Packet {
    family: Family,
    interfaces: [&'static str; 2],
    protocol: u8,
    network: Vec<u8>,
    transport: Vec<u8>,
    state: u32,
    mark: u32,
}

impl Packet {
    fn new(family: Family, addresses: [IpAddr; 2], protocol: u8, transport: &[u8]) -> Self {
        let mut network = vec![0xee; if family == Family::V4 { 12 } else { 8 }];
        for address in addresses {
            match address {
                IpAddr::V4(ip) => network.extend(ip.octets()),
                IpAddr::V6(ip) => network.extend(ip.octets()),
            }
        }
        let transport = transport.to_vec();
        let (interfaces, state, mark) = (["br0", "br0"], NEW, 0);
        Self { family, interfaces, protocol, network, transport, state, mark }
    }

    fn through(self, from: &'static str, to: &'static str) -> Self {
        Self { interfaces: [from, to], ..self }
    }

    fn established(self) -> Self {
        Self { state: SPOKEN_BY_BOTH, ..self }
    }

    /// The verdict if only `flow` is permitted and `br0` is isolated; `None` if no rule matches.
    fn fate(&self, flow: &Flow) -> Option<i32> {
        let bridges = [BridgeName::new("br0").unwrap()];
        rules(&bridges).iter().find_map(|rule| self.run(rule, flow))
    }

    fn run(&self, rule: &Rule, flow: &Flow) -> Option<i32> {
        let mut registers = [0xff; 64];
        let at = |register: u32| usize::try_from(4 * (register - NFT_REG32_00)).unwrap();
        for expression in &rule.expressions {
            let (to, loaded) = match expression {
                Expression::Meta { key, to } => (*to, self.meta(*key)),
                Expression::Payload { header, offset, length, to } => {
                    let header = match *header {
                        NFT_PAYLOAD_NETWORK_HEADER => &self.network,
                        NFT_PAYLOAD_TRANSPORT_HEADER => &self.transport,
                        _ => panic!("no such header"),
                    };
                    let [from, length] = [*offset, *length].map(|n| usize::try_from(n).unwrap());
                    (*to, header[from..from + length].to_vec())
                }
                Expression::State { to } => (*to, self.state.to_ne_bytes().to_vec()),
                Expression::Direction { .. } => panic!("no rule of a link asks for it"),
                Expression::Mask { register, mask } => {
                    let word = registers[at(*register)..].first_chunk().unwrap();
                    (*register, (u32::from_ne_bytes(*word) & mask).to_ne_bytes().to_vec())
                }
                Expression::Compare { register, operator, value } => {
                    let order = registers[at(*register)..][..value.len()].cmp(value);
                    let matches = match *operator {
                        NFT_CMP_EQ => order.is_eq(),
                        NFT_CMP_NEQ => order.is_ne(),
                        NFT_CMP_GTE => order.is_ge(),
                        NFT_CMP_LTE => order.is_le(),
                        _ => panic!("no such operator"),
                    };
                    if !matches {
                        return None;
                    }
                    continue;
                }
                Expression::Lookup { set, register } => {
                    let there = flow.ports.is_single()
                        && registers[at(*register)..].starts_with(&key(flow));
                    if *set != NftSet::of(flow).name() || !there {
                        return None;
                    }
                    continue;
                }
                Expression::Goto(_)
                | Expression::SetBits { .. }
                | Expression::Status { .. }
                | Expression::SetMark { .. }
                | Expression::LookupMissing { .. } => panic!("only in the bridge table"),
                // The administrator's chain is empty here.
                Expression::Jump(USER) => return None,
                Expression::Jump(chain) => {
                    assert_eq!(*chain, RANGES);
                    let flows = [*flow];
                    let rules = ranges::rules(&flows).map(ranges::RangeRule::expressions);
                    let mut rules = rules.map(|it| Rule::new("range", it));
                    return rules.find_map(|rule| self.run(&rule, flow));
                }
                Expression::Verdict(verdict) => return Some(*verdict),
            };
            // A load fills whole registers.
            let end = at(to) + loaded.len().next_multiple_of(4);
            registers[at(to)..end].fill(0);
            registers[at(to)..at(to) + loaded.len()].copy_from_slice(&loaded);
        }
        panic!("{} does not end", rule.comment);
    }

    fn meta(&self, key: u32) -> Vec<u8> {
        let named = |name| interface(&BridgeName::new(name).unwrap());
        match (key, self.family) {
            (NFT_META_IIFNAME, _) => named(self.interfaces[0]),
            (NFT_META_OIFNAME, _) => named(self.interfaces[1]),
            (NFT_META_NFPROTO, Family::V4) => vec![2],
            (NFT_META_NFPROTO, Family::V6) => vec![10],
            (NFT_META_L4PROTO, _) => vec![self.protocol],
            (NFT_META_MARK, _) => self.mark.to_ne_bytes().to_vec(),
            _ => panic!("no such key"),
        }
    }
}

#[test]
fn a_flow_passes_there_and_back_and_nothing_beside_it() {
    // Ports 0x0102, and 0x0102 to 0x0104.
    for ports in ["258/udp", "258-260/udp"].map(port) {
        passes_there_and_back_and_nothing_beside_it(ports);
    }
}

fn passes_there_and_back_and_nothing_beside_it(ports: PortRange) {
    for [from, to, other] in
        [["10.0.0.2", "10.0.0.3", "10.0.0.4"], ["fd00::2", "fd00::3", "fd00::4"]]
    {
        let [from, to, other]: [IpAddr; 3] = [from, to, other].map(|ip| ip.parse().unwrap());
        let family = Family::of(from);
        let packet = |from, to, ports: &[u8]| Packet::new(family, [from, to], 17, ports);
        let there = packet(from, to, &[9, 9, 1, 2]);
        let back = packet(to, from, &[1, 2, 9, 9]);
        let name = BridgeName::new("br0").unwrap();
        let ties = [false, true].map(|by_port| Some(OnBridge { by_port, ..name.into() }));
        for bridge in ties.into_iter().chain([None]) {
            let flow = Flow { from, to, ports, bridge };
            let by_port = bridge.is_some_and(|on| on.by_port);
            let unmarked = by_port.then_some(NF_DROP).or(Some(NF_ACCEPT));
            for marked in [there.clone(), back.clone().established()] {
                assert_eq!(Packet { mark: !BOUND, ..marked }.fate(&flow), unmarked);
            }
            // The bits of other programs do not matter.
            let mark = if by_port { BOUND | 0xff } else { 0 };
            let fate = |packet: Packet| Packet { mark, ..packet }.fate(&flow);
            assert_eq!(fate(there.clone()), Some(NF_ACCEPT));
            for inside in [[9, 9, 1, 3], [9, 9, 1, 4]].map(|ports| packet(from, to, &ports)) {
                let expected = if ports.is_single() { NF_DROP } else { NF_ACCEPT };
                assert_eq!(fate(inside), Some(expected));
            }
            assert_eq!(fate(back.clone().established()), Some(NF_ACCEPT));
            assert_eq!(fate(back.clone()), Some(NF_DROP), "no request was sent");
            for beside in [
                packet(from, to, &[1, 2, 9, 9]),
                packet(from, to, &[9, 9, 1, 1]),
                packet(from, to, &[9, 9, 1, 5]),
                packet(from, to, &[9, 9, 2, 3]),
                packet(from, other, &[9, 9, 1, 2]),
                packet(other, to, &[9, 9, 1, 2]),
                Packet { protocol: 6, ..there.clone() },
            ] {
                assert_eq!(fate(beside.clone()), Some(NF_DROP));
                assert_eq!(fate(beside.established()), Some(NF_DROP));
            }
            // Between other bridges nothing is isolated, so no rule of ours gives a verdict.
            let elsewhere = bridge.is_none().then_some(NF_ACCEPT);
            for (first, second) in [("br0", "br1"), ("br1", "br0"), ("br1", "br1")] {
                let back = back.clone().established().through(first, second);
                assert_eq!(fate(there.clone().through(first, second)), elsewhere);
                assert_eq!(fate(back), elsewhere);
            }
        }
    }
}

#[test]
fn neighbours_of_ipv6_find_each_other() {
    let ips = ["fd00::2", "fd00::3"].map(|ip| ip.parse().unwrap());
    let flow = Flow { from: ips[0], to: ips[1], ports: port("1"), bridge: None };
    let packet = |protocol, kind, hops| {
        let mut packet = Packet::new(Family::V6, ips, protocol, &[kind, 0, 0, 0]);
        packet.network[7] = hops;
        packet
    };
    let fate = |protocol, kind, hops| packet(protocol, kind, hops).fate(&flow);
    assert_eq!(
        [134, 135, 136, 137].map(|kind| fate(58, kind, 255)),
        [Some(NF_DROP), Some(NF_ACCEPT), Some(NF_ACCEPT), Some(NF_DROP)]
    );
    assert_eq!(fate(17, 135, 255), Some(NF_DROP), "a port");
    for (kind, hops) in [(135, 254), (136, 254), (135, 64), (136, 0)] {
        assert_eq!(fate(58, kind, hops), Some(NF_DROP), "it was routed: {kind} {hops}");
    }
    let other = Packet { family: Family::V4, ..packet(58, 135, 255) };
    assert_eq!(other.fate(&flow), Some(NF_DROP), "protocol 58 of IPv4");
}

#[test]
fn what_permits_comes_before_what_drops() {
    let shown = |names: &[&str]| -> Vec<(String, bool)> {
        let bridges: Vec<_> = names.iter().map(|name| BridgeName::new(name).unwrap()).collect();
        let permits = |rule: &Rule| {
            let last = rule.expressions.last();
            matches!(last, Some(Expression::Verdict(NF_ACCEPT) | Expression::Jump(_)))
        };
        assert_eq!(rules(&bridges).len(), count(&bridges));
        rules(&bridges).iter().map(|rule| (rule.comment.clone(), permits(rule))).collect()
    };
    let (none, two) = (shown(&[]), shown(&["a", "b"]));
    assert!(none.iter().all(|(_, permits)| *permits), "{none:?}");
    assert!(none[0].0.ends_with("the administrator's chain"), "{none:?}");
    let (permits, drops) = two.split_at(none.len());
    assert_eq!(permits, none);
    let every_way = ["a to a", "a to b", "b to a", "b to b"];
    assert_eq!(drops, every_way.map(|way| (format!("oci-link: {way}"), false)));
}
