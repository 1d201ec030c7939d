//! Reads the routes of a container, and whether this host forwards packets.
//!
//! `/proc/<pid>/net` shows the main routing table of the namespace of a process. It can be read
//! without entering the namespace, so also after privileges were dropped.

use crate::model::{Address, Family, Routes};
use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The bytes of a routing table that are read. A container can have any number of routes; those of a
/// longer table are unknown.
const MAX_TABLE: u64 = 64 << 10;
/// `RTF_UP`: the route is in use.
const UP: u32 = 0x1;
/// `RTF_REJECT`: packets to this network are refused.
const REJECT: u32 = 0x200;

/// Returns the routes of the process `pid` in `family`; `netns` is the cookie of its network namespace.
/// `None` if they are unknown.
pub(crate) fn of_process(pid: i32, netns: u64, family: Family) -> Option<Routes> {
    let (table, parse): (_, fn(&str) -> Option<Route>) = match family {
        Family::V4 => ("route", parse_v4),
        Family::V6 => ("ipv6_route", parse_v6),
    };
    let mut text = String::new();
    let file = File::open(format!("/proc/{pid}/net/{table}")).ok()?;
    file.take(MAX_TABLE + 1).read_to_string(&mut text).ok()?;
    if u64::try_from(text.len()).ok()? > MAX_TABLE {
        return None;
    }
    let usable = |route: &Route| route.flags & UP != 0 && route.flags & REJECT == 0;
    let routes = text.lines().filter_map(parse).filter(usable);
    Some(Routes { netns, family, networks: routes.map(|route| route.network).collect() })
}

/// Whether this host forwards packets of `family`. `None` if that cannot be read.
pub(crate) fn is_forwarded(family: Family) -> Option<bool> {
    let switch = match family {
        Family::V4 => "ipv4/ip_forward",
        Family::V6 => "ipv6/conf/all/forwarding",
    };
    let value = fs::read_to_string(format!("/proc/sys/net/{switch}")).ok()?;
    Some(value.trim() != "0")
}

/// A route of the network namespace of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// The interface by which packets leave.
    pub(crate) interface: String,
    /// The first address of the network to which it leads.
    pub(crate) network: IpAddr,
    /// The length of its prefix; zero for the default route.
    pub(crate) prefix: u8,
}

impl Way {
    /// Whether packets to `ip` may take it.
    pub(crate) fn is_to(&self, ip: IpAddr) -> bool {
        Address::new(ip, self.prefix).is_ok_and(|at| at.network() == self.network)
    }
}

/// Returns the routes in the main tables of this network namespace, of both families. Empty if they cannot be read.
pub(crate) fn ways() -> Vec<Way> {
    let read = |name: &str| {
        fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default()
    };
    let usable = |route: &Route| route.flags & UP != 0 && route.flags & REJECT == 0;
    let way = |route: Route, interface: &str| {
        let (network, prefix) = route.network;
        usable(&route).then(|| Way { interface: interface.to_owned(), network, prefix })
    };
    let (v4, v6) = (read("route"), read("ipv6_route"));
    let v4 = v4.lines().filter_map(|line| way(parse_v4(line)?, line.split_whitespace().next()?));
    let v6 = v6.lines().filter_map(|line| way(parse_v6(line)?, line.split_whitespace().last()?));
    v4.chain(v6).collect()
}

/// A line of a routing table.
struct Route {
    network: (IpAddr, u8),
    flags: u32,
}

/// Parses a line of `route`: interface, destination, gateway, flags, three counters, mask, …. Addresses
/// are hexadecimal numbers in the byte order of this machine.
fn parse_v4(line: &str) -> Option<Route> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, destination, _, flags, _, _, _, mask, ..] = words[..] else { return None };
    let number = |word| u32::from_str_radix(word, 16).ok();
    let ip = Ipv4Addr::from(number(destination)?.to_ne_bytes());
    let prefix = u8::try_from(number(mask)?.count_ones()).ok()?;
    Some(Route { network: (ip.into(), prefix), flags: number(flags)? })
}

/// Parses a line of `ipv6_route`: destination, its prefix length, source, its prefix length, next hop,
/// three counters, flags, interface. Numbers are hexadecimal.
fn parse_v6(line: &str) -> Option<Route> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [destination, prefix, _, _, _, _, _, _, flags, interface] = words[..] else { return None };
    let ip = Ipv6Addr::from_bits(u128::from_str_radix(destination, 16).ok()?);
    let prefix = u8::from_str_radix(prefix, 16).ok().filter(|_| interface != "lo")?;
    Some(Route { network: (ip.into(), prefix), flags: u32::from_str_radix(flags, 16).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(route: Option<Route>) -> Option<(String, bool)> {
        route.map(|Route { network: (ip, prefix), flags }| {
            (format!("{ip}/{prefix}"), flags & REJECT == 0)
        })
    }

    #[test]
    fn tables_of_ipv4() {
        let line = |text: &str| shown(parse_v4(text));
        let hex = |ip: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(ip));
        let route = |ip, flags: &str, mask| {
            line(&format!("eth0\t{}\t00000000\t{flags}\t0\t0\t0\t{}\t0\t0\t0", hex(ip), hex(mask)))
        };
        let found = |text: &str, usable| Some((text.to_owned(), usable));
        assert_eq!(route([0; 4], "0003", [0; 4]), found("0.0.0.0/0", true));
        assert_eq!(route([10, 1, 0, 0], "0001", [255, 255, 0, 0]), found("10.1.0.0/16", true));
        assert_eq!(route([10, 1, 0, 0], "0201", [255, 255, 0, 0]), found("10.1.0.0/16", false));
        assert_eq!(
            line("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\tMTU"),
            None
        );
        assert_eq!(line(""), None);
    }

    #[test]
    fn tables_of_ipv6() {
        let line = |network: &str, flags: &str, interface: &str| {
            let zero = "0".repeat(32);
            let counters = "00000400 00000001 00000000";
            shown(parse_v6(&format!("{network} {zero} 00 {zero} {counters} {flags} {interface}")))
        };
        let network = "fd770000000000000000000000000000 40";
        assert_eq!(line(network, "00000001", "eth0"), Some(("fd77::/64".to_owned(), true)));
        assert_eq!(line(network, "00200200", "eth0"), Some(("fd77::/64".to_owned(), false)));
        assert_eq!(line(network, "00000001", "lo"), None, "addresses of the container itself");
    }

    #[test]
    fn own_routes_are_read() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let found = of_process(pid, 7, Family::V4).unwrap();
        assert_eq!((found.netns, found.family), (7, Family::V4));
        assert_eq!(of_process(-1, 7, Family::V4), None);
        assert!(is_forwarded(Family::V4).is_some());
    }
}
