//! Three hosts in one network, each with an isolated bridge whose network the others have a route to.

use crate::support::{Netns, when_free};
use oci_link::testing::{
    BackendName, BridgeName, Choice, Crossing, Directory, Firewall, Flow, OnBridge, Outside,
    OwnerScope, OwnerTag, PortSet, Result, SetupCache, boot_id, isolate, select,
};
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{env, fs};

/// How long a packet may take before the way counts as shut.
const PATIENCE: Duration = Duration::from_millis(700);
/// The isolated bridge of each host.
pub(super) const BRIDGE: &str = "br1";

/// Three hosts and the network between them, which has the address 254.
pub(super) struct Lan {
    pub(super) core: Netns,
    pub(super) hosts: Vec<Machine>,
}

/// A host with an isolated bridge, another bridge, and a container on the first.
pub(super) struct Machine {
    number: u8,
    netns: Netns,
    pub(super) state: PathBuf,
    /// The container with the number 2.
    pub(super) container: Netns,
}

/// Runs the lines of a batch for `ip`.
fn ip(netns: &Netns, lines: &str) {
    let mut ip = Command::new("ip");
    ip.args(["-netns", netns.name(), "-batch", "-"]).stdin(Stdio::piped());
    let mut child = ip.stderr(Stdio::piped()).spawn().expect("ip starts");
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("written");
    let done = child.wait_with_output().expect("ip ends");
    assert!(done.status.success(), "{lines}: {}", String::from_utf8_lossy(&done.stderr));
}

fn forwards(netns: &Netns) {
    netns.enter(|| {
        for (switch, value) in [
            ("ipv4/ip_forward", "1"),
            ("ipv6/conf/all/forwarding", "1"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
        ] {
            fs::write(format!("/proc/sys/net/{switch}"), value).expect(switch);
        }
        for switch in ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"] {
            fs::write(format!("/proc/sys/net/bridge/{switch}"), "1").expect(switch);
        }
    });
}

impl Lan {
    pub(super) fn new() -> Self {
        let core = Netns::create();
        forwards(&core);
        ip(
            &core,
            "link set lo up
             link add sw address 02:42:ac:1e:00:fe type bridge
             link set sw up
             addr add 172.30.0.254/24 dev sw
             addr add fd30::fe/64 dev sw nodad",
        );
        let hosts: Vec<Machine> = (1..=3).map(|number| Machine::new(number, &core)).collect();
        for number in 1..=3 {
            ip(
                &core,
                &format!(
                    "route add 10.10.{number}.0/24 via 172.30.0.{number}
                     route add fd10:{number}::/64 via fd30::{number}"
                ),
            );
        }
        let lan = Self { core, hosts };
        lan.wait();
        lan
    }

    /// Waits until each container is reached from the next host. The kernel takes its time to use IPv6 addresses.
    fn wait(&self) {
        for (host, next) in [(1, 2), (2, 3), (3, 1)] {
            let [from, to] =
                [host, next].map(|number| &self.hosts[usize::from(number) - 1].container);
            for (at, ip) in super::at(next, 2).into_iter().enumerate() {
                let here = SocketAddr::new(super::at(host, 2)[at], 0);
                let knows = || arrives((from, here), (to, SocketAddr::new(ip, 9)));
                assert!((0..20).any(|_| knows()), "no way from host {host} to {ip}");
            }
        }
    }
}

