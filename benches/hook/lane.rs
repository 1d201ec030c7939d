//! Two linked containers on a bridge, and what one sends the other.

use crate::{
    containers::{Container, Network},
    namespace::Namespace,
    rig::{Rig, Wish},
};
use nix::{
    libc,
    sys::socket::{setsockopt, sockopt::Linger},
};
use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// What one measurement sends. A socket's buffer holds them.
const BURST: u32 = 64;
const CONNECTIONS: u32 = 16;
/// Sent before each, unmeasured: the caches hold another lane's rules.
const WARM_UP: u32 = 8;
/// Shows the packets on a bridge to iptables; every network namespace has its own.
const SWITCH: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
/// On a network of their own, where no other container of the benchmark is.
const PING: &str = "10.9.0.1";
const PONG: &str = "10.9.0.2";
/// Linked, and not linked.
const OPEN: u16 = 7;
const SHUT: u16 = 9;

pub(crate) struct Lane {
    ping: Namespace,
    sender: UdpSocket,
    receiver: UdpSocket,
    listener: TcpListener,
    /// An established connection. Every real host has some. The end of a container has to find out that they
    /// are not its own.
    _standing: (TcpStream, TcpStream),
    _containers: [Container; 2],
    /// The bridge goes with it.
    _host: Namespace,
}

/// Whether this kernel shows iptables what crosses a bridge, once it is asked to.
pub(crate) fn is_possible() -> bool {
    let there = || Path::new(SWITCH).exists();
    there() || (Command::new("modprobe").arg("br_netfilter").status().is_ok() && there())
}

impl Lane {
    /// The rules of a link that is made later come first: this one's packets pass them all.
    pub(crate) fn open(rig: &Rig) -> Self {
        rig.host.enter(|| fs::write(SWITCH, "1").expect("bridge is shown to iptables"));
        let [ping, pong] = [PING, PONG].map(|ip| Network::plugged(&rig.host, ip, None));
        let containers = [ping.start(), pong.start()];
        let exposed = format!("{OPEN}/tcp,{OPEN}/udp");
        let source = Wish { id: "pong", links: "", ports: 0 };
        rig.create_exposing(&exposed, &source, &containers[1]).run();
        rig.create(&Wish { id: "ping", links: "pong", ports: 0 }, &containers[0]).run();

        let ping = ping.namespace().clone();
        let (receiver, listener) = pong.namespace().enter(|| {
            let receiver = UdpSocket::bind((PONG, OPEN)).expect("UDP port is free");
            let patience = Some(Duration::from_secs(1));
            receiver.set_read_timeout(patience).expect("a time");
            (receiver, TcpListener::bind((PONG, OPEN)).expect("TCP port is free"))
        });
        let sender = ping.enter(|| UdpSocket::bind((PING, 0)).expect("a UDP port is free"));
        sender.connect((PONG, OPEN)).expect("UDP needs no handshake");
        let ours = ping.enter(|| TcpStream::connect((PONG, OPEN))).expect("connection is made");
        let (theirs, _) = listener.accept().expect("connection is accepted");
        Self {
            ping,
            sender,
            receiver,
            listener,
            _standing: (ours, theirs),
            _containers: containers,
            _host: rig.host.clone(),
        }
    }

    /// The time that one packet takes from one container to the other, on average.
    pub(crate) fn burst(&self) -> Duration {
        self.send(WARM_UP);
        let begun = Instant::now();
        self.send(BURST);
        begun.elapsed() / BURST
    }

    fn send(&self, packets: u32) {
        for _ in 0..packets {
            self.sender.send(b"one way").expect("packet is sent");
        }
        for _ in 0..packets {
            self.receiver.recv(&mut [0; 16]).expect("packet arrives");
        }
    }

    /// The time that a connection takes until both ends have it, on average.
    pub(crate) fn connect(&self) -> Duration {
        self.ping.join();
        let mut spent = Duration::ZERO;
        for _ in 0..CONNECTIONS {
            let begun = Instant::now();
            let ours = TcpStream::connect((PONG, OPEN)).expect("connection is made");
            let theirs = self.listener.accept().expect("connection is accepted");
            spent += begun.elapsed();
            // It ends at once: thousands that wait for late packets would take all ports.
            let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&ours, Linger, &at_once).expect("an option of every socket");
            drop((ours, theirs));
        }
        spent / CONNECTIONS
    }

    /// Whether only the link lets packets through. Otherwise rules would be measured that no packet
    /// reaches.
    pub(crate) fn is_isolated(&self) -> bool {
        self.ping.join();
        let address = SocketAddr::new(PONG.parse().expect("an address"), SHUT);
        // No program listens there: if the way is open, the answer comes at once.
        let answer = TcpStream::connect_timeout(&address, Duration::from_millis(50));
        answer.is_err_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
    }
}
