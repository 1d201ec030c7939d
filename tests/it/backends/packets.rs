//! What the rules do to packets.

use super::{Site, each_backend, flows, owner};
use crate::support::{Container, Flow as Connection, OPEN, Proto, SHUT};
use oci_link::testing::drop_connections;
use oci_link::testing::{BackendName, Flow};
use std::{io::ErrorKind, net::IpAddr, process::Command};

fn link(from: &Container, to: &Container, ports: &str) -> Vec<Flow> {
    flows(from.number(), to.number(), ports)
}

/// How many connections from `container` the kernel tracks.
pub(crate) fn tracked(site: &Site, container: &Container) -> usize {
    let [v4, v6] = container.addresses();
    let count = |family: &str, ip: String| {
        let mut list = Command::new("conntrack");
        let text = site.host.run(list.args(["-L", "-f", family, "-s", &ip])).ok();
        text.lines().count()
    };
    count("ipv4", v4.to_string()) + count("ipv6", v6.to_string())
}

/// One entry of the table of connections, as `conntrack -R` reads it.
fn entry(from: IpAddr, to: IpAddr, (protocol, sport, dport): (&str, u16, u16)) -> String {
    let state = if protocol == "tcp" { "--state ESTABLISHED " } else { "" };
    format!("-I -s {from} -d {to} -p {protocol} --sport {sport} --dport {dport} {state}-t 600\n")
}

/// A large table is not read whole: the kernel compares an IPv4 address, or the port of IPv6.
#[test]
fn connections_among_thousands_of_others_are_found() {
    let site = Site::open(BackendName::Ipset);
    let others = flows(13, 14, "3306");
    for ports in ["3306", "3306, 53/udp"] {
        let wanted = flows(11, 12, ports);
        let mut table = String::new();
        for flow in &wanted {
            let other = others.iter().find(|other| other.from.is_ipv4() == flow.from.is_ipv4());
            let (other, port) = (other.expect("of both families").from, flow.ports.first());
            let protocol = flow.ports.protocol().to_string();
            let called = |sport, dport| (protocol.as_str(), sport, dport);
            table += &entry(flow.from, flow.to, called(40_000, port));
            table += &entry(flow.to, flow.from, called(port, 40_001));
            // These go on.
            table += &entry(other, flow.to, called(40_002, port));
            table += &entry(flow.from, flow.to, called(40_003, 9999));
            table += &entry(flow.from, other, called(40_004, port));
        }
        for number in 0..5000 {
            for flow in &others {
                table += &entry(flow.from, flow.to, ("udp", 20_000 + number, 3306));
            }
        }
        let file = site.host.path("table");
        std::fs::write(&file, table).expect("written");
        site.host.run(Command::new("conntrack").arg("-F")).said();
        site.host.run(Command::new("conntrack").arg("-R").arg(&file)).said();
        let count = |sport: &str| {
            let list = |family| {
                let mut list = Command::new("conntrack");
                let outcome = site.host.run(list.args(["-L", "-f", family]));
                let word = format!(" sport={sport} ");
                // The second one is of the other direction.
                let is_it =
                    |line: &&str| line.split(" src=").nth(1).is_some_and(|it| it.contains(&word));
                outcome.ok().lines().filter(is_it).count()
            };
            list("ipv4") + list("ipv6")
        };
        let all = wanted.len();
        assert_eq!(["40000", "40002", "40003", "40004"].map(count), [all; 4], "{ports}");
        site.host.netns().enter(|| drop_connections(&wanted)).expect("ended");
        assert_eq!(["40000", "40002", "40003", "40004"].map(count), [0, all, all, all], "{ports}");
        assert_eq!(count("3306") + count("53"), 0, "{ports}: those of the source");
        assert_eq!(count("20000") + count("24999"), 2 * others.len());
    }
}

/// Another backend's drops would stop what this one's links permit.
#[test]
fn isolation_moves_with_the_backend() {
    let mut site = Site::open(BackendName::Nftables);
    let all = [BackendName::Ipset, BackendName::Iptables, BackendName::Nftables];
    let pairs = all.iter().flat_map(|one| all.iter().flat_map(|other| [*one, *other]));
    for backend in pairs {
        let here = match backend {
            BackendName::Nftables => "iifname \"br0\" oifname \"br0\" drop",
            _ => "iifname \"br0\" oifname \"br0\" counter",
        };
        site.backend = backend;
        site.isolate(&["br0"]);
        let lines = site.snapshot();
        let drops: Vec<_> = lines.lines().filter(|line| line.contains("br0")).collect();
        assert!(!drops.is_empty() && drops.iter().all(|line| line.contains(here)), "{drops:?}");
    }
}

