//! Many hosts: starts beside the records of other hosts, how `watch` takes those in, and how soon a link to another
//! host is open.

mod neighbours;

use crate::{
    containers::Network,
    held::Watched,
    peers::{Daemon, Spool, mirrored, name, table},
    place::Place,
    report::{NOTHING, Report, Target},
    rig::{Rig, Wish},
    sample::{Series, command},
};
use nix::fcntl::{Flock, FlockArg};
use std::{
    fs::{self, File},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, sleep},
    time::{Duration, Instant},
};

const ROUNDS: usize = 60;
const LOOKS: usize = 9;
/// Records of other hosts.
const RECORDS: u32 = 10_000;
/// The targets: times a start beside one record, seconds for all records, and milliseconds that a hook may wait for
/// the lock meanwhile.
const BESIDE: f64 = 1.05;
const RESYNC: f64 = 5.0;
const WAIT: f64 = 50.0;
/// A hook comes so often.
const PERIOD: Duration = Duration::from_millis(1);

pub(crate) fn measure(place: &Place, report: &mut Report) {
    let records = if place.is_quick() { RECORDS / 10 } else { RECORDS };
    for backend in ["ipset", "nftables"] {
        starts(place, report, backend, records);
    }
    looks(place, report, records);
    neighbours::measure(place, report);
}

fn host(place: &Place, name: &str, backend: &'static str) -> Rig {
    let more = format!("isolate = [\"br0\"]\n{}", table());
    let rig = Rig::new(place, name, backend, &more);
    rig.host.ip("addr add 10.0.0.1/8 dev br0\n");
    rig
}

/// A start on a host that knows one record of other hosts, and on one that knows all, in turns.
fn starts(place: &Place, report: &mut Report, backend: &'static str, records: u32) {
    let rigs = ["few", "many"].map(|name| host(place, &format!("{name}-{backend}"), backend));
    let mut sources = Vec::new();
    for (rig, count) in rigs.iter().zip([1, records]) {
        sources.push(Network::routed(&rig.host, "10.0.0.2/8", "10.0.0.1").start());
        rig.create(&Wish { id: "db", links: "", ports: 1 }, &sources[sources.len() - 1]).run();
        let spool = Spool::new(place, &format!("spool-{count}-{backend}"));
        spool.fill(count);
        spool.freshen();
        let _daemon = Daemon::start(rig, &spool);
        until(|| mirrored(rig) == count as usize);
        until(|| rig.state_dir().join("peers/fresh/view").exists());
    }
    let webs = rigs.each_ref().map(|rig| Network::routed(&rig.host, "10.0.1.1/8", "10.0.0.1"));
    let far = name(0);
    let kinds = [("no link", ""), ("a link", "db"), ("a link to another host", &far)];
    let mut nothing = Series::default();
    let mut all = kinds.map(|_| [Series::default(), Series::default()]);
    for round in 0..place.rounds(ROUNDS) {
        nothing.measure(command(&place.noop));
        for ((_, links), times) in kinds.iter().zip(&mut all) {
            // Each comes first in every second round.
            for at in [round % 2, 1 - round % 2] {
                let wish = Wish { id: "web", links, ports: 0 };
                let container = webs[at].start();
                times[at].measure(rigs[at].create(&wish, &container));
                drop(container);
                rigs[at].delete(&wish).run();
            }
        }
    }
    report.section(&format!("createRuntime, {backend}, beside 1 record"), NOTHING, &nothing);
    for ((what, _), [few, many]) in kinds.iter().zip(&all) {
        report.row(what, few, None);
        let target = Target::at_most(BESIDE, many.compared_to(few), " of beside 1 record");
        report.row(&format!("{what}, beside {records} records"), many, Some(target));
    }
}

/// `watch` takes in all records that a courier has left, and loses them again.
fn looks(place: &Place, report: &mut Report, records: u32) {
    let rig = host(place, "looks", "nftables");
    let web = Network::routed(&rig.host, "10.0.1.1/8", "10.0.0.1").start();
    rig.create(&Wish { id: "web", links: "", ports: 1 }, &web).run();
    let spool = Spool::new(place, "spool-looks");
    let [mut nothing, mut taken, mut lost, mut held, mut wait] =
        [(); 5].map(|()| Series::default());
    for round in 0..place.rounds(LOOKS).max(3) {
        nothing.measure(command(&place.noop));
        spool.fill(records);
        spool.freshen();
        let daemon;
        match round % 3 {
            0 => {
                let begun = Instant::now();
                daemon = Daemon::start(&rig, &spool);
                until(|| mirrored(&rig) == records as usize);
                taken.push_time(begun.elapsed());
                until(|| rig.state_dir().join("peers/fresh/view").exists());
            }
            1 => {
                let watched = Watched::begin(&rig);
                daemon = Daemon::start(&rig, &spool);
                until(|| mirrored(&rig) == records as usize);
                held.push_time(watched.end().longest);
            }
            _ => {
                let lock = rig.lock();
                let is_over = AtomicBool::new(false);
                (daemon, wait) = thread::scope(|scope| {
                    let waits = scope.spawn(|| waits(&lock, &is_over, wait));
                    let daemon = Daemon::start(&rig, &spool);
                    until(|| mirrored(&rig) == records as usize);
                    is_over.store(true, Ordering::Relaxed);
                    (daemon, waits.join().expect("the lock is free again"))
                });
            }
        }
        let begun = Instant::now();
        spool.clear();
        until(|| mirrored(&rig) == 0);
        lost.push_time(begun.elapsed());
        drop(daemon);
        fs::remove_dir_all(rig.state_dir().join("peers")).expect("records go");
    }
    report.section(&format!("{records} records, and watch"), NOTHING, &nothing);
    let target = Target::of("s", RESYNC, taken.most() / 1e6);
    report.row("taken in, from its start on", &taken, Some(target));
    report.row("removed, from the spool on", &lost, None);
    report.row("longest hold of the lock meanwhile", &held, None);
    let target = Target::of("ms", WAIT, wait.most() / 1000.0);
    report.row("wait for the lock meanwhile", &wait, Some(target));
}

/// Takes the lock as a hook does, again and again, and returns how long that took each time.
fn waits(lock: &Path, is_over: &AtomicBool, mut times: Series) -> Series {
    let mut file = File::open(lock).expect("the host lock");
    while !is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let taken = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error);
        times.push_time(begun.elapsed());
        file = taken.expect("the host lock").unlock().expect("our lock");
        sleep(PERIOD);
    }
    times
}

/// Waits for what must come within a minute.
fn until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing comes");
        sleep(Duration::from_millis(10));
    }
}
