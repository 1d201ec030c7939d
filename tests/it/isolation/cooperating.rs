//! An isolated container, and another end that both want to talk. Isolation in both directions holds nevertheless.

use super::{
    PATIENCE, Server, both, dial, far, isolated, neighbour, on_second, open_host, outside, publish,
    reaches, settle,
};
use crate::{
    backends::each_backend,
    cast::{end, recipient},
    lifecycle::by_hand,
    support::{Container, Host, Netns},
};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use oci_link::testing::BackendName;
use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    thread,
    time::Duration,
};

/// An end of a conversation: where it is, and its address and port.
type End<'a> = (&'a Netns, SocketAddr);

/// Whether a datagram of either end gets to the other while both send, the one of the container last.
fn talk(there: End<'_>, inside: End<'_>) -> [bool; 2] {
    let bound = |(place, at): End<'_>| {
        let socket = place.enter(|| UdpSocket::bind(at)).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket
    };
    let (away, within) = (bound(there), bound(inside));
    for _ in 0..3 {
        let _ = away.send_to(b"?", inside.1);
        let _ = within.send_to(b"?", there.1);
    }
    let _ = away.send_to(b"?", inside.1);
    [within, away].map(|socket| socket.recv(&mut [0]).is_ok())
}

/// Whether both ends, each of which connects to the other at the same time, get a connection.
fn open(there: End<'_>, inside: End<'_>) -> bool {
    let dials = |(place, own): End<'_>, other: SocketAddr| {
        let family = if own.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let (kind, flags) = (SockType::Stream, SockFlag::empty());
        let socket = place.enter(|| socket(family, kind, flags, None)).expect("a socket");
        setsockopt(&socket, sockopt::SendTimeout, &TimeVal::milliseconds(2500)).expect("an option");
        bind(socket.as_raw_fd(), &SockaddrStorage::from(own)).expect("the port is free");
        connect(socket.as_raw_fd(), &SockaddrStorage::from(other)).is_ok()
    };
    thread::scope(|scope| {
        let one = scope.spawn(|| dials(there, inside.1));
        // A packet that comes before the other end has begun would be refused there.
        thread::sleep(Duration::from_millis(100));
        let connected = dials(inside, there.1);
        one.join().expect("a try does not panic") && connected
    })
}

/// Adds the host's own link-layer address as the one of the other end, so that the host routes what both send to
/// each other.
fn by_the_host(from: &Netns, to: IpAddr) {
    let mut ip = std::process::Command::new("ip");
    ip.args(["-netns", from.name(), "neigh", "replace", &to.to_string()]);
    ip.args(["lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", "permanent"]);
    let status = ip.status().expect("ip runs");
    assert!(status.success());
}

/// Which ends there are, with their addresses, whether datagrams get to `db` and back, and whether a connection opens.
type Ways = Vec<(&'static str, IpAddr, [bool; 2], bool)>;

/// Tries the ways between `db` and a neighbour, a container of the other bridge and one outside.
fn ways(host: &Host, directions: &str) -> Ways {
    host.lay_second_bridge();
    let (one, far) = (neighbour(host, "one"), far(host, "far"));
    let (outside, _) = outside(host);
    let db = isolated(host, "db", directions).build();
    settle(host);
    db.run().ok();
    let ends = [
        ("a neighbour", one.netns(), one.addresses()),
        ("another bridge", far.netns(), on_second(&far)),
        ("outside", &outside, both("10.79.0.9", "fd79::9")),
    ];
    let mut all = Vec::new();
    for (port, (name, there, addresses)) in (5353..).zip(ends) {
        for (its, ours) in addresses.into_iter().zip(db.addresses()) {
            if name == "a neighbour" {
                by_the_host(there, ours);
            }
            let [its, ours] = [its, ours].map(|ip| SocketAddr::new(ip, port));
            all.push((name, (there, its), (db.netns(), ours)));
        }
    }
    let all = thread::scope(|scope| {
        let tries: Vec<_> = all
            .into_iter()
            .map(|(name, there, inside)| {
                let try_it = move || (name, there.1.ip(), talk(there, inside), open(there, inside));
                scope.spawn(try_it)
            })
            .collect();
        tries.into_iter().map(|it| it.join().expect("a try does not panic")).collect()
    });
    end(&db);
    all
}

/// Rules of the administrator that accept connections to a port of the container, and what answers in them.
fn accept(host: &Host, backend: BackendName, db: &Container, port: u16) {
    let rules = ["ip", "ip6"].into_iter().zip(db.addresses()).flat_map(|(family, ip)| {
        let command = match backend {
            BackendName::Nftables => format!("nft add rule inet oci-link user {family}"),
            _ => format!("{family}tables -A OCI-LINK-USER -p tcp"),
        };
        match backend {
            BackendName::Nftables => [
                format!("{command} daddr {ip} tcp dport {port} accept"),
                format!("{command} saddr {ip} tcp sport {port} ct state established accept"),
            ],
            _ => [
                format!("{command} -d {ip} --dport {port} -j ACCEPT"),
                format!(
                    "{command} -s {ip} --sport {port} -m conntrack --ctstate ESTABLISHED -j ACCEPT"
                ),
            ],
        }
    });
    for rule in rules {
        by_hand(host, &[&rule]);
    }
}

each_backend! {
    fn two_ends_that_want_to_talk_cannot_pass_both(backend) {
        let open = |way: &(_, _, [bool; 2], bool)| way.2 != [false; 2] || way.3;
        let all = ways(&open_host(backend), "both");
        assert_eq!(all.len(), 6);
        assert_eq!(all.into_iter().filter(open).collect::<Ways>(), []);
    }

    /// With isolation in one direction, connections may begin in the other. So the ways above are ways.
    fn with_one_direction_they_talk(backend) {
        for directions in ["in", "out"] {
            for (name, its, talks, _) in ways(&open_host(backend), directions) {
                let is_routed = name != "a neighbour";
                assert!(!is_routed || talks == [true; 2], "{directions}: {name} {its} {talks:?}");
            }
        }
    }

    /// A chain of the administrator that accepts the connections of one port of the container.
    fn the_administrator_accepts_both_directions(backend) {
        let host = open_host(backend);
        host.lay_second_bridge();
        let far = far(&host, "far");
        let db = isolated(&host, "db", "both").build();
        let _server = Server::new(db.netns());
        settle(&host);
        db.run().ok();
        let web = recipient(&host, "web", "db");
        publish(&host, 8080, &db);
        let published = |ip: &str| dial(far.netns(), ip.parse().expect("an address"), 8080).is_some();
        assert!(published("10.78.0.1") && published("fd78::1"));
        assert!(!reaches(far.netns(), db.addresses(), 81));
        accept(&host, backend, &db, 81);
        assert!(reaches(far.netns(), db.addresses(), 81));
        assert!(!reaches(far.netns(), db.addresses(), 80));
        assert!(reaches(web.netns(), db.addresses(), 80));
        [&web, &db].into_iter().for_each(end);
    }
}
