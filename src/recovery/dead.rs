//! Finds and removes what dead containers left behind, and rules without a record. A dead container
//! keeps its record if it was killed with its runtime, or if the host was rebooted.

use super::finding::Finding;
use crate::error::{Failures, Result};
use crate::host::Locked;
use crate::lifecycle::apply::remove_owner;
use crate::lifecycle::orphans::remove_all;
use crate::lifecycle::remove;
use crate::lifecycle::snapshot::HostSnapshot;
use crate::model::{BackendName, Origin, OwnerTag, Record};

/// Finds dead containers, orphaned rules and leftovers in the state directory. The caller holds the
/// host lock.
pub(crate) fn findings(host: &Locked<'_>, snapshot: &HostSnapshot) -> Result<Vec<Finding>> {
    let mut findings: Vec<Finding> =
        snapshot.dead.iter().map(|record| Finding::Dead(record.into())).collect();
    for (backend, owners) in &snapshot.rules {
        // Other tags are of another state directory, or of an earlier version and perhaps of another
        // state directory.
        let is_ours = |owner: &OwnerTag| {
            owner.origin(host.identity) == Origin::Own || snapshot.is_recorded(owner)
        };
        // Rules of dead containers are removed with their record.
        let ownerless = owners
            .keys()
            .filter(|owner| is_ours(owner) && !snapshot.is_accounted_for(*backend, owner));
        findings.extend(
            ownerless.map(|owner| Finding::Orphaned { backend: *backend, owner: owner.clone() }),
        );
    }
    findings.extend(host.store.leftovers(host.lock())?.into_iter().map(Finding::Leftover));
    Ok(findings)
}

/// Removes the rules of `orphaned`, and ends their connections together. Returns the outcome of each, in the
/// same order. Requires the host lock under which they were found.
pub(crate) fn remove_orphaned(
    host: &Locked<'_>,
    snapshot: &HostSnapshot,
    orphaned: &[Finding],
) -> Vec<Result<()>> {
    let owners = orphaned.iter().filter_map(|finding| match finding {
        Finding::Orphaned { backend, owner } => Some((*backend, owner)),
        _ => None,
    });
    remove_all(host, snapshot, &owners.collect::<Vec<_>>())
}

/// Removes everything that a dead container left behind. After a reboot its backend may not
/// remember rules that it made, so rules with its tag are removed too. Requires the host lock.
pub(crate) fn remove_dead(
    host: &Locked<'_>,
    snapshot: &HostSnapshot,
    record: &Record,
) -> Result<()> {
    let mut failures = Failures::default();
    failures.note(remove(host, record));
    for (backend, owners) in &snapshot.rules {
        if owners.contains_key(&record.owner) {
            failures.note(purge_from(host, snapshot, *backend, &record.owner));
        }
    }
    failures.into_result()
}

fn purge_from(
    host: &Locked<'_>,
    snapshot: &HostSnapshot,
    backend: BackendName,
    owner: &OwnerTag,
) -> Result<()> {
    let flows = snapshot.own_flows(backend, owner);
    host.effects(backend, |effects| remove_owner(effects, owner, &flows))
}
