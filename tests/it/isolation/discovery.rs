//! Neighbor discovery of IPv6 passes between the ports of a bridge. Packets of its types are not routed.

use super::{
    Server, around::hears, far, isolated, neighbour, on_second, open_host, reaches, settle,
};
use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    lifecycle::by_hand,
    support::{
        Container, Host,
        frames::{device, discovery, eth0, frame, send, send_by},
    },
};
use oci_link::testing::BackendName;
use std::net::IpAddr;

/// Solicitation and advertisement.
const TYPES: [u8; 2] = [135, 136];

/// Which types pass from a container on the second bridge, with this hop limit.
fn routed(host: &Host, from: &Container, to: &Container, hops: u8) -> [bool; 2] {
    let (router, _) = device(host, host.netns(), "br1");
    let (mac, index) = device(host, from.netns(), "eth1");
    let ends = [on_second(from)[1], to.addresses()[1]];
    TYPES.map(|kind| {
        hears(to.netns(), |marker| {
            let packet = discovery(kind, hops, ends, marker);
            send_by(index, from.netns(), &frame([router, mac], &[], 0x86dd, &packet));
        })
    })
}

/// Which types pass from a container on the same bridge.
fn bridged(host: &Host, from: &Container, to: &Container, hops: u8) -> [bool; 2] {
    let macs = [to, from].map(|it| eth0(host, it.netns()).0);
    let ends = [from.addresses()[1], to.addresses()[1]];
    TYPES.map(|kind| {
        hears(to.netns(), |marker| {
            let packet = discovery(kind, hops, ends, marker);
            send(host, from.netns(), &frame(macs, &[], 0x86dd, &packet));
        })
    })
}

/// Whether a packet of IPv4 passes that has the protocol number of ICMPv6.
fn of_ipv4(host: &Host, from: &Container, to: &Container) -> bool {
    let macs = [to, from].map(|it| eth0(host, it.netns()).0);
    let ends = [from, to].map(|it| -> IpAddr { it.addresses()[0] });
    hears(to.netns(), |marker| {
        let body = [&[135, 0, 0, 0][..], marker.as_bytes()].concat();
        let [from_ip, to_ip] = ends.map(|ip| (ip, 0).into());
        let packet = crate::support::frames::packet(from_ip, to_ip, 58, &body);
        send(host, from.netns(), &frame(macs, &[], 0x0800, &packet));
    })
}

/// The host knows where `to` is.
fn meet(host: &Host, to: &Container) {
    let _server = Server::new(to.netns());
    assert!(reaches(host.netns(), to.addresses(), 80));
}

each_backend! {
    fn an_isolated_container_gets_that_of_its_bridge_only(backend) {
        let host = open_host(backend);
        host.lay_second_bridge();
        let (near, far) = (neighbour(&host, "near"), far(&host, "far"));
        let db = isolated(&host, "db", "both").build();
        settle(&host);
        meet(&host, &db);
        for hops in [255, 254, 64] {
            assert_eq!(routed(&host, &far, &db, hops), [true; 2], "nothing isolates");
        }
        assert!(of_ipv4(&host, &near, &db), "nothing isolates");
        db.run().ok();
        for hops in [255, 254, 64, 2] {
            assert_eq!(routed(&host, &far, &db, hops), [false; 2], "{hops}");
        }
        assert_eq!(bridged(&host, &near, &db, 255), [true; 2]);
        assert_eq!(bridged(&host, &db, &near, 255), [true; 2]);
        for hops in [254, 64] {
            assert_eq!(bridged(&host, &near, &db, hops), [false; 2], "{hops}");
        }
        assert!(!of_ipv4(&host, &near, &db));
        end(&db);
        host.assert_nothing_left();
    }

    /// A host that forwards nothing without a rule.
    fn a_link_leads_none_past_a_policy(backend) {
        let host = open_host(backend);
        host.lay_second_bridge();
        let (near, far) = (neighbour(&host, "near"), far(&host, "far"));
        let db = source(&host, "db", "80");
        let web = recipient(&host, "web", "db");
        settle(&host);
        meet(&host, &db);
        assert_eq!(routed(&host, &far, &db, 64), [true; 2], "no policy");
        by_hand(&host, &["ip6tables -P FORWARD DROP"]);
        for hops in [255, 254, 64] {
            assert_eq!(routed(&host, &far, &db, hops), [false; 2], "{hops}");
        }
        // A rule of the backend nftables cannot undo the drop of another table.
        let passes = backend != BackendName::Nftables;
        assert_eq!(bridged(&host, &near, &db, 255), [passes; 2]);
        [&web, &db].into_iter().for_each(end);
    }
}
