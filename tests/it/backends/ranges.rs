//! Ranges of ports: one rule each, where the backend has ranges.

use super::{Site, each_backend, flows, owner, packets::tracked, site::flows_on};
use crate::support::{Container, Flow as Connection, OPEN, Proto, Reach, SHUT};
use oci_link::testing::{BackendName, Flow, drop_connections};
use std::{process::Command, thread};

const RANGES: &str = "7000-7010, 2905-2910/sctp, 16384-32768/udp";
/// What is in the ranges, and what is beside them.
const INSIDE: [(Proto, u16); 8] = [
    (Proto::Tcp, 7000),
    (Proto::Tcp, 7005),
    (Proto::Tcp, 7010),
    (Proto::Sctp, 2905),
    (Proto::Sctp, 2910),
    (Proto::Udp, 16_384),
    (Proto::Udp, 20_000),
    (Proto::Udp, 32_768),
];
const OUTSIDE: [(Proto, u16); 7] = [
    (Proto::Tcp, 6999),
    (Proto::Tcp, 7011),
    (Proto::Udp, 7005),
    (Proto::Sctp, 2911),
    (Proto::Udp, 16_383),
    (Proto::Udp, 32_769),
    (Proto::Tcp, 20_000),
];

fn link(from: &Container, to: &Container, ports: &str) -> Vec<Flow> {
    flows(from.number(), to.number(), ports)
}

/// All of `ports` are open, or none.
#[track_caller]
fn assert_ways(from: &Container, to: &Container, ports: &[(Proto, u16)], expected: Reach) {
    thread::scope(|scope| {
        for (proto, port) in ports {
            scope.spawn(move || {
                assert_eq!(from.reach(to, *proto, *port), expected, "{proto:?} {port}");
            });
        }
    });
}

/// How many rules or elements name this range, as the tools print it.
fn rules_with(site: &Site, iptables: &str, nft: &str) -> usize {
    let rules = site.host.rules();
    let listed = site.snapshot();
    let chain = listed.split("chain ranges {").nth(1).unwrap_or_default();
    let chain = chain.split("\n\t}").next().unwrap_or_default();
    rules.iter().filter(|rule| rule.contains(iptables)).count()
        + chain.lines().filter(|line| line.contains(nft)).count()
}

