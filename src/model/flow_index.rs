//! Many flows, and what they permit together.

use super::{BridgeName, Crossing, Flow, PortRange, Protocol};
use std::collections::HashMap;
use std::net::IpAddr;

/// The ports that flows permit, by their two addresses, protocol and bridge.
///
/// Flows may overlap, as `80` and `70-90` do, so a comparison of flows does not say whether a port
/// stays permitted.
#[derive(Debug, Default)]
pub(crate) struct FlowIndex(HashMap<Ends, Vec<PortRange>>);

/// All that a flow says except its ports, and except whether it is tied to those of its bridge: a connection of a
/// flow goes on when the flow is tied in another way.
type Ends = (IpAddr, IpAddr, Protocol, Option<(BridgeName, Crossing)>);

fn ends(flow: &Flow) -> Ends {
    let bridge = flow.bridge.map(|on| (on.name, on.crossing));
    (flow.from, flow.to, flow.ports.protocol(), bridge)
}

impl FlowIndex {
    /// The index of these flows.
    pub(crate) fn of(flows: impl IntoIterator<Item = Flow>) -> Self {
        let mut all: HashMap<Ends, Vec<PortRange>> = HashMap::new();
        for flow in flows {
            all.entry(ends(&flow)).or_default().push(flow.ports);
        }
        for ranges in all.values_mut() {
            ranges.sort_unstable();
            // Neighbours become one too, so one range says whether several ports are permitted.
            ranges.dedup_by(|next, range| {
                let joined = next.first() <= range.last().saturating_add(1);
                if joined {
                    let last = range.last().max(next.last());
                    *range =
                        PortRange::new(range.first(), last, range.protocol()).unwrap_or(*range);
                }
                joined
            });
        }
        Self(all)
    }

    /// Whether one of the flows without a bridge permits this port.
    pub(crate) fn permits(&self, from: IpAddr, to: IpAddr, protocol: Protocol, port: u16) -> bool {
        let ranges = self.0.get(&(from, to, protocol, None)).map_or(&[][..], Vec::as_slice);
        let at = ranges.partition_point(|range| range.last() < port);
        ranges.get(at).is_some_and(|range| range.first() <= port)
    }

    /// The parts of `flow` that none of the flows permits.
    pub(crate) fn rest_of(&self, flow: &Flow) -> Vec<Flow> {
        let ranges = self.0.get(&ends(flow)).map_or(&[][..], Vec::as_slice);
        let (protocol, last) = (flow.ports.protocol(), flow.ports.last());
        let at = ranges.partition_point(|range| range.last() < flow.ports.first());
        let mut rest = Vec::new();
        let mut next = Some(flow.ports.first());
        for range in ranges.iter().skip(at).take_while(|range| range.first() <= last) {
            let before = range.first() - 1;
            rest.extend(next.and_then(|next| PortRange::new(next, before, protocol)));
            next = range.last().checked_add(1);
        }
        rest.extend(next.and_then(|next| PortRange::new(next, last, protocol)));
        rest.into_iter().map(|ports| Flow { ports, ..*flow }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::port;

    fn flow(ports: &str) -> Flow {
        Flow {
            from: [10, 0, 0, 2].into(),
            to: [10, 0, 0, 3].into(),
            ports: port(ports),
            bridge: None,
        }
    }

    fn index(ports: &[&str]) -> FlowIndex {
        FlowIndex::of(ports.iter().map(|ports| flow(ports)))
    }

    #[test]
    fn a_port_is_permitted_by_any_flow_that_has_it() {
        let index = index(&["80", "70-75", "73-77", "9000-9010/udp"]);
        let (from, to) = (flow("1").from, flow("1").to);
        let permits = |protocol, number| index.permits(from, to, protocol, number);
        for number in [70, 75, 76, 77, 80] {
            assert!(permits(Protocol::Tcp, number), "{number}");
        }
        for number in [0, 69, 78, 79, 81, 65_535] {
            assert!(!permits(Protocol::Tcp, number), "{number}");
        }
        assert!(permits(Protocol::Udp, 9000) && !permits(Protocol::Udp, 80));
        assert!(!index.permits(to, from, Protocol::Tcp, 80), "the other way");
    }

    #[test]
    fn what_remains_of_a_flow() {
        for (others, of, expected) in [
            (&["80"][..], "80", &[][..]),
            (&["70-90"], "80", &[]),
            (&["80"], "70-90", &["70-79/tcp", "81-90/tcp"]),
            (&["70", "90"], "70-90", &["71-89/tcp"]),
            (&["60-75", "85-95"], "70-90", &["76-84/tcp"]),
            (&["70-79", "80-90"], "70-90", &[]),
            (&["1-65535"], "1-65535", &[]),
            (&["65535"], "1-65535", &["1-65534/tcp"]),
            (&["1"], "1-65535", &["2-65535/tcp"]),
            (&["80/udp"], "80", &["80/tcp"]),
            (&[], "80", &["80/tcp"]),
        ] {
            let rest = index(others).rest_of(&flow(of));
            let rest: Vec<String> = rest.iter().map(|flow| flow.ports.to_string()).collect();
            assert_eq!(rest, expected, "{of} without {others:?}");
        }
        let elsewhere = Flow { bridge: BridgeName::new("br0").ok().map(Into::into), ..flow("80") };
        assert_eq!(index(&["80"]).rest_of(&elsewhere), [elsewhere]);
    }
}
