//! Works off the notes of containers whose start or end could not be recorded in time.

use crate::error::Result;
use crate::host::{Host, Locked};
use crate::lifecycle::alive::is_running;
use crate::lifecycle::home;
use crate::lifecycle::privileges::AfterHook;
use crate::lifecycle::replan::log_failure;
use crate::lifecycle::start::start_locked;
use crate::lifecycle::starting::StartingContainer;
use crate::lifecycle::stop::{remove, stop_locked};
use crate::model::ContainerId;
use crate::oci::state::State;
use crate::store::notes::{Event, Note, Notes};
use crate::sys::process::start_time;
use std::time::Duration;

/// How many notes a hook works off. The rest is left to the next holder of the lock.
pub(crate) const A_FEW: usize = 64;

/// How long [`record_notes`] waits for the host lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// Works off at most `most` notes. A failure is logged; the note is removed all the same, because
/// `sync` finds what is missing.
pub(crate) fn work_off(host: &Locked<'_>, most: usize) {
    work_off_others(host, most, None);
}

/// As [`work_off`], without the note that the container `own` has started: a start leaves one if there is more to do
/// than one holder of the lock may do.
pub(crate) fn work_off_others(host: &Locked<'_>, most: usize, own: Option<&ContainerId>) {
    let (mut names, adopted) = host.notes().all(most).unwrap_or_else(|error| {
        log::warn!("notes of containers that were not recorded: {error}");
        (Vec::new(), Vec::new())
    });
    let own = own.map(Notes::name_of_start);
    names.retain(|name| Some(name) != own.as_ref());
    if names.is_empty() && adopted.is_empty() {
        return;
    }
    if let Err(error) = home::check(host) {
        log::warn!("notes of containers are left: {error}");
        return;
    }
    for name in names {
        let note = host.notes().read(&name);
        // Removed first: the container may leave another one.
        if let Err(error) = host.notes().remove(&name) {
            log::warn!("{name}: {error}");
        }
        let done = note.and_then(|note| note.map_or(Ok(()), |note| work_off_one(host, &note)));
        if let Err(error) = done {
            log::warn!("{name}: not recorded: {error}");
        }
    }
    for name in &adopted {
        remove_ended(host, name);
    }
}

/// Removes the record of a source that runs without oci-link, once its process has ended.
fn remove_ended(host: &Locked<'_>, note: &str) {
    let read = host.notes().read(note).ok().flatten();
    let id = read.and_then(|note| note.id().ok());
    let record = id.and_then(|id| host.store.get(&id).ok().flatten());
    let Some(record) = record.filter(|record| record.by_engine) else {
        if let Err(error) = host.notes().remove(note) {
            log::warn!("{note}: {error}");
        }
        return;
    };
    if let Ok(false) = is_running(&record, host.boot) {
        log::info!("{} ({}): has ended: its links are removed", record.name, record.id.short());
        log_failure(&record, remove(host, &record));
    }
}

/// What a note says, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unrecorded {
    /// The short id of the container.
    pub(crate) id: String,
    /// `start` or `end`.
    pub(crate) event: &'static str,
}

/// Returns what the notes say that can be read.
pub(crate) fn unrecorded(host: &Locked<'_>) -> Result<Vec<Unrecorded>> {
    let notes = host.notes().names(usize::MAX)?.into_iter();
    let notes = notes.filter_map(|name| host.notes().read(&name).ok().flatten());
    Ok(notes
        .map(|note| Unrecorded {
            id: note.short_id(),
            event: if note.event == Event::Ended { "end" } else { "start" },
        })
        .collect())
}

/// Takes the host lock and works off notes. A lock that cannot be had soon is left.
pub(crate) fn record_notes(host: &Host) {
    match host.lock_within(PATIENCE) {
        Ok(locked) => work_off(&locked, usize::MAX),
        Err(error) => log::debug!("notes are left: {error}"),
    }
}

fn work_off_one(host: &Locked<'_>, note: &Note) -> Result<()> {
    if note.boot != host.boot {
        return Ok(());
    }
    let id = note.id()?;
    match &note.event {
        Event::Ended => stop_locked(host, &id, AfterHook::Continue),
        Event::Adopted => Ok(()),
        Event::Started { pid, started, bundle, .. } => {
            if start_time(*pid)? != Some(*started) {
                log::debug!("{}: ended before its start was recorded", id.brief());
                return Ok(());
            }
            let state = State {
                id,
                stopped: false,
                pid: Some(*pid),
                bundle: Some(bundle.clone()),
                annotations: None,
            };
            start_locked(host, StartingContainer::read(host, &state)?, AfterHook::Continue)
        }
    }
}
