//! The sets of the bridge table and their keys.

use crate::firewall::nftables::messages::{octets, parse_address};
use crate::model::{Family, Flow};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The value that a set of the table compares. `u32` is the index of a bridge port in the network namespace of
/// the host, which the kernel gives once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// Of the packets between two addresses, those of the first come by this port of a bridge.
    End(u32, IpAddr, IpAddr),
    /// Only links lead to the container behind this port.
    IsolatedIn(u32),
    /// Only links lead away from the container behind this port.
    IsolatedOut(u32),
}

impl Key {
    /// The keys of flows: both ends of each that is tied to ports.
    pub(crate) fn of_flows(flows: &[Flow]) -> Vec<Self> {
        let tied = flows.iter().filter_map(|flow| {
            let [from, to] = flow.bridge.filter(|on| on.by_port)?.ports?;
            Some([Self::End(from, flow.from, flow.to), Self::End(to, flow.to, flow.from)])
        });
        tied.flatten().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether the key is of an end of a link, and not of an isolated port.
    pub(super) fn is_end(self) -> bool {
        matches!(self, Self::End(..))
    }

    /// The set that has this key.
    pub(crate) fn set(self) -> PortSetName {
        match self {
            Self::End(_, ip, _) => PortSetName::ends(Family::of(ip)),
            Self::IsolatedIn(_) => PortSetName::PortsIn,
            Self::IsolatedOut(_) => PortSetName::PortsOut,
        }
    }

    /// The key as the kernel compares it. An index is in host byte order.
    pub(super) fn bytes(self) -> Vec<u8> {
        match self {
            Self::End(port, ip, other) => {
                [port.to_ne_bytes().to_vec(), octets(ip), octets(other)].concat()
            }
            Self::IsolatedIn(port) | Self::IsolatedOut(port) => port.to_ne_bytes().to_vec(),
        }
    }

    /// Parses the key of an element of `set`.
    pub(super) fn parse(set: PortSetName, bytes: &[u8]) -> Option<Self> {
        let index = |bytes: &[u8]| Some(u32::from_ne_bytes(bytes.try_into().ok()?));
        Some(match set {
            PortSetName::Ends4 | PortSetName::Ends6 => {
                let (port, ips) = bytes.split_at_checked(4)?;
                let (ip, other) = ips.split_at_checked(ips.len() / 2)?;
                let key = Self::End(index(port)?, parse_address(ip)?, parse_address(other)?);
                return Some(key).filter(|key| key.set() == set);
            }
            PortSetName::PortsIn => Self::IsolatedIn(index(bytes)?),
            PortSetName::PortsOut => Self::IsolatedOut(index(bytes)?),
        })
    }

    /// Formats the key as a line of `inspect`.
    pub(crate) fn show(&self) -> String {
        let set = self.set().name();
        match self {
            Self::End(port, ip, other) => format!("bridge {set} {port} . {ip} . {other}"),
            Self::IsolatedIn(port) | Self::IsolatedOut(port) => {
                format!("bridge {set} {port}")
            }
        }
    }
}

/// A set of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortSetName {
    /// The ends of links in IPv4.
    Ends4,
    /// The ends of links in IPv6.
    Ends6,
    /// The ports to which only links lead.
    PortsIn,
    /// The ports from which only links lead away.
    PortsOut,
}

/// Numbers of the data types that `nft` uses (`enum datatypes`). The kernel only stores them.
const IPV4_ADDR: u32 = 7;
const IPV6_ADDR: u32 = 8;
const INTERFACE_INDEX: u32 = 20;

impl PortSetName {
    /// All sets.
    pub(super) const ALL: [Self; 4] = [Self::Ends4, Self::Ends6, Self::PortsIn, Self::PortsOut];

    /// The set with the ends of links in a family.
    pub(super) fn ends(family: Family) -> Self {
        match family {
            Family::V4 => Self::Ends4,
            Family::V6 => Self::Ends6,
        }
    }

    /// The name of the set.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ends4 => "ends4",
            Self::Ends6 => "ends6",
            Self::PortsIn => "ports-in",
            Self::PortsOut => "ports-out",
        }
    }

    /// Whether its keys are ports only.
    pub(super) fn is_of_ports(self) -> bool {
        matches!(self, Self::PortsIn | Self::PortsOut)
    }

    /// The type of its keys for `nft`, and their length in bytes.
    pub(super) fn key(self) -> (u32, u32) {
        match self {
            Self::Ends4 => ((INTERFACE_INDEX << 6 | IPV4_ADDR) << 6 | IPV4_ADDR, 12),
            Self::Ends6 => ((INTERFACE_INDEX << 6 | IPV6_ADDR) << 6 | IPV6_ADDR, 36),
            Self::PortsIn | Self::PortsOut => (INTERFACE_INDEX, 4),
        }
    }
}
