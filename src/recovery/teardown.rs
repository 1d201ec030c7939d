//! Ends all links and removes all shared rules: afterwards the host is as it was before the first
//! link.

use super::{Finding, Repaired, remove_dead};
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::lifecycle::apply::rollback;
use crate::model::BackendName;

/// Removes the links of all containers and everything that backends made. Fails if `watch` runs,
/// which would restore what is removed, and if there is a record of a newer version, whose rules only
/// the newer program can remove. Takes the host lock.
pub(crate) fn end_all(host: &Host) -> Result<Repaired> {
    let _watch = host.sole_watch()?;
    if let Some(newer) = host.store.newer()?.first() {
        return Err(Error::new(Kind::State, format!("nothing was removed: {}", newer.reason)));
    }
    let mut repaired = remove_dead(host)?;
    let host = &host.lock()?;
    for record in host.store.all()? {
        let done = host.effects(record.backend, |effects| rollback(effects, &record));
        repaired.note(vec![Finding::Linked((&record).into())], done);
    }
    for backend in BackendName::ALL {
        match host.effects(backend, |effects| effects.firewall.remove_all()) {
            Ok(false) => {}
            done => repaired.note(vec![Finding::Shared(backend)], done.map(drop)),
        }
    }
    Ok(repaired)
}
