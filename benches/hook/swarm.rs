//! A host that boots: a hundred containers start at once, all linked to one source.

use crate::{
    containers::{Container, Network},
    kernel,
    place::Place,
    report::{NOTHING, Report, Target},
    rig::{Rig, Wish},
    sample::{Sample, Series, command},
};
use serde_json::Value;
use std::{
    process::Command,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

const CONTAINERS: u8 = 100;
const ROUNDS: usize = 3;
/// The target: times the same one after another.
const AT_ONCE: f64 = 1.0;

/// What a start took, by the clock of who waits for all of them.
#[derive(Default)]
struct Times {
    in_turn: Series,
    at_once: Series,
    /// The time after which 99 of 100 hooks have ended.
    slowest: Series,
}

pub(crate) fn measure(place: &Place, report: &mut Report) {
    let db = Network::new("10.0.0.2", None).start();
    let recipients: Vec<_> =
        (1..=CONTAINERS).map(|n| Network::new(&format!("10.4.0.{n}"), None).start()).collect();
    let mut nothing = Series::default();
    let mut times: [Times; 4] = Default::default();
    for round in 0..place.rounds(ROUNDS) {
        let hosts = ["in-turn", "at-once"].map(|way| Rig::all(place, &format!("{way}{round}")));
        for ((number, rig), times) in hosts[0].iter().enumerate().zip(&mut times) {
            for _ in 0..10 {
                nothing.measure(command(&place.noop));
            }
            let all = run_in_turn(hooks(rig, &db, &recipients));
            times.in_turn.push_time(all / CONTAINERS.into());

            let rig = &hosts[1][number];
            let (all, each) = run_at_once(hooks(rig, &db, &recipients));
            times.at_once.push_time(all / CONTAINERS.into());
            times.slowest.push(each.p99());
            assert_complete(rig);
        }
    }
    report.section(&format!("{CONTAINERS} starts, per start"), NOTHING, &nothing);
    let names = Rig::BACKENDS.iter();
    for (backend, Times { in_turn, at_once, slowest }) in names.zip(&times) {
        let ratio = at_once.median() / in_turn.median();
        let target = Target::at_most(AT_ONCE, ratio, " of one by one");
        report.row(&format!("{backend}, one by one"), in_turn, None);
        report.row(&format!("{backend}, all at once"), at_once, Some(target));
        report.row(&format!("{backend}, all at once: 99 of 100 done after"), slowest, None);
    }
}

/// Those that start the recipients, on a host where the source runs.
fn hooks(rig: &Rig, db: &Container, recipients: &[Container]) -> Vec<Sample> {
    rig.create(&Wish { id: "db", links: "", ports: 1 }, db).run();
    let hook = |(number, container)| {
        let id = format!("web{number}");
        rig.create(&Wish { id: &id, links: "db", ports: 0 }, container)
    };
    recipients.iter().enumerate().map(hook).collect()
}

/// What all took, one after another.
pub(crate) fn run_in_turn(hooks: Vec<Sample>) -> Duration {
    let begun = Instant::now();
    for hook in hooks {
        hook.run();
    }
    begun.elapsed()
}

/// What all took together, and what each took.
pub(crate) fn run_at_once(hooks: Vec<Sample>) -> (Duration, Series) {
    let ready = Barrier::new(hooks.len() + 1);
    let mut each = Series::default();
    let all = thread::scope(|scope| {
        let start = |hook: Sample| {
            scope.spawn(|| {
                ready.wait();
                hook.run()
            })
        };
        let threads: Vec<_> = hooks.into_iter().map(start).collect();
        ready.wait();
        let begun = Instant::now();
        for thread in threads {
            each.push_time(thread.join().expect("every hook succeeds").elapsed);
        }
        begun.elapsed()
    });
    (all, each)
}

/// Every recipient has its record and its link, and the kernel has its rule.
fn assert_complete(rig: &Rig) {
    let [program, options @ ..] = &rig.command_line()[..] else { return };
    let text =
        kernel::output(rig, Command::new(program).args(options).args(["ls", "--format", "json"]));
    let records: Vec<Value> = serde_json::from_str(&text).expect("ls prints JSON");
    let linked = records.iter().filter(|record| {
        record["state"] == "ready" && record["links"].as_array().is_some_and(|all| all.len() == 1)
    });
    assert_eq!(linked.count(), usize::from(CONTAINERS), "{}: records", rig.backend);

    let links = kernel::links(rig).unwrap_or(CONTAINERS.into());
    assert_eq!(links, usize::from(CONTAINERS), "{}: rules", rig.backend);
}
