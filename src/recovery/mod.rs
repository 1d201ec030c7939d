//! Finds and repairs differences between the records and the host.
//!
//! Records describe what should exist; processes, rules and hosts files show what does. [`audit`]
//! compares them and returns the differences. [`sync`] repairs all of them, [`gc`] removes what
//! dead containers left behind.
//!
//! An audit changes nothing, but takes the host lock, because containers start meanwhile. A repair
//! takes the lock once for everything that is not about a single container, then again for each
//! container. Each container's record and process are read again under the lock. Other containers
//! can start in between, also on a host with a thousand dead ones.

mod dead;
mod drift;
mod finding;
pub(crate) mod journal;
pub(crate) mod links;
mod obstacles;
pub(crate) mod offers;
pub(crate) mod peers;
mod teardown;

use crate::error::{Failures, Result};
use crate::host::{Host, Locked};
use crate::lifecycle::adopt::record_all;
use crate::lifecycle::alive::remember;
use crate::lifecycle::awaited;
use crate::lifecycle::notes::{A_FEW, unrecorded, work_off};
use crate::lifecycle::snapshot::{self, HostSnapshot};
use crate::model::BackendName;
pub(crate) use finding::Finding;
pub(crate) use obstacles::{obstacles, packets};
use std::collections::HashMap;
use std::thread::sleep;
use std::time::Duration;
pub(crate) use teardown::end_all;

/// Pause between two containers. Without it this process would take the lock again before the
/// processes that wait for it.
const TURN: Duration = Duration::from_millis(5);

/// The result of a repair.
#[derive(Debug, Default)]
pub(crate) struct Repaired {
    /// What was repaired.
    pub(crate) findings: Vec<Finding>,
    /// What could not be repaired.
    pub(crate) failures: Failures,
}

/// What an audit found, and the records and rules that it examined.
pub(crate) struct Report {
    /// The differences.
    pub(crate) findings: Vec<Finding>,
    /// What was examined.
    pub(crate) snapshot: HostSnapshot,
}

/// Returns all differences between the records and the host. Takes the host lock.
pub(crate) fn audit(host: &Host) -> Result<Vec<Finding>> {
    Ok(look(&host.lock()?, all_findings)?.findings)
}

/// As [`audit`], for a command: each record is read once, and all are kept in memory meanwhile.
pub(crate) fn report(host: &Host) -> Result<Report> {
    look_once(host, all_findings)
}

/// Reports what [`sync`] would repair: also the sources in Docker's files that links wait for. Takes the host
/// lock.
pub(crate) fn report_with_sources(host: &Host) -> Result<Report> {
    let mut report = report(host)?;
    if are_files(&report.snapshot) {
        let sources = awaited::all(host)?;
        report.findings.extend(sources.iter().map(|source| Finding::Source(source.into())));
    }
    Ok(report)
}

/// Whether the engine of a living container has files about others.
fn are_files(snapshot: &HostSnapshot) -> bool {
    snapshot.living.iter().any(|record| record.engine_files.is_some())
}

/// Reports what dead containers left behind. Takes the host lock.
pub(crate) fn report_dead(host: &Host) -> Result<Report> {
    look_once(host, dead::findings)
}

fn look_once(host: &Host, find: Find) -> Result<Report> {
    let host = host.lock()?;
    host.store.keep_all(host.lock());
    let _once = remember();
    look(&host, find)
}

