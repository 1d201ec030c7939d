//! The isolation of one container on an open bridge, by its annotation.

mod around;
mod cooperating;
mod discovery;
mod drift;
mod forged;
pub(crate) mod life;
mod marks;
mod refusals;
mod ways;

use crate::lifecycle::{by_hand, networks::move_to_second};
use crate::support::{Bundle, Container, Host, Netns, Runtime};
use oci_link::testing::BackendName;
use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A host whose bridges are open.
pub(crate) fn open_host(backend: BackendName) -> Host {
    let runtime = if backend == BackendName::Ipset { Runtime::Crun } else { Runtime::Runc };
    let host = Host::open(runtime.turned());
    let config = format!("[firewall]\nbackend = \"{backend}\"\n");
    fs::write(host.path("config.toml"), config).expect("written");
    // Otherwise it changes with each port, and containers keep the old one for a while.
    by_hand(&host, &["ip link set br0 address 02:00:00:00:00:01"]);
    host
}

/// A container that asks for isolation, exposes port 80, and is not started.
pub(crate) fn isolated<'h>(host: &'h Host, id: &str, directions: &str) -> Bundle<'h> {
    host.container(id).annotate("ports", "80").annotate("isolate", directions).hooks()
}

/// A container without oci-link, which needs no process.
pub(crate) fn neighbour<'h>(host: &'h Host, id: &str) -> Container<'h> {
    host.container(id).build()
}

/// A neighbour on another bridge, to which the host routes.
pub(crate) fn far<'h>(host: &'h Host, id: &str) -> Container<'h> {
    let far = neighbour(host, id);
    move_to_second(host, &far);
    far
}

/// The addresses of a container on the second bridge.
pub(crate) fn on_second(container: &Container) -> [IpAddr; 2] {
    let number = container.number();
    [IpAddr::from([10, 78, 0, number]), format!("fd78::{number:x}").parse().expect("an address")]
}

/// Another host, beyond `eth0`, and the host's addresses there.
fn outside(host: &Host) -> (Netns, [IpAddr; 2]) {
    let outside = host.host_outside();
    by_hand(host, &["ip addr add 10.79.0.1/24 dev eth0", "ip addr add fd79::1/64 dev eth0 nodad"]);
    let name = outside.name();
    by_hand(host, &[&format!("ip -netns {name} addr add fd79::9/64 dev eth0 nodad")]);
    (outside, both("10.79.0.1", "fd79::1"))
}

/// Waits until the host uses its link-local addresses, from which it looks for the neighbours of IPv6 that it
/// routes to.
fn settle(host: &Host) {
    let mut ip = std::process::Command::new("ip");
    ip.args(["-6", "addr", "show", "tentative"]);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !host.run(&mut ip).ok().is_empty() {
        let there = host.run(&mut ip).ok();
        assert!(std::time::Instant::now() < deadline, "an address stays tentative:\n{there}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn both(v4: &str, v6: &str) -> [IpAddr; 2] {
    [v4, v6].map(|ip| ip.parse().expect("an address"))
}

/// Publishes `port` of the host: what asks for it gets to port 80 of the container.
fn publish(host: &Host, port: u16, container: &Container) {
    let [v4, v6] = container.addresses();
    let text = format!(
        "add table ip published\nadd table ip6 published\n\
         add chain ip published in {{ type nat hook prerouting priority -100; }}\n\
         add chain ip6 published in {{ type nat hook prerouting priority -100; }}\n\
         add rule ip published in fib daddr type local tcp dport {port} dnat to {v4}:80\n\
         add rule ip6 published in fib daddr type local tcp dport {port} dnat to [{v6}]:80\n"
    );
    let mut nft = std::process::Command::new("nft");
    host.feed(nft.args(["-f", "-"]), text.as_bytes()).ok();
}

/// Answers on TCP 80 and 81 and UDP 53 inside a namespace until dropped.
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn new(inside: &Netns) -> Self {
        let (listeners, socket) = inside.enter(|| {
            let listen = |port: u16| TcpListener::bind(("::", port)).expect("the port is free");
            ([80, 81].map(listen), UdpSocket::bind(("::", 53)).expect("the port is free"))
        });
        for listener in &listeners {
            listener.set_nonblocking(true).expect("a socket");
        }
        socket.set_nonblocking(true).expect("a socket");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut streams = Vec::new();
            while !stopped.load(Relaxed) {
                serve(&listeners, &mut streams, &socket);
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

/// Sends back what has come in since the last call.
fn serve(listeners: &[TcpListener], streams: &mut Vec<TcpStream>, socket: &UdpSocket) {
    for listener in listeners {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).expect("a socket");
            streams.push(stream);
        }
    }
    let mut buffer = [0; 64];
    for stream in streams {
        if let Ok(length @ 1..) = stream.read(&mut buffer) {
            let _ = stream.write_all(&buffer[..length]);
        }
    }
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let _ = socket.send_to(&buffer[..length], from);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// How long an answer may take before the way counts as shut.
/// A lost packet is sent again after a second.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A TCP connection from inside a namespace, if it is answered.
pub(crate) fn dial(from: &Netns, to: IpAddr, port: u16) -> Option<TcpStream> {
    let stream =
        from.enter(|| TcpStream::connect_timeout(&SocketAddr::new(to, port), PATIENCE)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    beats(&stream).then_some(stream)
}

/// Whether a byte comes back.
fn beats(mut stream: &TcpStream) -> bool {
    stream.write_all(b"?").is_ok() && stream.read_exact(&mut [0]).is_ok()
}

/// Whether TCP connections to both addresses are answered. One family alone is a fault.
#[track_caller]
pub(crate) fn reaches(from: &Netns, to: [IpAddr; 2], port: u16) -> bool {
    let [v4, v6] = thread::scope(|scope| {
        to.map(|ip| scope.spawn(move || dial(from, ip, port).is_some()))
            .map(|probe| probe.join().expect("a probe does not panic"))
    });
    assert_eq!(v4, v6, "IPv4 and IPv6 differ: {} to {to:?} {port}", from.name());
    v4
}

/// Whether a datagram to port 53 is answered in both families.
fn asks(from: &Netns, to: [IpAddr; 2]) -> bool {
    to.into_iter().all(|ip| {
        let any: IpAddr = if ip.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
        let socket = from.enter(|| UdpSocket::bind((any, 0))).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket.send_to(b"?", (ip, 53)).is_ok() && socket.recv(&mut [0]).is_ok()
    })
}

/// What doctor says.
fn call_doctor(host: &Host) -> String {
    crate::lifecycle::call(host, "doctor").said()
}
