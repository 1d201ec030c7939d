//! All links end, and what is nobody's in particular goes too: afterwards the host is as if this
//! program had never been on it.

use super::{Finding, Mended, gc};
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::apply::take_back;
use crate::model::BackendName;

/// Does it. Nobody may watch meanwhile: what is removed would be restored.
pub fn end_all(host: &Host) -> Result<Mended> {
    let _watch = host.sole_watch()?;
    let mut mended = gc(host)?;
    let _lock = host.store.lock()?;
    for record in host.store.all()? {
        let done = host.at(record.backend, |site| take_back(site, &record));
        mended.note(vec![Finding::Linked((&record).into())], done);
    }
    for backend in BackendName::ALL {
        mended.failures.note(host.at(backend, |site| site.firewall.dismantle()));
    }
    Ok(mended)
}
