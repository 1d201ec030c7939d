//! The sets, their elements, and the rules that match them.
//!
//! No set type compares two addresses, a port and an interface. So a flow on a bridge takes two
//! elements: the flow, and the seat of its recipient. A seat says that an address is attached to a
//! bridge. In either direction, a packet of the flow must arrive and leave on the bridge of the
//! recipient.

use crate::firewall::bridge::MATCH_BOUND;
use crate::firewall::xtables::common_chain::BASE;
use crate::model::{BridgeName, Family, Flow, OnBridge, PortRange, PortSet};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// The purpose of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Flows that are permitted only on the bridge of the recipient.
    Bridged,
    /// Flows that are permitted only there, and only by the ports of both ends.
    Ported,
    /// Pairs of address and bridge (seats).
    Seats,
    /// Flows that are permitted on any interface.
    Routed,
}

/// One of our sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IpSet {
    /// The address family.
    pub(crate) family: Family,
    /// The purpose of the set.
    pub(crate) kind: Kind,
}

impl IpSet {
    /// The sets of one family.
    pub(crate) fn all_of(family: Family) -> [Self; 4] {
        [Kind::Bridged, Kind::Ported, Kind::Seats, Kind::Routed].map(|kind| Self { family, kind })
    }

    /// The set that `entry` belongs to.
    pub(crate) fn of(entry: &SetEntry) -> Self {
        let (ip, kind) = match entry {
            SetEntry::Flow { flow, kind } => (flow.from, *kind),
            SetEntry::Seat { ip, .. } => (*ip, Kind::Seats),
        };
        Self { family: Family::of(ip), kind }
    }

    /// The name of the set.
    pub(crate) fn name(self) -> &'static str {
        match (self.family, self.kind) {
            (Family::V4, Kind::Bridged) => "oci-link4",
            (Family::V4, Kind::Ported) => "oci-link4-port",
            (Family::V4, Kind::Seats) => "oci-link4-at",
            (Family::V4, Kind::Routed) => "oci-link4-routed",
            (Family::V6, Kind::Bridged) => "oci-link6",
            (Family::V6, Kind::Ported) => "oci-link6-port",
            (Family::V6, Kind::Seats) => "oci-link6-at",
            (Family::V6, Kind::Routed) => "oci-link6-routed",
        }
    }
}

/// The value of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SetEntry {
    /// A permitted flow.
    Flow {
        /// The flow to one port, without its bridge, which is in the seat of the recipient.
        flow: Flow,
        /// The kind of the set of flows that has it.
        kind: Kind,
    },
    /// The bridge that an address is attached to.
    Seat {
        /// Address of the recipient.
        ip: IpAddr,
        /// The bridge.
        bridge: BridgeName,
    },
}

impl SetEntry {
    /// The entries that permit `flows`: one per port of each flow, and one seat per address and bridge.
    ///
    /// A set of this type holds no ranges. `link::flows` limits the number of ports. Flows may overlap;
    /// an entry occurs once.
    pub(crate) fn all(flows: &[Flow]) -> Vec<Self> {
        let (mut seats, mut known) = (HashSet::new(), HashSet::new());
        let each = flows.iter().flat_map(|flow| {
            let (protocol, kind) = (flow.ports.protocol(), kind(flow));
            let single = move |number| PortRange::single(number, protocol);
            let ports = flow.ports.numbers().filter_map(single);
            ports.map(move |ports| Self::Flow { flow: Flow { ports, ..flow.anywhere() }, kind })
        });
        let mut all: Vec<Self> = each.filter(|entry| known.insert(*entry)).collect();
        let taken = flows.iter().filter_map(|flow| Some((flow.from, flow.bridge?.name)));
        for (ip, bridge) in taken.filter(|seat| seats.insert(*seat)) {
            all.push(Self::Seat { ip, bridge });
        }
        all
    }

    /// The address of the recipient.
    pub(crate) fn recipient(&self) -> IpAddr {
        match self {
            Self::Flow { flow, .. } => flow.from,
            Self::Seat { ip, .. } => *ip,
        }
    }

