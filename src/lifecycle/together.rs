//! Changes of several containers at one event, for example of all recipients of a source that ends.
//!
//! Their connections are ended together, because the kernel walks its whole table for each request. The steps
//! are:
//!
//! 1. each record is written as pending;
//! 2. the rules of all are changed, with iptables by one program;
//! 3. the connections of all rules that are gone are ended;
//! 4. each hosts file is written, and each record as ready.
//!
//! A process that is killed in between leaves pending records, which name the flows whose connections may go
//! on. The next change of such a container ends them.

use crate::error::{Cause, Error, Failures, Kind, Result};
use crate::firewall::Removal;
use crate::host::Locked;
use crate::lifecycle::apply::{
    Ended, change_rules, conclude, end_connections, write_hosts, write_pending,
};
use crate::lifecycle::planning::conflicts;
use crate::lifecycle::replan::{ATTEMPTS, log_failure, plan_again, replan};
use crate::link::Plan;
use crate::model::{BackendName, Record};
use crate::store::Commit;
use crate::sys::hosts::HostsFile;

/// The most containers that are changed together.
const MOST: usize = 4096;
/// The most flows of containers that are changed together, with those that end. Records of many flows
/// would take too much memory.
const MOST_FLOWS: usize = 1 << 18;
/// The most hosts files that stay open until the connections are ended. Others are opened again. A process may
/// have 1,024 files open where no other limit is set.
const MOST_OPEN: usize = 200;
/// The most bytes of hosts files that are kept in memory until then.
const MOST_BYTES: usize = 1 << 20;

/// The changes of one event. [`Changes::finish`] must be called.
#[must_use = "the changes have only begun"]
pub(crate) struct Changes<'l, 'h> {
    host: &'l Locked<'h>,
    removal: Removal,
    begun: Vec<Begun>,
    /// The record of a container that ends, whose rules are gone.
    ending: Option<Record>,
    failed: Vec<(Record, Error)>,
    flows: usize,
    open: usize,
    bytes: usize,
}

/// A container whose record is pending.
struct Begun {
    plan: Plan,
    /// The revision of its record.
    revision: u64,
    hosts: Hosts,
    /// Why its hosts file was refused.
    refused: Result<()>,
}

/// What happens to a hosts file in the last step.
enum Hosts {
    /// Nothing.
    Unchanged,
    /// The open file gets this content.
    Open(HostsFile, Vec<u8>),
    /// It is opened and read again.
    Later,
}

impl<'l, 'h> Changes<'l, 'h> {
    /// No changes yet. `removal` says when the rules that go must have stopped to permit packets.
    pub(crate) fn new(host: &'l Locked<'h>, removal: Removal) -> Self {
        let (begun, failed) = (Vec::new(), Vec::new());
        Self { host, removal, begun, ending: None, failed, flows: 0, open: 0, bytes: 0 }
    }

    /// Plans the links of recipients again, and begins to apply what changed.
    pub(crate) fn replan_each(&mut self, recipients: &[Record]) {
        for recipient in recipients {
            if let Err(error) = self.try_replan(recipient) {
                self.failed.push((recipient.clone(), error));
            }
            if self.begun.len() >= MOST || self.flows >= MOST_FLOWS {
                self.change_rules();
                let ended = self.end_connections();
                self.conclude(ended);
            }
        }
        self.change_rules();
    }

