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
use std::time::{Duration, Instant};

/// How long a process may live on after the runtime reported its end.
const DYING: Duration = Duration::from_secs(1);
/// How long one of several processes is waited for before the next.
const TURN: Duration = Duration::from_millis(10);

/// Undoes everything of the container `id`. Idempotent; an unknown id is not an error. If the
/// recorded process lives, the hook means an earlier container of that id.
pub(crate) fn stop(host: &Host, id: &ContainerId, after: AfterHook) -> Result<()> {
    let host = &host.lock()?;
    let records = host.store.namesakes(id)?;
    if records.is_empty() {
        log::debug!("{id}: has no record: nothing to do");
        return Ok(());
    }
    let ended = ended(host, &records)?;
    if ended.is_empty() {
        log::warn!("{id}: still runs: poststop is about an earlier container with this id");
        return Ok(());
    }
    if after == AfterHook::Exit {
        let mut touched: Vec<Record> = Vec::new();
        for record in &ended {
            touched.extend(recipients_of(host.store.as_ref(), record)?);
        }
        confine(host, touched.iter().chain(ended.iter().copied()), None);
    }
    let mut failures = Failures::default();
    for record in ended {
        failures.note(remove(host, record));
    }
    failures.into_result()
}

/// The containers of `records` that have ended. All have one id, and the runtime has just reported
/// the end of one of them, so its process is waited for. Another one that runs is left alone.
fn ended<'a>(host: &Locked<'_>, records: &'a [Record]) -> Result<Vec<&'a Record>> {
    let deadline = Instant::now() + DYING;
    loop {
        let (mut ended, mut running) = (Vec::new(), Vec::new());
        for record in records {
            if is_running(record, host.boot)? { &mut running } else { &mut ended }.push(record);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if !ended.is_empty() || left.is_zero() {
            return Ok(ended);
        }
        // With several, each is looked at in turn.
        let turn = if running.len() == 1 { left } else { left.min(TURN) };
        for record in running {
            match Process::pin(record.instance.pid) {
                Ok(process) => _ = process.ended(u16::try_from(turn.as_millis()).unwrap_or(0)),
                Err(error) if is_running(record, host.boot)? => return Err(error),
                Err(_) => {}
            }
        }
    }
}

/// Removes the container `id` if its process is gone, although no hook reported it. Returns the
/// record of a running one.
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

/// Detaches the recipients of a dead container, then undoes its own links. If a rule of a recipient
/// may still name its address, its record stays, so that the removal is repeated.
pub(crate) fn remove(host: &Locked<'_>, record: &Record) -> Result<()> {
    part(host, record)?.into_result()?;
    rollback_current(host, record)
}

/// Removes a dead container from the rules and hosts files of its recipients. A hosts file that
/// cannot be changed is logged only, because its rules are gone.
pub(super) fn part(host: &Locked<'_>, record: &Record) -> Result<Failures> {
    let mut failures = Failures::default();
    let recipients = recipients_of(host.store.as_ref(), record)?;
    debug_log::recipients(&record.id, &recipients);
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

/// Undoes what the current record of a dead container names.
pub(super) fn rollback_current(host: &Locked<'_>, record: &Record) -> Result<()> {
    // Detaching recipients changes this record too if the container is linked in a circle.
    let Some(record) = host.store.get(&record.id)? else { return Ok(()) };
    host.effects(record.backend, |effects| rollback(effects, &record))
}