/// Finds a kind of differences. The caller holds the host lock.
type Find = fn(&Locked<'_>, &HostSnapshot) -> Result<Vec<Finding>>;

fn look(host: &Locked<'_>, find: Find) -> Result<Report> {
    let snapshot = HostSnapshot::read(host)?;
    let mut findings = find(host, &snapshot)?;
    findings.extend(unrecorded(host)?.into_iter().map(Finding::Unrecorded));
    Ok(Report { findings, snapshot })
}

fn all_findings(host: &Locked<'_>, snapshot: &HostSnapshot) -> Result<Vec<Finding>> {
    let mut findings = dead::findings(host, snapshot)?;
    findings.extend(drift::findings(host, snapshot)?);
    Ok(findings)
}

/// Removes what dead containers left behind. Takes the host lock.
pub(crate) fn gc(host: &Host) -> Result<Repaired> {
    repair(host, |host, snapshot| {
        // Removing rules may rewrite a backend's shared rules with the isolation that it remembers.
        // The isolation of config.toml is therefore set first.
        if let Err(error) = host.isolate() {
            log::error!("isolation: left unchanged: {error}");
        }
        dead::findings(host, snapshot)
    })
}

/// Removes what dead containers left behind, and leaves isolation alone. Takes the host lock.
fn remove_dead(host: &Host) -> Result<Repaired> {
    repair(host, dead::findings)
}

/// Repairs all differences between the records and the host, and removes what dead containers left
/// behind. Takes the host lock.
///
/// Also records the sources in Docker's files that links wait for.
pub(crate) fn sync(host: &Host) -> Result<Repaired> {
    let mut with_files = false;
    let mut repaired = repair(host, |host, snapshot| {
        with_files = are_files(snapshot);
        all_findings(host, snapshot)
    })?;
    // A source may have ended and run again: the repair has just removed its record.
    if with_files {
        let sources = awaited::all(host)?;
        if record_all(host, &sources) {
            let found = sources.iter().map(|source| Finding::Source(source.into()));
            let found: Vec<Finding> = found.collect();
            journal::note(host, &found);
            repaired.findings.extend(found);
        }
    }
    Ok(repaired)
}

fn repair(
    host: &Host,
    find: impl FnOnce(&Locked<'_>, &HostSnapshot) -> Result<Vec<Finding>>,
) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    let locked = host.lock()?;
    let notes = unrecorded(&locked)?.into_iter().map(Finding::Unrecorded).collect();
    work_off(&locked, usize::MAX);
    repaired.note(notes, Ok(()));
    let snapshot = HostSnapshot::read(&locked)?;
    let (containers, nobodys): (Vec<_>, Vec<_>) =
        find(&locked, &snapshot)?.into_iter().partition(|finding| finding.container().is_some());
    let (orphaned, nobodys): (Vec<_>, Vec<_>) =
        nobodys.into_iter().partition(|finding| matches!(finding, Finding::Orphaned { .. }));
    let done = dead::remove_orphaned(&locked, &snapshot, &orphaned);
    for (finding, done) in orphaned.into_iter().zip(done) {
        repaired.note(vec![finding], done);
    }
    for finding in nobodys {
        let done = match &finding {
            Finding::Ports(owner) => dead::remove_ports(&locked, &snapshot, owner),
            Finding::Leftover(_) => locked.store.remove_leftovers(locked.lock()),
            _ => drift::repair(&locked, &snapshot, &finding),
        };
        repaired.note(vec![finding], done);
    }
    // A start that waited meanwhile has left a note, and its links would wait for another event.
    work_off(&locked, A_FEW);
    drop(locked);
    for findings in by_container(containers) {
        let Some(container) = findings.first().and_then(Finding::container) else { continue };
        sleep(TURN);
        let host = &host.lock()?;
        let done = match host.store.get(container)? {
            Some(record) if snapshot::lives(host, &record)? => {
                drift::repair_container(host, &snapshot, &record, &findings)
            }
            Some(record) => dead::remove_dead(host, &snapshot, &record),
            None => Ok(()),
        };
        work_off(host, A_FEW);
        repaired.note(findings, done);
    }
    journal::note(host, &repaired.findings);
    Ok(repaired)
}

impl Repaired {
    /// Whether nothing was found and nothing failed.
    pub(crate) fn is_nothing(&self) -> bool {
        self.findings.is_empty() && self.failures.is_empty()
    }

    fn note(&mut self, findings: Vec<Finding>, done: Result<()>) {
        match done {
            Ok(()) => self.findings.extend(findings),
            failed => self.failures.note(failed),
        }
    }
}

/// Says of each empty chain of an ended container why it cannot be deleted: a rule of another program leads to it.
pub(crate) fn held_chains(host: &Host) -> Vec<String> {
    let held = host.backend(BackendName::Iptables, |firewall| firewall.held_chains());
    held.unwrap_or_else(|error| {
        log::debug!("chains of ended containers: {error}");
        Vec::new()
    })
}

/// Groups findings by container, because one repair handles all of a container. The order stays:
/// dead containers come first, so that containers linked to them need fewer repairs.
fn by_container(findings: Vec<Finding>) -> Vec<Vec<Finding>> {
    let (mut groups, mut places) = (Vec::<Vec<Finding>>::new(), HashMap::new());
    for finding in findings {
        let Some(id) = finding.container().cloned() else { continue };
        let at = *places.entry(id).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

#[cfg(test)]
mod tests;
