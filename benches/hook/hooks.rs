//! `hook createRuntime` and `hook poststop`, alone and in a crowd.

use crate::{
    containers::{Container, Network},
    crowd::holds,
    place::Place,
    report::{NOTHING, Report, Target},
    rig::{Rig, Wish},
    sample::{Series, command},
};

const ROUNDS: usize = 40;
/// From so many others on, starts are compared to those on a host without any.
const JUDGED: usize = 1000;
/// The targets: times a program that does nothing, times the same without others or with one port.
const CREATE: [(&str, f64); 4] =
    [("iptables", 4.5), ("ipset", 2.0), ("nftables", 2.0), ("none", 2.5)];
const GROWTH: f64 = 1.15;
const GROWTH_OF_IPTABLES: f64 = 1.15;
const END: [(&str, f64); 3] = [("iptables", 22.0), ("ipset", 2.5), ("nftables", 14.0)];
const MORE_PORTS: f64 = 1.3;

/// Where a subject is not the plain one: a recipient of that name, or a host without others.
const BOTH: &str = ", IPv4 and IPv6";
const PORTS: &str = ", 50 ports";
const ALONE: &str = ", no others";

/// One recipient on each host, and more where there are no others.
pub(crate) struct Hooks<'a> {
    crowd: Vec<Site<'a>>,
    alone: Vec<Site<'a>>,
}

/// A host with the sources, and the networks of the recipients.
struct Site<'a> {
    rig: &'a Rig,
    web: Network,
    web6: Network,
    _sources: [Container; 2],
}

/// One recipient, started and ended again and again under one backend.
struct Subject<'a> {
    what: &'static str,
    wish: Wish<'a>,
    network: &'a Network,
    rig: &'a Rig,
    up: Series,
    down: Series,
}

impl<'a> Hooks<'a> {
    /// Starts the sources. Others are to come to `crowd`, and never to `alone`.
    pub(crate) fn new(crowd: &'a [Rig], alone: &'a [Rig]) -> Self {
        let sites = |rigs: &'a [Rig]| rigs.iter().map(Site::new).collect();
        Self { crowd: sites(crowd), alone: sites(alone) }
    }

    /// Measures it where so many others are.
    pub(crate) fn measure(&'a self, others: usize, place: &Place, report: &mut Report) {
        let mut subjects = self.subjects(others);
        let nothing = rounds(place, &mut subjects);
        report.section(&format!("Hook, {others} links of others"), NOTHING, &nothing);
        for subject in &subjects {
            let name = format!("{}{}", subject.rig.backend, subject.what);
            let target = target(others, subject, &subjects, &nothing);
            report.row(&format!("createRuntime, {name}"), &subject.up, target);
            if subject.what.is_empty() {
                report.mark("createRuntime", subject.rig.backend, others.max(1));
            }
            let target = target_of_end(others, subject, &subjects, &nothing);
            report.row(&format!("poststop, {name}"), &subject.down, target);
        }
    }

    /// The containers that are measured among so many others.
    fn subjects(&'a self, others: usize) -> Vec<Subject<'a>> {
        let one = Wish { id: "web", links: "db", ports: 0 };
        let mut cases = vec![("", one, &self.crowd)];
        if others == 0 {
            cases.push((BOTH, Wish { id: "web6", links: "db", ports: 0 }, &self.crowd));
            cases.push((PORTS, Wish { id: "web50", links: "db50", ports: 0 }, &self.crowd));
        } else if others >= JUDGED {
            cases.push((ALONE, one, &self.alone));
        }
        let each = |(what, wish, sites): (_, _, &'a Vec<Site<'a>>)| {
            let sites = sites.iter().filter(|site| holds(site.rig, others));
            sites.map(move |site| {
                let network = if what == BOTH { &site.web6 } else { &site.web };
                Subject::new(what, wish, network, site.rig)
            })
        };
        cases.into_iter().flat_map(each).collect()
    }
}

/// What was promised of a start.
fn target(others: usize, subject: &Subject, all: &[Subject], nothing: &Series) -> Option<Target> {
    let backend = subject.rig.backend;
    let times = |what| {
        let same = |other: &&Subject| other.rig.backend == backend && other.what == what;
        Some(subject.up.compared_to(&all.iter().find(same)?.up))
    };
    let elements = ["ipset", "nftables"].contains(&backend);
    match (others, subject.what) {
        (0, "") => {
            let (_, limit) = CREATE.into_iter().find(|(name, _)| *name == backend)?;
            Some(Target::at_most(limit, subject.up.median() / nothing.median(), ""))
        }
        (0, PORTS) if elements => Some(Target::at_most(MORE_PORTS, times("")?, " of one port")),
        (1000, "") if backend == "iptables" => {
            Some(Target::at_most(GROWTH_OF_IPTABLES, times(ALONE)?, " of no others"))
        }
        (10_000, "") => Some(Target::at_most(GROWTH, times(ALONE)?, " of no others")),
        _ => None,
    }
}

/// What was promised of an end.
fn target_of_end(
    others: usize,
    subject: &Subject,
    all: &[Subject],
    nothing: &Series,
) -> Option<Target> {
    let backend = subject.rig.backend;
    match (others, subject.what) {
        (0, "") => {
            let (_, limit) = END.into_iter().find(|(name, _)| *name == backend)?;
            Some(Target::at_most(limit, subject.down.median() / nothing.median(), ""))
        }
        (10_000, "") => {
            let same = |other: &&Subject| other.rig.backend == backend && other.what == ALONE;
            let times = subject.down.compared_to(&all.iter().find(same)?.down);
            Some(Target::at_most(GROWTH, times, " of no others"))
        }
        _ => None,
    }
}

/// Runs all subjects in turns with a program that does nothing, whose times are returned.
fn rounds(place: &Place, subjects: &mut [Subject]) -> Series {
    let mut nothing = Series::default();
    for _ in 0..place.rounds(ROUNDS) {
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

impl<'a> Site<'a> {
    fn new(rig: &'a Rig) -> Self {
        let on_bridge = |v4, v6| Network::plugged(&rig.host, v4, v6);
        let db = on_bridge("10.0.0.2", Some("fd00::2")).start();
        let db50 = on_bridge("10.0.0.3", None).start();
        rig.create(&Wish { id: "db", links: "", ports: 1 }, &db).run();
        rig.create(&Wish { id: "db50", links: "", ports: 50 }, &db50).run();
        let (web, web6) = (on_bridge("10.0.1.1", None), on_bridge("10.0.1.2", Some("fd00::1:2")));
        Self { rig, web, web6, _sources: [db, db50] }
    }
}

impl<'a> Subject<'a> {
    fn new(what: &'static str, wish: Wish<'a>, network: &'a Network, rig: &'a Rig) -> Self {
        let (up, down) = (Series::default(), Series::default());
        Self { what, wish, network, rig, up, down }
    }
}
