//! All links end, and what is nobody's in particular goes too: afterwards the host is as if this
//! program had never been on it.

use super::{Finding, Repaired, gc};
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::apply::rollback;
use crate::model::BackendName;

/// Does it. Nobody may watch meanwhile: what is removed would be restored.
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
