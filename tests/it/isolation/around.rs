//! Frames that the chains of IPv4 and IPv6 do not see do not pass around an isolation.

use super::{call_doctor, isolated, neighbour, open_host};
use crate::{
    backends::each_backend,
    support::{
        Container, Host, Netns,
        frames::{Mac, datagram, eth0, frame, send},
    },
};
use nix::sys::{
    socket::{AddressFamily, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt},
    time::TimeVal,
};
use std::{
    fs,
    os::fd::AsRawFd,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Frames with a tag pass by the chains.
fn tags_are_not_filtered(host: &Host) {
    host.netns().enter(|| {
        for switch in ["vlan", "pppoe"] {
            let path = format!("/proc/sys/net/bridge/bridge-nf-filter-{switch}-tagged");
            fs::write(path, "0").expect("a switch");
        }
    });
}

const IPV4: u16 = 0x0800;
/// Tags (type, VLAN) and ethernet type of frames that no chain of IPv4 or IPv6 sees: 802.1Q, priority tags,
/// 802.1ad, both, and types of their own: `PPPoE`, MPLS, and one for experiments.
const UNSEEN: [(&[(u16, u16)], u16); 7] = [
    (&[(0x8100, 5)], IPV4),
    (&[(0x8100, 0)], IPV4),
    (&[(0x88a8, 6)], IPV4),
    (&[(0x88a8, 6), (0x8100, 5)], IPV4),
    (&[], 0x8864),
    (&[], 0x8847),
    (&[], 0x88b5),
];
const ALL: Mac = [0xff; 6];
/// What has not arrived by then was dropped.
const PATIENCE: Duration = Duration::from_millis(150);

/// Whether a frame from one container gets to the other one.
fn passes(
    host: &Host,
    from: &Container,
    to: &Container,
    (target, tags, kind): (Mac, &[(u16, u16)], u16),
) -> bool {
    let (source, _) = eth0(host, from.netns());
    let ends = [from, to].map(|it| (it.addresses()[0], 9).into());
    hears(to.netns(), |marker| {
        let payload = datagram(ends[0], ends[1], marker);
        send(host, from.netns(), &frame([target, source], tags, kind, &payload));
    })
}

/// Whether a frame with the text that `send` is given gets to a namespace.
pub(super) fn hears(inside: &Netns, send: impl FnOnce(&str)) -> bool {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let marker = format!("isolation tests {:08}", NUMBER.fetch_add(1, Relaxed));
    let ears = inside.enter(|| {
        let flags = SockFlag::SOCK_CLOEXEC;
        socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)
    });
    let ears = ears.expect("a socket");
    setsockopt(&ears, sockopt::ReceiveTimeout, &TimeVal::new(0, 10_000)).expect("a socket");
    send(&marker);
    let (deadline, mut buffer) = (Instant::now() + PATIENCE, [0; 2000]);
    while Instant::now() < deadline {
        let Ok(length) = recv(ears.as_raw_fd(), &mut buffer, nix::sys::socket::MsgFlags::empty())
        else {
            continue;
        };
        if buffer[..length].windows(marker.len()).any(|part| part == marker.as_bytes()) {
            return true;
        }
    }
    false
}

/// Which of the frames pass, to the other container and to all.
fn unseen(host: &Host, from: &Container, to: &Container) -> Vec<bool> {
    let (mac, _) = eth0(host, to.netns());
    let all = UNSEEN.iter().flat_map(|(tags, kind)| [(mac, *tags, *kind), (ALL, *tags, *kind)]);
    all.map(|kind| passes(host, from, to, kind)).collect()
}

each_backend! {
    fn frames_that_no_chain_sees_do_not_pass(backend) {
        let host = open_host(backend);
        tags_are_not_filtered(&host);
        let other = neighbour(&host, "other");
        for (directions, limits_in, limits_out) in
            [("in", true, false), ("out", false, true), ("both", true, true)]
        {
            let db = isolated(&host, "db", directions).build();
            let count = 2 * UNSEEN.len();
            assert_eq!(unseen(&host, &other, &db), vec![true; count]);
            assert_eq!(unseen(&host, &db, &other), vec![true; count]);
            db.run().ok();
            assert_eq!(unseen(&host, &other, &db), vec![!limits_in; count], "{directions}");
            assert_eq!(unseen(&host, &db, &other), vec![!limits_out; count], "{directions}");
            let doctor = call_doctor(&host);
            for switch in ["vlan", "pppoe"] {
                let name = format!("bridge-nf-filter-{switch}-tagged");
                assert!(doctor.contains(&name), "{doctor}");
            }
            db.delete_by_force().ok();
        }
        assert!(!call_doctor(&host).contains("-tagged"), "nothing is isolated");
    }
}
