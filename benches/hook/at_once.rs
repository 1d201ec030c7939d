//! A hundred hooks at once: a hundred recipients of one source end, or fifty end while fifty others start.

use crate::{
    containers::{Container, Network},
    kernel,
    place::Place,
    report::{NOTHING, Report, Target},
    rig::{Rig, Wish},
    sample::{PAUSE, Sample, Series, command},
    swarm::{run_at_once, run_in_turn},
};
use std::{thread::sleep, time::Duration};

const HOOKS: u8 = 100;
const ROUNDS: usize = 3;
/// How many of the hooks are starts.
const MIXTURES: [(&str, u8); 2] = [("ends", 0), ("starts and ends, mixed", HOOKS / 2)];
/// The target: times the same one after another.
const AT_ONCE: f64 = 1.0;

/// What a hook took, by the clock of a program that waits for all of them.
#[derive(Default)]
struct Times {
    in_turn: Series,
    at_once: Series,
}

pub(crate) fn measure(place: &Place, report: &mut Report) {
    let rigs = Rig::all(place, "hooks-at-once");
    let hosts: Vec<Host> = rigs.iter().map(Host::new).collect();
    for (title, starts) in MIXTURES {
        let mut nothing = Series::default();
        let mut times: [Times; 4] = Default::default();
        for _ in 0..place.rounds(ROUNDS) {
            for (host, times) in hosts.iter().zip(&mut times) {
                for _ in 0..10 {
                    nothing.measure(command(&place.noop));
                }
                let all = host.run(starts, run_in_turn);
                times.in_turn.push_time(all / HOOKS.into());
                let all = host.run(starts, |hooks| run_at_once(hooks).0);
                times.at_once.push_time(all / HOOKS.into());
            }
        }
        report.section(&format!("{HOOKS} {title}, per hook"), NOTHING, &nothing);
        for (host, Times { in_turn, at_once }) in hosts.iter().zip(&times) {
            let backend = host.rig.backend;
            let ratio = at_once.median() / in_turn.median();
            let target = Target::at_most(AT_ONCE, ratio, " of one by one");
            report.row(&format!("{backend}, one by one"), in_turn, None);
            report.row(&format!("{backend}, all at once"), at_once, Some(target));
        }
    }
}

/// A host where the source runs, and the networks of its recipients.
struct Host<'a> {
    rig: &'a Rig,
    networks: Vec<Network>,
    _db: Container,
}

impl<'a> Host<'a> {
    fn new(rig: &'a Rig) -> Self {
        let db = Network::plugged(&rig.host, "10.0.0.2", None).start();
        rig.create(&Wish { id: "db", links: "", ports: 1 }, &db).run();
        let network = |number| Network::plugged(&rig.host, &format!("10.6.0.{number}"), None);
        Self { rig, networks: (1..=HOOKS).map(network).collect(), _db: db }
    }

    /// Has [`HOOKS`] hooks run, of which so many are starts, in turns with the ends. Returns what they took
    /// together.
    fn run(&self, starts: u8, run: impl FnOnce(Vec<Sample>) -> Duration) -> Duration {
        let (new, old) = self.networks.split_at(starts.into());
        let old: Vec<Container> = old.iter().map(Network::start).collect();
        for (number, container) in old.iter().enumerate() {
            self.start(&format!("old{number}"), container).run();
        }
        let mut ends: Vec<Sample> =
            (0..old.len()).map(|number| self.end(&format!("old{number}"))).collect();
        drop(old);
        let new: Vec<Container> = new.iter().map(Network::start).collect();
        let mut hooks = Vec::new();
        for (number, container) in new.iter().enumerate() {
            hooks.push(self.start(&format!("new{number}"), container));
            hooks.extend(ends.pop());
        }
        hooks.extend(ends);
        sleep(PAUSE);
        let took = run(hooks);
        let links = kernel::links(self.rig).unwrap_or(starts.into());
        assert_eq!(links, usize::from(starts), "{}: rules", self.rig.backend);
        let count = new.len();
        drop(new);
        for number in 0..count {
            self.end(&format!("new{number}")).run();
        }
        took
    }

    fn start(&self, id: &str, container: &Container) -> Sample {
        self.rig.create(&Wish { id, links: "db", ports: 0 }, container)
    }

    fn end(&self, id: &str) -> Sample {
        self.rig.delete(&Wish { id, links: "db", ports: 0 })
    }
}
