//! The ways between the containers of this host and those of other hosts: networks, routes and rules of other programs.

use super::HostContext;
use super::check::{Check, Fix, advice};
use super::masquerade;
use crate::firewall::foreign::{Obstacle, Sample, drops_on_arrival, translations};
use crate::model::{
    Address, BackendName, BridgeName, Cluster, Crossing, Flow, HostName, OnBridge, PortRange,
    Protocol, Share, Subnet,
};
use crate::sys::net::bridge::networks::{addresses_of, bridges_of_containers};
use crate::sys::net::routes::{self, Way};
use std::fs;
use std::net::{IpAddr, Ipv6Addr, UdpSocket};

const ROUTES: &str = "routes to other hosts";
const NETWORKS: &str = "networks of other hosts";
/// The most pairs of networks that are tried.
const MAX_PAIRS: usize = 64;

/// The checks of the ways to other hosts.
pub(super) fn examine(context: &HostContext, cluster: &Cluster) -> Vec<Check> {
    let ways = routes::ways();
    let nftables = || context.set("firewall.backend", "nftables");
    let mut checks: Vec<Check> = backend(context.chosen(), nftables).into_iter().collect();
    checks.extend(ways_to(cluster, &ways));
    let bridges = bridges_of_containers().and_then(|bridges| addresses_of(&bridges));
    let bridges = match bridges {
        Ok(bridges) => bridges,
        Err(error) => {
            checks.push(Check::warning(NETWORKS, error.to_string(), "ip link show type bridge"));
            return checks;
        }
    };
    for address in &bridges {
        let isolated = address.bridge().is_some_and(|it| context.config.isolate.contains(&it));
        checks.extend(judge_bridge(address, isolated, cluster, |bridge| isolate(context, bridge)));
    }
    checks.extend(translated(&bridges, cluster, &ways));
    checks.extend(dropped(context, cluster, &ways));
    checks
}

/// Only rules that end by themselves permit packets of other hosts.
fn backend(chosen: Option<BackendName>, fix: impl Fn() -> String) -> Option<Check> {
    let name = chosen.filter(|name| [BackendName::Iptables, BackendName::None].contains(name))?;
    let cause = format!("firewall.backend is {name}: links across hosts need ipset or nftables");
    Some(Check::fault("backend between hosts", cause, fix()))
}

/// The networks of all other hosts.
fn others(cluster: &Cluster) -> impl Iterator<Item = (&HostName, Subnet)> {
    let others = cluster.networks.iter().filter(|(host, _)| **host != cluster.name);
    others.flat_map(|(host, networks)| networks.iter().map(move |network| (host, *network)))
}

/// An address in `network` that a container may have.
fn inside(network: Subnet) -> IpAddr {
    let bits = if network.first().is_ipv4() { 32 } else { 128 };
    match network.first() {
        first if network.prefix() >= bits - 1 => first,
        IpAddr::V4(ip) => (ip.to_bits() + 2).to_be_bytes().into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() + 2).into(),
    }
}

/// Whether each network of another host has a route, and whether the kernel accepts packets by each of several.
fn ways_to(cluster: &Cluster, ways: &[Way]) -> Vec<Check> {
    let mut checks = Vec::new();
    for (host, network) in others(cluster) {
        let ip = inside(network);
        if !has_route(ip) {
            let version = if ip.is_ipv4() { "" } else { " -6" };
            let cause = format!("no route to {network}, the network of host {host}");
            let fix = advice(format!("ip{version} route add {network} via the address of {host}"));
            checks.push(Check::fault(ROUTES, cause, fix));
        }
        let strict = |name: &str| ip.is_ipv4() && is_strict(name, switch);
        checks.extend(return_way(host, network, ip, ways, strict));
    }
    if checks.is_empty() {
        checks.push(Check::ok(ROUTES, "each declared network has one"));
    }
    checks
}

/// Whether the kernel knows a way to `ip`. Nothing is sent.
fn has_route(ip: IpAddr) -> bool {
    let any = if ip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    UdpSocket::bind(any).and_then(|socket| socket.connect((ip, 9))).is_ok()
}

