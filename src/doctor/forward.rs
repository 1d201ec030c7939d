//! Chains of other programs that drop the packets of links. Every table that a packet passes can drop
//! what ours accepts.

use super::HostContext;
use super::check::{Check, Fix, advice, word};
use super::masquerade;
use crate::firewall::Choice;
use crate::firewall::foreign::{Obstacle, Sample, obstacles};
use crate::firewall::probe::{self, ORDER};
use crate::model::{BackendName, BridgeName, Family};
use crate::recovery;
use std::fs;
use std::path::Path;

const SUBJECT: &str = "forwarded packets";
/// The bridge that is tried on a host without a bridge of an engine.
const USUAL: &str = "docker0";
/// Bridges that are tried.
const MAX_BRIDGES: usize = 16;

pub(super) fn examine(context: &HostContext) -> Vec<Check> {
    if context.config.firewall == Choice::Fixed(BackendName::None) {
        return Vec::new();
    }
    let mut packets = recovery::packets(&context.running);
    if packets.is_empty() {
        packets = some_packets(context);
    }
    let mut checks = match obstacles(&packets) {
        Ok(found) if found.is_empty() => {
            vec![Check::ok(SUBJECT, "no chain of another program drops the packets of links")]
        }
        Ok(found) => found.iter().map(|obstacle| check(context, obstacle)).collect(),
        Err(error) => {
            vec![Check::warning(SUBJECT, error.to_string(), "modprobe nf_tables")]
        }
    };
    checks.extend(masquerade::examine(&packets));
    checks
}

fn check(context: &HostContext, obstacle: &Obstacle) -> Check {
    let (fix, more) = fix(context, obstacle);
    Check::fault(SUBJECT, format!("{obstacle}{more}"), fix)
}

/// The packets that links would permit on this host.
fn some_packets(context: &HostContext) -> Vec<(BackendName, Sample)> {
    let can = |name: &BackendName| probe::can_do(*name, &context.tables).is_ok();
    let Some(backend) = context.chosen().or_else(|| ORDER.into_iter().find(can)) else {
        return Vec::new();
    };
    let families = || context.tables.iter().map(|table| table.family);
    let on = |bridge: BridgeName| families().map(move |family| Sample::on(bridge, family));
    let bridges = bridges(&context.config.isolate).into_iter();
    bridges.flat_map(on).map(|packet| (backend, packet)).collect()
}

/// The bridges of engines on this host and those that are isolated, or the usual one.
fn bridges(isolated: &[BridgeName]) -> Vec<BridgeName> {
    let devices = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let names = devices.lines().filter_map(|line| Some(line.split_once(':')?.0.trim()));
    let known = names.filter(|name| is_of_engine(name));
    let mut bridges = isolated.to_vec();
    bridges.extend(known.filter_map(|name| BridgeName::new(name).ok()));
    bridges.truncate(MAX_BRIDGES);
    if bridges.is_empty() {
        bridges.extend(BridgeName::new(USUAL).ok());
    }
    bridges
}

/// Whether an engine gives such a name to a bridge that it creates when a container needs it.
pub(super) fn is_of_engine(name: &str) -> bool {
    let numbered = ["docker", "podman", "cni-podman", "cni", "nerdctl"].iter().any(|start| {
        let number = name.strip_prefix(start);
        number.is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        })
    });
    let of_docker = name
        .strip_prefix("br-")
        .is_some_and(|id| id.len() == 12 && id.bytes().all(|digit| digit.is_ascii_hexdigit()));
    numbered || of_docker
}

/// How to let the packet pass, and what else to do. An accept in one table undoes no drop of another one.
fn fix(context: &HostContext, obstacle: &Obstacle) -> (Fix, &'static str) {
    let Obstacle { family, table, chain, .. } = obstacle;
    let Some(packet) = &obstacle.packet else {
        let of_iptables = *table == "filter";
        let what = if of_iptables {
            format!("if its rules are not needed: nft delete table {family} {table}")
        } else {
            "stop that process".to_owned()
        };
        return (advice(what), "");
    };
    let fix = match (*family, table.as_str()) {
        (_, "firewalld") if packet.bridge().is_some() => {
            let bridge = packet.bridge().map_or_else(String::new, |bridge| bridge.to_string());
            format!(
                "firewall-cmd --permanent --zone=trusted --add-interface={bridge} && firewall-cmd \
                 --reload"
            )
            .into()
        }
        // The chain FORWARD of iptables accepts links only by rules in itself.
        ("ip" | "ip6", "filter") => context.set("firewall.backend", "auto").into(),
        ("ip" | "ip6", "docker-bridges") => {
            advice("set \"firewall-backend\": \"iptables\" in /etc/docker/daemon.json")
        }
        _ => {
            let [table, chain] = [table, chain].map(|name| word(Path::new(name)));
            let rule = matches(family, packet);
            let command = format!("nft insert rule {family} {table} {chain} {rule} accept");
            return (command.into(), "; to keep the fix, add it to the file that makes the table");
        }
    };
    (fix, "")
}

/// What a rule matches that accepts the packet and the answers to it.
fn matches(family: &str, packet: &Sample) -> String {
    match (packet.bridge(), packet.addresses) {
        // In the family bridge these would be the ports of the bridge.
        (Some(bridge), _) if family != "bridge" => format!("iifname {bridge} oifname {bridge}"),
        (Some(bridge), None) => format!("meta ibrname {bridge} meta obrname {bridge}"),
        (_, Some((from, to))) => {
            let ip = if packet.family == Family::V4 { "ip" } else { "ip6" };
            format!("{ip} saddr {{ {from}, {to} }} {ip} daddr {{ {from}, {to} }}")
        }
        (None, None) => "ct state new".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Flow, PortRange, Protocol};

    #[test]
    fn bridges_of_engines_are_known_by_their_names() {
        for name in ["docker0", "podman1", "cni0", "cni-podman0", "nerdctl0", "br-0123456789ab"] {
            assert!(is_of_engine(name), "{name}");
        }
        for name in ["eth0", "docker", "dockerx", "virbr0", "br0", "br-lan", "br-0123456789xy"] {
            assert!(!is_of_engine(name), "{name}");
        }
    }

    #[test]
    fn a_fix_accepts_both_directions() {
        let bridge = BridgeName::new("br0").unwrap();
        let packet = Sample::on(bridge, Family::V4);
        assert_eq!(matches("inet", &packet), "iifname br0 oifname br0");
        assert_eq!(matches("bridge", &packet), "meta ibrname br0 meta obrname br0");
        let ports = PortRange::single(80, Protocol::Tcp).unwrap();
        let (from, to) = ([10, 0, 0, 2].into(), [10, 1, 0, 3].into());
        let routed = Sample::of(&Flow { from, to, ports, bridge: None }, [None, None]);
        let both = "{ 10.0.0.2, 10.1.0.3 }";
        for family in ["inet", "bridge"] {
            assert_eq!(matches(family, &routed), format!("ip saddr {both} ip daddr {both}"));
        }
    }
}
