//! The sets of the bridge table and their keys.

use crate::firewall::nftables::messages::octets;
use crate::model::Family;
use std::net::IpAddr;

/// The value that a set of the table compares. `u32` is the index of a bridge port in the network namespace of
/// the host, which the kernel gives once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// A linked container with this address is behind this port.
    At(u32, IpAddr),
    /// A linked container has this address.
    Seated(IpAddr),
    /// A linked container is behind this port.
    Port(u32),
    /// Only links lead to the container behind this port.
    IsolatedIn(u32),
    /// Only links lead away from the container behind this port.
    IsolatedOut(u32),
}

impl Key {
    /// The keys of a container with the address `ip` behind `port`.
    pub(crate) fn seat(port: u32, ip: IpAddr) -> [Self; 3] {
        [Self::At(port, ip), Self::Seated(ip), Self::Port(port)]
    }

    /// Whether the key is of a seat, and not of an isolated port.
    pub(super) fn is_of_seat(self) -> bool {
        matches!(self, Self::At(..) | Self::Seated(_) | Self::Port(_))
    }

    /// The set that has this key.
    pub(crate) fn set(self) -> PortSetName {
        let of = |ip, v4, v6| if Family::of(ip) == Family::V4 { v4 } else { v6 };
        match self {
            Self::At(_, ip) => of(ip, PortSetName::At4, PortSetName::At6),
            Self::Seated(ip) => of(ip, PortSetName::Seats4, PortSetName::Seats6),
            Self::Port(_) => PortSetName::Ports,
            Self::IsolatedIn(_) => PortSetName::PortsIn,
            Self::IsolatedOut(_) => PortSetName::PortsOut,
        }
    }

    /// The key as the kernel compares it. An index is in host byte order.
    pub(super) fn bytes(self) -> Vec<u8> {
        match self {
            Self::At(port, ip) => [port.to_ne_bytes().to_vec(), octets(ip)].concat(),
            Self::Seated(ip) => octets(ip),
            Self::Port(port) | Self::IsolatedIn(port) | Self::IsolatedOut(port) => {
                port.to_ne_bytes().to_vec()
            }
        }
    }

    /// Parses the key of an element of `set`.
    pub(super) fn parse(set: PortSetName, bytes: &[u8]) -> Option<Self> {
        let index = |bytes: &[u8]| Some(u32::from_ne_bytes(bytes.try_into().ok()?));
        let v4 = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
        let v6 = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from);
        let at = || bytes.split_at_checked(4);
        Some(match set {
            PortSetName::At4 => {
                at().and_then(|(port, ip)| Some(Self::At(index(port)?, v4(ip)?)))?
            }
            PortSetName::At6 => {
                at().and_then(|(port, ip)| Some(Self::At(index(port)?, v6(ip)?)))?
            }
            PortSetName::Seats4 => Self::Seated(v4(bytes)?),
            PortSetName::Seats6 => Self::Seated(v6(bytes)?),
            PortSetName::Ports => Self::Port(index(bytes)?),
            PortSetName::PortsIn => Self::IsolatedIn(index(bytes)?),
            PortSetName::PortsOut => Self::IsolatedOut(index(bytes)?),
        })
    }

    /// Formats the key as a line of `inspect`.
    pub(crate) fn show(&self) -> String {
        let set = self.set().name();
        match self {
            Self::At(port, ip) => format!("bridge {set} {port} . {ip}"),
            Self::Seated(ip) => format!("bridge {set} {ip}"),
            Self::Port(port) | Self::IsolatedIn(port) | Self::IsolatedOut(port) => {
                format!("bridge {set} {port}")
            }
        }
    }
}

/// A set of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortSetName {
    /// Port and IPv4 address of each seat.
    At4,
    /// Port and IPv6 address of each seat.
    At6,
    /// The IPv4 addresses of seats.
    Seats4,
    /// The IPv6 addresses of seats.
    Seats6,
    /// The ports of seats.
    Ports,
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
    pub(super) const ALL: [Self; 7] = [
        Self::At4,
        Self::At6,
        Self::Seats4,
        Self::Seats6,
        Self::Ports,
        Self::PortsIn,
        Self::PortsOut,
    ];

    /// The name of the set.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::At4 => "at4",
            Self::At6 => "at6",
            Self::Seats4 => "seats4",
            Self::Seats6 => "seats6",
            Self::Ports => "ports",
            Self::PortsIn => "ports-in",
            Self::PortsOut => "ports-out",
        }
    }

    /// Whether its keys are ports only.
    pub(super) fn is_of_ports(self) -> bool {
        matches!(self, Self::Ports | Self::PortsIn | Self::PortsOut)
    }

    /// The type of its keys for `nft`, and their length in bytes.
    pub(super) fn key(self) -> (u32, u32) {
        match self {
            Self::At4 => (INTERFACE_INDEX << 6 | IPV4_ADDR, 8),
            Self::At6 => (INTERFACE_INDEX << 6 | IPV6_ADDR, 20),
            Self::Seats4 => (IPV4_ADDR, 4),
            Self::Seats6 => (IPV6_ADDR, 16),
            Self::Ports | Self::PortsIn | Self::PortsOut => (INTERFACE_INDEX, 4),
        }
    }
}
