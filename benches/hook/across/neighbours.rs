//! Two hosts that are connected by a cable, with `watch` on both: from the end of a recipient's hook until a connection
//! to its source on the other host comes through. The courier is a thread that copies files.

use super::until;
use crate::{
    containers::{Container, Network},
    peers::{Daemon, Spool},
    place::Place,
    report::{NOTHING, Report, Target},
    rig::{Rig, Wish},
    sample::{Series, command},
};
use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, sleep},
    time::{Duration, Instant},
};

const ROUNDS: usize = 60;
/// The target: milliseconds.
const OPEN: f64 = 300.0;
const PORT: u16 = 3306;
const SOURCE: &str = "10.77.2.2";
const NETWORKS: &str = "{ a = [\"10.77.1.0/24\"], b = [\"10.77.2.0/24\"] }";
/// How often the courier looks, and says so.
const PERIOD: Duration = Duration::from_millis(2);
const FRESH: Duration = Duration::from_secs(1);

const WEB: Wish<'static> = Wish { id: "web", links: "db@b", ports: 0 };
const DB: Wish<'static> = Wish { id: "db", links: "", ports: 1 };

/// The hosts `a` and `b`. All programs that look at them run until it is dropped.
struct Pair {
    hosts: [Rig; 2],
    spools: [Spool; 2],
    web: Network,
    db: Network,
    _source: Container,
}

/// Ends the courier when it is dropped, also if a measurement fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn measure(place: &Place, report: &mut Report) {
    for backend in ["ipset", "nftables"] {
        let pair = Pair::new(place, backend);
        let is_over = AtomicBool::new(false);
        let (mut nothing, mut times) = (Series::default(), Series::default());
        thread::scope(|scope| {
            let _end = Ends(&is_over);
            scope.spawn(|| carry(&pair, &is_over));
            let [a, b] = [0, 1].map(|at| Daemon::start(&pair.hosts[at], &pair.spools[at]));
            until(|| pair.hosts[0].state_dir().join("peers/records/b~db.offer").exists());
            until(|| pair.hosts[0].state_dir().join("peers/fresh/view").exists());
            let listener = pair.db.namespace().enter(|| TcpListener::bind((SOURCE, PORT)));
            let listener = listener.expect("TCP port is free");
            listener.set_nonblocking(true).expect("a socket");
            for _ in 0..place.rounds(ROUNDS) {
                nothing.measure(command(&place.noop));
                times.push_time(pair.round());
                while listener.accept().is_ok() {}
            }
            drop((a, b));
        });
        report.section(&format!("A link between hosts, {backend}"), NOTHING, &nothing);
        let target = Target::of("ms for 95 of 100", OPEN, times.p95() / 1000.0);
        report.row("from createRuntime to a connection", &times, Some(target));
    }
}

impl Pair {
    fn new(place: &Place, backend: &'static str) -> Self {
        let hosts = ["a", "b"].map(|name| {
            let more = format!(
                "isolate = [\"br0\"]\n[cluster]\nname = \"{name}\"\npatience = \"1m\"\n\
                 networks = {NETWORKS}\n"
            );
            Rig::new(place, &format!("host-{name}-{backend}"), backend, &more).sharing()
        });
        let [a, b] = &hosts;
        let peer = b.host.path();
        a.host.ip(&format!("link add up0 type veth peer name up0 netns {peer}\n"));
        for (rig, own, other) in [(a, 1, 2), (b, 2, 1)] {
            rig.host.ip(&format!(
                "addr add 10.77.{own}.1/24 dev br0\naddr add 10.99.0.{own}/24 dev up0\n\
                 link set up0 up\nroute add 10.77.{other}.0/24 via 10.99.0.{other}\n"
            ));
            rig.host.enter(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1")).expect("root may");
        }
        let web = Network::routed(&a.host, "10.77.1.2/24", "10.77.1.1");
        let db = Network::routed(&b.host, &format!("{SOURCE}/24"), "10.77.2.1");
        let source = db.start();
        b.create(&DB, &source).run();
        let spools = ["a", "b"].map(|name| Spool::new(place, &format!("spool-{name}-{backend}")));
        Self { hosts, spools, web, db, _source: source }
    }

    /// Starts the recipient, and ends it when it has reached its source. Returns how long that took.
    fn round(&self) -> Duration {
        let [a, b] = &self.hosts;
        let process = self.web.start();
        a.create(&WEB, &process).run();
        let begun = Instant::now();
        self.web.namespace().enter(|| {
            let to = SocketAddr::new(SOURCE.parse().expect("an address"), PORT);
            // A packet that is dropped is sent again after a second: each try is a new connection.
            while TcpStream::connect_timeout(&to, Duration::from_millis(5)).is_err() {
                assert!(begun.elapsed() < Duration::from_secs(10), "no connection");
            }
        });
        let elapsed = begun.elapsed();
        drop(process);
        a.delete(&WEB).run();
        until(|| names(&b.state_dir().join("guests/db")).is_empty());
        elapsed
    }
}

/// Copies what each host offers into the spool of the other one, until told.
fn carry(pair: &Pair, is_over: &AtomicBool) {
    let mut copies = [BTreeMap::new(), BTreeMap::new()];
    let mut said = None;
    while !is_over.load(Ordering::Relaxed) {
        for (from, copied) in copies.iter_mut().enumerate() {
            let offers = pair.hosts[from].state_dir().join("offers");
            let (host, to) = (["a", "b"][from], &pair.spools[1 - from]);
            let read = |name: &String| Some((name.clone(), fs::read(offers.join(name)).ok()?));
            let now: BTreeMap<String, Vec<u8>> = names(&offers).iter().filter_map(read).collect();
            for (name, bytes) in &now {
                if copied.get(name) != Some(bytes) {
                    to.put(&format!("{host}~{name}"), bytes);
                }
            }
            for name in copied.keys().filter(|name| !now.contains_key(*name)) {
                let _ = fs::remove_file(to.path().join(format!("{host}~{name}")));
            }
            *copied = now;
        }
        if said.is_none_or(|said: Instant| said.elapsed() >= FRESH) {
            pair.spools.iter().for_each(Spool::freshen);
            said = Some(Instant::now());
        }
        sleep(PERIOD);
    }
}

/// The names of offers and wants in a directory, or of guests.
fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).collect()
}
