//! Rules of other programs that replace the address of a recipient. The source then sees an address of
//! the host: its own access rules and logs, and rules for answers that name the recipient, mean another
//! address.

use super::check::{Check, Fix, advice, word};
use crate::firewall::foreign::{Obstacle, Sample, translations};
use crate::model::{BackendName, Family};
use std::path::Path;

const SUBJECT: &str = "masquerade";

pub(super) fn examine(packets: &[(BackendName, Sample)]) -> Vec<Check> {
    match translations(packets) {
        Ok(found) if found.is_empty() => {
            vec![Check::ok(SUBJECT, "sources see the addresses of their recipients")]
        }
        Ok(found) => found.iter().map(check).collect(),
        // The check of forwarded packets reports it.
        Err(_) => Vec::new(),
    }
}

fn check(found: &Obstacle) -> Check {
    let (fix, more) = fix(found);
    Check::warning(SUBJECT, format!("{found}{more}"), fix)
}

/// What keeps a rule that was inserted by hand.
const KEEP: &str = "; to keep the fix, add it where that table is made";

/// How to let the packets pass unchanged, and what else to do. An accept in one chain undoes no translation of
/// another one.
pub(super) fn fix(found: &Obstacle) -> (Fix, &'static str) {
    let Obstacle { family, table, chain, packet, .. } = found;
    let Some(packet) = packet else {
        return (advice("correct the rule that translates the addresses"), "");
    };
    match (*family, table.as_str()) {
        (_, "firewalld") => {
            let what = "connect both to one network, or for the zone in the name of the chain: \
                        firewall-cmd --permanent --zone=ZONE --remove-masquerade && firewall-cmd --reload";
            (advice(what), "")
        }
        (ip @ ("ip" | "ip6"), "nat") if chain == "POSTROUTING" => {
            let program = if ip == "ip" { "iptables" } else { "ip6tables" };
            let matches = match ends(packet) {
                Some((from, to)) => format!("-s {from} -d {to}"),
                None => device(packet, "-o "),
            };
            (format!("{program} -t nat -I POSTROUTING {matches} -j ACCEPT").into(), KEEP)
        }
        _ => {
            let matches = match ends(packet) {
                Some((from, to)) => {
                    let ip = if packet.family == Family::V4 { "ip" } else { "ip6" };
                    format!("{ip} saddr {from} {ip} daddr {to}")
                }
                None => device(packet, "oifname "),
            };
            let [table, chain] = [table, chain].map(|name| word(Path::new(name)));
            let command = format!("nft insert rule {family} {table} {chain} {matches} accept");
            (command.into(), KEEP)
        }
    }
}

/// The networks of both ends, or else their addresses.
fn ends(packet: &Sample) -> Option<(String, String)> {
    let addresses = || packet.addresses.map(|(from, to)| (from.to_string(), to.to_string()));
    packet.networks.clone().or_else(addresses)
}

/// A match of the bridge, behind `option`.
fn device(packet: &Sample, option: &str) -> String {
    packet.bridge().map_or_else(String::new, |bridge| format!("{option}{bridge}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Address, BridgeName, Flow, PortRange, Protocol};

    #[test]
    fn a_fix_excepts_the_networks_or_the_bridge() {
        let found = |family, table: &str, chain: &str, packet: Sample| Obstacle {
            family,
            table: table.to_owned(),
            chain: chain.to_owned(),
            hook: Some(("postrouting", 100)),
            why: String::new(),
            packet: Some(packet),
        };
        let ports = PortRange::single(80, Protocol::Tcp).unwrap();
        let ends = ["10.0.0.2/24", "10.1.0.3/16"].map(|text| Address::parse(text).unwrap());
        let flow = Flow { from: ends[0].ip(), to: ends[1].ip(), ports, bridge: None };
        let routed = || Sample::of(&flow, [Some(&ends[0]), Some(&ends[1])]);
        let now = |found: &Obstacle| match fix(found).0 {
            Fix::Command(command) => Some(command),
            Fix::Advice(_) => None,
        };
        for (family, table, chain, expected) in [
            (
                "ip",
                "nat",
                "POSTROUTING",
                "iptables -t nat -I POSTROUTING -s 10.0.0.0/24 -d 10.1.0.0/16 -j ACCEPT",
            ),
            (
                "inet",
                "netavark",
                "POSTROUTING",
                "nft insert rule inet netavark POSTROUTING ip saddr 10.0.0.0/24 ip daddr 10.1.0.0/16 \
                 accept",
            ),
        ] {
            assert_eq!(now(&found(family, table, chain, routed())).as_deref(), Some(expected));
        }
        let bare = Sample::of(&flow, [None, None]);
        let expected = "iptables -t nat -I POSTROUTING -s 10.0.0.2 -d 10.1.0.3 -j ACCEPT";
        assert_eq!(now(&found("ip", "nat", "POSTROUTING", bare)).as_deref(), Some(expected));
        let on = Sample::on(BridgeName::new("docker0").unwrap(), Family::V6);
        let expected = "ip6tables -t nat -I POSTROUTING -o docker0 -j ACCEPT";
        assert_eq!(now(&found("ip6", "nat", "POSTROUTING", on)).as_deref(), Some(expected));
    }
}
