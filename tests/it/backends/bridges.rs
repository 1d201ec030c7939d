//! A flow between two on one bridge is a flow on that bridge: who borrows their addresses anywhere
//! else gains nothing.

use super::{
    Site, each_backend, flows, owner,
    site::{BRIDGE, flows_on},
};
use crate::support::{Container, Forged, Host, Netns, OPEN, Proto, SECOND_BRIDGE, SHUT, UPLINK};
use oci_link::testing::{BackendName, Flow};
use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    process::Command,
};

/// Where the newest nft may be; tests/engines says how it is made.
const SID: &str = "/var/cache/oci-link-test/sid";
const PORT: u16 = 3306;
/// The recipient's, on the way back.
const CLIENT: u16 = 41_000;

/// A site on which containers reach each other by links only.
fn walled(backend: BackendName) -> Site {
    let site = Site::open(backend);
    site.host.lay_second_bridge();
    site.isolate(&[BRIDGE, SECOND_BRIDGE, UPLINK]);
    site
}

fn at(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}

/// An attacker that takes the addresses of the container it pretends to be.
struct Attacker<'a> {
    host: &'a Host,
    place: &'static str,
    inside: Netns,
}

impl<'a> Attacker<'a> {
    /// One on another bridge, and one from outside.
    fn all(host: &'a Host) -> [Self; 2] {
        let (bridged, outside) = (host.host_on_second_bridge(), host.host_outside());
        [(SECOND_BRIDGE, bridged), (UPLINK, outside)].map(|(place, inside)| Self {
            host,
            place,
            inside,
        })
    }

    /// Which of the packets get to `to`, that it makes up as if they were from `from`.
    fn gets_through(
        &self,
        from: (&Container, u16),
        to: (&Container, u16),
    ) -> Vec<(IpAddr, Forged)> {
        self.host.borrow(&self.inside, from.0.addresses());
        let ends = from.0.addresses().into_iter().zip(to.0.addresses());
        let all = ends.flat_map(|ends| Forged::ALL.map(|packet| (ends, packet)));
        let passes = |((source, target), packet): &((IpAddr, IpAddr), Forged)| {
            let there = (to.0.netns(), at(*target, to.1));
            packet.passes((&self.inside, at(*source, from.1)), there)
        };
        all.filter(passes).map(|((source, _), packet)| (source, packet)).collect()
    }
}

fn ports() -> &'static str {
    "3306/tcp, 3306/udp"
}

