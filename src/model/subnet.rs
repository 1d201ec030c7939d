//! Networks of containers that are routed between hosts.

use super::Invalid;
use super::address::{is_inside, masked};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Shortest prefix length of an IPv4 network.
const SHORTEST_V4: u8 = 8;
/// Shortest prefix length of an IPv6 network.
const SHORTEST_V6: u8 = 32;

/// Networks without containers: no network of a cluster may contain an address of them.
const FORBIDDEN: [(IpAddr, u8); 8] = [
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8),
    (IpAddr::V4(Ipv4Addr::LOCALHOST), 8),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    // Multicast, and everything behind it: reserved and broadcast.
    (IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 3),
    // The unspecified address, loopback, and IPv4 addresses in IPv6 form.
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 96),
    (IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0)), 96),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8),
];

/// A network such as `10.10.1.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Subnet {
    ip: IpAddr,
    prefix: u8,
}

impl Subnet {
    /// Parses `ADDRESS/PREFIX`, in which the address is the first of the network.
    ///
    /// Refused are networks with loopback, link-local and multicast addresses, and IPv4 networks above /8
    /// and IPv6 networks above /32.
    pub(crate) fn parse(value: &str) -> Result<Self, Invalid> {
        let refuse = |why| Err(Invalid::new("network", value, why));
        let Some((ip, prefix)) = value.split_once('/') else {
            return refuse("want ADDRESS/PREFIX");
        };
        let is_number = prefix.bytes().all(|byte| byte.is_ascii_digit());
        let (Ok(ip), Ok(prefix), true) = (ip.parse::<IpAddr>(), prefix.parse(), is_number) else {
            return refuse("want ADDRESS/PREFIX");
        };
        let (shortest, longest) = if ip.is_ipv4() { (SHORTEST_V4, 32) } else { (SHORTEST_V6, 128) };
        if prefix > longest {
            return refuse("longer than the address");
        }
        if prefix < shortest {
            return refuse("want at least /8 in IPv4, /32 in IPv6");
        }
        if masked(ip, prefix) != ip {
            return refuse("has bits behind its prefix");
        }
        if FORBIDDEN.iter().any(|(other, bits)| is_inside(ip, *other, prefix.min(*bits))) {
            return refuse("has loopback, link-local, multicast or reserved addresses");
        }
        Ok(Self { ip, prefix })
    }

    /// The network of an interface with the address `ip`. An error where no network of a cluster can be.
    pub(crate) fn around(ip: IpAddr, prefix: u8) -> Result<Self, Invalid> {
        Self::parse(&format!("{}/{prefix}", masked(ip, prefix)))
    }

    /// The addresses that both networks have. `None` if there are none.
    pub(crate) fn common(self, other: Self) -> Option<Self> {
        let (wide, narrow) = if self.prefix < other.prefix { (self, other) } else { (other, self) };
        wide.contains(narrow.ip).then_some(narrow)
    }

    /// The first address, which has no bits behind the prefix.
    pub(crate) fn first(&self) -> IpAddr {
        self.ip
    }