    /// The port of a flow; `None` for a seat.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Flow { flow, .. } => Some(flow.ports.first()),
            Self::Seat { .. } => None,
        }
    }

    /// A key that puts the ports of a flow one after the other.
    pub(crate) fn order(&self) -> impl Ord + use<> {
        let (to, protocol) = match self {
            Self::Flow { flow, kind } => {
                (Some((flow.to, *kind)), Some(flow.ports.protocol().number()))
            }
            Self::Seat { .. } => (None, None),
        };
        (self.recipient(), to, protocol, self.port())
    }

    /// Whether `next` is the same flow to the next port.
    pub(crate) fn is_followed_by(&self, next: &Self) -> bool {
        let next_port = |flow: &Flow| {
            PortRange::single(flow.ports.first().checked_add(1)?, flow.ports.protocol())
        };
        match self {
            Self::Flow { flow, kind } => next_port(flow).is_some_and(|ports| {
                *next == Self::Flow { flow: Flow { ports, ..*flow }, kind: *kind }
            }),
            Self::Seat { .. } => false,
        }
    }

    /// Address and bridge of a seat; `None` for a flow.
    pub(crate) fn as_seat(&self) -> Option<(IpAddr, BridgeName)> {
        match self {
            Self::Flow { .. } => None,
            Self::Seat { ip, bridge } => Some((*ip, *bridge)),
        }
    }

    /// The flows that this entry permits; empty for a seat.
    ///
    /// A flow on a bridge is returned once for each bridge in `seats`. If the recipient has no
    /// seat, the flow is returned once without a bridge: it would be permitted as soon as a seat
    /// exists.
    pub(crate) fn as_flows(&self, seats: &HashMap<IpAddr, Vec<BridgeName>>) -> Vec<Flow> {
        match self {
            Self::Flow { flow, kind: Kind::Routed | Kind::Seats } => vec![*flow],
            Self::Flow { flow, kind: kind @ (Kind::Bridged | Kind::Ported) } => {
                let bridges = seats.get(&flow.from).map_or(&[][..], Vec::as_slice);
                let by_port = *kind == Kind::Ported;
                let bound = bridges.iter().map(|name| Flow {
                    bridge: Some(OnBridge { by_port, ..(*name).into() }),
                    ..*flow
                });
                bound.chain(bridges.is_empty().then_some(*flow)).collect()
            }
            Self::Seat { .. } => Vec::new(),
        }
    }

    /// Formats the entry as `ipset save` prints it.
    pub(crate) fn show(&self) -> String {
        let set = IpSet::of(self).name();
        match self {
            Self::Flow { flow: Flow { from, to, ports, .. }, .. } => {
                format!("add {set} {from},{}:{},{to}", ports.protocol(), ports.first())
            }
            Self::Seat { ip, bridge } => format!("add {set} {ip},{bridge}"),
        }
    }
}

/// The kind of the set for a flow.
fn kind(flow: &Flow) -> Kind {
    match flow.bridge {
        None => Kind::Routed,
        Some(OnBridge { by_port: false, .. }) => Kind::Bridged,
        Some(OnBridge { by_port: true, .. }) => Kind::Ported,
    }
}

/// The same flows, with ranges instead of many neighbouring ports.
pub(crate) fn with_ranges(flows: &[Flow]) -> Vec<Flow> {
    let mut all: HashMap<_, Vec<PortRange>> = HashMap::new();
    for Flow { from, to, ports, bridge } in flows {
        all.entry((*from, *to, *bridge)).or_default().push(*ports);
    }
    let joined = all.into_iter().flat_map(|((from, to, bridge), ranges)| {
        let set: PortSet = ranges.into_iter().collect();
        set.iter().map(|ports| Flow { from, to, ports, bridge }).collect::<Vec<_>>()
    });
    joined.collect()
}

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
mod tests {
    use super::*;
    use crate::model::sample::port;

    fn flow(from: &str, to: &str, ports: &str, bridge: &str) -> Flow {
        let ports = port(ports);
        let [from, to] = [from, to].map(|ip| ip.parse().unwrap());
        Flow { from, to, ports, bridge: BridgeName::new(bridge).ok().map(OnBridge::from) }
    }

