//! What on this host keeps links from working, and the fix for each problem.
//!
//! One file per theme. Each theme reads the host, and judges by functions that read nothing. It
//! returns a [`Check`] for everything it examined, with a problem or without. A theme without
//! anything to examine returns no check.
//!
//! Nothing is changed: no backend is chosen or set up, no directory created, no log opened. Records
//! are read only if the state directory is valid, because opening it repairs it.

mod between_hosts;
mod bind;
mod carried;
mod check;
mod cluster;
mod config;
mod config_edit;
mod containerd;
mod disputes;
mod docker;
mod docker_firewall;
mod docker_links;
mod engines;
mod firewall;
mod forward;
mod hooks;
mod host;
mod isolation;
mod links;
mod lost;
mod masquerade;
mod podman;
mod probe;
mod programs;
mod state;
mod users;

use crate::config::{Config, Overrides};
use crate::error::Result;
use crate::firewall::probe::{Table, tables};
use crate::firewall::{Choice, Firewall, SetupCache, select};
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::model::{BackendName, BridgeName, Family, Record};
use crate::recovery::{self, Finding, Report};
use crate::store::NewerRecord;
use crate::sys::private_dir::Directory;
use crate::sys::process;
pub(crate) use check::{Check, Verdict, worst};
use std::path::PathBuf;
use std::rc::Rc;

/// What `doctor` was asked to examine.
#[derive(Debug)]
pub(crate) struct Question {
    /// The global options.
    pub(crate) overrides: Overrides,
    /// The directory below which the files of engines are.
    pub(crate) root: PathBuf,
    /// The home directory of the user whose engines are meant; `None` for those of root.
    pub(crate) home: Option<PathBuf>,
    /// The program itself.
    pub(crate) program: PathBuf,
    /// Whether recipients connect to their sources.
    pub(crate) probe: bool,
}

/// What several themes examine.
struct HostContext {
    question: Question,
    config: Config,
    /// The path of config.toml.
    config_file: PathBuf,
    /// The state directory, if it exists and is valid.
    state: Option<Rc<Directory>>,
    /// The host, if there are records and they can be opened.
    host: Option<Host>,
    /// The records of running containers.
    running: Vec<Record>,
    /// The records of a newer version.
    newer: Vec<NewerRecord>,
    /// What `sync` and `gc` would find.
    findings: Result<Vec<Finding>>,
    /// The tables of iptables.
    tables: Vec<Table>,
    /// Whether `watch` is running.
    watched: bool,
}

/// All checks, in the order in which an administrator would fix the problems.
pub(crate) fn examine(question: Question) -> Vec<Check> {
    let has_rules = users::has_rules();
    let (config, config_file, mut checks) = config::examine(&question.overrides);
    let (state, state_checks) = state::examine(&config, &question.overrides);
    let (host, opened) = links::open(&config, state.as_deref());
    let Examined { running, newer, findings } = host.as_ref().map(Examined::of).unwrap_or_default();
    let context = HostContext {
        running,
        newer,
        findings,
        watched: state.as_deref().is_some_and(state::is_watched),
        tables: tables(),
        question,
        config,
        config_file,
        state,
        host,
    };
    checks.splice(0..0, host::examine(users::examine(has_rules), has_rules));
    checks.extend(state_checks);
    checks.extend(programs::examine(&context));
    if has_rules {
        checks.extend(firewall::examine(&context));
        checks.extend(forward::examine(&context));
        checks.extend(isolation::examine(&context));
        checks.extend(bind::examine(&context));
    }
    checks.extend(host::reloaders(&context));
    checks.extend(engines::examine(&context));
    checks.extend(docker::examine(&context));
    checks.extend(docker_links::examine(&context));
    checks.extend(docker_firewall::examine(&context));
    checks.extend(hooks::examine(&context));
    checks.push(state::watch(&context));
    checks.extend(cluster::examine(&context));
    checks.extend(match opened {
        Some(broken) => vec![broken],
        None => links::examine(&context),
    });
    checks.extend(disputes::examine(&context));
    checks.extend(probe::examine(&context));
    users::adapt(&mut checks);
    checks
}

impl HostContext {
    /// The command line of `oci-link` with these words, for the configuration that was examined.
    fn call(&self, words: &str) -> String {
        config_edit::call(&self.question.overrides, words)
    }

    /// A fix that sets a value in config.toml.
    fn set(&self, key: &str, value: &str) -> String {
        config_edit::set(&self.question.overrides, key, value)
    }

    /// A fix that removes a key from config.toml, if the file has it.
    fn unset(&self, key: &str) -> Option<String> {
        config_edit::unset(&self.question.overrides, &self.config_file, key)
    }

    /// The backend for containers that start now, if it is known.
    fn chosen(&self) -> Option<BackendName> {
        match self.config.firewall {
            Choice::Fixed(name) => Some(name),
            Choice::Auto => self.firewall()?.chosen(),
        }
    }

    /// The configured firewall, if its notes can be read.
    fn firewall(&self) -> Option<Box<dyn Firewall>> {
        let state = Rc::clone(self.state.as_ref()?);
        Some(select(self.config.firewall, SetupCache::new(state, process::boot_id().ok()?)))
    }

    /// The bridges whose isolation was set up.
    fn isolated(&self) -> Vec<BridgeName> {
        self.firewall().and_then(|firewall| firewall.walls().ok()).unwrap_or_default().bridges
    }

    /// Whether the isolation of config.toml was set up.
    fn is_isolated(&self) -> bool {
        self.isolated() == self.config.isolate
    }

    /// Whether nothing is set up yet, or no longer after `gc --all`. The first container that starts
    /// sets up what it needs.
    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.isolated().is_empty()
    }

    /// Whether running containers depend on rules of iptables in this family.
    fn depends_on_table(&self, family: Family) -> bool {
        let linked = |record: &Record| {
            let flows = &record.flows;
            record.backend.is_in_iptables()
                && flows.iter().any(|flow| Family::of(flow.from) == family)
        };
        let isolated = !self.config.isolate.is_empty()
            && !self.is_idle()
            && self.chosen().is_some_and(BackendName::is_in_iptables);
        isolated || self.running.iter().any(linked)
    }
}

/// What the records of a host say. Each record is read once.
struct Examined {
    running: Vec<Record>,
    newer: Vec<NewerRecord>,
    findings: Result<Vec<Finding>>,
}

impl Examined {
    fn of(host: &Host) -> Self {
        match recovery::report(host) {
            Ok(Report { findings, snapshot }) => {
                Self { running: snapshot.living, newer: snapshot.newer, findings: Ok(findings) }
            }
            // The records can be read even so.
            Err(error) => {
                let (mut running, newer) = host.store.everything().unwrap_or_default();
                running.retain(|record| is_running(record, host.boot).is_ok_and(|runs| runs));
                Self { running, newer, findings: Err(error) }
            }
        }
    }
}

impl Default for Examined {
    fn default() -> Self {
        Self { running: Vec::new(), newer: Vec::new(), findings: Ok(Vec::new()) }
    }
}
