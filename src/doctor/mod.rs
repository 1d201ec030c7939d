//! What on this host would keep links from working, and the mend for each.
//!
//! One file per theme; each looks, and judges what it saw by functions that look at nothing. A theme
//! gives a [`Check`] for everything it looked at, well or not. Whatever is broken is somebody's
//! check: only where there is nothing to look at does a theme stay silent.
//!
//! Nothing is changed. No backend is chosen or set up, no directory made, no log opened; the records
//! are read only where the state directory is as it should be, because to open one mends it.

mod check;
mod config;
mod containerd;
mod engines;
mod firewall;
mod hooks;
mod host;
mod isolation;
mod links;
mod programs;
mod state;

use crate::config::{Config, Overrides};
use crate::firewall::probe::{Table, tables};
use crate::firewall::{Choice, Firewall, SetupCache, select};
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::model::{BackendName, Record};
use crate::sys::private_dir::Directory;
use crate::sys::process;
pub(crate) use check::{Check, Verdict, worst};
use std::path::PathBuf;
use std::rc::Rc;

/// Who asks, and about what.
#[derive(Debug)]
pub(crate) struct Question {
    /// The global options.
    pub(crate) overrides: Overrides,
    /// What stands before every path of an engine's files.
    pub(crate) root: PathBuf,
    /// The program itself.
    pub(crate) program: PathBuf,
}

/// What several themes look at.
struct HostContext {
    question: Question,
    config: Config,
    /// Where that is read from.
    config_file: PathBuf,
    /// The state directory, if it is there and as it should be.
    state: Option<Rc<Directory>>,
    /// The records, if there are any and they may be opened.
    host: Option<Host>,
    /// Those of containers that run.
    running: Vec<Record>,
    /// The tables that iptables has.
    tables: Vec<Table>,
    /// Whether `watch` runs.
    watched: bool,
}

/// All checks, in the order in which an administrator would mend what they find.
pub(crate) fn examine(question: Question) -> Vec<Check> {
    let (config, config_file, mut checks) = config::examine(&question.overrides);
    let (state, state_checks) = state::examine(&config, &config_file);
    let (host, opened) = links::open(&config, state.as_deref());
    let context = HostContext {
        running: links::running(host.as_ref()),
        watched: state.as_deref().is_some_and(state::is_watched),
        tables: tables(),
        question,
        config,
        config_file,
        state,
        host,
    };
    checks.splice(0..0, host::examine());
    checks.extend(state_checks);
    checks.extend(programs::examine(&context));
    checks.extend(firewall::examine(&context));
    checks.extend(isolation::examine(&context));
    checks.extend(host::reloaders(&context));
    checks.extend(engines::examine(&context));
    checks.extend(hooks::examine(&context));
    checks.push(state::watch(&context));
    checks.extend(match opened {
        Some(broken) => vec![broken],
        None => links::examine(&context),
    });
    checks
}

impl HostContext {
    /// `oci-link` with these words, as it has to be called to act on what was looked at.
    fn call(&self, words: &str) -> String {
        let given = &self.question.overrides;
        let options = [("--config", &given.config), ("--state-dir", &given.state_dir)];
        let mut call = "oci-link ".to_owned();
        for (name, path) in options {
            if let Some(path) = path {
                call.extend([name, " ", &check::word(path), " "]);
            }
        }
        call + words
    }

    /// Where a line has to go that mends by config.toml.
    fn config_line(&self, line: &str) -> String {
        format!("in {}: {line}", check::word(&self.config_file))
    }

    /// The backend that keeps the rules of containers that start now, if that is known.
    fn chosen(&self) -> Option<BackendName> {
        match self.config.firewall {
            Choice::Fixed(name) => Some(name),
            Choice::Auto => self.firewall()?.chosen(),
        }
    }

    /// The firewall as the configuration names it, if it can be asked what it remembers.
    fn firewall(&self) -> Option<Box<dyn Firewall>> {
        let state = Rc::clone(self.state.as_ref()?);
        Some(select(self.config.firewall, SetupCache::new(state, process::boot_id().ok()?)))
    }

    /// Whether containers that run now have links in rules of iptables.
    fn depends_on_tables(&self) -> bool {
        let isolated = !self.config.isolate.is_empty();
        let base = |backend| matches!(backend, BackendName::Iptables | BackendName::Ipset);
        let linked = |record: &Record| base(record.backend) && !record.flows.is_empty();
        isolated && self.chosen().is_some_and(base) || self.running.iter().any(linked)
    }
}

/// Those of `records` whose containers run.
fn alive(host: &Host) -> Vec<Record> {
    let mut records = host.store.all().unwrap_or_default();
    records.retain(|record| is_running(record, host.boot).is_ok_and(|runs| runs));
    records
}
