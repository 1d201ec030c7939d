//! The asking side: does a packet from one container get to another, and its answer back?

use super::{
    container::Container,
    listener::Listener,
    patience::{patiently, when_free},
    sctp,
};
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect,
            setsockopt, socket, sockopt,
        },
        time::TimeVal,
    },
};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
    sync::atomic::{AtomicU16, Ordering::Relaxed},
    thread,
    time::Duration,
};

/// How long an answer may take before we call the way shut.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proto {
    Tcp,
    Udp,
    Sctp,
}

/// What came through, by family: a link that is open in one only is a fault of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    v4: bool,
    v6: bool,
}

pub(crate) const OPEN: Reach = Reach { v4: true, v6: true };
pub(crate) const SHUT: Reach = Reach { v4: false, v6: false };

impl Container<'_> {
    /// Asks `to` on `port` and waits for the answer. A server listens there while the
    /// probe lasts, so a shut way is never mistaken for a missing server.
    pub(crate) fn reach(&self, to: &Container, proto: Proto, port: u16) -> Reach {
        // One port per probe: connection tracking must not know it from the last one.
        static SOURCE: AtomicU16 = AtomicU16::new(50_000);
        self.reach_from(SOURCE.fetch_add(1, Relaxed), to, proto, port)
    }

    /// Like `reach`, from a chosen port: the server must not use the way back for a request of its own.
    pub(crate) fn reach_from(&self, source: u16, to: &Container, proto: Proto, port: u16) -> Reach {
        let _answers = Listener::new(to, proto, port);
        let probe = |family: usize| {
            let from = SocketAddr::new(self.addresses()[family], source);
            let to = SocketAddr::new(to.addresses()[family], port);
            // A wait with a limit is not taken up again by the kernel after an interruption.
            let ask = || patiently(ErrorKind::Interrupted, || asks(proto, from, to));
            let answer = self.netns().enter(ask).map_err(|error| error.kind());
            assert_ne!(answer, Err(ErrorKind::AddrInUse), "nothing was asked from port {source}");
            answer.is_ok()
        };
        thread::scope(|scope| {
            let v4 = scope.spawn(|| probe(0));
            let v6 = probe(1);
            Reach { v4: v4.join().expect("a probe does not panic"), v6 }
        })
    }

    /// A UDP socket of this container's, which waits for a moment when it is read.
    pub(crate) fn hears(&self, local: SocketAddr) -> UdpSocket {
        let socket = self.netns().enter(|| datagram_socket(Proto::Udp, local));
        let socket = socket.expect("the port is free");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket");
        socket
    }

    /// A TCP connection to whatever listens at `to`.
    pub(crate) fn dial(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let family = usize::from(to.is_ipv6());
        let from = SocketAddr::new(self.addresses()[family], 0);
        self.netns().enter(|| tcp_connect(from, to))
    }
}

/// A TCP connection that stays open: what becomes of it when its link goes?
pub(crate) struct Flow {
    stream: TcpStream,
    beats: u8,
    _answers: Listener,
}

impl Flow {
    pub(crate) fn open(from: &Container, to: &Container, port: u16) -> Self {
        let answers = Listener::new(to, Proto::Tcp, port);
        let stream = from.dial((to.addresses()[0], port).into()).expect("the way is open");
        Self { stream, beats: 0, _answers: answers }
    }

    /// Whether it still carries a byte there and back.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.beats += 1;
        patiently(ErrorKind::Interrupted, || echoes(&mut self.stream, self.beats)).is_ok()
    }
}

fn asks(proto: Proto, from: SocketAddr, to: SocketAddr) -> io::Result<()> {
    if proto == Proto::Tcp {
        return echoes(&mut tcp_connect(from, to)?, b'?');
    }
    let socket = datagram_socket(proto, from)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    if proto == Proto::Udp {
        socket.send_to(b"?", to)?;
        return socket.recv_from(&mut [0]).map(drop);
    }
    socket.send_to(&sctp::init(from.port(), to.port()), SocketAddr::new(to.ip(), 0))?;
    let mut buffer = [0; 1500];
    loop {
        // Every SCTP packet for the address comes by here, not ours alone.
        let (length, _) = socket.recv_from(&mut buffer)?;
        if sctp::is_answer(without_ip_header(&buffer[..length], from), from.port(), to.port()) {
            return Ok(());
        }
    }
}

/// Sends one byte and waits for it; bytes of earlier, slower answers are skipped.
fn echoes(stream: &mut TcpStream, byte: u8) -> io::Result<()> {
    stream.write_all(&[byte])?;
    let mut answer = [0];
    while answer != [byte] {
        stream.read_exact(&mut answer)?;
    }
    Ok(())
}

/// Connects from a chosen address and port, which `std` cannot; gives up after `PATIENCE`, and
/// so does all that is read later.
fn tcp_connect(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = inet_socket(from, SockType::Stream, SockProtocol::Tcp)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::SendTimeout, &TimeVal::new(1, 0))?;
    when_free(|| Ok(bind(socket.as_raw_fd(), &SockaddrStorage::from(from))?))?;
    connect(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A UDP socket, or a raw SCTP one: to `UdpSocket` a datagram is a datagram.
pub(crate) fn datagram_socket(proto: Proto, local: SocketAddr) -> io::Result<UdpSocket> {
    if proto == Proto::Udp {
        return when_free(|| UdpSocket::bind(local));
    }
    raw_socket(proto, local.ip())
}

/// A socket that is given whole packets of `proto` for the address, and sends them from it.
pub(crate) fn raw_socket(proto: Proto, ip: IpAddr) -> io::Result<UdpSocket> {
    let local = SocketAddr::new(ip, 0);
    let number = match proto {
        Proto::Tcp => SockProtocol::Tcp,
        Proto::Udp => SockProtocol::Udp,
        Proto::Sctp => SockProtocol::Sctp,
    };
    let socket = inet_socket(local, SockType::Raw, number)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(local))?;
    Ok(UdpSocket::from(socket))
}

/// What a raw socket read, without the IP header that only IPv4 leaves there.
pub(crate) fn without_ip_header(packet: &[u8], local: SocketAddr) -> &[u8] {
    let header = match packet.first() {
        Some(first) if local.is_ipv4() => usize::from(first & 0xf) * 4,
        _ => 0,
    };
    packet.get(header..).unwrap_or_default()
}

fn inet_socket(like: SocketAddr, kind: SockType, proto: SockProtocol) -> Result<OwnedFd, Errno> {
    let family = if like.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    socket(family, kind, SockFlag::SOCK_CLOEXEC, proto)
}