    /// The length of the prefix.
    pub(crate) fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the network contains `ip`.
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        is_inside(ip, self.ip, self.prefix)
    }

    /// Whether a container of the network may have `ip`. The first address is the network's own, in IPv6 that of its
    /// routers (RFC 4291, 2.6.1), and in IPv4 the last one is the broadcast address. Networks of one or two addresses
    /// have neither.
    pub(crate) fn has_host(&self, ip: IpAddr) -> bool {
        if !self.contains(ip) {
            return false;
        }
        match ip {
            IpAddr::V4(v4) => {
                let behind = u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                self.prefix > 30 || ![0, behind].contains(&(v4.to_bits() & behind))
            }
            IpAddr::V6(_) => self.prefix > 126 || ip != self.ip,
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_addresses_that_no_container_has() {
        for (net, ip, expected) in [
            ("10.10.1.0/24", "10.10.1.0", false),
            ("10.10.1.0/24", "10.10.1.1", true),
            ("10.10.1.0/24", "10.10.1.254", true),
            ("10.10.1.0/24", "10.10.1.255", false),
            ("10.10.1.0/24", "10.10.2.1", false),
            ("10.10.0.0/16", "10.10.1.0", true),
            ("10.10.0.0/16", "10.10.255.255", false),
            ("10.10.1.4/30", "10.10.1.4", false),
            ("10.10.1.4/30", "10.10.1.7", false),
            ("10.10.1.4/31", "10.10.1.4", true),
            ("10.10.1.4/31", "10.10.1.5", true),
            ("10.10.1.7/32", "10.10.1.7", true),
            ("fd00::/64", "fd00::", false),
            ("fd00::/64", "fd00::ffff:ffff:ffff:ffff", true),
            ("fd00::2/127", "fd00::2", true),
            ("fd00::7/128", "fd00::7", true),
        ] {
            let ip = ip.parse().unwrap();
            assert_eq!(Subnet::parse(net).unwrap().has_host(ip), expected, "{net} {ip}");
        }
    }

    #[test]
    fn networks_of_containers() {
        for good in [
            "10.10.1.0/24",
            "10.0.0.0/8",
            "172.17.0.0/16",
            "100.64.0.0/10",
            "192.168.1.7/32",
            "fd00::/32",
            "fd00:1:2:3::/64",
            "2001:db8::1/128",
        ] {
            assert_eq!(Subnet::parse(good).map(|net| net.to_string()), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/33",
            "10.0.0.0/7",
            "10.10.1.1/24",
            "0.0.0.0/0",
            "::/0",
            "0.0.0.0/8",
            "127.0.0.0/8",
            "127.0.1.0/24",
            "169.254.0.0/16",
            "169.0.0.0/8",
            "169.254.169.254/32",
            "224.0.0.0/8",
            "239.1.0.0/16",
            "240.0.0.0/8",
            "255.255.255.255/32",
            "::/32",
            "::1/128",
            "::ffff:10.0.0.0/104",
            "fe80::/32",
            "fe80::/64",
            "ff02::/64",
            "fd00::/31",
            "fd00::/129",
            "fd00::1/64",
            "10.0.0.0/24/24",
            " 10.0.0.0/24",
            "10.0.0.0/256",
            "10.0.0/24",
            "x/24",
        ] {
            assert!(Subnet::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_two_networks_share_is_the_narrower_one() {
        let network = |text: &str| Subnet::parse(text).unwrap();
        let (wide, narrow) = (network("10.10.0.0/16"), network("10.10.1.0/24"));
        for (one, other) in [(wide, narrow), (narrow, wide), (narrow, narrow)] {
            assert_eq!(one.common(other), Some(narrow));
        }
        for other in ["10.11.0.0/16", "10.10.2.0/24", "fd00::/64"] {
            assert_eq!(network(other).common(narrow), None, "{other}");
        }
        assert_eq!(Subnet::around("10.10.1.7".parse().unwrap(), 24), Ok(narrow));
        assert!(Subnet::around("127.0.0.1".parse().unwrap(), 8).is_err());
        assert_eq!((narrow.first().to_string(), narrow.prefix()), ("10.10.1.0".to_owned(), 24));
    }

    #[test]
    fn a_network_contains_its_addresses() {
        let contains =
            |network: &str, ip: &str| Subnet::parse(network).unwrap().contains(ip.parse().unwrap());
        assert!(contains("10.10.1.0/24", "10.10.1.0") && contains("10.10.1.0/24", "10.10.1.255"));
        assert!(!contains("10.10.1.0/24", "10.10.2.0") && !contains("10.10.1.0/24", "fd00::1"));
        assert!(contains("fd00::/64", "fd00::2") && !contains("fd00::/64", "fd00:0:0:1::2"));
    }
}
