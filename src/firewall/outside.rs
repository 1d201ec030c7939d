//! Isolated bridges whose networks are routed between hosts: what separates their containers from other hosts.
//!
//! A drop by source alone is not enough: a masquerade on the way puts the address of a host into its place.

use crate::error::Result;
use crate::model::{BridgeName, Cluster, Family, Subnet};
use crate::sys::net::bridge::networks::addresses_of;

/// The networks of isolated bridges that other hosts know routes to, and the networks of other hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outside {
    /// Each bridge with a network of it that is declared for this host.
    pub(crate) inside: Vec<(BridgeName, Subnet)>,
    /// The declared networks of all other hosts.
    pub(crate) declared: Vec<Subnet>,
}

impl Outside {
    /// Reads which networks `bridges` have. Empty if none of them is declared for this host.
    pub(crate) fn read(cluster: &Cluster, bridges: &[BridgeName]) -> Result<Self> {
        let own = cluster.networks.get(&cluster.name).map_or(&[][..], Vec::as_slice);
        let mut inside = Vec::new();
        for address in addresses_of(bridges)? {
            let network = Subnet::around(address.ip(), address.prefix()).ok();
            let declared =
                network.iter().flat_map(|net| own.iter().filter_map(|it| it.common(*net)));
            inside.extend(declared.filter_map(|common| Some((address.bridge()?, common))));
        }
        if inside.is_empty() {
            return Ok(Self::default());
        }
        inside.sort();
        inside.dedup();
        let others = cluster.networks.iter().filter(|(host, _)| **host != cluster.name);
        Ok(Self { inside, declared: widest(others.flat_map(|(_, networks)| networks.clone())) })
    }

    /// Whether nothing is separated from other hosts.
    pub(crate) fn is_empty(&self) -> bool {
        self.inside.is_empty()
    }

    /// What concerns packets of one family.
    pub(crate) fn of(&self, family: Family) -> Self {
        let is_of = |network: &Subnet| Family::of(network.first()) == family;
        let inside = self.inside.iter().filter(|(_, network)| is_of(network)).copied().collect();
        Self { inside, declared: self.declared.iter().copied().filter(is_of).collect() }
    }

    /// The bridges, each once.
    pub(crate) fn bridges(&self) -> Vec<BridgeName> {
        let mut all: Vec<BridgeName> = self.inside.iter().map(|(bridge, _)| *bridge).collect();
        all.dedup();
        all
    }

    /// Adds what a line of `lines` says. Other lines say nothing.
    pub fn add(&mut self, line: &str) {
        let Some((bridge, network)) = line.split_once(' ') else { return };
        let Ok(network) = Subnet::parse(network) else { return };
        match BridgeName::new(bridge) {
            _ if bridge == TO => self.declared.push(network),
            Ok(bridge) => self.inside.push((bridge, network)),
            Err(_) => {}
        }
    }

    /// One line for each network: its bridge and the network, or `/` and a network of another host.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let inside = self.inside.iter().map(|(bridge, network)| format!("{bridge} {network}"));
        inside.chain(self.declared.iter().map(|network| format!("{TO} {network}")))
    }
}

/// What stands in place of a bridge in the line of a network of another host. No interface has this name.
const TO: &str = "/";

/// The networks without those that another one contains, sorted.
fn widest(networks: impl Iterator<Item = Subnet>) -> Vec<Subnet> {
    let mut all: Vec<Subnet> = networks.collect();
    all.sort_by_key(Subnet::prefix);
    let mut kept: Vec<Subnet> = Vec::new();
    for network in all {
        if !kept.iter().any(|wide| wide.contains(network.first())) {
            kept.push(network);
        }
    }
    kept.sort();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_has_two_families() {
        let mut outside = Outside::default();
        for line in ["br0 10.10.1.0/24", "br0 fd10:1::/64", "/ 10.10.2.0/24", "/ fd10:2::/64", "x"]
        {
            outside.add(line);
        }
        let mut again = Outside::default();
        outside.lines().for_each(|line| again.add(&line));
        assert_eq!(again, outside);
        for family in Family::BOTH {
            let of = outside.of(family);
            assert_eq!((of.inside.len(), of.declared.len()), (1, 1));
        }
        assert_eq!(outside.bridges().len(), 1);
    }

    #[test]
    fn a_network_in_another_one_is_not_named() {
        let network = |text: &&str| Subnet::parse(text).unwrap();
        let all = ["10.10.2.0/24", "10.0.0.0/8", "fd00::/64", "fd00::/48", "192.168.1.0/24"];
        let kept = ["10.0.0.0/8", "192.168.1.0/24", "fd00::/48"];
        let kept: Vec<Subnet> = kept.iter().map(network).collect();
        assert_eq!(widest(all.iter().map(network)), kept);
    }
}