    #[test]
    fn a_bound_flow_takes_a_seat_too_and_says_so_again() {
        let flows = [
            flow("10.0.0.2", "10.0.0.3", "80", "br0"),
            flow("10.0.0.2", "10.0.0.3", "81", "br0"),
            flow("10.0.0.2", "10.0.1.3", "80", ""),
            flow("fd00::2", "fd00::3", "80", "br1"),
            flow("fd00::2", "fd00:1::3", "80", ""),
        ];
        let all = SetEntry::all(&flows);
        let shown: Vec<String> = all.iter().map(SetEntry::show).collect();
        let expected = [
            "add oci-link4 10.0.0.2,tcp:80,10.0.0.3",
            "add oci-link4 10.0.0.2,tcp:81,10.0.0.3",
            "add oci-link4-routed 10.0.0.2,tcp:80,10.0.1.3",
            "add oci-link6 fd00::2,tcp:80,fd00::3",
            "add oci-link6-routed fd00::2,tcp:80,fd00:1::3",
            "add oci-link4-at 10.0.0.2,br0",
            "add oci-link6-at fd00::2,br1",
        ];
        assert_eq!(shown, expected);

        let mut seats: HashMap<_, Vec<_>> = HashMap::new();
        for (ip, bridge) in all.iter().filter_map(SetEntry::as_seat) {
            seats.entry(ip).or_default().push(bridge);
        }
        let again: Vec<Flow> = all.iter().flat_map(|entry| entry.as_flows(&seats)).collect();
        assert_eq!(again, flows);
        let unseated = all[0].as_flows(&HashMap::new());
        assert_eq!(unseated, [Flow { bridge: None, ..flows[0] }], "it would with any seat");
        let recipients: HashSet<_> = all.iter().map(SetEntry::recipient).collect();
        assert_eq!(recipients, flows.iter().map(|flow| flow.from).collect());
    }

    #[test]
    fn a_range_is_an_entry_for_each_port_once() {
        let (from, to) = ("10.0.0.2", "10.0.0.3");
        let flows = [flow(from, to, "80", ""), flow(from, to, "79-82", "")];
        let shown: Vec<String> = SetEntry::all(&flows).iter().map(SetEntry::show).collect();
        let expected = [80, 79, 81, 82]
            .map(|number| format!("add oci-link4-routed 10.0.0.2,tcp:{number},10.0.0.3"));
        assert_eq!(shown, expected);
        assert_eq!(SetEntry::all(&[flow(from, to, "1-65535", "")]).len(), 65_535);
    }

    #[test]
    fn many_neighbours_are_read_as_a_range() {
        let (from, to) = ("10.0.0.2", "10.0.0.3");
        let wide = [flow(from, to, "1000-1016", "br0"), flow(from, to, "1000-1016", "")];
        let few = [flow(from, to, "80", ""), flow(from, to, "81", ""), flow(to, from, "82", "")];
        let each: Vec<Flow> = wide
            .iter()
            .flat_map(|wide| {
                let single = |number: u16| flow(from, to, &number.to_string(), "");
                wide.ports.numbers().rev().map(move |n| Flow { bridge: wide.bridge, ..single(n) })
            })
            .chain(few)
            .collect();
        let mut found = with_ranges(&each);
        found.sort_by_key(ToString::to_string);
        let mut expected = [&wide[..], &few].concat();
        expected.sort_by_key(ToString::to_string);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_bound_flow_passes_only_where_its_recipient_sits() {
        let at = |end| {
            format!(
                "-m set --match-set oci-link6-at {end},src -m set --match-set oci-link6-at {end},dst "
            )
        };
        let rule = |set: &str, at: &str| {
            [
                format!("-A OCI-LINK -m set --match-set {set} src,dst,dst {at}-j ACCEPT"),
                format!(
                    "-A OCI-LINK -m conntrack --ctstate ESTABLISHED -m set --match-set {set} \
                     dst,src,src {at}-j ACCEPT"
                ),
            ]
        };
        let bound = |set| {
            let [there, _] = rule(set, &at("src"));
            let [_, back] = rule(set, &at("dst"));
            vec![there, back]
        };
        let mark = "-A OCI-LINK -m mark --mark 0x10000000/0x10000000 ";
        let ported = bound("oci-link6-port").into_iter();
        let ported = ported.map(|rule| rule.replace("-A OCI-LINK ", mark)).collect();
        let routed = rule("oci-link6-routed", "").to_vec();
        assert_eq!(rules(Family::V6), [ported, bound("oci-link6"), routed].concat());
        assert_eq!(outdated(Family::V6), rule("oci-link6", ""));
    }
}
