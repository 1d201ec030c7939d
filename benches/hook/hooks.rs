//! `hook createRuntime` and `hook poststop`, alone and in a crowd.

use crate::{
    containers::{Container, Network},
    place::Place,
    report::{NOTHING, Report, Target},
    rig::{Rig, Wish},
    sample::{Series, command},
};

const ROUNDS: usize = 60;
/// The targets: times a program that does nothing, times the same without others, MiB.
const IPTABLES: f64 = 6.0;
const NONE: f64 = 2.5;
const GROWTH: f64 = 1.3;
const MEMORY: f64 = 8.0;

/// One recipient, started and ended again and again under one backend.
struct Subject<'a> {
    name: String,
    wish: Wish<'a>,
    network: &'a Network,
    rig: &'a Rig,
    up: Series,
    down: Series,
}

pub fn measure(place: &Place, report: &mut Report) {
    let rigs = Rig::all(place, "hooks");
    let db = Network::new("10.0.0.2", Some("fd00::2")).start();
    let db50 = Network::new("10.0.0.3", None).start();
    for rig in &rigs {
        rig.create(&Wish { id: "db", links: "", ports: 1 }, &db).run();
        rig.create(&Wish { id: "db50", links: "", ports: 50 }, &db50).run();
    }
    let web = Network::new("10.0.1.1", None);
    let web6 = Network::new("10.0.1.2", Some("fd00::1:2"));
    let cases = [
        ("", Wish { id: "web", links: "db", ports: 0 }, &web),
        (", IPv4 and IPv6", Wish { id: "web6", links: "db", ports: 0 }, &web6),
        (", 50 ports", Wish { id: "web50", links: "db50", ports: 0 }, &web),
    ];

    let mut crowd = Crowd::new();
    let mut alone = Vec::new();
    for others in [0, 100, 1000] {
        crowd.grow(others, &rigs);
        let cases = if others == 0 { &cases[..] } else { &cases[..1] };
        let mut subjects: Vec<_> = cases
            .iter()
            .flat_map(|case| rigs.iter().map(move |rig| Subject::new(case, rig)))
            .collect();
        let nothing = rounds(place, &mut subjects);

        report.section(&format!("Hook, {others} links of others"), NOTHING, &nothing);
        for (number, subject) in subjects.iter().enumerate() {
            let ratio = subject.up.median() / nothing.median();
            alone.push(ratio);
            let target = match (others, subject.name.as_str()) {
                (0, "iptables") => Some(Target::at_most(IPTABLES, ratio, "")),
                (0, "none") => Some(Target::at_most(NONE, ratio, "")),
                (1000, _) => Some(Target::at_most(GROWTH, ratio / alone[number], " of alone")),
                _ => None,
            };
            report.row(&format!("createRuntime, {}", subject.name), &subject.up, target);
            report.row(&format!("poststop, {}", subject.name), &subject.down, None);
        }
        report.memory(NOTHING, &nothing, None);
        for subject in subjects.iter().take(rigs.len()) {
            report.memory(&format!("createRuntime, {}", subject.name), &subject.up, Some(MEMORY));
        }
    }
}

/// Runs all subjects in turns with a program that does nothing, whose times are returned.
fn rounds(place: &Place, subjects: &mut [Subject]) -> Series {
    let mut nothing = Series::default();
    for _ in 0..ROUNDS {
        nothing.measure(command(&place.noop));
        for subject in &mut *subjects {
            let container = subject.network.start();
            subject.up.measure(subject.rig.create(&subject.wish, &container));
            drop(container);
            subject.down.measure(subject.rig.delete(&subject.wish));
        }
    }
    nothing
}

impl<'a> Subject<'a> {
    fn new((what, wish, network): &(&str, Wish<'a>, &'a Network), rig: &'a Rig) -> Self {
        Self {
            name: format!("{}{what}", rig.backend),
            wish: *wish,
            network,
            rig,
            up: Series::default(),
            down: Series::default(),
        }
    }
}

/// Other recipients, who run all the time.
struct Crowd {
    network: Network,
    process: Container,
    size: usize,
}

impl Crowd {
    fn new() -> Self {
        let network = Network::new("10.2.0.1", None);
        Self { process: network.start(), network, size: 0 }
    }

    fn grow(&mut self, size: usize, rigs: &[Rig]) {
        for other in self.size..size {
            self.network.readdress(&format!("10.2.{}.{}", other / 250, other % 250 + 1));
            for rig in rigs {
                let id = format!("other{other}");
                rig.create(&Wish { id: &id, links: "db", ports: 0 }, &self.process).run();
            }
        }
        self.size = size;
    }
}