impl Machine {
    fn new(number: u8, core: &Netns) -> Self {
        let netns = Netns::create();
        forwards(&netns);
        let name = netns.name();
        ip(
            core,
            &format!("link add up{number} master sw up type veth peer name eth0 netns {name}"),
        );
        let mut lines = format!(
            "link set lo up
             link add br1 address 02:42:0a:0a:00:01 type bridge
             link set br1 up
             addr add 10.10.{number}.1/24 dev br1
             addr add fd10:{number}::1/64 dev br1 nodad
             link add br2 address 02:42:0a:14:00:01 type bridge
             link set br2 up
             addr add 10.20.{number}.1/24 dev br2
             addr add fd20:{number}::1/64 dev br2 nodad
             link set eth0 up
             addr add 172.30.0.{number}/24 dev eth0
             addr add fd30::{number}/64 dev eth0 nodad\n"
        );
        for other in (1..=3).filter(|other| *other != number) {
            write!(
                lines,
                "route add 10.10.{other}.0/24 via 172.30.0.{other}
                 route add fd10:{other}::/64 via fd30::{other}\n"
            )
            .expect("a text");
        }
        ip(&netns, &lines);
        let state = env::temp_dir().join(format!("across-{}", netns.name()));
        fs::DirBuilder::new().mode(0o700).create(&state).expect("a state directory");
        let container = plug(&netns, BRIDGE, super::at(number, 2), [10, number]);
        Self { number, netns, state, container }
    }

    /// A container with these addresses, borrowed or not, on a bridge of this host.
    pub(super) fn plug(&self, bridge: &str, addresses: [IpAddr; 2]) -> Netns {
        plug(&self.netns, bridge, addresses, [if bridge == BRIDGE { 10 } else { 20 }, self.number])
    }

    fn act<T: Send>(
        &self,
        backend: BackendName,
        act: impl FnOnce(&dyn Firewall, &SetupCache) -> T + Send,
    ) -> T {
        self.netns.enter(|| {
            let state = Directory::open(&self.state).expect("a state directory");
            let cache = SetupCache::new(state.into(), boot_id().expect("a boot id"));
            act(select(Choice::Fixed(backend), cache.clone()).as_ref(), &cache)
        })
    }

    /// Isolates the first bridge, also from other hosts.
    pub(super) fn isolate(&self, backend: BackendName) {
        let mut outside = Outside::default();
        for host in 1..=3 {
            let place = if host == self.number { BRIDGE } else { "/" };
            outside.add(&format!("{place} 10.10.{host}.0/24"));
            outside.add(&format!("{place} fd10:{host}::/64"));
        }
        let bridges = [BridgeName::new(BRIDGE).expect("a bridge")];
        self.act(backend, |firewall, cache| isolate(firewall, cache, &bridges, &outside))
            .expect("isolated");
    }

    pub(super) fn ensure(
        &self,
        backend: BackendName,
        owner: &OwnerTag,
        flows: &[Flow],
        lifetime: Duration,
    ) -> Result<()> {
        let rules = OwnerScope { lifetime: Some(lifetime), ..OwnerScope::new(owner, &[]) };
        self.act(backend, |firewall, _| firewall.ensure(rules, flows))
    }

    /// Calls `act` with the backend.
    pub(super) fn with<T: Send>(
        &self,
        backend: BackendName,
        act: impl FnOnce(&dyn Firewall) -> Result<T> + Send,
    ) -> T {
        self.act(backend, |firewall, _| act(firewall)).expect("the backend does it")
    }

    /// All rules, sets and elements.
    pub(super) fn snapshot(&self) -> String {
        self.run("nft list ruleset") + &self.run("ipset save")
    }

    /// Runs a program inside, and returns what it says.
    pub(super) fn run(&self, line: &str) -> String {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words);
        let done = self.netns.enter(|| command.output()).expect("it starts");
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.state);
    }
}

/// `ways` are the parts of the address of the bridge that differ.
fn plug(netns: &Netns, bridge: &str, addresses: [IpAddr; 2], ways: [u8; 2]) -> Netns {
    let inside = Netns::create();
    let name = inside.name();
    ip(netns, &format!("link add master {bridge} up type veth peer name eth0 netns {name}"));
    let ([v4, v6], [kind, host]) = (addresses, ways);
    ip(
        &inside,
        &format!(
            "link set lo up
             addr add {v4}/32 dev eth0
             addr add {v6}/128 dev eth0 nodad
             link set eth0 up
             route add 10.{kind}.{host}.0/24 dev eth0
             route add fd{kind}:{host}::/64 dev eth0
             route add default via 10.{kind}.{host}.1
             route add default via fd{kind}:{host}::1"
        ),
    );
    inside
}