    /// Changes the rules of all that have begun. One whose rules could not be changed has failed.
    fn change_rules(&mut self) {
        let mut outcomes: Vec<Result<()>> = self.begun.iter().map(|_| Ok(())).collect();
        for backend in [BackendName::None].into_iter().chain(BackendName::ALL) {
            let all = self.begun.iter().enumerate();
            let (at, plans): (Vec<usize>, Vec<&Plan>) = all
                .filter(|(_, begun)| begun.plan.record.backend == backend)
                .map(|(at, begun)| (at, &begun.plan))
                .unzip();
            if plans.is_empty() {
                continue;
            }
            let done = self
                .host
                .effects(backend, |effects| Ok(change_rules(effects, &plans, self.removal)));
            let done = done.unwrap_or_else(|error| at.iter().map(|_| Err(error.again())).collect());
            for (at, outcome) in at.into_iter().zip(done) {
                outcomes[at] = outcome;
            }
        }
        for (begun, outcome) in std::mem::take(&mut self.begun).into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => self.begun.push(begun),
                Err(error) => self.failed.push((begun.plan.record, error)),
            }
        }
    }

    fn try_replan(&mut self, recipient: &Record) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let Some(me) = self.host.store.get(&recipient.id)? else { return Ok(()) };
            let (plan, file, refused) = plan_again(self.host, &me)?;
            if plan.is_done(&me) {
                return refused;
            }
            let pending = self.host.effects(me.backend, |effects| write_pending(effects, &plan))?;
            if let Some(revision) = pending {
                self.note(plan, revision, (file, refused));
                return Ok(());
            }
        }
        Err(conflicts(&recipient.id))
    }

    fn note(
        &mut self,
        mut plan: Plan,
        revision: u64,
        (file, refused): (Option<HostsFile>, Result<()>),
    ) {
        self.flows += plan.before.flows.len() + plan.record.flows.len();
        let hosts = match (file, plan.hosts_content.take()) {
            (Some(file), Some(content)) => {
                let bytes = content.len() + file.content().map_or(0, <[u8]>::len);
                if self.open < MOST_OPEN && self.bytes + bytes <= MOST_BYTES {
                    (self.open, self.bytes) = (self.open + 1, self.bytes + bytes);
                    Hosts::Open(file, content)
                } else {
                    Hosts::Later
                }
            }
            _ => Hosts::Unchanged,
        };
        self.begun.push(Begun { plan, revision, hosts, refused });
    }

    /// Adds the container that ends. Its rules must be gone; its connections are ended with the others.
    pub(crate) fn ends(&mut self, record: &Record) {
        self.ending = Some(record.clone());
    }

    /// Ends the connections of all rules that are gone.
    pub(crate) fn end_connections(&mut self) -> Result<()> {
        let ending = self.ending.take();
        let plans = self.begun.iter().map(|begun| Ended::of_plan(&begun.plan));
        let all: Vec<Ended<'_>> = plans.chain(ending.iter().map(Ended::all_of)).collect();
        let backend = all.iter().find_map(Ended::backend);
        let end = |backend| self.host.effects(backend, |effects| end_connections(effects, &all));
        backend.map_or(Ok(()), end)
    }

    /// Writes hosts files and records, and returns the failures of all steps, each with its container.
    ///
    /// `ended` is the outcome of [`Changes::end_connections`]. If it failed, the records stay pending, and
    /// name the flows.
    pub(crate) fn finish(mut self, ended: Result<()>) -> Vec<(Record, Error)> {
        self.conclude(ended);
        self.failed
    }

    fn conclude(&mut self, ended: Result<()>) {
        let begun = std::mem::take(&mut self.begun);
        (self.flows, self.open, self.bytes) = (0, 0, 0);
        if let Err(error) = ended {
            self.failed.extend(begun.into_iter().map(|it| (it.plan.record, error.again())));
            return;
        }
        for it in begun {
            if let Err(error) = conclude_one(self.host, &it.plan, it.revision, it.hosts) {
                self.failed.push((it.plan.record, error));
            } else if let Err(error) = it.refused {
                self.failed.push((it.plan.record, error));
            }
        }
    }

    /// Takes the failures so far, each with its container.
    pub(crate) fn take_failed(&mut self) -> Vec<(Record, Error)> {
        std::mem::take(&mut self.failed)
    }
}

fn conclude_one(host: &Locked<'_>, plan: &Plan, revision: u64, hosts: Hosts) -> Result<()> {
    match hosts {
        Hosts::Unchanged => {}
        Hosts::Open(mut file, content) => write_hosts(&mut file, plan, Some(&content))?,
        Hosts::Later => {
            let place = plan.record.hosts.as_ref().map(|edit| &edit.place);
            let again = |place| HostsFile::again(place, &host.config.state_dir);
            let file = place.map(again).transpose().map_err(Error::in_hosts_file)?.flatten();
            if let Some(mut file) = file {
                write_hosts(&mut file, plan, None)?;
            }
        }
    }
    let record = &plan.record;
    match host.effects(record.backend, |effects| conclude(effects, record, revision))? {
        Commit::Done(_) => Ok(()),
        Commit::Conflict => replan(host, record),
    }
}

fn is_about_hosts(error: &Error) -> bool {
    matches!(error.cause, Cause::HostsFile | Cause::RefusedFile)
}

/// Plans the links of `recipients` again, and ends their connections together. A hosts file that cannot be
/// changed is logged only, because the rules are changed first.
pub(crate) fn replan_all(host: &Locked<'_>, recipients: &[Record]) -> Failures {
    let mut changes = Changes::new(host, Removal::AtOnce);
    changes.replan_each(recipients);
    let ended = changes.end_connections();
    failures(changes.finish(ended))
}

/// How many containers a message names.
const NAMED: usize = 8;

/// Returns the failures that keep a rule or a connection. A hosts file that cannot be changed is logged only,
/// because the rules are changed first.
pub(crate) fn failures(failed: Vec<(Record, Error)>) -> Failures {
    let (hosts, others): (Vec<_>, Vec<_>) =
        failed.into_iter().partition(|(_, error)| is_about_hosts(error));
    for (recipient, error) in hosts {
        log_failure(&recipient, Err(error));
    }
    let mut failures = Failures::default();
    let more = others.len().saturating_sub(NAMED);
    for (recipient, error) in others.into_iter().take(NAMED) {
        let message = format!("links of {}: {error}", recipient.id);
        failures.note(Err(Error::new(error.kind, message).because(error.cause)));
    }
    if more > 0 {
        failures.note(Err(Error::new(Kind::Internal, format!("and {more} more"))));
    }
    failures
}
