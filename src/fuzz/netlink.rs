//! Fuzz target for netlink messages of the kernel. Other programs choose names, comments and user
//! data in them, and later kernels may add attributes.

use crate::firewall::ipset::messages::{self as ipset, SetChange, change_run};
use crate::firewall::ipset::sets::IpSet;
use crate::firewall::nftables::messages as nftables;
use crate::firewall::nftables::sets::NftSet;
use crate::firewall::xtables::jump_order;
use crate::model::{Family, Flow, FlowIndex, PortRange, Protocol};
use crate::sys::net::netlink::message::{Attributes, Batch, Body, Message, messages};
use crate::sys::net::netlink::subscription;
use crate::sys::net::netlink::uapi::IPSET_ATTR_DATA;
use crate::sys::net::{bridge, conntrack, listed};
use std::net::IpAddr;

/// Passes a datagram to every parser of netlink messages.
pub fn netlink(datagram: &[u8]) {
    let mut read = 0;
    for message in messages(datagram) {
        read += 1;
        let _ = message.code();
        let attributes = message.attributes();
        assert!(attributes.clone().count() * 4 <= datagram.len());
        addresses(&message);
        sets(&attributes);
        connections(&attributes);
        let _ = subscription::is_about(&message, crate::firewall::concerns);
        let _ = jump_order::jumps_to(&attributes, "OCI-LINK");
    }
    assert!(read * 16 <= datagram.len(), "no message is shorter than its header");
}

fn addresses(message: &Message<'_>) {
    if let Some((header, rest)) = message.address() {
        let _ = listed::assigned(header, &rest);
    }
    let _ = bridge::Interface::parse(message);
}

/// A set element that can be read must be written as an equal one.
fn sets(answer: &Attributes<'_>) {
    for set in Family::BOTH.into_iter().flat_map(IpSet::all_of) {
        let _ = ipset::is_ours(set, answer);
        for element in ipset::elements(answer).filter_map(|item| ipset::element(set, &item)) {
            let mut batch = Batch::default();
            change_run(&mut batch, SetChange::Add, std::slice::from_ref(&element));
            let back = messages(batch.bytes()).next();
            let data = back.map(|message| message.attributes().inside(IPSET_ATTR_DATA));
            let back = data.and_then(|data| ipset::element(IpSet::of(&element.key), &data));
            assert_eq!(back, Some(element));
        }
    }
    for family in Family::BOTH {
        for (bridged, by_port) in [(true, true), (true, false), (false, false)] {
            let set = NftSet::within(family, bridged, by_port);
            for item in nftables::elements(answer) {
                let element = nftables::element(set, &item);
                assert!(element.is_none_or(|element| NftSet::of(&element.key) == set));
            }
        }
    }
    for (_, notes) in answer.clone() {
        let _ = nftables::comment(notes);
    }
}

/// A connection tracking entry of one of our flows must be written as one message.
fn connections(entry: &Attributes<'_>) {
    let [from, to] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
    let ports = PortRange::new(3306, 3310, Protocol::Tcp);
    let flows = FlowIndex::of(ports.map(|ports| Flow { from, to, ports, bridge: None }));
    if let Some(entry) = conntrack::Connection::of(entry, &flows) {
        let mut batch = Batch::default();
        batch.message(0, 0, 0, |body: &mut Body<'_>| entry.write(body));
        assert_eq!(messages(batch.bytes()).count(), 1);
    }
}
