//! A container ends: its rules, its block in the hosts file and its record go, and the containers
//! that are linked to it lose its address.

use crate::error::{Cause, Error, Failures, Result};
use crate::host::{Host, Locked};
use crate::lifecycle::alive::is_running;
use crate::lifecycle::apply::rollback;
use crate::lifecycle::debug_log;
use crate::lifecycle::lookup::recipients_of;
use crate::lifecycle::privileges::{AfterHook, confine};
use crate::lifecycle::replan::{log_failure, replan};
use crate::model::{ContainerId, Record};
use crate::sys::net::netns::Process;

/// How long the end of a container's process may follow the word of its end, in milliseconds.
const DYING: u16 = 1000;

/// Ends what was done for the container `id`. Saying so twice, or of a container that nobody knew,
/// is fine. If its process lives, the word is about an earlier container of that id.
pub(crate) fn stop(host: &Host, id: &ContainerId, after: AfterHook) -> Result<()> {
    let host = &host.lock()?;
    let Some(record) = host.store.get(id)? else {
        log::debug!("{id}: has no record: nothing to do");
        return Ok(());
    };
    if is_running(&record, host.boot)? {
        let waited = Process::pin(record.instance.pid).map(|process| process.ended(DYING));
        if is_running(&record, host.boot)? {
            waited?;
            log::warn!("{id}: still runs: poststop is about an earlier container with this id");
            return Ok(());
        }
    }
    if after == AfterHook::Exit {
        confine(host, recipients_of(host.store.as_ref(), &record)?.iter().chain([&record]), None);
    }
    remove(host, &record)
}

/// The same where nobody has said it: looks whether its process lives. If it does, its record.
pub(crate) fn stop_if_dead(host: &Host, id: &ContainerId) -> Result<Option<Record>> {
    let host = &host.lock()?;
    let Some(record) = host.store.get(id)? else { return Ok(None) };
    if is_running(&record, host.boot)? {
        return Ok(Some(record));
    }
    log::info!(
        "{} ({}): ended without a poststop hook: its links are removed",
        record.name,
        id.short()
    );
    remove(host, &record).map(|()| None)
}

/// Everything of a container that is over goes: from its neighbours, then its own. Where a rule of a
/// neighbour's may still name its address, its record stays, so that somebody tries again.
pub(crate) fn remove(host: &Locked<'_>, record: &Record) -> Result<()> {
    part(host, record)?.into_result()?;
    rollback_current(host, record)
}

/// Takes a container that is over from its neighbours' rules and hosts files. The files come after
/// the rules, and their trouble is nobody else's.
pub(super) fn part(host: &Locked<'_>, record: &Record) -> Result<Failures> {
    let mut failures = Failures::default();
    let recipients = recipients_of(host.store.as_ref(), record)?;
    debug_log::neighbours(&record.id, &recipients);
    for recipient in recipients {
        match replan(host, &recipient) {
            Err(error) if !matches!(error.cause, Cause::HostsFile | Cause::RefusedFile) => {
                let message = format!("links of {}: {error}", recipient.id);
                failures.note(Err(Error::new(error.kind, message).because(error.cause)));
            }
            done => log_failure(&recipient, done),
        }
    }
    Ok(failures)
}

/// Takes back what was done for a container that is over.
pub(super) fn rollback_current(host: &Locked<'_>, record: &Record) -> Result<()> {
    // A container that was linked to itself in a circle has a new record by now.
    let Some(record) = host.store.get(&record.id)? else { return Ok(()) };
    host.effects(record.backend, |effects| rollback(effects, &record))
}
