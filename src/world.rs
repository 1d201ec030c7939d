//! What a plan looks at: other containers' records, and whether their processes live.

use crate::error::Result;
use crate::link::Sighting;
use crate::model::{ContainerId, Link, Record};
use crate::store::{Found, Store};
use crate::sys::process;

/// Whether the container of `record` runs now. A record outlives its container when nobody told
/// us of its end: then its process is gone, is a zombie, or is another one that started later, or
/// the host has booted since.
pub fn is_running(record: &Record, boot: u128) -> bool {
    let instance = &record.instance;
    instance.boot == boot && process::start_time(instance.pid) == Some(instance.started)
}

/// What there is under the name of each link of `recipient`; a container is no source of its own.
pub fn sightings(
    store: &dyn Store,
    boot: u128,
    recipient: Option<&ContainerId>,
    links: impl IntoIterator<Item = Link>,
) -> Result<Vec<Sighting>> {
    links
        .into_iter()
        .map(|link| {
            Ok(match store.find(&link.source)? {
                Found::One(record) if Some(&record.id) == recipient => Sighting::Missing,
                Found::One(record) if is_running(&record, boot) => Sighting::Running(record),
                Found::One(record) => Sighting::Stopped(record.name),
                Found::Several => Sighting::Ambiguous,
                Found::Nothing => Sighting::Missing,
            })
        })
        .collect()
}