each_backend! {
    fn a_borrowed_address_is_worth_nothing_elsewhere(backend) {
        let site = walled(backend);
        let (web, db) = (site.running("web"), site.running("db"));
        let bound = flows(web.number(), db.number(), ports());
        site.ensure(&owner('a'), &[], &bound);
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
        assert_eq!(web.reach(&db, Proto::Udp, PORT), OPEN);

        let attackers = Attacker::all(&site.host);
        // A connection that stands, so that the way back is open, and by which port.
        for family in [0, 1] {
            let [from, to] = [&web, &db].map(|container| container.addresses()[family]);
            let there = ((web.netns(), at(from, CLIENT)), (db.netns(), at(to, PORT)));
            assert!(Forged::Datagram.passes(there.0, there.1));
            assert!(Forged::Datagram.passes(there.1, there.0), "the way back");
        }
        for attacker in &attackers {
            let place = attacker.place;
            assert_eq!(attacker.gets_through((&web, CLIENT), (&db, PORT)), [], "{place}");
            assert_eq!(attacker.gets_through((&web, 42_000), (&db, PORT)), [], "{place}: anew");
            assert_eq!(attacker.gets_through((&db, PORT), (&web, CLIENT)), [], "{place}: back");
        }

        // Bound to nothing, the same flows let all of that through: it was the bridge.
        let free: Vec<Flow> = bound.iter().map(|flow| flow.anywhere()).collect();
        site.ensure(&owner('a'), &bound, &free);
        site.assert_permitted(&owner('a'), &free);
        for attacker in &attackers {
            let through = attacker.gets_through((&web, 42_000), (&db, PORT));
            assert_eq!(through.len(), 2 * Forged::ALL.len(), "{}: {through:?}", attacker.place);
        }
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
        site.remove(&owner('a'), &free);
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), SHUT);
        site.host.assert_nothing_left();
    }

    /// Both ends have conspirators on the other bridge, who take their addresses there.
    fn another_bridge_is_not_the_flows(backend) {
        let site = walled(backend);
        let (web, db) = (site.running("web"), site.running("db"));
        site.ensure(&owner('a'), &[], &flows(web.number(), db.number(), ports()));
        let [one, two] = [0, 1].map(|_| site.host.host_on_second_bridge());
        site.host.borrow(&one, web.addresses());
        site.host.borrow(&two, db.addresses());
        for (inside, others) in [(&one, db.addresses()), (&two, web.addresses())] {
            for other in others {
                let route = format!("ip -netns {} route add {other} dev eth0", inside.name());
                site.by_hand(&[&route]);
            }
        }
        for (from, to) in web.addresses().into_iter().zip(db.addresses()) {
            let passes = |packet: Forged| {
                packet.passes((&one, at(from, CLIENT)), (&two, at(to, PORT)))
            };
            assert!(!passes(Forged::Syn) && !passes(Forged::Datagram), "{from}");
            site.isolate(&[BRIDGE, UPLINK]);
            assert!(passes(Forged::Syn) && passes(Forged::Datagram), "{from}: if they may");
            site.isolate(&[BRIDGE, SECOND_BRIDGE, UPLINK]);
        }
    }

    /// Each flow is on its own bridge, however many the recipient has.
    fn a_recipient_on_two_bridges(backend) {
        let site = walled(backend);
        let [web, near, far] = ["web", "near", "far"].map(|id| site.running(id));
        for container in [&web, &far] {
            site.host.plug_into_second(container);
        }
        far.unplug();
        let own = flows(web.number(), near.number(), ports());
        let second = |flow: &Flow| {
            let ip = |ip: IpAddr| ip.to_string().replace("77", "78").parse().expect("an address");
            Flow { from: ip(flow.from), to: ip(flow.to), ..*flow }
        };
        let far_flows = flows_on(Some(SECOND_BRIDGE), web.number(), far.number(), ports());
        let far_flows: Vec<Flow> = far_flows.iter().map(second).collect();
        let routed = flows_on(None, web.number(), 99, ports());
        let all = [own, far_flows, routed].concat();
        site.ensure(&owner('a'), &[], &all);
        site.assert_permitted(&owner('a'), &all);
        for flow in &all[..8] {
            let packet = match flow.ports.protocol().as_str() {
                "tcp" => Forged::Syn,
                _ => Forged::Datagram,
            };
            let there = if flow.bridge == all[0].bridge { &near } else { &far };
            let ends = ((web.netns(), at(flow.from, CLIENT)), (there.netns(), at(flow.to, PORT)));
            assert!(packet.passes(ends.0, ends.1), "{flow}");
            // A kernel resets a connection that it does not know.
            assert!(packet == Forged::Syn || packet.passes(ends.1, ends.0), "{flow}: back");
            let other = (there.netns(), at(flow.to, PORT + 1));
            assert!(!packet.passes(ends.0, other), "{flow}: another port");
        }
        // Whatever changes among them, exactly the rest stays.
        for kept in [&all[2..], &all[4..], &all[6..10], &all[..4], &[]] {
            site.ensure(&owner('a'), &all, kept);
            site.assert_permitted(&owner('a'), kept);
            site.remove(&owner('a'), &all);
            site.host.assert_nothing_left();
            site.ensure(&owner('a'), &[], &all);
        }
    }

    fn routed_containers_are_linked_too(backend) {
        let site = Site::open(backend);
        let (web, db) = (site.running("web"), site.running("db"));
        site.host.route_to(&web, "ptp-web");
        site.host.route_to(&db, "ptp-db");
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
        site.isolate(&["ptp-web", "ptp-db"]);
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), SHUT);
        let free = flows_on(None, web.number(), db.number(), ports());
        site.ensure(&owner('a'), &[], &free);
        for proto in [Proto::Tcp, Proto::Udp] {
            assert_eq!(web.reach(&db, proto, PORT), OPEN);
        }
        assert_eq!(db.reach(&web, Proto::Tcp, PORT), SHUT);
        site.remove(&owner('a'), &free);
        site.host.assert_nothing_left();
    }

    /// Two containers of a pod share an address and its seat, and need not share a source.
    fn what_a_pod_shares_stays_for_the_last(backend) {
        let site = Site::new(backend);
        let (web, db) = (site.running("web"), site.running("db"));
        let one = flows(web.number(), db.number(), "3306");
        let two = flows(web.number(), db.number(), "3307");
        site.ensure(&owner('a'), &[], &one);
        site.ensure(&owner('b'), &[], &two);
        site.ensure(&owner('c'), &[], &flows(13, 14, "1"));
        site.remove(&owner('a'), &one);
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), OPEN);
        site.assert_permitted(&owner('b'), &two);
        site.remove(&owner('b'), &two);
        site.remove(&owner('c'), &flows(13, 14, "1"));
        site.host.assert_nothing_left();
    }
}

