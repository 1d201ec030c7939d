//! The life of one container under a runtime, command by command.

use crate::case::{Case, Company};
use crate::containers::Edit;
use crate::environments::Environment;
use crate::machine::{HANGS, Machine, Ran};
use crate::neighbours::Neighbours;
use crate::step::Step;
use crate::support::OCI_LINK;
use crate::way::Way;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

pub(crate) struct Life<'m> {
    pub(crate) machine: &'m Machine,
    pub(crate) way: Way,
    pub(crate) case: Case,
    pub(crate) steps: Vec<Step>,
}

/// All steps of the life of the container that `edit` makes of a plain one. It is lived in
/// `environment`, if one is named. The steps of a hanging command are the last ones.
pub(crate) fn live(
    machine: &Machine,
    way: Way,
    edit: Edit,
    environment: Option<&Environment>,
) -> Vec<Step> {
    let mut case = Case::plain();
    let container = case.build(machine, way, edit);
    let company = Neighbours::start(machine, way, case.company);
    if let Some(environment) = environment {
        machine.shell(environment.breaks, &[]);
        case.patience = environment.patience;
        case.has_firewall = environment.undone_at_once;
    }
    let mut life = Life { machine, way, case, steps: Vec::new() };
    let _ = life.whole();
    life.clear();
    let said = fs::read_to_string(container.bundle().join("said")).unwrap_or_default();
    life.steps.push(Step::new("what hooks of others wrote", "", &said, ""));
    company.end(&mut life);
    // crun 1.8 runs no poststop hook after a create that failed.
    let refused = life.steps.iter().any(|step| step.what == "create" && step.status != "0");
    if environment.is_some() || refused {
        life.repair();
    }
    life.steps.push(machine.left_behind(&container));
    life.steps
}

/// Why a life ends early: a command hangs.
pub(crate) struct Hangs;
type Lives = Result<(), Hangs>;

