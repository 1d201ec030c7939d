//! Walks the tables. A test goes through its whole table and reports every entry that fails.

use crate::compare::differences;
use crate::containers::{
    ADDRESSES, ANNOTATIONS, CALLS, Entry, FIELDS, FILES, HOST_NAMES, IDS, PLACES, PLAIN, TABLES,
};
use crate::each_runtime_in_full;
use crate::ends::end_in;
use crate::environments::{ENVIRONMENTS, Environment, WORST};
use crate::life::live;
use crate::machine::Machine;
use crate::step::Step;
use crate::support::{Runtime, each_runtime};
use crate::way::Way;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Only entries and environments whose name contains this are tried.
const ENTRY: &str = "OCI_LINK_ENTRY";
const WAYS: [Way; 2] = [Way::Wrapper, Way::Hooks];
const HEALTHY: &str = "a healthy environment";

/// The failures of one test.
pub(crate) struct Report {
    runtime: Runtime,
    tried: usize,
    failed: Vec<String>,
}

impl Report {
    pub(crate) fn new(runtime: Runtime) -> Self {
        Self { runtime, tried: 0, failed: Vec::new() }
    }

    /// Compares the steps of `lived`. A panic of the harness is a failure of the entry too.
    pub(crate) fn compare(
        &mut self,
        (entry, environment, way): (&str, &str, Way),
        without: &[Step],
        lived: impl FnOnce(&Machine, Way) -> Vec<Step>,
    ) {
        let name = format!("{entry} | {environment} | {:?} | {way:?}", self.runtime);
        let found = tried(|| differences(without, &lived(&Machine::new(self.runtime), way)));
        let found = found.unwrap_or_else(|cause| vec![cause]);
        eprintln!("{} {name}", if found.is_empty() { "ok    " } else { "FAILED" });
        self.tried += 1;
        self.failed
            .extend((!found.is_empty()).then(|| format!("{name}\n    {}", found.join("\n    "))));
    }

    /// The steps without oci-link. `None` if the harness cannot make this container.
    pub(crate) fn without(
        &mut self,
        entry: &str,
        lived: impl FnOnce(&Machine, Way) -> Vec<Step>,
    ) -> Option<Vec<Step>> {
        match tried(|| lived(&Machine::new(self.runtime), Way::Direct)) {
            Ok(steps) => {
                let failed = |step: &&Step| step.what == "create" && step.status != "0";
                if let Some(step) = steps.iter().find(failed) {
                    eprintln!("note   {entry} | {:?} itself: {}", self.runtime, step.stderr);
                }
                Some(steps)
            }
            Err(cause) => {
                self.failed
                    .push(format!("{entry} | without oci-link | {:?}\n    {cause}", self.runtime));
                None
            }
        }
    }

    #[track_caller]
    pub(crate) fn end(self) {
        let (failed, tried) = (self.failed.len(), self.tried);
        assert!(failed == 0, "{failed} of {tried} fail:\n{}\n", self.failed.join("\n"));
    }
}

/// What `work` returns, or the message of its panic.
fn tried<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        text.unwrap_or_else(|| "the harness panics".into())
    })
}

fn is_wanted(name: &str) -> bool {
    env::var(ENTRY).map_or(true, |wanted| name.contains(&wanted))
}

/// Each container of `table` in a healthy environment and in the worst one.
fn each_container(runtime: Runtime, table: &[Entry], ways: &[Way]) {
    let mut report = Report::new(runtime);
    for (entry, edit) in table.iter().filter(|(name, _)| is_wanted(name)) {
        let Some(without) = report.without(entry, |m, way| live(m, way, *edit, None)) else {
            continue;
        };
        for way in ways {
            let name = (*entry, HEALTHY, *way);
            report.compare(name, &without, |m, way| live(m, way, *edit, None));
            if *way != Way::Direct {
                let name = (*entry, WORST.name, *way);
                report.compare(name, &without, |m, way| live(m, way, *edit, Some(&WORST)));
            }
        }
    }
    report.end();
}

/// A plain container lives in each of `environments`, and containers that started before it broke end
/// in it.
fn each_environment<'e>(
    runtime: Runtime,
    environments: impl Iterator<Item = &'e Environment> + Clone,
) {
    let mut report = Report::new(runtime);
    let (entry, edit) = PLAIN;
    each_way(&mut report, entry, environments.clone(), |machine, way, environment| {
        live(machine, way, edit, Some(environment))
    });
    each_way(&mut report, "started before", environments, end_in);
    report.end();
}

fn each_way<'e>(
    report: &mut Report,
    entry: &str,
    environments: impl Iterator<Item = &'e Environment>,
    lived: impl Fn(&Machine, Way, &Environment) -> Vec<Step>,
) {
    let mut known: [Option<Vec<Step>>; 2] = [None, None];
    for environment in environments.filter(|environment| is_wanted(environment.name)) {
        let known = &mut known[usize::from(environment.undone_at_once)];
        if known.is_none() {
            *known = report.without(entry, |m, way| lived(m, way, environment));
        }
        let Some(without) = known.as_ref() else { continue };
        for way in WAYS {
            let name = (entry, environment.name, way);
            report.compare(name, without, |m, way| lived(m, way, environment));
        }
    }
}

/// The environments whose name begins with `subject`.
fn of(subject: &'static str) -> impl Iterator<Item = &'static Environment> + Clone {
    ENVIRONMENTS.iter().filter(move |environment| environment.name.starts_with(subject))
}

each_runtime! {
    /// What `make test` runs of the environments.
    fn the_worst_environment_and_a_held_lock(runtime) {
        each_environment(runtime, of("lock").chain([&WORST]));
    }
}

each_runtime_in_full! {
    fn h01_host_names(runtime) {
        each_container(runtime, HOST_NAMES, &WAYS);
    }

    fn h02_ids(runtime) {
        each_container(runtime, IDS, &WAYS);
    }

    fn h03_odd_files(runtime) {
        each_container(runtime, FILES, &WAYS);
    }

    fn h04_annotations(runtime) {
        each_container(runtime, ANNOTATIONS, &WAYS);
    }

    fn h05_addresses(runtime) {
        each_container(runtime, ADDRESSES, &WAYS);
    }

    fn h09_members_of_config_json(runtime) {
        each_container(runtime, FIELDS, &WAYS);
    }

    fn h10_places(runtime) {
        each_container(runtime, PLACES, &WAYS);
    }

    fn command_lines(runtime) {
        each_container(runtime, CALLS, &WAYS);
    }

    fn h12_config_toml(runtime) {
        each_environment(runtime, of("config.toml"));
    }

    fn h13_the_log(runtime) {
        each_environment(runtime, of("log"));
    }

    fn h14_the_state_directory(runtime) {
        each_environment(runtime, of("state directory"));
    }

    fn h15_the_lock(runtime) {
        each_environment(runtime, of("lock"));
    }

    fn h16_the_firewall(runtime) {
        each_environment(runtime, of("firewall"));
    }

    fn a_healthy_environment(runtime) {
        each_environment(runtime, of(HEALTHY));
    }

    /// A difference here is a fault of the harness. CONTRIBUTING.md says when to run it.
    fn the_runtime_agrees_with_itself(runtime) {
        for table in TABLES {
            each_container(runtime, table, &[Way::Direct]);
        }
    }
}
