//! The address of a container in its own network namespace.

use super::{BridgeName, Invalid};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address that a link may use, with its prefix length, and bridge and bridge port of its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    ip: IpAddr,
    prefix: u8,
    bridge: Option<BridgeName>,
    port: Option<u32>,
}

impl Address {
    /// Accepts `ip` with the prefix length `prefix`, in bits, if it can identify one container.
    ///
    /// Refused are addresses that would make a rule or a hosts line match another host. These are
    /// loopback, "this network", link-local, multicast, broadcast and reserved ranges, and IPv4
    /// addresses in IPv6 form.
    pub(crate) fn new(ip: IpAddr, prefix: u8) -> Result<Self, Invalid> {
        let (why, bits) = match ip {
            IpAddr::V4(ip) => (unusable_v4(ip), 32),
            IpAddr::V6(ip) => (unusable_v6(ip), 128),
        };
        match why {
            Some(why) => Err(Invalid::new("address", &ip.to_string(), why)),
            None if prefix > bits => {
                Err(Invalid::new("prefix length", &prefix.to_string(), "longer than the address"))
            }
            None => Ok(Self { ip, prefix, bridge: None, port: None }),
        }
    }

    /// Parses `ADDRESS/PREFIX`, such as `10.0.0.2/24`.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        let refuse = || Invalid::new("address", value, "not ADDRESS/PREFIX");
        let (ip, prefix) = value.split_once('/').ok_or_else(refuse)?;
        Self::new(ip.parse().map_err(|_| refuse())?, prefix.parse().map_err(|_| refuse())?)
    }

    /// Returns this address with another bridge. `None` means that no bridge is known.
    #[must_use]
    pub(crate) fn on(self, bridge: Option<BridgeName>) -> Self {
        Self { bridge, ..self }
    }

    /// Returns this address with another bridge port: an index in the network namespace with the bridges.
    /// `None` means that it is not known.
    #[must_use]
    pub(crate) fn behind(self, port: Option<u32>) -> Self {
        Self { port, ..self }
    }

    /// Returns the address without the prefix length.
    pub(crate) fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Returns the length of the prefix of its network.
    pub(crate) fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Returns the host's bridge that carries its packets, or `None` if no such bridge is known.
    pub(crate) fn bridge(&self) -> Option<BridgeName> {
        self.bridge
    }

    /// Returns the index of the bridge's port that its packets come by, or `None` if it is not known.
    pub(crate) fn port(&self) -> Option<u32> {
        self.port
    }

    /// Whether both addresses are in one network, by the shorter of the two prefixes.
    pub(crate) fn shares_network(&self, other: &Self) -> bool {
        is_inside(self.ip, other.ip, self.prefix.min(other.prefix))
    }

    /// Whether `ip` is in the network of the address.
    pub(crate) fn network_contains(&self, ip: IpAddr) -> bool {
        is_inside(ip, self.ip, self.prefix)
    }

    /// Whether both addresses are on bridges that are known, and on different ones.
    pub(crate) fn is_apart_from(&self, other: &Self) -> bool {
        matches!((self.bridge(), other.bridge()), (Some(one), Some(other)) if one != other)
    }

    /// Returns the first address of its network.
    pub(crate) fn network(&self) -> IpAddr {
        masked(self.ip, self.prefix)
    }

    /// Returns the network of the address, such as `10.0.0.0/24`.
    pub(crate) fn subnet(&self) -> String {
        format!("{}/{}", masked(self.ip, self.prefix), self.prefix)
    }
}

/// Returns the first address of the network of `ip`. `prefix` is at most the length of the address.
pub(super) fn masked(ip: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    }
}

/// Whether `ip` is in the network of `other` with this prefix length.
pub(super) fn is_inside(ip: IpAddr, other: IpAddr, prefix: u8) -> bool {
    match (ip, other) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            same_prefix(u128::from(a.to_bits()) << 96, u128::from(b.to_bits()) << 96, prefix)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => same_prefix(a.to_bits(), b.to_bits(), prefix),
        _ => false,
    }
}