impl Life<'_> {
    fn whole(&mut self) -> Lives {
        self.foreground()?;
        self.stepwise()?;
        self.by_force()
    }

    /// `run`, as long as the program runs: its exit status is the runtime's.
    fn foreground(&mut self) -> Lives {
        let before = self.config();
        let ran = self.call(&self.case.creation(&["run"]), "");
        self.bundle_after("run", &ran, &before);
        self.keep(Step::of("run", &ran))?;
        self.clear();
        Ok(())
    }

    /// All commands that an engine has for one container.
    fn stepwise(&mut self) -> Lives {
        let words = self.case.creation(&["create"]);
        let created = self.call(&words, "stay\n");
        self.keep(Step::new("create", &created.status, "", &created.stderr()))?;
        self.state("state of a created container")?;
        let started = self.on("start", &[])?;
        if started.status == "0" {
            created.await_output("started\n");
        }
        self.steps.push(Step::new("the container's output", "", &created.stdout(), ""));
        if self.case.company == Company::Linked {
            self.no_rule_names_it();
        }
        self.while_it_runs()?;
        self.end()
    }

    /// The commands for a running container.
    pub(crate) fn while_it_runs(&mut self) -> Lives {
        self.state("state of a running container")?;
        self.on("exec", &["echo", "inside"])?;
        let ran = self.call(&["ps", &self.case.id], "");
        self.keep(Step::of_processes("ps", &ran))?;
        self.on("pause", &[])?;
        self.state("state of a paused container")?;
        self.on("resume", &[])?;
        let ran = self.call(&["update", "--pids-limit", "100", &self.case.id], "");
        self.keep(Step::of("update", &ran))
    }

    pub(crate) fn end(&mut self) -> Lives {
        self.on("kill", &["KILL"])?;
        self.await_death();
        self.state("state of a dead container")?;
        self.on("delete", &[])?;
        self.state("state of a deleted container")
    }

    /// `run --detach`.
    pub(crate) fn detached(&mut self) -> Lives {
        let before = self.config();
        let ran = self.call(&self.case.creation(&["run", "--detach"]), "stay\n");
        if ran.status == "0" {
            ran.await_output("started\n");
        }
        self.bundle_after("run --detach", &ran, &before);
        self.keep(Step::of("run --detach", &ran))
    }

    /// The bytes of config.json, and the names of all files in the bundle.
    fn config(&self) -> (Vec<u8>, Vec<OsString>) {
        let listed = fs::read_dir(&self.case.bundle).into_iter().flatten().flatten();
        let mut names: Vec<OsString> = listed.map(|entry| entry.file_name()).collect();
        // A hook of the case writes it.
        names.retain(|name| name != "said");
        names.sort();
        let config = Path::new(&self.case.bundle).join("config.json");
        (if config.is_file() { fs::read(config).unwrap_or_default() } else { Vec::new() }, names)
    }

    /// Whether a `run` whose container started left the bundle as it was.
    fn bundle_after(&mut self, command: &str, ran: &Ran, before: &(Vec<u8>, Vec<OsString>)) {
        if ran.stdout().contains("started\n") {
            let same = if self.config() == *before { "unchanged" } else { "changed" };
            self.steps.push(Step::new(&format!("the bundle after {command}"), "", same, ""));
        }
    }

    /// `run --detach` and `delete --force`.
    fn by_force(&mut self) -> Lives {
        self.detached()?;
        let ran = self.call(&["delete", "--force", &self.case.id], "");
        self.keep(Step::of("delete --force", &ran))
    }

    /// Commands for a container that the runtime does not know.
    pub(crate) fn unknown(&mut self) -> Lives {
        self.state("state")?;
        for command in ["start", "kill", "delete", "pause", "ps"] {
            self.on(command, &[])?;
        }
        self.on("exec", &["true"])?;
        let ran = self.call(&["delete", "--force", &self.case.id], "");
        self.keep(Step::of("delete --force", &ran))
    }

    fn state(&mut self, what: &str) -> Lives {
        let ran = self.call(&["state", &self.case.id], "");
        self.keep(Step::of_state(what, &ran))
    }

    /// `command ID words`.
    fn on(&mut self, command: &str, words: &[&str]) -> Result<Ran, Hangs> {
        let ran = self.call(&[&[command, &self.case.id], words].concat(), "");
        self.keep(Step::of(command, &ran))?;
        Ok(ran)
    }

    fn call(&self, words: &[impl AsRef<str>], input: &str) -> Ran {
        self.case.call((self.machine, self.way), words, input)
    }

    fn keep(&mut self, step: Step) -> Lives {
        let hangs = step.status.starts_with(HANGS);
        self.steps.push(step);
        if hangs { Err(Hangs) } else { Ok(()) }
    }

    /// Waits until the runtime itself says that the container is dead.
    fn await_death(&self) {
        for _ in 0..500 {
            let words = ["state", &self.case.id];
            let state = self.case.call((self.machine, Way::Direct), &words, "");
            if state.status != "0" || state.stdout().contains("\"stopped\"") {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn no_rule_names_it(&mut self) {
        let case = &self.case;
        let named = |rule: &String| case.addresses.iter().any(|address| rule.contains(address));
        // Without a firewall they stay until `sync`.
        let rules = if case.has_firewall { self.machine.links() } else { Vec::new() };
        let rules: Vec<String> = rules.into_iter().filter(named).collect();
        self.steps.push(Step::new("rules that name its address", "", &rules.join("\n"), ""));
    }

    /// Removes what a failed step left, by the runtime itself, so that the next one can begin.
    pub(crate) fn clear(&self) {
        let words = ["delete", "--force", &self.case.id];
        let _ = self.case.call((self.machine, Way::Direct), &words, "");
    }

    /// The environment becomes healthy, and oci-link may finish what it could not do before.
    pub(crate) fn repair(&mut self) {
        self.machine.shell("repair", &[]);
        if self.way != Way::Direct {
            self.machine.shell(&format!("{OCI_LINK} gc >/dev/null 2>&1 || true"), &[]);
        }
    }
}
