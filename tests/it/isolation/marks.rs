//! A host that saves the marks of packets in connections and restores them. Our bits mean nothing then.

use super::{
    PATIENCE, Server, both, far, isolated, neighbour, on_second, open_host, outside, publish,
    reaches, settle,
};
use crate::{
    backends::each_backend,
    cast::{end, recipient},
    lifecycle::{by_hand, call, networks::move_to_second},
    support::{Container, Host, Netns},
};
use std::{
    net::{SocketAddr, UdpSocket},
    process::Command,
};

/// All bits of our marks.
const BITS: &str = "0x78000000";

/// Saves all bits of marks where packets leave, and restores them where packets come in.
fn saves_marks(host: &Host) {
    for tool in ["iptables", "ip6tables"] {
        by_hand(
            host,
            &[
                &format!("{tool} -t mangle -A PREROUTING -j CONNMARK --restore-mark"),
                &format!("{tool} -t mangle -A FORWARD -j CONNMARK --save-mark"),
                &format!("{tool} -t mangle -A POSTROUTING -j CONNMARK --save-mark"),
            ],
        );
    }
}

/// A socket inside at an address of its own.
fn socket(inside: &Netns, at: SocketAddr) -> UdpSocket {
    let socket = inside.enter(|| UdpSocket::bind(at)).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket
}

/// Whether a datagram from one gets to the other.
fn gets(from: &UdpSocket, to: &UdpSocket) -> bool {
    let _ = from.send_to(b"?", to.local_addr().expect("an address"));
    to.recv(&mut [0]).is_ok()
}

/// The packets that a rule of mangle has counted.
fn counted(host: &Host, chain: &str) -> u64 {
    let counts = ["iptables", "ip6tables"].map(|tool| {
        let mut list = Command::new(tool);
        let text = host.run(list.args(["-t", "mangle", "-vnxL", chain])).ok();
        let line = text.lines().find(|line| line.contains("our bits"));
        let count = line.and_then(|line| line.split_whitespace().next()).expect("a rule");
        count.parse::<u64>().expect("a number")
    });
    counts.iter().sum()
}

/// Counts the packets between these two that have one of our bits.
fn count_between(host: &Host, one: &Container, other: &Container) {
    for (family, tool) in ["iptables", "ip6tables"].into_iter().enumerate() {
        let [one, other] = [one, other].map(|it| it.addresses()[family]);
        for chain in ["FORWARD", "POSTROUTING"] {
            for (from, to) in [(one, other), (other, one)] {
                let mut add = Command::new(tool);
                add.args(["-t", "mangle", "-A", chain, "-m", "mark", "!", "--mark"]);
                add.arg(format!("0/{BITS}")).args(["-s", &from.to_string(), "-d", &to.to_string()]);
                host.run(add.args(["-m", "comment", "--comment", "our bits"])).ok();
            }
        }
    }
}

each_backend! {
    fn restored_marks_mean_nothing(backend) {
        let host = open_host(backend);
        host.lay_second_bridge();
        saves_marks(&host);
        let (one, other, far) =
            (neighbour(&host, "one"), neighbour(&host, "other"), far(&host, "far"));
        let (outside, uplink) = outside(&host);
        let db = isolated(&host, "db", "in").build();
        publish(&host, 8080, &db);
        count_between(&host, &one, &other);
        let all = [one.netns(), other.netns(), far.netns(), &outside, db.netns(), host.netns()];
        let _servers = all.map(Server::new);
        settle(&host);
        db.run().ok();
        let web = recipient(&host, "web", "db");
        // A recipient on the other bridge: its link is routed.
        let there = host.container("there").annotate("links", "db").hooks().build();
        move_to_second(&host, &there);
        there.run().ok();
        for round in 0..2 {
            assert!(reaches(web.netns(), db.addresses(), 80), "{round}: the link");
            assert!(reaches(there.netns(), db.addresses(), 80), "{round}: the routed link");
            assert!(reaches(&outside, uplink, 8080), "{round}: the published port");
            assert!(reaches(host.netns(), db.addresses(), 80), "{round}: the host");
            for from in [one.netns(), far.netns(), &outside] {
                assert!(!reaches(from, db.addresses(), 80), "{round}: {}", from.name());
            }
            // Answers from the other bridge, its own bridge and outside.
            assert!(reaches(db.netns(), on_second(&far), 80), "{round}: another bridge");
            assert!(reaches(db.netns(), one.addresses(), 80), "{round}: a neighbour");
            assert!(reaches(db.netns(), both("10.79.0.9", "fd79::9"), 80), "{round}");
            // Containers that no link and no isolation is about.
            assert!(reaches(one.netns(), on_second(&far), 80), "{round}");
            assert!(reaches(far.netns(), one.addresses(), 80), "{round}");
            assert!(reaches(one.netns(), other.addresses(), 80), "{round}");
        }
        for chain in ["FORWARD", "POSTROUTING"] {
            assert_eq!(counted(&host, chain), 0, "{chain}: packets of unlinked containers");
        }
        assert_eq!(call(&host, "sync --check").ended(0), "");
        [&there, &web, &db].into_iter().for_each(end);
    }

    /// What was dropped left a mark in the connection, and then the isolated container begins to speak.
    fn a_dropped_packet_spoils_no_answer(backend) {
        let host = open_host(backend);
        host.lay_second_bridge();
        saves_marks(&host);
        let far = far(&host, "far");
        let (outside, _) = outside(&host);
        let db = isolated(&host, "db", "in").build();
        settle(&host);
        db.run().ok();
        let targets = [
            (far.netns(), on_second(&far)),
            (&outside, both("10.79.0.9", "fd79::9")),
        ];
        for (place, addresses) in targets {
            for (its, ours) in addresses.into_iter().zip(db.addresses()) {
                let at = |ip| SocketAddr::new(ip, 5353);
                let (away, inside) = (socket(place, at(its)), socket(db.netns(), at(ours)));
                assert!(!gets(&away, &inside), "{its}: it is isolated");
                assert!(gets(&inside, &away), "{its}: its own datagram");
                assert!(gets(&away, &inside), "{its}: the answer");
            }
        }
        end(&db);
    }

    /// A routed packet of a connection without an answer comes with the marks of the one before it.
    fn datagrams_without_an_answer_arrive(backend) {
        let host = open_host(backend);
        saves_marks(&host);
        let one = neighbour(&host, "one");
        let (outside, _) = outside(&host);
        let db = isolated(&host, "db", "in").build();
        settle(&host);
        db.run().ok();
        for (its, ours) in both("10.79.0.9", "fd79::9").into_iter().zip(one.addresses()) {
            let at = |ip| SocketAddr::new(ip, 5353);
            let (away, inside) = (socket(&outside, at(its)), socket(one.netns(), at(ours)));
            for number in 0..4 {
                assert!(gets(&away, &inside), "{ours}: datagram {number}");
            }
        }
        end(&db);
    }
}