each_backend! {
    fn a_range_opens_its_ports_and_no_other(backend) {
        let site = Site::new(backend);
        let (web, db, other) = (site.running("web"), site.running("db"), site.running("other"));
        let wanted = link(&web, &db, RANGES);
        assert_eq!(wanted.len(), 6, "one flow in each family");
        site.ensure(&owner('a'), &[], &wanted);
        site.assert_permitted(&owner('a'), &wanted);
        assert_ways(&web, &db, &INSIDE, OPEN);
        assert_ways(&web, &db, &OUTSIDE, SHUT);
        assert_ways(&other, &db, &INSIDE, SHUT);
        assert_ways(&db, &web, &INSIDE, SHUT);
        assert_eq!(db.reach_from(7005, &web, Proto::Tcp, 40_000), SHUT);
        if backend != BackendName::Ipset {
            // There and back in both families.
            assert_eq!(rules_with(&site, "port 16384:32768 ", "port 16384-32768 "), 4);
            assert_eq!(rules_with(&site, "port 7000:7010 ", "port 7000-7010 "), 4);
        }
        site.remove(&owner('a'), &wanted);
        assert_ways(&web, &db, &INSIDE, SHUT);
        site.host.assert_nothing_left();
    }

    fn ranges_change_exactly(backend) {
        let site = Site::new(backend);
        let (web, db) = (site.running("web"), site.running("db"));
        let old = link(&web, &db, "80, 7000-7010, 9000-9010/udp");
        let new = link(&web, &db, "81, 7005-7020, 9000-9010/udp");
        site.ensure(&owner('a'), &[], &old);
        for _ in 0..2 {
            site.ensure(&owner('a'), &old, &new);
            site.assert_permitted(&owner('a'), &new);
        }
        let ways = [(Proto::Tcp, 7005), (Proto::Tcp, 7020), (Proto::Udp, 9010), (Proto::Tcp, 81)];
        assert_ways(&web, &db, &ways, OPEN);
        assert_ways(&web, &db, &[(Proto::Tcp, 7004), (Proto::Tcp, 80), (Proto::Tcp, 7021)], SHUT);
        let more = [&new[..], &link(&web, &db, "1-9, 82")].concat();
        for known in [&new, &more, &old] {
            site.ensure(&owner('a'), known, &more);
            site.assert_permitted(&owner('a'), &more);
        }
        site.remove(&owner('a'), &more);
        site.host.assert_nothing_left();
    }

    /// Containers of a pod have one address, and their sources may have one too.
    fn ranges_may_overlap(backend) {
        let site = Site::new(backend);
        let (web, db) = (site.running("web"), site.running("db"));
        let one = [link(&web, &db, "80"), link(&web, &db, "70-90")].concat();
        let two = link(&web, &db, "75-95");
        let same = link(&web, &db, "70-90");
        site.ensure(&owner('a'), &[], &one);
        site.ensure(&owner('b'), &[], &two);
        site.ensure(&owner('c'), &[], &same);
        for (tag, flows) in [('a', &one), ('b', &two), ('c', &same)] {
            site.assert_permitted(&owner(tag), flows);
        }
        site.remove(&owner('c'), &same);
        site.remove(&owner('a'), &one);
        site.assert_permitted(&owner('a'), &[]);
        site.assert_permitted(&owner('b'), &two);
        assert_ways(&web, &db, &[(Proto::Tcp, 75), (Proto::Tcp, 80), (Proto::Tcp, 95)], OPEN);
        assert_ways(&web, &db, &[(Proto::Tcp, 74), (Proto::Tcp, 70), (Proto::Tcp, 96)], SHUT);
        site.remove(&owner('b'), &two);
        site.host.assert_nothing_left();
    }

    /// No record says what there is; the rules do.
    fn ranges_are_found_by_their_tags(backend) {
        let site = Site::new(backend);
        let (wide, few) = (flows(11, 12, RANGES), flows_on(None, 13, 12, "80, 1000-1100"));
        site.ensure(&owner('a'), &[], &wide);
        site.ensure(&owner('b'), &[], &few);
        let owners = site.act(|firewall| firewall.owners()).expect("rules are read");
        for (tag, flows) in [('a', &wide), ('b', &few)] {
            let installed = &owners[&owner(tag)];
            let mut expected = site.act(|firewall| firewall.expected(&owner(tag), flows));
            let mut lines = installed.lines.clone();
            expected.sort();
            lines.sort();
            assert_eq!(lines, expected);
            let ports = |flows: &[Flow]| {
                flows.iter().map(|flow| usize::from(flow.ports.last() - flow.ports.first()) + 1).sum()
            };
            let (found, made): (usize, usize) = (ports(&installed.flows), ports(flows));
            assert_eq!(found, made);
            // ipset has no ranges, and shows short ones as single ports.
            let few = installed.flows.len() == flows.len();
            assert!(few || backend == BackendName::Ipset, "{:?}", installed.flows);
            assert!(installed.flows.len() < 50, "{}", installed.flows.len());
        }
        let purge = |tag| site.act(|firewall| firewall.remove_owner(&owner(tag)));
        purge('a').expect("rules are removed");
        site.assert_permitted(&owner('a'), &[]);
        site.assert_permitted(&owner('b'), &few);
        purge('b').expect("rules are removed");
        site.host.assert_nothing_left();
    }

    fn connections_of_a_range_end_with_it(backend) {
        let site = Site::new(backend);
        let (web, db) = (site.running("web"), site.running("db"));
        let (range, other) = (link(&web, &db, "7000-7010"), link(&web, &db, "3307"));
        site.ensure(&owner('a'), &[], &[&range[..], &other].concat());
        let mut ending = [7000, 7005, 7010].map(|port| Connection::open(&web, &db, port));
        let mut staying = Connection::open(&web, &db, 3307);
        assert!(ending.iter_mut().all(Connection::is_alive) && staying.is_alive());
        site.ensure(&owner('a'), &[&range[..], &other].concat(), &other);
        assert_eq!(tracked(&site, &web), 4);
        site.host.netns().enter(|| drop_connections(&range)).expect("ended");
        assert_eq!(tracked(&site, &web), 1);
        assert!(!ending.iter_mut().any(Connection::is_alive) && staying.is_alive());
    }
}

/// Its table has no chain for ranges, and no jump to it.
#[test]
fn a_table_of_the_previous_version_gets_what_ranges_need() {
    let site = Site::new(BackendName::Nftables);
    let (web, db) = (site.running("web"), site.running("db"));
    let (single, range) = (link(&web, &db, "80"), link(&web, &db, "80, 7000-7010"));
    site.ensure(&owner('a'), &[], &single);
    let list = ["--handle", "list", "chain", "inet", "oci-link", "forward"];
    let listed = site.host.run(Command::new("nft").args(list)).ok();
    let jump = listed.lines().find(|line| line.contains("jump ranges")).expect("a jump");
    let handle = jump.rsplit(' ').next().expect("a handle");
    site.by_hand(&[
        &format!("nft delete rule inet oci-link forward handle {handle}"),
        "nft delete chain inet oci-link ranges",
    ]);
    assert_eq!(web.reach(&db, Proto::Tcp, 80), OPEN);
    site.ensure(&owner('a'), &single, &range);
    site.assert_permitted(&owner('a'), &range);
    assert_eq!(web.reach(&db, Proto::Tcp, 7005), OPEN);
    assert_eq!(web.reach(&db, Proto::Tcp, 7011), SHUT);
    site.remove(&owner('a'), &range);
    site.host.assert_nothing_left();
}
