//! Frames that a container with `NET_RAW` makes up: with VLAN tags, and unsolicited ARP and neighbor
//! discovery answers.

use super::{CLIENT, PORT, PORTS, at, host_bound, neighbour};
use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    lifecycle::by_hand,
    support::{
        Container, Forged, Host,
        frames::{claim, eth0, frame, kind_of, packet, send},
    },
};
use std::{fs, net::IpAddr, process::Command};

const Q: u16 = 0x8100;
const AD: u16 = 0x88a8;
/// The VLAN of the receiver's own device `eth0.5`.
const VLAN: u16 = 5;

/// The tags that frames have, and what they are.
const TAGS: [(&str, &[(u16, u16)]); 4] = [
    ("no tag", &[]),
    ("priority", &[(Q, 0)]),
    ("priority of 802.1ad", &[(AD, 0)]),
    ("802.1Q", &[(Q, VLAN)]),
];

/// `container` listens on a VLAN too, and does not ask which way an address should come. Returns whether the
/// kernel has VLANs.
fn listens_on_a_vlan(host: &Host, container: &Container) -> bool {
    let name = container.netns().name();
    let add = format!("-netns {name} link add link eth0 name eth0.5 up type vlan id {VLAN}");
    let has_vlans = host.run(Command::new("ip").args(add.split(' '))).succeeded();
    container.netns().enter(|| {
        for name in ["all", "eth0", "eth0.5"].iter().take(if has_vlans { 3 } else { 2 }) {
            fs::write(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), "0").expect("a switch");
        }
    });
    has_vlans
}

/// Whether a forged frame of `sender` gets to `to`, behind these tags.
fn arrives(
    host: &Host,
    sender: &Container,
    tags: &[(u16, u16)],
    (from, to): (IpAddr, IpAddr),
    receiver: &Container,
) -> bool {
    let kind = Forged::Datagram;
    let ends = (at(from, CLIENT), at(to, PORT));
    let macs = [receiver, sender].map(|it| eth0(host, it.netns()).0);
    kind.arrives(ends.0, (receiver.netns(), ends.1), |segment| {
        let packet = packet(ends.0, ends.1, kind.number(), segment);
        send(host, sender.netns(), &frame(macs, tags, kind_of(from), &packet));
        true
    })
}

each_backend! {
    /// Whether the kernel filters frames with tags or lets them pass all rules.
    fn a_vlan_tag_is_no_way_around(backend) {
        for bind in ["port", "bridge"] {
            let host = host_bound(backend, bind);
            let (db, thief) = (source(&host, "db", PORTS), neighbour(&host, "thief"));
            let web = recipient(&host, "web", "db");
            let has_vlans = listens_on_a_vlan(&host, &db);
            let tags = TAGS.into_iter();
            let tags = tags.filter(|(_, tags)| has_vlans || tags.iter().all(|(_, id)| *id == 0));
            let tags: Vec<_> = tags.collect();
            for filtered in ["1", "0"] {
                let switch = format!("net.bridge.bridge-nf-filter-vlan-tagged={filtered}");
                by_hand(&host, &[&format!("sysctl -qw {switch}")]);
                for ends in web.addresses().into_iter().zip(db.addresses()) {
                    for (name, tags) in &tags {
                        let case = format!("{bind} {filtered} {name} {}", ends.0);
                        let passes = arrives(&host, &thief, tags, ends, &db);
                        assert_eq!(passes, bind == "bridge", "{case}");
                        // A right one passes as ever.
                        if bind == "port" {
                            assert!(arrives(&host, &web, tags, ends, &db), "{case}: right");
                        }
                    }
                }
            }
            [&web, &db, &thief].into_iter().for_each(end);
            host.assert_nothing_left();
        }
    }

    /// A neighbour that says it had the source's address gets nothing that the recipient sends there.
    fn an_answer_that_was_not_asked_for_leads_nowhere(backend) {
        for bind in ["port", "bridge"] {
            let host = host_bound(backend, bind);
            let (db, thief) = (source(&host, "db", PORTS), neighbour(&host, "thief"));
            let web = recipient(&host, "web", "db");
            for (from, to) in web.addresses().into_iter().zip(db.addresses()) {
                let request = || {
                    let there = (thief.netns(), at(to, PORT));
                    Forged::Datagram.passes((web.netns(), at(from, CLIENT)), there)
                };
                let right = ((web.netns(), at(from, CLIENT)), (db.netns(), at(to, PORT)));
                assert!(Forged::Datagram.passes(right.0, right.1), "{bind} {from}");
                let (length, how) = if to.is_ipv4() { (32, "") } else { (128, " nodad") };
                thief.ip(&format!("addr add {to}/{length} dev eth0{how}"));
                // An answer within a second of another one would not be believed.
                web.netns().enter(|| {
                    fs::write("/proc/sys/net/ipv4/neigh/eth0/locktime", "0").expect("a switch");
                });
                let macs = [&web, &thief].map(|it| eth0(&host, it.netns()).0);
                send(&host, thief.netns(), &claim(to, macs, from));
                let knows = |ip: IpAddr| {
                    let mut show = Command::new("ip");
                    show.args(["-netns", web.netns().name(), "neigh", "show", &ip.to_string()]);
                    host.run(&mut show).ok()
                };
                let mac = macs[1].map(|octet| format!("{octet:02x}")).join(":");
                assert!(knows(to).contains(&mac), "{bind}: no claim was believed: {}", knows(to));
                assert_eq!(request(), bind == "bridge", "{bind} {from}");
                assert!(!Forged::Datagram.passes(right.0, right.1), "{bind} {from}: it is stolen");
            }
            [&web, &db, &thief].into_iter().for_each(end);
            host.assert_nothing_left();
        }
    }
}
