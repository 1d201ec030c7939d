//! The start of a container without links while another container does what costs most under the host
//! lock.

use crate::{
    containers::{Container, Network},
    place::Place,
    report::{NOTHING, Report, Target},
    rig::{Rig, Wish},
    sample::{Series, command},
};
use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

const ROUNDS: usize = 40;
/// The target: times the same start on a quiet host, and milliseconds that a start without links may wait for
/// the lock.
const DISTURBED: f64 = 1.5;
const PATIENCE: f64 = 250.0;
const ALIASES: usize = 256;
const NEWLINES: usize = 1_000_000;
const ADDRESSES: u32 = 10_000;
const RECIPIENTS: u8 = 20;

const PLAIN: Wish<'static> = Wish { id: "plain", links: "", ports: 0 };
const DB: Wish<'static> = Wish { id: "db", links: "", ports: 1 };

/// What disturbs: its name, and what is done once before.
type Hostile<'a> = (&'static str, Box<dyn Fn(&Rig, &Site) + 'a>);

/// Containers of one host.
struct Site {
    db: Network,
    plain: Network,
    web: Network,
    _recipients: Vec<Container>,
    _web: Container,
}

pub(crate) fn measure(place: &Place, report: &mut Report) {
    let hostiles: Vec<Hostile> = vec![
        ("20 recipients", Box::new(|_, _| {})),
        ("256 aliases, 1,000,000 lines", Box::new(lines)),
        ("10,000 addresses", Box::new(|_, site| many_addresses(&site.web))),
    ];
    let mut nothing = Series::default();
    let mut rows = Vec::new();
    for (what, prepare) in hostiles {
        for rig in &Rig::all(place, &format!("hostile-{}", rows.len())) {
            if rig.backend == "none" {
                continue;
            }
            let site = Site::new(rig);
            prepare(rig, &site);
            let quiet = starts(place, rig, &site, &mut nothing);
            let is_over = AtomicBool::new(false);
            let disturbed = thread::scope(|scope| {
                scope.spawn(|| disturb(rig, &site, &is_over));
                let disturbed = starts(place, rig, &site, &mut nothing);
                is_over.store(true, Ordering::Relaxed);
                disturbed
            });
            rows.push((format!("{}, {what}", rig.backend), quiet, disturbed));
        }
    }
    report.section("A start without links, beside ends and starts of", NOTHING, &nothing);
    for (what, quiet, disturbed) in &rows {
        let limit = (DISTURBED * quiet.median() / 1000.0 + PATIENCE).round();
        let target = Target::of("ms for 95 of 100", limit, disturbed.p95() / 1000.0);
        report.row(what, disturbed, Some(target));
    }
}

/// Starts and ends a container without links.
fn starts(place: &Place, rig: &Rig, site: &Site, nothing: &mut Series) -> Series {
    let mut times = Series::default();
    for _ in 0..place.rounds(ROUNDS) {
        nothing.measure(command(&place.noop));
        let plain = site.plain.start();
        times.measure(rig.create(&PLAIN, &plain));
        drop(plain);
        rig.delete(&PLAIN).run();
    }
    times
}

/// Ends and starts the source of all others without a pause.
fn disturb(rig: &Rig, site: &Site, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let db = site.db.start();
        rig.create(&DB, &db).run();
        drop(db);
        rig.delete(&DB).run();
    }
}

impl Site {
    fn new(rig: &Rig) -> Self {
        let plug = |address: &str| Network::plugged(&rig.host, address, None);
        let (db, plain, web) = (plug("10.0.0.2"), plug("10.0.0.3"), plug("10.0.0.4"));
        let source = db.start();
        rig.create(&DB, &source).run();
        let links: Vec<String> = (0..ALIASES).map(|number| format!("db:a{number}")).collect();
        let process = web.start();
        let wish = Wish { id: "web", links: &links.join(","), ports: 0 };
        rig.create(&wish, &process).run();
        let mut recipients = Vec::new();
        for number in 0..RECIPIENTS {
            let recipient = plug(&format!("10.0.1.{number}")).start();
            let id = format!("web{number}");
            rig.create(&Wish { id: &id, links: "db", ports: 0 }, &recipient).run();
            recipients.push(recipient);
        }
        drop(source);
        rig.delete(&DB).run();
        Self { db, plain, web, _recipients: recipients, _web: process }
    }
}

fn lines(rig: &Rig, _: &Site) {
    let path = rig.hosts_file("web");
    let text = fs::read_to_string(&path).expect("hosts file is there") + &"\n".repeat(NEWLINES);
    fs::write(&path, text).expect("hosts file is written");
}

fn many_addresses(network: &Network) {
    let one = |n| format!("addr add 10.9.{}.{}/16 dev eth0\n", n / 250, n % 250);
    network.namespace().ip(&(0..ADDRESSES).map(one).collect::<String>());
}
