//! What should be there and is not, and what is there and should not be.
//!
//! Records say what should be; processes, rules and hosts files say what is. [`audit`] compares them
//! and gives the differences as data; [`sync`] mends all of them, [`gc`] those that the dead left.
//! To look changes nothing and takes the lock, for containers start meanwhile. To mend takes it once
//! for what is nobody's in particular, then anew for each container: it looks again, and a host
//! with a thousand dead goes on starting others.

mod dead;
mod drift;
mod finding;
mod teardown;

use crate::error::{Failures, Result};
use crate::host::{Host, Locked};
use crate::lifecycle::snapshot::{self, HostSnapshot};
use crate::model::ContainerId;
pub(crate) use finding::Finding;
use std::thread::sleep;
use std::time::Duration;
pub(crate) use teardown::end_all;

/// Who asks again at once may be faster than the first of those who wait for the lock.
const TURN: Duration = Duration::from_millis(5);

/// What came of mending.
#[derive(Debug, Default)]
pub(crate) struct Repaired {
    /// What was wrong and is not any more.
    pub(crate) findings: Vec<Finding>,
    /// What could not be mended.
    pub(crate) failures: Failures,
}

/// Everything that is not as it should be.
pub(crate) fn audit(host: &Host) -> Result<Vec<Finding>> {
    let host = &host.lock()?;
    let snapshot = HostSnapshot::read(host)?;
    let mut findings = dead::findings(host, &snapshot)?;
    findings.extend(drift::findings(host, &snapshot)?);
    Ok(findings)
}

/// What containers left behind that nobody ended.
pub(crate) fn audit_dead(host: &Host) -> Result<Vec<Finding>> {
    let host = &host.lock()?;
    dead::findings(host, &HostSnapshot::read(host)?)
}

/// Removes what containers left behind that nobody ended.
pub(crate) fn gc(host: &Host) -> Result<Repaired> {
    repair(host, |host, snapshot| {
        // Who takes rules away may put the others in order, by what it remembers to isolate.
        if let Err(error) = host.isolate() {
            log::error!("isolation: left as it is: {error}");
        }
        dead::findings(host, snapshot)
    })
}

/// Makes true what the records say, and removes what the dead left behind.
pub(crate) fn sync(host: &Host) -> Result<Repaired> {
    repair(host, |host, snapshot| {
        let mut findings = dead::findings(host, snapshot)?;
        findings.extend(drift::findings(host, snapshot)?);
        Ok(findings)
    })
}

fn repair(
    host: &Host,
    find: impl FnOnce(&Locked<'_>, &HostSnapshot) -> Result<Vec<Finding>>,
) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    let locked = host.lock()?;
    let snapshot = HostSnapshot::read(&locked)?;
    let (containers, nobodys): (Vec<_>, Vec<_>) =
        find(&locked, &snapshot)?.into_iter().partition(|finding| finding.container().is_some());
    for finding in nobodys {
        let done = match &finding {
            Finding::Orphaned { .. } | Finding::Leftover(_) => {
                dead::repair(&locked, &snapshot, &finding)
            }
            _ => drift::repair(&locked, &finding),
        };
        repaired.note(vec![finding], done);
    }
    drop(locked);
    for findings in by_container(containers) {
        let Some(container) = findings.first().and_then(Finding::container) else { continue };
        sleep(TURN);
        let host = &host.lock()?;
        let done = match host.store.get(container)? {
            Some(record) if snapshot::lives(host, &record)? => {
                drift::restore(host, &snapshot, &record)
            }
            Some(record) => dead::remove_dead(host, &snapshot, &record),
            None => Ok(()),
        };
        repaired.note(findings, done);
    }
    Ok(repaired)
}

impl Repaired {
    /// Whether all was well.
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

/// All that is wrong with one container is mended at once. The dead come first, as they do among
/// the findings: who is linked to them has less to mend then.
fn by_container(findings: Vec<Finding>) -> Vec<Vec<Finding>> {
    let mut groups: Vec<(ContainerId, Vec<Finding>)> = Vec::new();
    for finding in findings {
        let Some(id) = finding.container().cloned() else { continue };
        match groups.iter_mut().find(|(known, _)| *known == id) {
            Some((_, group)) => group.push(finding),
            None => groups.push((id, vec![finding])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}
