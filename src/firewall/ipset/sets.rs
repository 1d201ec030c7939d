//! The sets and their elements.
//!
//! No set type compares two addresses, a port and an interface. So a flow on a bridge takes two
//! elements: the flow, and the seat of its recipient. A seat says that an address is attached to a
//! bridge. In either direction, a packet of the flow must arrive and leave on the bridge of the
//! recipient.

use crate::firewall::across::each_port;
use crate::model::{BridgeName, Crossing, Family, Flow, OnBridge, PortRange, PortSet};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    /// Flows to other hosts. Their elements have a timeout.
    Leaves,
    /// Flows from other hosts. Their elements have a timeout.
    Enters,
    /// Pairs of address and bridge: the ends on this host of flows between hosts.
    Ends,
    /// Bridges by which no packet of another host comes in.
    Closed,
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

    /// The sets of one family for flows between hosts. They are made with the first such flow.
    pub(crate) fn between_hosts(family: Family) -> [Self; 4] {
        [Kind::Leaves, Kind::Enters, Kind::Ends, Kind::Closed].map(|kind| Self { family, kind })
    }

    /// Whether elements of the set may have a timeout.
    pub(crate) fn is_timed(self) -> bool {
        matches!(self.kind, Kind::Leaves | Kind::Enters)
    }

    /// The set that `entry` belongs to.
    pub(crate) fn of(entry: &SetEntry) -> Self {
        let (ip, kind) = match entry {
            SetEntry::Flow { flow, kind } => (flow.from, *kind),
            SetEntry::Seat { ip, .. } => (*ip, Kind::Seats),
            SetEntry::End { ip, .. } => (*ip, Kind::Ends),
            SetEntry::Closed { any, .. } => (*any, Kind::Closed),
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
            (Family::V4, Kind::Leaves) => "oci-link4-leaves",
            (Family::V4, Kind::Enters) => "oci-link4-enters",
            (Family::V4, Kind::Ends) => "oci-link4-ends",
            (Family::V4, Kind::Closed) => "oci-link4-closed",
            (Family::V6, Kind::Leaves) => "oci-link6-leaves",
            (Family::V6, Kind::Enters) => "oci-link6-enters",
            (Family::V6, Kind::Ends) => "oci-link6-ends",
            (Family::V6, Kind::Closed) => "oci-link6-closed",
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
    /// The bridge of the end on this host of flows between hosts.
    End {
        /// Address of the recipient or of the source.
        ip: IpAddr,
        /// The bridge.
        bridge: BridgeName,
    },
    /// A bridge by which no packet of another host comes in.
    Closed {
        /// The address that stands for all of its family.
        any: IpAddr,
        /// The bridge.
        bridge: BridgeName,
    },
}

impl SetEntry {
    /// The entries that permit `flows`: one per port of each flow, and one seat per address and bridge. Of flows
    /// between hosts, an end in place of the seat.
    ///
    /// A set of this type holds no ranges. `link::flows` limits the number of ports. Flows may overlap;
    /// an entry occurs once.
    pub(crate) fn all(flows: &[Flow]) -> Vec<Self> {
        let (mut seats, mut known) = (HashSet::new(), HashSet::new());
        let each = flows.iter().flat_map(|flow| {
            let kind = kind(flow);
            each_port(&flow.anywhere()).map(move |flow| Self::Flow { flow, kind })
        });
        let mut all: Vec<Self> = each.filter(|entry| known.insert(*entry)).collect();
        let taken = flows.iter().filter_map(|flow| {
            let (on, bridge) = (flow.bridge?.crossing, flow.bridge?.name);
            Some(match on {
                Crossing::Within => Self::Seat { ip: flow.from, bridge },
                Crossing::Leaves => Self::End { ip: flow.from, bridge },
                Crossing::Enters => Self::End { ip: flow.to, bridge },
            })
        });
        all.extend(taken.filter(|seat| seats.insert(*seat)));
        all
    }

    /// The address of the recipient. Of an end, the address on this host.
    pub(crate) fn recipient(&self) -> IpAddr {
        match self {
            Self::Flow { flow, .. } => flow.from,
            Self::Seat { ip, .. } | Self::End { ip, .. } | Self::Closed { any: ip, .. } => *ip,
        }
    }

    /// The port of a flow; `None` for a seat.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Flow { flow, .. } => Some(flow.ports.first()),
            Self::Seat { .. } | Self::End { .. } | Self::Closed { .. } => None,
        }
    }

    /// A key that puts the ports of a flow one after the other.
    pub(crate) fn order(&self) -> impl Ord + use<> {
        let (to, protocol) = match self {
            Self::Flow { flow, kind } => {
                (Some((flow.to, *kind)), Some(flow.ports.protocol().number()))
            }
            Self::Seat { .. } | Self::End { .. } | Self::Closed { .. } => (None, None),
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
            Self::Seat { .. } | Self::End { .. } | Self::Closed { .. } => false,
        }
    }

    /// Address and bridge of a seat; `None` for a flow.
    pub(crate) fn as_seat(&self) -> Option<(IpAddr, BridgeName)> {
        match self {
            Self::Seat { ip, bridge } => Some((*ip, *bridge)),
            Self::Flow { .. } | Self::End { .. } | Self::Closed { .. } => None,
        }
    }

    /// The address on this host of a flow between hosts, or of an end.
    pub(crate) fn near(&self) -> Option<IpAddr> {
        match self {
            Self::Flow { flow, kind: Kind::Leaves } => Some(flow.from),
            Self::Flow { flow, kind: Kind::Enters } => Some(flow.to),
            Self::End { ip, .. } => Some(*ip),
            Self::Flow { .. } | Self::Seat { .. } | Self::Closed { .. } => None,
        }
    }

    /// Address and bridge of an end; `None` for all others.
    pub(crate) fn as_end(&self) -> Option<(IpAddr, BridgeName)> {
        match self {
            Self::End { ip, bridge } => Some((*ip, *bridge)),
            Self::Flow { .. } | Self::Seat { .. } | Self::Closed { .. } => None,
        }
    }

    /// The flows that this entry permits; empty for a seat.
    ///
    /// A flow on a bridge is returned once for each bridge in `seats`, one between hosts once for each in `ends`. If the recipient has no
    /// seat, the flow is returned once without a bridge: it would be permitted as soon as a seat
    /// exists.
    pub(crate) fn as_flows(&self, seats: &Bridges, ends: &Bridges) -> Vec<Flow> {
        match self {
            Self::Flow { flow, kind: Kind::Routed | Kind::Seats | Kind::Ends | Kind::Closed } => {
                vec![*flow]
            }
            Self::Flow { flow, kind: kind @ (Kind::Leaves | Kind::Enters) } => {
                let (ip, crossing) = if *kind == Kind::Leaves {
                    (flow.from, Crossing::Leaves)
                } else {
                    (flow.to, Crossing::Enters)
                };
                let bridges = ends.get(&ip).map_or(&[][..], Vec::as_slice);
                let bound = bridges.iter().map(|name| {
                    let on = OnBridge { crossing, ..(*name).into() };
                    Flow { bridge: Some(on), ..*flow }
                });
                bound.chain(bridges.is_empty().then_some(*flow)).collect()
            }
            Self::Flow { flow, kind: kind @ (Kind::Bridged | Kind::Ported) } => {
                let bridges = seats.get(&flow.from).map_or(&[][..], Vec::as_slice);
                let by_port = *kind == Kind::Ported;
                let bound = bridges.iter().map(|name| Flow {
                    bridge: Some(OnBridge { by_port, ..(*name).into() }),
                    ..*flow
                });
                bound.chain(bridges.is_empty().then_some(*flow)).collect()
            }
            Self::Seat { .. } | Self::End { .. } | Self::Closed { .. } => Vec::new(),
        }
    }

    /// Formats the entry as `ipset save` prints it.
    pub(crate) fn show(&self) -> String {
        let set = IpSet::of(self).name();
        match self {
            Self::Flow { flow: Flow { from, to, ports, .. }, .. } => {
                format!("add {set} {from},{}:{},{to}", ports.protocol(), ports.first())
            }
            Self::Seat { ip, bridge } | Self::End { ip, bridge } => {
                format!("add {set} {ip},{bridge}")
            }
            Self::Closed { any, bridge } => format!("add {set} {any}/0,{bridge}"),
        }
    }
}

/// The bridges of each address.
pub(crate) type Bridges = HashMap<IpAddr, Vec<BridgeName>>;

/// The address that stands for all of a family, with a prefix of no bits.
pub(crate) fn any(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The kind of the set for a flow.
fn kind(flow: &Flow) -> Kind {
    match flow.bridge {
        None => Kind::Routed,
        Some(OnBridge { crossing: Crossing::Leaves, .. }) => Kind::Leaves,
        Some(OnBridge { crossing: Crossing::Enters, .. }) => Kind::Enters,
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

#[cfg(test)]
mod tests;
