//! Flows between hosts: each host opens its own half, which ends by itself.

mod lan;

use super::owner;
use crate::support::Netns;
use lan::{BRIDGE, Flood, Lan, Machine, arrives, connects};
use oci_link::testing::{BackendName, Crossing, Family, Flow, OwnerScope};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

const BOTH: [Family; 2] = [Family::V4, Family::V6];
/// Longer than a test.
const LONG: Duration = Duration::from_secs(600);

/// The addresses of a container on the isolated bridge of a host.
fn at(host: u8, number: u8) -> [IpAddr; 2] {
    [format!("10.10.{host}.{number}"), format!("fd10:{host}::{number}")]
        .map(|ip| ip.parse().expect("an address"))
}

/// Three hosts, each with an isolated bridge and a container. Web is on the first one, mysql on the second one.
struct Scene {
    lan: Lan,
    backend: BackendName,
}

impl Scene {
    fn new(backend: BackendName) -> Self {
        let lan = Lan::new();
        lan.hosts.iter().for_each(|host| host.isolate(backend));
        Self { lan, backend }
    }

    fn host(&self, number: usize) -> &Machine {
        &self.lan.hosts[number - 1]
    }

    /// The flows of web to mysql, as one of their hosts has them.
    fn flows(crossing: Crossing) -> Vec<Flow> {
        lan::flows(at(1, 2), at(2, 2), "3306, 53/udp", crossing)
    }

    /// The host that has flows of this direction.
    fn host_of(&self, crossing: Crossing) -> &Machine {
        self.host(if crossing == Crossing::Leaves { 1 } else { 2 })
    }

    fn open(&self, crossing: Crossing) {
        let flows = Self::flows(crossing);
        self.host_of(crossing).ensure(self.backend, &owner('a'), &flows, LONG).expect("opened");
    }

    fn open_both(&self) {
        for crossing in Crossing::BETWEEN_HOSTS {
            self.open(crossing);
        }
    }

    fn renew(&self, crossing: Crossing, lifetime: Duration) {
        let flows = Self::flows(crossing);
        let host = self.host_of(crossing);
        host.with(self.backend, |firewall| firewall.renew(&owner('a'), &flows, lifetime));
    }

    fn close(&self, crossing: Crossing) {
        let (flows, tag) = (Self::flows(crossing), owner('a'));
        let rules = OwnerScope::new(&tag, &flows);
        self.host_of(crossing).with(self.backend, |firewall| firewall.remove(rules));
    }

    /// Whether web reaches a port of mysql, in each family.
    fn reach(&self, port: u16) -> [bool; 2] {
        let (web, mysql) = (&self.host(1).container, &self.host(2).container);
        at(2, 2).map(|ip| SocketAddr::new(ip, port)).map(|to| connects(web, to, mysql, to))
    }

    /// Whether datagrams of a container with these addresses get to mysql, in each family.
    fn deceives(&self, thief: &Netns, addresses: [IpAddr; 2]) -> [bool; 2] {
        let mysql = &self.host(2).container;
        [0, 1].map(|family| {
            let from = SocketAddr::new(addresses[family], 0);
            arrives((thief, from), (mysql, SocketAddr::new(at(2, 2)[family], 53)))
        })
    }
}

const OPEN: [bool; 2] = [true; 2];
const SHUT: [bool; 2] = [false; 2];

