//! What is known of the ways between the networks of this host.

use super::{BridgeName, Family, Subnet, Ties, address::is_inside};
use std::net::IpAddr;

/// How far an engine separates a bridge from other networks. The highest of several counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Separation {
    /// From no other network, as the engine's configuration says.
    Open,
    /// From the bridges that have such a separation too, or a higher one.
    FromSeparated,
    /// From every other network.
    FromAll,
}

/// The bridges of which an engine's configuration says how far they are separated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SeparatedBridges(pub(crate) Vec<(BridgeName, Separation)>);

impl SeparatedBridges {
    /// Returns how far `bridge` is separated, if a configuration says so.
    pub(crate) fn of(&self, bridge: BridgeName) -> Option<Separation> {
        let its = self.0.iter().filter(|(known, _)| *known == bridge);
        its.map(|(_, separation)| *separation).max()
    }
}

/// The routes of one network namespace in one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Routes {
    /// The cookie of the namespace.
    pub(crate) netns: u64,
    /// The family of the routes.
    pub(crate) family: Family,
    /// The networks to which a route leads, each with its prefix length.
    pub(crate) networks: Vec<(IpAddr, u8)>,
}

/// What is known of the ways between networks, and how flows are tied within one. The default is that nothing
/// stands in the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Routing {
    /// The bridges that an engine separates, or not, because its configuration says so.
    pub(crate) separated: SeparatedBridges,
    /// The routes of containers, as far as they are known.
    pub(crate) routes: Vec<Routes>,
    /// The families that the host does not forward.
    pub(crate) unforwarded: Vec<Family>,
    /// Whether no packet gets from one network to another.
    pub(crate) is_closed: bool,
    /// How flows on one bridge are tied.
    pub(crate) ties: Ties,
    /// The networks of this host from which packets are routed to other hosts.
    pub(crate) declared: Vec<Subnet>,
}

impl Routing {
    /// Returns that of a link that stays within one network.
    pub(crate) fn closed(&self) -> Self {
        Self { is_closed: true, ties: self.ties.clone(), ..Self::default() }
    }

    /// Whether packets from `ip`, an address of this host, are routed to other hosts.
    pub(crate) fn crosses(&self, ip: IpAddr) -> bool {
        self.declared.iter().any(|network| network.contains(ip))
    }

    /// Whether the namespace `netns` has a route to `ip`. Unknown routes count as present.
    pub(crate) fn reaches(&self, netns: u64, ip: IpAddr) -> bool {
        if self.is_closed {
            return false;
        }
        let family = Family::of(ip);
        let known = self.routes.iter().find(|it| it.netns == netns && it.family == family);
        known.is_none_or(|routes| {
            routes.networks.iter().any(|(network, prefix)| is_inside(ip, *network, *prefix))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_that_are_not_known_count_as_present() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let networks = vec![(ip("10.0.0.0"), 24), (ip("10.9.0.0"), 16)];
        let routes = vec![Routes { netns: 1, family: Family::V4, networks }];
        let mut routing = Routing { routes, ..Routing::default() };
        for (netns, to, leads) in [
            (1, "10.0.0.7", true),
            (1, "10.9.8.7", true),
            (1, "10.0.1.7", false),
            (1, "fd00::1", true),
            (2, "10.0.1.7", true),
        ] {
            assert_eq!(routing.reaches(netns, ip(to)), leads, "{netns} {to}");
        }
        routing.routes[0].networks.push((ip("0.0.0.0"), 0));
        assert!(routing.reaches(1, ip("10.0.1.7")), "a default route leads everywhere");
    }
}
