//! Addresses are given out again, and nobody said that their last holder is gone: nothing of a link
//! is inherited.

use crate::{
    cast::{end, prepared, source},
    support::{Container, Forged, Host, Listener, OPEN, Proto, Runtime},
};
use std::{
    fs,
    net::{SocketAddr, TcpStream, UdpSocket},
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

const BACKENDS: [&str; 3] = ["ipset", "iptables", "nftables"];
const PORT: u16 = 3306;
/// The first of the ports that a recipient asks from: its successor does too.
const CLIENT: u16 = 41_000;

/// What most hosts have: established connections pass, whatever else is forbidden. Then the rules
/// alone end nothing.
fn let_established_pass(host: &Host, backend: &str) {
    let lines: &[&str] = match backend {
        "nftables" => &["nft insert rule inet oci-link forward ct state established accept"],
        _ => &[
            "iptables -I OCI-LINK -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            "ip6tables -I OCI-LINK -m conntrack --ctstate ESTABLISHED -j ACCEPT",
        ],
    };
    for line in lines {
        let mut words = line.split(' ');
        host.run(Command::new(words.next().expect("a program")).args(words)).ok();
    }
}

fn configure(host: &Host, backend: &str) {
    let config = format!("[firewall]\nbackend = \"{backend}\"\nisolate = [\"br0\"]\n");
    fs::write(host.path("config.toml"), config).expect("written");
}

/// A packet, from whom it says it is, and to whom.
type Attempt<'a> = (Forged, (&'a Container<'a>, SocketAddr), (&'a Container<'a>, SocketAddr));

/// Those that arrive; all are tried at once.
fn through(attempts: &[Attempt]) -> Vec<(Forged, SocketAddr, SocketAddr)> {
    thread::scope(|scope| {
        let passes = |&(packet, (sender, from), (receiver, to)): &Attempt| {
            packet.passes((sender.netns(), from), (receiver.netns(), to))
        };
        let tries = attempts.iter().map(|attempt| scope.spawn(move || passes(attempt)));
        let tries: Vec<_> = tries.collect();
        let arrived = tries.into_iter().map(|attempt| attempt.join().expect("does not panic"));
        let arrived = attempts.iter().zip(arrived).filter(|(_, arrived)| *arrived);
        arrived.map(|((packet, from, to), _)| (*packet, from.1, to.1)).collect()
    })
}

/// New connections from `from` to `to`, and what looks like the middle of one, in both families.
/// Each has a port of its own: of two packets that begin one connection at once, connection
/// tracking drops one.
fn anew<'a>(from: &'a Container, to: &'a Container) -> Vec<Attempt<'a>> {
    let ends = from.addresses().into_iter().zip(to.addresses());
    let all = ends.flat_map(|ends| Forged::ALL.into_iter().zip(CLIENT..).map(move |it| (it, ends)));
    all.map(|((packet, port), ends)| {
        (packet, (from, (ends.0, port).into()), (to, (ends.1, PORT).into()))
    })
    .collect()
}

/// Over the connection of `stream`, which another container began, in both directions.
fn over<'a>(stream: &TcpStream, from: &'a Container, to: &'a Container) -> Vec<Attempt<'a>> {
    let ours = (from, stream.local_addr().expect("bound"));
    let theirs = (to, stream.peer_addr().expect("connected"));
    vec![(Forged::Data, ours, theirs), (Forged::Syn, ours, theirs), (Forged::Data, theirs, ours)]
}

/// Killed, and the runtime forgets it: no hook tells of its end. Its wire is pulled out.
fn vanish(host: &Host, container: &Container, id: &str) {
    container.kill();
    fs::remove_dir_all(host.path("root").join(id)).expect("the runtime kept it there");
    container.unplug();
}

/// `web` is linked and talks, dies untold, and `successor`, which has no links, is given its address.
/// With `first`, the rules are one backend's and the host has moved to another meanwhile.
fn cycle(host: &Host, db: &Container, number: usize, [first, then]: [&str; 2]) {
    let (web, successor) = (format!("web{number}"), format!("successor{number}"));
    configure(host, first);
    // A host has fewer addresses than lives.
    let address = 20 + u8::try_from(number % 200).expect("fits");
    let linked = host.container(&web).number(address).annotate("links", "db").hooks().build();
    linked.run().ok();
    if number < BACKENDS.len() {
        let_established_pass(host, first);
    }
    assert_eq!(through(&anew(&linked, db)).len(), 2 * Forged::ALL.len(), "{first}: {web}");
    let _answers = Listener::new(db, Proto::Tcp, PORT);
    let streams = db.addresses().map(|ip| linked.dial((ip, PORT).into()).expect("db listens"));
    vanish(host, &linked, &web);

    configure(host, then);
    let next = host.container(&successor).number(linked.number()).hooks().build();
    next.run().ok();
    assert_eq!(next.addresses(), linked.addresses());
    let mut attempts = anew(&next, db);
    attempts.extend(streams.iter().flat_map(|stream| over(stream, &next, db)));
    assert_eq!(through(&attempts), [], "{first}, then {then}: {successor}");
    end(&next);
    for id in [web, successor] {
        fs::remove_dir_all(host.path("bundles").join(id)).expect("a bundle");
    }
}

/// Every backend after every other.
fn cycles(count: usize, offset: usize) {
    let host = Host::open(Runtime::Runc.turned());
    configure(&host, BACKENDS[offset % 3]);
    host.netns().enter(|| {
        // A made-up packet in the middle of a connection is still of the connection.
        let switch = "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal";
        fs::write(switch, "1").expect("connection tracking");
    });
    let db = source(&host, "db", "3306, 3306/udp");
    for number in 0..count {
        let at = number + offset;
        cycle(&host, &db, number, [BACKENDS[at % 3], BACKENDS[(at + at / 3) % 3]]);
    }
    end(&db);
    host.assert_nothing_left();
}

#[test]
fn f27_the_next_holder_of_an_address_gets_no_rules() {
    cycles(7, 0);
}

#[test]
fn f27_the_same_with_other_backends() {
    cycles(7, 1);
}

#[test]
fn f27_the_same_with_backends_that_change() {
    cycles(6, 2);
}

/// `make test-reuse`: as many lives as it takes to trust it.
#[test]
#[ignore = "takes minutes"]
fn the_same_five_hundred_times() {
    thread::scope(|scope| {
        for offset in 0..2 {
            scope.spawn(move || cycles(250, offset));
        }
    });
}

/// A container sends all the time; nothing arrives after the runtime got the end of the poststop hook.
#[test]
fn i4_no_packet_arrives_after_poststop() {
    for backend in BACKENDS {
        let host = Host::open(Runtime::Runc.turned());
        configure(&host, backend);
        let db = source(&host, "db", "3306/udp");
        let web = prepared(&host, "web", "db");
        web.run().ok();
        let_established_pass(&host, backend);
        assert_eq!(web.reach(&db, Proto::Udp, PORT), OPEN);

        let over = AtomicBool::new(false);
        let (arrivals, told) = thread::scope(|scope| {
            let ends = web.addresses().into_iter().zip(db.addresses());
            let arrivals: Vec<_> = ends
                .map(|(from, to)| {
                    let mouth = web.hears((from, CLIENT).into());
                    mouth.connect((to, PORT)).expect("an address");
                    let ears = db.hears((to, PORT).into());
                    let over = &over;
                    scope.spawn(move || send_until(over, &mouth));
                    scope.spawn(move || answer_until(over, &ears))
                })
                .collect();
            thread::sleep(Duration::from_millis(100));
            web.kill();
            web.delete().ok();
            let told = Instant::now();
            thread::sleep(Duration::from_millis(300));
            over.store(true, Relaxed);
            (arrivals.into_iter().map(|all| all.join().expect("heard")).collect::<Vec<_>>(), told)
        });
        for arrivals in arrivals {
            assert!(arrivals.len() > 20, "{backend}: {} arrived in time", arrivals.len());
            let late = arrivals.iter().filter(|at| **at > told + Duration::from_millis(50)).count();
            assert_eq!(late, 0, "{backend}: of {}", arrivals.len());
        }
        end(&db);
        host.assert_nothing_left();
    }
}

fn send_until(over: &AtomicBool, socket: &UdpSocket) {
    while !over.load(Relaxed) {
        let _ = socket.send(b"still here?");
        thread::sleep(Duration::from_millis(1));
    }
}

/// When packets arrived. They are answered, so that the connection is an established one.
fn answer_until(over: &AtomicBool, socket: &UdpSocket) -> Vec<Instant> {
    let mut arrivals = Vec::new();
    while !over.load(Relaxed) {
        if let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
            arrivals.push(Instant::now());
            let _ = socket.send_to(b"yes", from);
        }
    }
    arrivals
}
