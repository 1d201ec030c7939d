//! The end of a source that many containers are linked to, and how long it holds the host's lock.

use crate::{
    containers::{Container, Network},
    held::Watched,
    place::Place,
    report::{NOTHING, Report, Target},
    rig::{Rig, Wish},
    sample::{PAUSE, Series, command},
};
use std::{net::UdpSocket, thread::sleep, time::Duration};

const SIZES: [usize; 3] = [1, 20, 300];
const ROUNDS: usize = 10;
/// Tracked connections of others, and a range of ports that has so many for each of [`HOSTS`].
const CONNECTIONS: usize = 100_000;
const PORTS: u16 = 50_000;
const HOSTS: [&str; 2] = ["127.0.0.1", "127.0.0.2"];

/// The targets: milliseconds of processor time for each of 300 recipients with ipset, milliseconds under
/// the lock at the end of a container with one link with nftables, and times the same end without connections
/// of others.
const CPU_OF_EACH: f64 = 0.3;
const HELD: f64 = 2.0;
const AMONG_CONNECTIONS: f64 = 2.0;

/// What the end of a source took in each round.
#[derive(Default)]
struct Times {
    whole: Series,
    held: Series,
    cpu: Series,
}

pub(crate) fn measure(place: &Place, report: &mut Report) {
    let sizes: &[usize] = if place.is_quick() { &SIZES[..2] } else { &SIZES };
    let rigs = Rig::all(place, "ends");
    let mut hosts: Vec<Host> = rigs.iter().map(Host::new).collect();
    let mut alone = Vec::new();
    for size in sizes {
        let mut nothing = Series::default();
        let mut all: Vec<Times> = Vec::new();
        for host in &mut hosts {
            host.grow(*size);
            all.push(host.rounds(place, &mut nothing));
        }
        report.section(&format!("End of a source, {size} recipients"), NOTHING, &nothing);
        for (host, times) in hosts.iter().zip(&all) {
            show(report, host.rig.backend, *size, times);
        }
        alone = all;
    }
    let Some(size) = sizes.last() else { return };
    let mut nothing = Series::default();
    let title = format!("The same, {size} recipients, {CONNECTIONS} connections of others");
    let mut all: Vec<Times> = Vec::new();
    for host in &hosts {
        host.track();
        all.push(host.rounds(place, &mut nothing));
    }
    report.section(&title, NOTHING, &nothing);
    for ((host, times), alone) in hosts.iter().zip(&all).zip(&alone) {
        let ratio = times.whole.median() / alone.whole.median();
        let target = Target::at_most(AMONG_CONNECTIONS, ratio, " of no others");
        let judged = (host.rig.backend != "none").then_some(target);
        report.row(host.rig.backend, &times.whole, judged);
    }
}

#[allow(clippy::cast_precision_loss)] // of at most 300
fn show(report: &mut Report, backend: &str, size: usize, times: &Times) {
    report.row(backend, &times.whole, None);
    let held = times.held.median() / 1000.0;
    let limit = (backend == "nftables" && size == 1).then(|| Target::of("ms", HELD, held));
    report.row(&format!("{backend}, under the lock"), &times.held, limit);
    let each = times.cpu.median() / 1000.0 / size as f64;
    let limit = (backend == "ipset" && size == 300).then(|| Target::of("ms", CPU_OF_EACH, each));
    report.row(&format!("{backend}, processor time, of all recipients"), &times.cpu, limit);
}

/// A host with recipients that run all the time.
struct Host<'a> {
    rig: &'a Rig,
    db: Network,
    recipients: Vec<Container>,
}

impl<'a> Host<'a> {
    fn new(rig: &'a Rig) -> Self {
        let db = Network::plugged(&rig.host, "10.0.0.2", None);
        Self { rig, db, recipients: Vec::new() }
    }

    /// Starts recipients until there are `size`.
    fn grow(&mut self, size: usize) {
        let db = self.start();
        for number in self.recipients.len()..size {
            let address = format!("10.5.{}.{}", number / 250, number % 250 + 1);
            let recipient = Network::plugged(&self.rig.host, &address, None).start();
            let id = format!("web{number}");
            self.rig.create(&Wish { id: &id, links: "db", ports: 0 }, &recipient).run();
            self.recipients.push(recipient);
        }
        drop(db);
        self.rig.delete(&DB).run();
    }

    fn start(&self) -> Container {
        let db = self.db.start();
        self.rig.create(&DB, &db).run();
        db
    }

    /// Starts and ends the source again and again.
    fn rounds(&self, place: &Place, nothing: &mut Series) -> Times {
        let mut times = Times::default();
        for _ in 0..place.rounds(ROUNDS) {
            nothing.measure(command(&place.noop));
            drop(self.start());
            sleep(PAUSE);
            let watched = Watched::begin(self.rig);
            let run = self.rig.delete(&DB).run();
            times.held.push_time(watched.end().all);
            times.whole.push_time(run.elapsed);
            times.cpu.push_time(run.cpu);
        }
        times
    }

    /// Makes the host track connections that are not of its containers.
    fn track(&self) {
        self.rig.host.enter(|| {
            let set = |name: &str, value: &str| {
                let path = format!("/proc/sys/net/netfilter/{name}");
                std::fs::write(&path, value).expect("a setting of connection tracking");
            };
            set("nf_conntrack_udp_timeout", "3600");
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a UDP port is free");
            socket.set_write_timeout(Some(Duration::from_secs(1))).expect("a time");
            for host in HOSTS {
                for port in 1..=PORTS {
                    // No program listens there, which the kernel reports at the next call.
                    let _ = socket.send_to(b"tracked", (host, port));
                }
            }
        });
    }
}

const DB: Wish<'static> = Wish { id: "db", links: "", ports: 1 };
