//! What containers left behind that nobody ended: killed with their runtime, or gone with the last
//! boot. And what is left when even their records are gone.

use super::finding::Finding;
use crate::error::{Failures, Result};
use crate::host::Locked;
use crate::lifecycle::apply::remove_owner;
use crate::lifecycle::remove;
use crate::lifecycle::snapshot::HostSnapshot;
use crate::model::{BackendName, OwnerTag, Record};

/// All of it.
pub(crate) fn findings(host: &Locked<'_>, snapshot: &HostSnapshot) -> Result<Vec<Finding>> {
    let mut findings: Vec<Finding> =
        snapshot.dead.iter().map(|record| Finding::Dead(record.into())).collect();
    for (backend, owners) in &snapshot.rules {
        let ownerless = owners.keys().filter(|owner| !is_named(snapshot, *backend, owner));
        findings.extend(
            ownerless.map(|owner| Finding::Orphaned { backend: *backend, owner: owner.clone() }),
        );
    }
    findings.extend(host.store.leftovers(host.lock())?.into_iter().map(Finding::Leftover));
    Ok(findings)
}

/// Whether rules with this tag are somebody's: of one who runs, in the backend that his record
/// names. What a dead one left anywhere goes with his record.
fn is_named(snapshot: &HostSnapshot, backend: BackendName, owner: &OwnerTag) -> bool {
    let living = |record: &Record| record.owner == *owner && record.backend == backend;
    snapshot.living.iter().any(living) || snapshot.dead.iter().any(|record| record.owner == *owner)
}

/// Removes what is nobody's. Under the lock under which it was found.
pub(crate) fn repair(host: &Locked<'_>, snapshot: &HostSnapshot, finding: &Finding) -> Result<()> {
    match finding {
        Finding::Orphaned { backend, owner } => purge_from(host, snapshot, *backend, owner),
        Finding::Leftover(_) => host.store.remove_leftovers(host.lock()),
        _ => Ok(()),
    }
}

/// Removes all that is left of a container that is over. After a boot its backend may not remember
/// that it made rules; what was found of them goes by its tag.
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