/// Returns at most `limit` of `addresses`, in their order.
///
/// The first address of each network counts before all further ones.
pub(crate) fn first_of_networks(addresses: Vec<Address>, limit: usize) -> Vec<Address> {
    if addresses.len() <= limit {
        return addresses;
    }
    let mut kept: Vec<usize> = Vec::new();
    for (at, address) in addresses.iter().enumerate() {
        let known = kept.iter().filter_map(|at| addresses.get(*at));
        if kept.len() < limit && !known.clone().any(|known| known.shares_network(address)) {
            kept.push(at);
        }
    }
    for at in 0..addresses.len() {
        if kept.len() < limit && !kept.contains(&at) {
            kept.push(at);
        }
    }
    kept.sort_unstable();
    kept.iter().filter_map(|at| addresses.get(*at).copied()).collect()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

fn same_prefix(a: u128, b: u128, prefix: u8) -> bool {
    prefix == 0 || (a ^ b) >> (128 - u32::from(prefix)) == 0
}

fn unusable_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets()[0] {
        0 => Some("in 0.0.0.0/8, which is not a host address"),
        127 => Some("a loopback address"),
        169 if ip.is_link_local() => Some("a link-local address"),
        224..=239 => Some("a multicast address"),
        240..=255 => Some("a reserved address"),
        _ => None,
    }
}

fn unusable_v6(ip: Ipv6Addr) -> Option<&'static str> {
    if ip.is_unspecified() {
        Some("the unspecified address")
    } else if ip.is_loopback() {
        Some("a loopback address")
    } else if ip.is_multicast() {
        Some("a multicast address")
    } else if ip.is_unicast_link_local() {
        Some("a link-local address")
    } else if ip.to_ipv4().is_some() {
        Some("an IPv4-mapped IPv6 address")
    } else {
        None
    }
}

/// An IP address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families, in output order.
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// Returns the family of an address.
    pub(crate) fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_others_are_refused() {
        for bad in [
            "127.0.0.1/8",
            "0.0.0.0/0",
            "0.1.2.3/8",
            "224.0.0.1/4",
            "239.1.1.1/32",
            "240.0.0.1/4",
            "255.255.255.255/32",
            "169.254.1.1/16",
            "::/0",
            "::1/128",
            "ff02::1/64",
            "fe80::1/64",
            "::ffff:10.0.0.1/96",
            "::10.0.0.1/96",
            "10.0.0.1/33",
            "10.0.0.1",
            "x/8",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
        for good in
            ["10.0.0.2/24", "172.17.0.2/16", "169.253.0.1/16", "fd00::2/64", "2001:db8::1/128"]
        {
            assert_eq!(Address::parse(good).map(|a| a.to_string()), Ok(good.to_owned()));
        }
    }

    #[test]
    fn of_many_addresses_the_first_of_each_network_counts() {
        let address = |text: &str| Address::parse(text).unwrap();
        let many: Vec<Address> = (1..=250)
            .map(|n| address(&format!("10.0.0.{n}/24")))
            .chain([address("10.1.0.2/16")])
            .collect();
        let kept = first_of_networks(many.clone(), 64);
        assert_eq!(kept.len(), 64);
        assert_eq!((kept[0], kept[63]), (many[0], many[250]));
        assert_eq!(kept[..63], many[..63], "in their order");
        assert_eq!(first_of_networks(many[..64].to_vec(), 64), many[..64]);
        let networks: Vec<Address> = (0..200).map(|n| address(&format!("10.{n}.0.2/16"))).collect();
        assert_eq!(first_of_networks(networks.clone(), 64), networks[..64]);
        assert_eq!(first_of_networks(Vec::new(), 64), []);
    }

    #[test]
    fn networks() {
        let same = |a, b| match (Address::parse(a), Address::parse(b)) {
            (Ok(a), Ok(b)) => a.shares_network(&b),
            _ => false,
        };
        assert!(same("10.0.0.2/24", "10.0.0.3/24"));
        assert!(!same("10.0.0.2/24", "10.0.1.3/24"));
        assert!(same("10.0.0.2/16", "10.0.1.3/24"));
        assert!(same("fd00::2/64", "fd00::3/64"));
        assert!(!same("fd00::2/64", "fd00:0:0:1::3/64"));
        assert!(!same("10.0.0.2/24", "fd00::3/64"));
    }

    #[test]
    fn subnets() {
        for (address, subnet) in [
            ("172.18.7.2/16", "172.18.0.0/16"),
            ("10.0.0.2/32", "10.0.0.2/32"),
            ("10.0.0.2/0", "0.0.0.0/0"),
            ("fd00::1:2:3:4/64", "fd00::/64"),
            ("fd00::2/128", "fd00::2/128"),
            ("fd00::2/0", "::/0"),
        ] {
            assert_eq!(Address::parse(address).unwrap().subnet(), subnet, "{address}");
        }
    }
}
