//! Walks the tables. A test goes through its whole table and reports every entry that fails.

use crate::compare::differences;
use crate::containers::{Entry, PLAIN, containers};
use crate::ends::end_in;
use crate::environments::{ENVIRONMENTS, Environment, WORST};
use crate::life::live;
use crate::machine::Machine;
use crate::step::Step;
use crate::support::Runtime;
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

/// Each container in a healthy environment and in the worst one.
fn each_container(runtime: Runtime, ways: &[Way]) {
    let mut report = Report::new(runtime);
    for (entry, edit) in containers().filter(|(name, _)| is_wanted(name)) {
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

/// A plain container in each environment: `lived` is its life, or its end.
fn each_environment(
    runtime: Runtime,
    entry: &str,
    lived: impl Fn(&Machine, Way, &Environment) -> Vec<Step>,
) {
    let mut report = Report::new(runtime);
    let both = ENVIRONMENTS.iter().filter(|environment| is_wanted(environment.name));
    let mut known: [Option<Vec<Step>>; 2] = [None, None];
    for environment in both {
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
    report.end();
}

fn starts(runtime: Runtime) {
    let (entry, edit): Entry = PLAIN;
    each_environment(runtime, entry, |m, way, environment| live(m, way, edit, Some(environment)));
}

fn ends(runtime: Runtime) {
    each_environment(runtime, "started before", end_in);
}

macro_rules! catalogue_of {
    ($name:ident, $runtime:expr) => {
        mod $name {
            use super::*;

            #[test]
            #[ignore = "minutes: make test-harmless"]
            fn each_container_in_its_place() {
                each_container($runtime, &WAYS);
            }

            #[test]
            #[ignore = "minutes: make test-harmless"]
            fn a_plain_container_lives_in_each_environment() {
                starts($runtime);
            }

            #[test]
            #[ignore = "minutes: make test-harmless"]
            fn containers_end_in_each_environment() {
                ends($runtime);
            }

            /// A difference here is a fault of the harness.
            #[test]
            #[ignore = "minutes, after a change of the harness: CONTRIBUTING.md"]
            fn the_runtime_agrees_with_itself() {
                each_container($runtime, &[Way::Direct]);
            }
        }
    };
}

catalogue_of!(runc, Runtime::Runc);
catalogue_of!(crun, Runtime::Crun);
