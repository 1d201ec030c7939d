//! Links of running containers that wait for a source which Docker's files may know: one that runs without
//! oci-link, or that has another name now. No hook tells of either.

use crate::engine::{Seen, Wanted};
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::adopt::look;
use crate::model::Record;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The sources that links wait for, by the directory of Docker's files.
#[derive(Debug, Default)]
pub(crate) struct Awaited(BTreeMap<PathBuf, Sources>);

#[derive(Debug, Default)]
struct Sources {
    wanted: BTreeSet<Wanted>,
    seen: Seen,
}

impl Awaited {
    /// Reads from all records which links wait. What was looked at stays so, unless a link waits for another
    /// source than before.
    pub(crate) fn read(&mut self, host: &Host) -> Result<()> {
        let mut now: BTreeMap<PathBuf, BTreeSet<Wanted>> = BTreeMap::new();
        for record in host.store.all()? {
            let Some(files) = &record.engine_files else { continue };
            let waiting = record.links.iter().filter(|link_state| !link_state.is_connected());
            let wanted: BTreeSet<Wanted> = waiting.map(Wanted::by).collect();
            if !wanted.is_empty() {
                now.entry(files.clone()).or_default().extend(wanted);
            }
        }
        let mut before = std::mem::take(&mut self.0);
        for (files, wanted) in now {
            let known = before.remove(&files).filter(|known| known.wanted.is_superset(&wanted));
            let seen = known.map(|known| known.seen).unwrap_or_default();
            self.0.insert(files, Sources { wanted, seen });
        }
        Ok(())
    }

    /// Whether a link waits, as far as the records were read.
    pub(crate) fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Reads the files of Docker that have changed since the last look. Returns the records that are missing
    /// or have other names now, see [`look`]. Reads nothing if no link waits.
    pub(crate) fn look(&mut self, host: &Host) -> Vec<Record> {
        let mut found = Vec::new();
        for (files, sources) in &mut self.0 {
            let wanted: Vec<Wanted> = sources.wanted.iter().cloned().collect();
            found.extend(look(host, files, &wanted, Some(&mut sources.seen)));
        }
        found
    }
}

/// Returns the records that [`Awaited::look`] returns at a first look.
pub(crate) fn all(host: &Host) -> Result<Vec<Record>> {
    let mut awaited = Awaited::default();
    awaited.read(host)?;
    Ok(awaited.look(host))
}