each_backend! {
    fn a_link_opens_what_it_names(backend) {
        let site = Site::new(backend);
        let (web, db, other) = (site.running("web"), site.running("db"), site.running("other"));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        let wanted = link(&web, &db, "3306, 53/udp, 2905/sctp, 7000-7001/tcp");
        site.ensure(&owner('a'), &[], &wanted);
        for (proto, port) in
            [(Proto::Tcp, 3306), (Proto::Udp, 53), (Proto::Sctp, 2905), (Proto::Tcp, 7001)]
        {
            assert_eq!(web.reach(&db, proto, port), OPEN, "{proto:?} {port}");
        }
        assert_eq!(web.reach(&db, Proto::Tcp, 53), SHUT);
        assert_eq!(other.reach(&db, Proto::Tcp, 3306), SHUT);
        assert_eq!(db.reach(&web, Proto::Tcp, 3306), SHUT);
        assert_eq!(db.reach_from(3306, &web, Proto::Tcp, 40_000), SHUT);
        site.remove(&owner('a'), &wanted);
        assert_eq!(web.reach(&db, Proto::Udp, 53), SHUT);
    }

    fn isolation_comes_and_goes(backend) {
        let site = Site::open(backend);
        let (web, db) = (site.running("web"), site.running("db"));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        for bridges in [&["br0"][..], &["br1", "br0"]] {
            site.isolate(bridges);
            assert_eq!(web.reach(&db, Proto::Udp, 53), SHUT);
            for outside in ["10.77.0.1:9", "[fd77::1]:9"] {
                let refused = web.dial(outside.parse().expect("an address")).expect_err("no server");
                assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{outside}");
            }
        }
        // The rules are flushed, and created again as by `sync`.
        site.by_hand(&["nft flush ruleset"]);
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        site.act(|firewall| firewall.ensure_base()).expect("it can be made again");
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
        for bridges in [&["br1"][..], &[]] {
            site.isolate(bridges);
            assert_eq!(web.reach(&db, Proto::Tcp, 3308), OPEN);
        }
        assert!(!site.snapshot().contains("br0"));
    }

    fn a_connection_ends_with_its_link_and_no_other_does(backend) {
        let site = Site::new(backend);
        let (web, db, other) = (site.running("web"), site.running("db"), site.running("other"));
        let (ours, theirs) = (link(&web, &db, "3306, 53/udp"), link(&other, &db, "3307"));
        site.ensure(&owner('a'), &[], &ours);
        site.ensure(&owner('b'), &[], &theirs);
        let mut ending = Connection::open(&web, &db, 3306);
        let mut staying = Connection::open(&other, &db, 3307);
        assert_eq!(web.reach(&db, Proto::Udp, 53), OPEN);
        assert!(ending.is_alive() && staying.is_alive());
        let (before, others) = (tracked(&site, &web), tracked(&site, &other));
        assert_eq!((before, others), (3, 1));

        site.remove(&owner('a'), &ours);
        assert!(!ending.is_alive());
        site.host.netns().enter(|| drop_connections(&ours)).expect("forgotten");
        assert_eq!((tracked(&site, &web), tracked(&site, &other)), (0, others));
        assert!(staying.is_alive());
        site.host.netns().enter(|| drop_connections(&ours)).expect("nothing is left");
        assert_eq!(tracked(&site, &other), others);
    }

    /// Not those of another port, the other direction, or another source.
    fn only_connections_of_the_flow_end(backend) {
        let site = Site::new(backend);
        let (web, db, other) = (site.running("web"), site.running("db"), site.running("other"));
        let pairs = [(&web, &db, "3306"), (&web, &db, "3307"), (&db, &web, "3306"), (&web, &other, "3306")];
        let links = pairs.map(|(from, to, port)| link(from, to, port));
        for (letter, flows) in ('a'..).zip(&links) {
            site.ensure(&owner(letter), &[], flows);
        }
        let port = |text: &str| text.parse().expect("a port");
        let mut all = pairs.map(|(from, to, text)| Connection::open(from, to, port(text)));
        assert!(all.iter_mut().all(Connection::is_alive));
        site.remove(&owner('a'), &links[0]);
        site.host.netns().enter(|| drop_connections(&links[0])).expect("forgotten");
        assert_eq!(all.each_mut().map(Connection::is_alive), [false, true, true, true]);
    }
}
