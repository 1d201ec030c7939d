//! Ends all links and removes all shared rules: afterwards the host is as it was before the first
//! link.

use super::{Finding, Repaired, gc};
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::apply::rollback;
use crate::model::BackendName;

/// Removes the links of all containers and everything that backends made. Fails if `watch` runs,
/// which would restore what is removed. Takes the host lock.
pub(crate) fn end_all(host: &Host) -> Result<Repaired> {
    let _watch = host.sole_watch()?;
    let mut repaired = gc(host)?;
    let host = &host.lock()?;
    for record in host.store.all()? {
        let done = host.effects(record.backend, |effects| rollback(effects, &record));
        repaired.note(vec![Finding::Linked((&record).into())], done);
    }
    for backend in BackendName::ALL {
        repaired.failures.note(host.effects(backend, |effects| effects.firewall.remove_all()));
    }
    Ok(repaired)
}