/// Reports several ways to a network of which one is not believed: what comes in by it is dropped if the route back is
/// another one.
fn return_way(
    host: &HostName,
    network: Subnet,
    ip: IpAddr,
    ways: &[Way],
    is_strict: impl Fn(&str) -> bool,
) -> Option<Check> {
    let mut names: Vec<&str> = ways
        .iter()
        .filter(|way| way.is_to(ip) && way.prefix > 0)
        .map(|it| it.interface.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    let strict = names.iter().copied().find(|name| is_strict(name)).filter(|_| names.len() > 1)?;
    let cause = format!(
        "packets from {network} of host {host} may come in by {}, and rp_filter is 1 on {strict}: those that come in \
         by another way than the route back are dropped",
        names.join(" and ")
    );
    let fix = format!("sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{strict}.rp_filter=2");
    Some(Check::warning("rp_filter", cause, fix))
}

/// Whether the kernel checks source addresses strictly on an interface: the larger of two switches counts.
fn is_strict(interface: &str, switch: impl Fn(&str) -> u32) -> bool {
    switch("all").max(switch(interface)) == 1
}

fn switch(name: &str) -> u32 {
    let value = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"));
    value.ok().and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// Judges the network of a bridge of containers.
fn judge_bridge(
    address: &Address,
    is_isolated: bool,
    cluster: &Cluster,
    isolate: impl Fn(BridgeName) -> String,
) -> Option<Check> {
    let (ip, bridge) = (address.ip(), address.bridge()?);
    if !cluster.admits(&cluster.name, ip) {
        let (host, network) = others(cluster).find(|(_, network)| network.contains(ip))?;
        let cause = format!(
            "bridge {bridge} has the network {}, and cluster.networks has {network} of host {host}: addresses of this \
             host's containers are not believed from there",
            address.subnet()
        );
        let fix =
            advice("give the bridge another network, or correct cluster.networks on all hosts");
        return Some(Check::warning(NETWORKS, cause, fix));
    }
    let cause = format!(
        "bridge {bridge} is in cluster.networks of {} and is not isolated: what is routed to it passes without a link",
        cluster.name
    );
    (!is_isolated).then(|| Check::warning("isolation between hosts", cause, isolate(bridge)))
}

/// A command that adds a bridge to `firewall.isolate`.
fn isolate(context: &HostContext, bridge: BridgeName) -> String {
    let all = context.config.isolate.iter().chain([&bridge]);
    let all: Vec<String> = all.map(ToString::to_string).collect();
    context.set("firewall.isolate", &all.join(","))
}

/// The interface towards `ip`, by the longest prefix.
fn towards(ip: IpAddr, ways: &[Way]) -> Option<BridgeName> {
    let best = ways.iter().filter(|way| way.is_to(ip)).max_by_key(|way| way.prefix)?;
    BridgeName::new(&best.interface).ok()
}

/// The first packet of a flow between hosts, as this one sees it.
fn sample(ends: [&Address; 2], bridge: BridgeName, crossing: Crossing, port: PortRange) -> Sample {
    let [from, to] = ends.map(Address::ip);
    let bridge = Some(OnBridge { crossing, ..bridge.into() });
    Sample::of(&Flow { from, to, ports: port, bridge }, ends.map(Some))
}

fn any_port() -> Option<PortRange> {
    PortRange::single(80, Protocol::Tcp)
}

/// Masquerades between networks of this host and of others: they see an address that no link names.
fn translated(bridges: &[Address], cluster: &Cluster, ways: &[Way]) -> Vec<Check> {
    let mut packets = Vec::new();
    for ours in bridges.iter().filter(|it| cluster.admits(&cluster.name, it.ip())) {
        for (_, network) in others(cluster) {
            let theirs = Address::new(inside(network), network.prefix());
            let (Some(bridge), Ok(theirs), Some(port)) = (ours.bridge(), theirs, any_port()) else {
                continue;
            };
            let is_one_family = ours.ip().is_ipv4() == theirs.ip().is_ipv4();
            let way = towards(theirs.ip(), ways).filter(|_| is_one_family);
            let packet = || sample([ours, &theirs], bridge, Crossing::Leaves, port);
            packets.extend(way.map(|way| (BackendName::Nftables, packet().by(way))));
        }
    }
    packets.truncate(MAX_PAIRS);
    match translations(&packets) {
        Ok(found) if found.is_empty() && !packets.is_empty() => {
            vec![Check::ok(
                "masquerade between hosts",
                "other hosts see the addresses of recipients",
            )]
        }
        Ok(found) => found.iter().map(translation).collect(),
        Err(_) => Vec::new(),
    }
}

fn translation(found: &Obstacle) -> Check {
    let (fix, more) = masquerade::fix(found);
    let cause = format!("{found}: links to other hosts do not match{more}");
    Check::fault("masquerade between hosts", cause, fix)
}

/// Drops of what comes straight to a container, as Docker makes them.
fn dropped(context: &HostContext, cluster: &Cluster, ways: &[Way]) -> Vec<Check> {
    let shared = context.running.iter().filter(|record| record.share != Share::None);
    let ours = shared.flat_map(|record| record.network.addresses());
    let mut packets = Vec::new();
    for to in ours.filter(|address| cluster.admits(&cluster.name, address.ip())) {
        for (_, network) in others(cluster) {
            let from = Address::new(inside(network), network.prefix());
            let (Some(bridge), Ok(from), Some(port)) = (to.bridge(), from, any_port()) else {
                continue;
            };
            let is_one_family = to.ip().is_ipv4() == from.ip().is_ipv4();
            let way = towards(from.ip(), ways).filter(|_| is_one_family);
            packets
                .extend(way.map(|way| sample([&from, to], bridge, Crossing::Enters, port).by(way)));
        }
    }
    packets.truncate(MAX_PAIRS);
    let found = drops_on_arrival(&packets).unwrap_or_default();
    found
        .iter()
        .map(|obstacle| {
            let cause = format!("{obstacle}: no packet of another host gets to a container");
            Check::fault("packets of other hosts", cause, arrival_fix(&obstacle.table))
        })
        .collect()
}

/// Docker makes the drops in its table `raw`, for networks without the mode `routed` or `nat-unprotected`.
fn arrival_fix(table: &str) -> Fix {
    advice(if table == "raw" {
        "docker: \"allow-direct-routing\": true in /etc/docker/daemon.json and restart it, or docker network create \
         -o com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected"
    } else {
        "remove that rule, or accept cluster.networks before it"
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::config::Config;

    fn cluster() -> Cluster {
        let text =
            "[cluster]\nname = 'a'\nnetworks = { a = ['10.10.1.0/24'], b = ['10.10.2.0/24'] }";
        Config::parse("c", text).unwrap().cluster.unwrap().hosts
    }

    #[test]
    fn a_bridge_is_judged_by_its_network() {
        let judged = |text: &str, isolated| {
            let bridge = BridgeName::new("br0").ok();
            let address = Address::parse(text).unwrap().on(bridge);
            judge_bridge(&address, isolated, &cluster(), |bridge| format!("isolate {bridge}"))
        };
        assert_eq!(judged("10.10.1.1/24", true), None);
        let open = judged("10.10.1.1/24", false).unwrap();
        assert_eq!((open.verdict, open.fix.as_deref()), (Verdict::Warning, Some("isolate br0")));
        let foreign = judged("10.10.2.1/24", true).unwrap();
        assert!(foreign.detail.contains("10.10.2.0/24 of host b"), "{}", foreign.detail);
        assert_eq!(judged("172.17.0.1/16", false), None);
    }

    #[test]
    fn a_strict_check_of_one_of_two_ways_is_named() {
        let (cluster, ip) = (cluster(), "10.10.2.2".parse().unwrap());
        let (host, network) = others(&cluster).next().unwrap();
        let way = |interface: &str, network: &str, prefix| Way {
            interface: interface.to_owned(),
            network: network.parse().unwrap(),
            prefix,
        };
        let one = [way("eth0", "10.10.2.0", 24), way("eth1", "0.0.0.0", 0)];
        let two = [way("eth0", "10.10.2.0", 24), way("wg0", "10.10.0.0", 16)];
        let judged = |ways: &[Way], strict: &str| {
            return_way(host, network, ip, ways, |name| name == strict).map(|check| check.detail)
        };
        assert_eq!((judged(&one, "eth0"), judged(&two, "eth9")), (None, None));
        assert!(judged(&two, "wg0").unwrap().contains("eth0 and wg0, and rp_filter is 1 on wg0"));
        assert_eq!(towards(ip, &two), BridgeName::new("eth0").ok());
        for (all, own, strict) in [(0, 1, true), (1, 0, true), (1, 2, false), (0, 0, false)] {
            assert_eq!(is_strict("wg0", |name| if name == "all" { all } else { own }), strict);
        }
    }

    #[test]
    fn backends_without_timeouts_are_faults() {
        for (name, works) in [
            (BackendName::Iptables, false),
            (BackendName::None, false),
            (BackendName::Ipset, true),
            (BackendName::Nftables, true),
        ] {
            assert_eq!(backend(Some(name), String::new).is_none(), works);
        }
        assert_eq!(backend(None, String::new), None);
        let said = |table: &str| match arrival_fix(table) {
            Fix::Advice(text) | Fix::Command(text) => text,
        };
        assert!(said("raw").contains("allow-direct-routing"));
        assert!(!said("x").contains("docker"));
    }

    #[test]
    fn an_address_of_a_container_is_inside() {
        for (network, ip) in
            [("10.10.2.0/24", "10.10.2.2"), ("fd00::/64", "fd00::2"), ("10.0.0.7/32", "10.0.0.7")]
        {
            assert_eq!(inside(Subnet::parse(network).unwrap()), ip.parse::<IpAddr>().unwrap());
        }
    }
}