/// People look at rules with the tools they have.
#[test]
fn every_nft_can_read_what_we_make() {
    let site = Site::new(BackendName::Nftables);
    let all = [flows(11, 12, ports()), flows_on(None, 13, 14, ports())].concat();
    site.ensure(&owner('a'), &[], &all);
    let mut tools = vec![Command::new("nft")];
    if Path::new(SID).join("usr/sbin/nft").exists() {
        let mut newest = Command::new("chroot");
        newest.args([SID, "nft"]);
        tools.push(newest);
    }
    for tool in &mut tools {
        let text = site.host.run(tool.args(["list", "ruleset"])).ok();
        for expected in [
            "type ifname . ipv6_addr . ipv6_addr . inet_proto . inet_service",
            "\"br0\" . 10.77.0.11 . 10.77.0.12 . tcp . 3306 comment \"aaaaaaaaaaaaaaaa\"",
            "\"br0\" . fd77::b . fd77::c . udp . 3306 comment \"aaaaaaaaaaaaaaaa\"",
            "iifname . ip saddr . ip daddr . meta l4proto . th dport @bridged4 \
             oifname . ip saddr . ip daddr . meta l4proto . th dport @bridged4 accept",
            "iifname . ip6 daddr . ip6 saddr . meta l4proto . th sport @bridged6 \
             oifname . ip6 daddr . ip6 saddr . meta l4proto . th sport @bridged6",
        ] {
            assert!(text.contains(expected), "{tool:?}: no {expected} in\n{text}");
        }
        // What it printed it reads, and means the same.
        let check =
            site.host.feed(Command::new("nft").args(["--check", "-f", "-"]), text.as_bytes());
        check.ok();
    }
}

/// The rules and sets of the version before, in the same boot: its links stay, are bound to
/// nothing, and end like others.
#[test]
fn f34_what_an_earlier_version_left_is_taken_over() {
    let site = Site::new(BackendName::Ipset);
    let (web, db) = (site.running("web"), site.running("db"));
    site.ensure(&owner('a'), &[], &flows(11, 12, ports()));
    site.remove(&owner('a'), &flows(11, 12, ports()));
    let note = |tool| site.host.state_dir().join(tool);
    for (tool, set, [from, to]) in [
        ("iptables", "oci-link4", [web.addresses()[0], db.addresses()[0]]),
        ("ip6tables", "oci-link6", [web.addresses()[1], db.addresses()[1]]),
    ] {
        site.by_hand(&[
            &format!("{tool} -F OCI-LINK"),
            &format!("ipset destroy {set}-routed"),
            &format!("ipset destroy {set}-at"),
            &format!("{tool} -A OCI-LINK -m set --match-set {set} src,dst,dst -j ACCEPT"),
            &format!(
                "{tool} -A OCI-LINK -m conntrack --ctstate ESTABLISHED \
                 -m set --match-set {set} dst,src,src -j ACCEPT"
            ),
            &format!("ipset add {set} {from},tcp:3306,{to} comment bbbbbbbbbbbbbbbb"),
            &format!("{tool} -A OCI-LINK -j OCI-LINK-ISOLATE"),
        ]);
        if tool == "ip6tables" {
            site.by_hand(&[
                "ip6tables -I OCI-LINK -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT",
                "ip6tables -I OCI-LINK -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT",
            ]);
        }
        let text = std::fs::read_to_string(note(tool)).expect("a note");
        std::fs::write(note(tool), text.replace("ipset on bridges", "ipset")).expect("written");
    }
    assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);

    let bound = flows(13, 12, ports());
    site.ensure(&owner('a'), &[], &bound);
    site.assert_permitted(&owner('a'), &bound);
    let old = flows_on(None, web.number(), db.number(), "3306");
    site.assert_permitted(&owner('b'), &old);
    assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
    let plain = "--match-set oci-link4 src,dst,dst -j ACCEPT";
    assert!(!site.host.rules().iter().any(|rule| rule.contains(plain)), "{:?}", site.host.rules());
    site.remove(&owner('b'), &old);
    site.remove(&owner('a'), &bound);
    assert_eq!(web.reach(&db, Proto::Tcp, PORT), SHUT);
    site.host.assert_nothing_left();
}
