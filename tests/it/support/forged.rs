//! Packets made by hand: from any address and port, whether a kernel would send them or not. Asked
//! is whether they arrive, not whether somebody answers: for who borrows an address, nobody does.

use super::{
    netns::Netns,
    packets::{Proto, raw_socket, without_ip_header},
};
use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// The wires are all in this machine: what has not arrived by then was dropped.
const PATIENCE: Duration = Duration::from_millis(150);

/// What the packet looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forged {
    /// The first of a TCP connection.
    Syn,
    /// One in the middle of it.
    Data,
    /// UDP.
    Datagram,
}

impl Forged {
    pub(crate) const ALL: [Self; 3] = [Self::Syn, Self::Data, Self::Datagram];

    /// The number of its protocol.
    pub(crate) fn number(self) -> u8 {
        if self == Self::Datagram { 17 } else { 6 }
    }

    fn proto(self) -> Proto {
        if self == Self::Datagram { Proto::Udp } else { Proto::Tcp }
    }

    /// Whether it gets from `from`, sent inside `sender`, to `to` inside `receiver`.
    pub(crate) fn passes(
        self,
        (sender, from): (&Netns, SocketAddr),
        (receiver, to): (&Netns, SocketAddr),
    ) -> bool {
        self.arrives(from, (receiver, to), |segment| {
            let mouth = sender.enter(|| raw_socket(self.proto(), from.ip())).expect("a raw socket");
            match mouth.send_to(segment, SocketAddr::new(to.ip(), 0)) {
                // A neighbour that does not exist is noticed by the sender.
                Err(error) if error.kind() == ErrorKind::HostUnreachable => false,
                sent => sent.is_ok(),
            }
        })
    }

    /// Whether it gets to `to` inside `receiver`. `send` sends a segment somehow, and returns whether it could.
    pub(crate) fn arrives(
        self,
        from: SocketAddr,
        (receiver, to): (&Netns, SocketAddr),
        send: impl FnOnce(&[u8]) -> bool,
    ) -> bool {
        static MARK: AtomicU32 = AtomicU32::new(1);
        let mark = MARK.fetch_add(1, Relaxed).to_be_bytes();
        let ears = receiver.enter(|| raw_socket(self.proto(), to.ip())).expect("a raw socket");
        ears.set_read_timeout(Some(Duration::from_millis(10))).expect("a socket");
        if !send(&self.packet(from, to, mark)) {
            return false;
        }
        let (deadline, mut buffer) = (Instant::now() + PATIENCE, [0; 1500]);
        while Instant::now() < deadline {
            let Ok((length, _)) = ears.recv_from(&mut buffer) else { continue };
            let packet = without_ip_header(&buffer[..length], to);
            if packet.len() >= 4 && packet[packet.len() - 4..] == mark {
                return true;
            }
        }
        false
    }

    /// Header and four bytes of content.
    fn packet(self, from: SocketAddr, to: SocketAddr, mark: [u8; 4]) -> Vec<u8> {
        const OFFSET: u8 = 5 << 4;
        const SYN: u8 = 2;
        const PUSH_ACK: u8 = 0x18;
        let mut packet = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        let checksum_at = match self {
            Self::Datagram => {
                packet.extend([0, 12, 0, 0]);
                6
            }
            Self::Syn | Self::Data => {
                let flags = if self == Self::Syn { SYN } else { PUSH_ACK };
                packet.extend([0, 0, 0, 1, 0, 0, 0, 1, OFFSET, flags, 16, 0, 0, 0, 0, 0]);
                16
            }
        };
        packet.extend(mark);
        let checksum = checksum(from.ip(), to.ip(), self.number(), &packet);
        packet[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
        packet
    }
}

/// Of a pseudo header and the packet (RFC 9293, RFC 8200): connection tracking looks at it.
pub(super) fn checksum(from: IpAddr, to: IpAddr, number: u8, packet: &[u8]) -> u16 {
    let octets = |ip| match ip {
        IpAddr::V4(ip) => std::net::Ipv4Addr::octets(&ip).to_vec(),
        IpAddr::V6(ip) => std::net::Ipv6Addr::octets(&ip).to_vec(),
    };
    let length = u16::try_from(packet.len()).expect("a short packet").to_be_bytes();
    let pseudo = [octets(from), octets(to), length.to_vec(), vec![0, number]].concat();
    let words = [&pseudo, packet].concat();
    let sum: u32 =
        words.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded")
}
