//! Ethernet frames made by hand, with VLAN tags if need be, as a container with `NET_RAW` sends them.

#![allow(unsafe_code)] // An address of AF_PACKET has no safe constructor.

use super::{host::Host, netns::Netns};
use nix::{
    errno::Errno,
    libc::{AF_PACKET, sendto, sockaddr_ll},
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};
use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    process::Command,
};

/// A link-layer address.
pub(crate) type Mac = [u8; 6];

/// The address and the index of `eth0` inside.
pub(crate) fn eth0(host: &Host, inside: &Netns) -> (Mac, i32) {
    device(host, inside, "eth0")
}

/// The address and the index of a device inside.
pub(crate) fn device(host: &Host, inside: &Netns, name: &str) -> (Mac, i32) {
    let mut show = Command::new("ip");
    show.args(["-netns", inside.name(), "-oneline", "link", "show", name]);
    let text = host.run(&mut show).ok();
    let (index, _) = text.split_once(':').expect("an index");
    let mac = text.split("link/ether ").nth(1).expect("an address");
    let mac = mac.split(' ').next().expect("an address").split(':');
    let octets = mac.map(|octet| u8::from_str_radix(octet, 16).expect("an octet"));
    let mac = octets.collect::<Vec<_>>().try_into().expect("six octets");
    (mac, index.parse().expect("a number"))
}

/// Sends a frame from `eth0` inside.
pub(crate) fn send(host: &Host, inside: &Netns, frame: &[u8]) {
    send_by(eth0(host, inside).1, inside, frame);
}

/// Sends a frame from the device with this index inside.
pub(crate) fn send_by(index: i32, inside: &Netns, frame: &[u8]) {
    inside.enter(|| {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None).expect("a socket");
        // SAFETY: All bytes of the structure may be zero; it is plain data.
        let mut to: sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = AF_PACKET.try_into().expect("a small number");
        to.sll_ifindex = index;
        let length = size_of::<sockaddr_ll>().try_into().expect("a small number");
        // SAFETY: Both pointers are valid for their lengths during the call.
        let sent = unsafe {
            let to = std::ptr::from_ref(&to).cast();
            sendto(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, to, length)
        };
        Errno::result(sent).expect("a frame is sent");
    });
}

/// A frame with `payload` of an ethernet type, behind these tags (type, VLAN).
pub(crate) fn frame(
    [to, from]: [Mac; 2],
    tags: &[(u16, u16)],
    kind: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = [to, from].concat();
    for (tag, vlan) in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The ethernet type of a packet with this address.
pub(crate) fn kind_of(ip: IpAddr) -> u16 {
    if ip.is_ipv4() { 0x0800 } else { 0x86dd }
}

/// `segment` behind an IP header.
pub(crate) fn packet(from: SocketAddr, to: SocketAddr, protocol: u8, segment: &[u8]) -> Vec<u8> {
    let length = u16::try_from(segment.len()).expect("a short packet");
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let [high, low] = (20 + length).to_be_bytes();
            let mut header = vec![0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0];
            header.extend([from.octets(), to.octets()].concat());
            let words = header.chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1]));
            let sum: u32 = words.sum();
            let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("folded");
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            [&header, segment].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let [high, low] = length.to_be_bytes();
            let header = [0x60, 0, 0, 0, high, low, protocol, 64];
            [&header[..], &from.octets(), &to.octets(), segment].concat()
        }
        _ => panic!("two families"),
    }
}

/// `content` in a datagram.
pub(crate) fn datagram(from: SocketAddr, to: SocketAddr, content: &str) -> Vec<u8> {
    let length = u16::try_from(8 + content.len()).expect("a short datagram").to_be_bytes();
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    let mut segment = [&ports, &length[..], &[0, 0], content.as_bytes()].concat();
    let sum = super::forged::checksum(from.ip(), to.ip(), 17, &segment);
    segment[6..8].copy_from_slice(&sum.to_be_bytes());
    packet(from, to, 17, &segment)
}

/// A message of neighbor discovery about the target, with `content` behind it.
pub(crate) fn discovery(kind: u8, hops: u8, [from, to]: [IpAddr; 2], content: &str) -> Vec<u8> {
    let IpAddr::V6(target) = to else { panic!("no address of IPv6") };
    let head = [kind, 0, 0, 0, 0, 0, 0, 0];
    let mut body = [&head[..], &target.octets(), content.as_bytes()].concat();
    let sum = super::forged::checksum(from, to, 58, &body);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = packet((from, 0).into(), (to, 0).into(), 58, &body);
    packet[7] = hops;
    packet
}

/// Tells `eth0` of the target that `claimed` has the link-layer address `from`: a gratuitous ARP reply, or an
/// unsolicited neighbour advertisement.
pub(crate) fn claim(claimed: IpAddr, [to, from]: [Mac; 2], target: IpAddr) -> Vec<u8> {
    match (claimed, target) {
        (IpAddr::V4(claimed), IpAddr::V4(target)) => {
            let head = [0, 1, 8, 0, 6, 4, 0, 2];
            let ends = [&from[..], &claimed.octets(), &to, &target.octets()].concat();
            frame([to, from], &[], 0x0806, &[&head[..], &ends].concat())
        }
        (IpAddr::V6(v6), IpAddr::V6(_)) => {
            // Type, code, checksum, flag "override", target, option with the link-layer address.
            let mut body = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
            body.extend(v6.octets());
            body.extend([2, 1]);
            body.extend(from);
            let sum = super::forged::checksum(claimed, target, 58, &body);
            body[2..4].copy_from_slice(&sum.to_be_bytes());
            let mut packet = packet((claimed, 0).into(), (target, 0).into(), 58, &body);
            packet[7] = 255;
            frame([to, from], &[], 0x86dd, &packet)
        }
        _ => panic!("two families"),
    }
}
