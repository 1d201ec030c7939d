//! A packet and a connection on their way through a bridge: no rules, the rules of one link, and
//! those of thousands, where the link that matches comes last.

use crate::{
    crowd::holds,
    lane::{self, Lane},
    place::Place,
    report::{Report, Target},
    rig::Rig,
    sample::Series,
};
use std::time::Duration;

const ROUNDS: usize = 200;
const NO_RULES: &str = "no rules";
/// The target: times the same with one link.
const GROWTH: f64 = 1.1;

/// A lane on every host, among others and alone.
pub(crate) struct Packets<'a> {
    pairs: Vec<Pair<'a>>,
    /// The lane of the backend that makes no rules.
    free: Option<Lane>,
}

/// Two hosts of one backend: one has the same others as the hooks, one has none.
struct Pair<'a> {
    rig: &'a Rig,
    among: Lane,
    alone: Lane,
}

/// One way to measure a lane.
type Measure = fn(&Lane) -> Duration;

/// The times of a pair's lanes, round by round.
#[derive(Default)]
struct Times {
    among: Series,
    alone: Series,
}

impl<'a> Packets<'a> {
    /// Before there are any others in `crowd`; there are never any in `alone`.
    pub(crate) fn new(crowd: &'a [Rig], alone: &[Rig]) -> Self {
        if !lane::is_possible() {
            eprintln!("\npackets: left out: the kernel has no br_netfilter");
            return Self { pairs: Vec::new(), free: None };
        }
        let mut pairs = Vec::new();
        for (rig, alone) in crowd.iter().zip(alone).filter(|(rig, _)| rig.backend != "none") {
            let pair = Pair { rig, among: Lane::open(rig), alone: Lane::open(alone) };
            let isolated = pair.among.is_isolated() && pair.alone.is_isolated();
            assert!(isolated, "{}: packets pass by the rules", rig.backend);
            pairs.push(pair);
        }
        let free = alone.iter().find(|rig| rig.backend == "none").map(Lane::open);
        Self { pairs, free }
    }

    /// Measures where so many others are.
    pub(crate) fn measure(&self, others: usize, place: &Place, report: &mut Report) {
        if others == 0 {
            return;
        }
        self.measure_by(Lane::burst, "UDP packet, one way", others, place, report);
        self.measure_by(Lane::connect, "TCP connect", others, place, report);
    }

    fn measure_by(
        &self,
        measure: Measure,
        what: &str,
        others: usize,
        place: &Place,
        report: &mut Report,
    ) {
        let Some(free) = &self.free else { return };
        let pairs: Vec<_> = self.pairs.iter().filter(|pair| holds(pair.rig, others)).collect();
        let mut no_rules = Series::default();
        let mut times: Vec<_> = pairs.iter().map(|_| Times::default()).collect();
        for round in 0..place.rounds(ROUNDS) {
            no_rules.push_time(measure(free));
            for (pair, times) in pairs.iter().zip(&mut times) {
                times.round(pair, measure, round);
            }
        }
        report.section(&format!("{what}, {others} links of others"), NO_RULES, &no_rules);
        for (pair, times) in pairs.iter().zip(&times) {
            let backend = pair.rig.backend;
            report.row(&format!("{backend}, one link"), &times.alone, None);
            if others == 100 {
                report.mark(what, backend, 1);
            }
            let growth = times.among.compared_to(&times.alone);
            let growth = Target::at_most(GROWTH, growth, " of one link");
            let judged = others == 10_000 && backend != "iptables";
            report.row(&format!("{backend}, among others"), &times.among, judged.then_some(growth));
            report.mark(what, backend, others);
        }
    }
}

impl Times {
    /// Both in turns, and neither always the first.
    fn round(&mut self, pair: &Pair, measure: Measure, round: usize) {
        let (alone, among) = if round % 2 == 0 {
            let alone = measure(&pair.alone);
            (alone, measure(&pair.among))
        } else {
            let among = measure(&pair.among);
            (measure(&pair.alone), among)
        };
        self.alone.push_time(alone);
        self.among.push_time(among);
    }
}