/// The flows between two containers, as the host of one of them has them.
pub(super) fn flows(
    from: [IpAddr; 2],
    to: [IpAddr; 2],
    ports: &str,
    crossing: Crossing,
) -> Vec<Flow> {
    let bridge = BridgeName::new(BRIDGE).expect("a bridge");
    let bridge = Some(OnBridge { crossing, ..bridge.into() });
    let ports = PortSet::parse(ports).expect("ports");
    let ends = from.into_iter().zip(to);
    ends.flat_map(|(from, to)| {
        ports.iter().map(move |ports| Flow { from, to, ports, bridge }).collect::<Vec<_>>()
    })
    .collect()
}

/// Whether a datagram sent inside `from` from this address gets to that one inside `to`. The sender may be another
/// one than it says.
pub(super) fn arrives(from: (&Netns, SocketAddr), to: (&Netns, SocketAddr)) -> bool {
    let ((sender, from), (receiver, to)) = (from, to);
    let server = receiver.enter(|| when_free(|| UdpSocket::bind(to))).expect("the port is free");
    server.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let client = sender.enter(|| when_free(|| UdpSocket::bind(from))).expect("the port is free");
    client.send_to(b"?", to).expect("it has a route");
    server.recv_from(&mut [0]).is_ok()
}

/// Whether a connection from inside `from` to `dialled` is answered by what listens on `to` inside `server`.
pub(super) fn connects(from: &Netns, dialled: SocketAddr, server: &Netns, to: SocketAddr) -> bool {
    let listener = server.enter(|| when_free(|| TcpListener::bind(to))).expect("the port is free");
    listener.set_nonblocking(true).expect("a socket");
    let stop = Arc::new(AtomicBool::new(false));
    let echo = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            while !stop.load(Relaxed) {
                if let Ok((mut peer, _)) = listener.accept() {
                    peer.set_nonblocking(false).expect("a socket");
                    peer.set_read_timeout(Some(PATIENCE)).expect("a socket");
                    let mut byte = [0];
                    let _ = peer.read_exact(&mut byte).and_then(|()| peer.write_all(&byte));
                }
                thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let asked = from.enter(|| {
        let mut stream = TcpStream::connect_timeout(&dialled, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"!")?;
        stream.read_exact(&mut [0])
    });
    stop.store(true, Relaxed);
    echo.join().expect("it does not panic");
    asked.is_ok()
}

/// Datagrams that are counted at both ends.
pub(super) struct Flood {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u32>,
    heard: JoinHandle<u32>,
}

impl Flood {
    pub(super) fn begin(from: &Netns, to: (&Netns, SocketAddr)) -> Self {
        let (receiver, to) = to;
        let server =
            receiver.enter(|| when_free(|| UdpSocket::bind(to))).expect("the port is free");
        server.set_read_timeout(Some(Duration::from_secs(1))).expect("a socket");
        let client = from.enter(|| UdpSocket::bind("0.0.0.0:0")).expect("a socket");
        let stop = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&stop);
        let sender = thread::spawn(move || {
            let mut sent = 0;
            while !ends.load(Relaxed) {
                client.send_to(b"?", to).expect("it has a route");
                sent += 1;
                thread::sleep(Duration::from_micros(500));
            }
            sent
        });
        let heard = thread::spawn(move || {
            let mut heard = 0;
            loop {
                match server.recv_from(&mut [0]) {
                    Ok(_) => heard += 1,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => return heard,
                }
            }
        });
        Self { stop, sender, heard }
    }

    /// How many were sent, and how many were heard.
    pub(super) fn end(self) -> (u32, u32) {
        self.stop.store(true, Relaxed);
        let sent = self.sender.join().expect("it does not panic");
        (sent, self.heard.join().expect("it does not panic"))
    }
}