macro_rules! each_with_timeouts {
    ($($(#[$about:meta])* fn $name:ident($scene:ident) $story:block)*) => {$(
        mod $name {
            use super::*;

            $(#[$about])*
            fn scenario($scene: &Scene) $story

            #[test]
            fn ipset() {
                scenario(&Scene::new(BackendName::Ipset));
            }

            #[test]
            fn nftables() {
                scenario(&Scene::new(BackendName::Nftables));
            }
        }
    )*};
}

each_with_timeouts! {
    fn no_half_alone_lets_a_packet_through(scene) {
        assert_eq!(scene.reach(3306), SHUT, "no host permits it");
        scene.open(Crossing::Leaves);
        assert_eq!(scene.reach(3306), SHUT, "host 2 does not permit it");
        scene.open(Crossing::Enters);
        assert_eq!((scene.reach(3306), scene.reach(3307)), (OPEN, SHUT));
        scene.close(Crossing::Leaves);
        assert_eq!(scene.reach(3306), SHUT, "host 1 does not permit it any more");
        scene.open(Crossing::Leaves);
        assert_eq!(scene.reach(3306), OPEN);
        scene.close(Crossing::Enters);
        assert_eq!(scene.reach(3306), SHUT, "host 2 does not permit it any more");
    }

    /// Only answers to connections of the recipient come back.
    fn the_source_begins_no_connection(scene) {
        scene.open_both();
        let (web, mysql) = (&scene.host(1).container, &scene.host(2).container);
        for (family, port) in [(0, 40_000), (0, 53), (1, 40_000), (1, 53)] {
            let from = SocketAddr::new(at(2, 2)[family], 53);
            let to = SocketAddr::new(at(1, 2)[family], port);
            assert!(!arrives((mysql, from), (web, to)), "{to}");
            assert!(arrives((web, to), (mysql, from)), "{to}");
            assert!(arrives((mysql, from), (web, to)), "{to}: it is an answer now");
        }
    }

    /// A source address is no proof.
    fn a_borrowed_address_permits_nothing(scene) {
        scene.open_both();
        let borrowed = at(1, 2);
        for (host, bridge) in [(1, "br2"), (2, "br2"), (2, BRIDGE), (3, BRIDGE)] {
            let thief = scene.host(host).plug(bridge, borrowed);
            assert_eq!(scene.deceives(&thief, borrowed), SHUT, "{bridge} of host {host}");
        }
        assert_eq!(scene.deceives(&scene.host(1).container, borrowed), OPEN, "its owner");
    }

    /// The link does not match any more, and a drop by source would not match either.
    fn a_masquerade_on_the_way_shuts_it(scene) {
        scene.open_both();
        assert_eq!(scene.reach(3306), OPEN);
        for (program, network) in [("iptables", "10.10.1.0/24"), ("ip6tables", "fd10:1::/64")] {
            let rule = "-t nat -A POSTROUTING ! -o br1 -j MASQUERADE -s";
            scene.host(1).run(&format!("{program} {rule} {network}"));
        }
        assert_eq!(scene.reach(3306), SHUT);
    }

    /// No program has to run for that.
    fn a_half_ends_by_itself(scene) {
        for crossing in Crossing::BETWEEN_HOSTS {
            scene.open_both();
            let begun = Instant::now();
            scene.renew(crossing, Duration::from_secs(4));
            assert_eq!(scene.reach(3306), OPEN);
            assert!(begun.elapsed() < Duration::from_secs(4), "the machine is too slow for this test");
            while scene.reach(3306) != SHUT {
                assert!(begun.elapsed() < Duration::from_secs(9), "{crossing:?}");
                thread::sleep(Duration::from_millis(100));
            }
            scene.renew(crossing, LONG);
            assert_eq!(scene.reach(3306), OPEN, "made again");
        }
    }

    fn a_renewal_loses_no_packet(scene) {
        scene.open_both();
        let (web, mysql) = (&scene.host(1).container, &scene.host(2).container);
        assert_eq!(scene.deceives(web, at(1, 2)), OPEN, "both hosts know the way");
        let flood = Flood::begin(web, (mysql, SocketAddr::new(at(2, 2)[0], 53)));
        let begun = Instant::now();
        for round in (0..).take_while(|_| begun.elapsed() < Duration::from_secs(1)) {
            for crossing in Crossing::BETWEEN_HOSTS {
                scene.renew(crossing, Duration::from_secs(60 + round % 2));
            }
        }
        let (sent, heard) = flood.end();
        assert!(sent > 200, "{sent}");
        assert_eq!(heard, sent);
    }

    fn owners_share_a_flow_and_leave_nothing(scene) {
        let host = scene.host(2);
        let (one, two) = (owner('a'), owner('b'));
        let flows = Scene::flows(Crossing::Enters);
        let there = |tag| {
            let rules = OwnerScope::new(tag, &flows);
            let mut lines = host.with(scene.backend, |firewall| firewall.read(rules));
            lines.sort();
            lines
        };
        let mut expected = host.with(scene.backend, |it| Ok(it.expected(&one, &flows)));
        expected.sort();
        for tag in [&one, &two] {
            host.ensure(scene.backend, tag, &flows, LONG).expect("opened");
            assert_eq!(there(tag), expected);
        }
        let owners = || host.with(scene.backend, |firewall| firewall.owners());
        assert!(owners().keys().eq([&one, &two]));
        for installed in owners().values() {
            assert_eq!((&installed.lines, installed.flows.len()), (&expected, flows.len()));
            assert!(flows.iter().all(|flow| installed.flows.contains(flow)), "{installed:?}");
        }
        let rules = OwnerScope::new(&one, &flows);
        host.with(scene.backend, |firewall| firewall.remove(rules));
        assert_eq!(there(&two), expected);
        host.with(scene.backend, |firewall| firewall.remove_owner(&two));
        assert!(owners().is_empty());
        assert!(host.with(scene.backend, |it| it.is_intact(&BOTH)));
        let elements = host.snapshot();
        assert!(!elements.contains("10.10.1.2"), "{elements}");
        assert!(host.with(scene.backend, |firewall| firewall.remove_all()));
        let after = host.snapshot().to_lowercase();
        assert!(!after.contains("oci-link"), "{after}");
    }

    /// After a flush by another program too.
    fn sets_and_rules_come_with_the_first_flow_and_again(scene) {
        let host = scene.host(1);
        let parts = ["leaves", "enters"];
        let has = |part: &str| host.snapshot().contains(part);
        assert!(!parts.into_iter().any(has));
        scene.open_both();
        assert!(parts.into_iter().all(has));
        let families = BOTH;
        assert!(host.with(scene.backend, |firewall| firewall.is_intact(&families)));
        host.run(match scene.backend {
            BackendName::Nftables => "nft delete table inet oci-link",
            _ => "iptables -F OCI-LINK",
        });
        assert!(!host.with(scene.backend, |firewall| firewall.is_intact(&families)));
        scene.renew(Crossing::Leaves, LONG);
        host.with(scene.backend, |firewall| firewall.ensure_base());
        assert!(host.with(scene.backend, |firewall| firewall.is_intact(&families)));
        assert_eq!(scene.reach(3306), OPEN);
    }
}

/// Administrators save the whole ruleset, and load it again.
#[test]
fn nft_reads_what_it_lists_of_flows_between_hosts() {
    let scene = Scene::new(BackendName::Nftables);
    scene.open_both();
    assert!(scene.host(2).run("nft get element inet oci-link bridges {br1}").contains("\"br1\""));
    for host in [1, 2].map(|number| scene.host(number)) {
        let file = host.state.join("ruleset");
        fs::write(&file, host.run("nft list ruleset")).expect("written");
        host.run(&format!("nft --check -f {}", file.display()));
    }
}

#[test]
fn iptables_refuses_flows_between_hosts() {
    let lan = Lan::new();
    let flows = Scene::flows(Crossing::Leaves);
    for backend in [BackendName::Iptables, BackendName::None] {
        let refused = lan.hosts[0].ensure(backend, &owner('a'), &flows, LONG);
        let error = refused.expect_err("refused").to_string();
        assert_eq!(error, "links across hosts need ipset or nftables");
    }
}

/// A container on an isolated bridge of a declared network is reached by links, by answers and by published ports.
fn only_links_reach(backend: BackendName) {
    let scene = Scene::new(backend);
    let (host, mysql) = (scene.host(2), &scene.host(2).container);
    assert_eq!(scene.reach(3306), SHUT);
    let own = ["10.20.2.9", "fd20:2::9"].map(|ip| ip.parse().expect("an address"));
    let neighbour = host.plug("br2", own);
    assert_eq!(scene.deceives(&neighbour, own), SHUT, "another bridge of its host");
    let core = &scene.lan.core;
    for (family, outside) in ["172.30.0.254", "fd30::fe"].into_iter().enumerate() {
        let outside = SocketAddr::new(outside.parse().expect("an address"), 3306);
        let inside = SocketAddr::new(at(2, 2)[family], 3306);
        assert!(!connects(core, inside, mysql, inside), "{outside} begins a connection");
        assert!(connects(mysql, outside, core, outside), "{outside} answers");
    }
    let inside = SocketAddr::new(at(2, 2)[0], 3306);
    host.run(
        "iptables -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.10.2.2:3306",
    );
    let published = "172.30.0.2:8080".parse().expect("an address");
    assert!(connects(core, published, mysql, inside), "a published port");
    assert!(host.with(backend, |firewall| firewall.is_intact(&BOTH)));
}

#[test]
fn an_isolated_bridge_is_reached_by_links_only_with_iptables() {
    only_links_reach(BackendName::Iptables);
}

#[test]
fn an_isolated_bridge_is_reached_by_links_only_with_ipset() {
    only_links_reach(BackendName::Ipset);
}

#[test]
fn an_isolated_bridge_is_reached_by_links_only_with_nftables() {
    only_links_reach(BackendName::Nftables);
}
