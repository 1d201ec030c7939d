//! The hosts whose containers may link to each other.

use super::{HostName, Subnet};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// What `[cluster]` of config.toml declares about all hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// This host. `networks` contains it.
    pub(crate) name: HostName,
    /// The networks of the containers of each host. Networks of two hosts may overlap.
    pub(crate) networks: BTreeMap<HostName, Vec<Subnet>>,
    /// How long what is known of other hosts is believed without news.
    pub(crate) patience: Duration,
}

impl Cluster {
    /// Whether `host` may have a container with the address `ip`.
    pub(crate) fn admits(&self, host: &HostName, ip: IpAddr) -> bool {
        let networks = self.networks.get(host);
        networks.is_some_and(|networks| networks.iter().any(|network| network.has_host(ip)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_a_host_by_its_networks() {
        let host = |name| HostName::new(name).unwrap();
        let of = |all: &[&str]| all.iter().map(|text| Subnet::parse(text).unwrap()).collect();
        let networks = [("a", of(&["10.10.1.0/24"])), ("b", of(&["10.10.2.0/24", "fd00::/64"]))];
        let networks = networks.into_iter().map(|(name, all)| (host(name), all)).collect();
        let cluster = Cluster { name: host("a"), networks, patience: Duration::from_secs(9) };
        let admits = |name, ip: &str| cluster.admits(&host(name), ip.parse().unwrap());
        assert!(admits("a", "10.10.1.2") && admits("b", "10.10.2.2") && admits("b", "fd00::7"));
        assert!(!admits("a", "10.10.1.0") && !admits("a", "10.10.1.255"));
        assert!(
            !admits("a", "10.10.2.2") && !admits("b", "172.17.0.2") && !admits("c", "10.10.1.2")
        );
    }
}
