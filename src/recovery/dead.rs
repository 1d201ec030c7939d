//! What containers left behind that nobody ended: killed with their runtime, or gone with the last
//! boot. And what is left when even their records are gone.

use super::finding::Finding;
use crate::error::{Failures, Result};
use crate::host::Host;
use crate::lifecycle::apply::purge;
use crate::lifecycle::retire;
use crate::lifecycle::snapshot::Scene;
use crate::model::{BackendName, OwnerTag, Record};

/// All of it.
pub fn findings(host: &Host, scene: &Scene) -> Result<Vec<Finding>> {
    let mut findings: Vec<Finding> =
        scene.dead.iter().map(|record| Finding::Dead(record.into())).collect();
    for (backend, owners) in &scene.rules {
        let ownerless = owners.keys().filter(|owner| !is_named(scene, *backend, owner));
        findings.extend(
            ownerless.map(|owner| Finding::Ownerless { backend: *backend, owner: owner.clone() }),
        );
    }
    findings.extend(host.store.litter()?.into_iter().map(Finding::Litter));
    Ok(findings)
}

/// Whether rules with this tag are somebody's: of one who runs, in the backend that his record
/// names. What a dead one left anywhere goes with his record.
fn is_named(scene: &Scene, backend: BackendName, owner: &OwnerTag) -> bool {
    let living = |record: &Record| record.owner == *owner && record.backend == backend;
    scene.living.iter().any(living) || scene.dead.iter().any(|record| record.owner == *owner)
}

/// Removes what is nobody's. Under the lock under which it was found.
pub fn mend(host: &Host, scene: &Scene, finding: &Finding) -> Result<()> {
    match finding {
        Finding::Ownerless { backend, owner } => purge_from(host, scene, *backend, owner),
        Finding::Litter(_) => host.store.sweep(),
        _ => Ok(()),
    }
}

/// Removes all that is left of a container that is over. After a boot its backend may not remember
/// that it made rules; what was found of them goes by its tag.
pub fn bury(host: &Host, scene: &Scene, record: &Record) -> Result<()> {
    let mut failures = Failures::default();
    failures.note(retire(host, record));
    for (backend, owners) in &scene.rules {
        if owners.contains_key(&record.owner) {
            failures.note(purge_from(host, scene, *backend, &record.owner));
        }
    }
    failures.into_result()
}

fn purge_from(host: &Host, scene: &Scene, backend: BackendName, owner: &OwnerTag) -> Result<()> {
    let flows = scene.own_flows(backend, owner);
    host.at(backend, |site| purge(site, owner, &flows))
}
