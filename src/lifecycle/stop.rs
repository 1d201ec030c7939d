//! A container ends: its rules, its block in the hosts file and its record go, and the containers
//! that are linked to it lose its address.

use crate::error::{Error, Failures, Result};
use crate::firewall::Removal;
use crate::host::{Host, Locked};
use crate::lifecycle::alive::is_running;
use crate::lifecycle::apply::{remove_rules, rollback_rest};
use crate::lifecycle::lookup::recipients_of;
use crate::lifecycle::privileges::{AfterHook, confine};
use crate::lifecycle::together::{Changes, failures, replan_all};
use crate::lifecycle::{debug_log, guests, home, remote, routing};
use crate::model::{ContainerId, Record};
use crate::store::hosts_sharers;

/// Undoes everything of the container `id`. Idempotent; an unknown id is not an error.
///
/// Of several containers with this id, each one whose process has ended is removed. If all run, the
/// hook means an earlier container of that id.
pub(crate) fn stop_locked(host: &Locked<'_>, id: &ContainerId, after: AfterHook) -> Result<()> {
    let records = host.store.namesakes(id)?;
    if records.is_empty() {
        log::debug!("{}: has no record: nothing to do", id.brief());
        return Ok(());
    }
    // Before privileges are dropped: another network namespace may have to be entered.
    records.iter().try_for_each(|record| home::check_record(host, record))?;
    let (mut ended, mut failures) = (Vec::new(), Failures::default());
    let mut running = 0;
    for record in &records {
        match is_running(record, host.boot) {
            Ok(false) => ended.push(record),
            Ok(true) => running += 1,
            // Unknown is not dead.
            Err(error) => failures.note(Err(error)),
        }
    }
    if running == records.len() {
        log::warn!(
            "{}: still runs: poststop is about an earlier container with this id",
            id.brief()
        );
        return Ok(());
    }
    if after == AfterHook::Exit {
        let mut touched: Vec<Record> = Vec::new();
        for record in &ended {
            touched.extend(recipients_of(host.store.as_ref(), record)?);
            touched.extend(sharers(host, record));
        }
        routing::prepare(host, touched.iter());
        // A recipient may find a source on another host in its place.
        let crosses = host.config.cluster.is_some() && !touched.is_empty();
        confine(host, touched.iter().chain(ended.iter().copied()), None, crosses);
    }
    for record in ended {
        failures.note(remove(host, record));
    }
    failures.into_result()
}

/// Removes the container `id` if its process is gone, although no hook reported it. Returns the
/// record of a running one.
pub(crate) fn stop_if_dead(host: &Host, id: &ContainerId) -> Result<Option<Record>> {
    let host = &host.lock()?;
    let Some(record) = host.store.get(id)? else { return Ok(None) };
    home::check_record(host, &record)?;
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
    remove_with(host, record, Failures::into_result)
}

/// Removes a dead container as [`remove`] does. `judge` gets the failures of its recipients, and decides whether
/// its own links are undone and its record goes all the same. Such a record does not name their rules, but
/// theirs do.
///
/// A hosts file that cannot be changed is logged only, because its rules are gone. The connections of all
/// rules are ended together.
pub(super) fn remove_with(
    host: &Locked<'_>,
    record: &Record,
    judge: impl Fn(Failures) -> Result<()>,
) -> Result<()> {
    remote::withdraw(host, record);
    let guests = guests::end_all_of(host, record);
    let recipients = recipients_of(host.store.as_ref(), record)?;
    let sharers = sharers(host, record);
    debug_log::recipients(&record.id, &recipients);
    let mut changes = Changes::new(host, Removal::Soon);
    changes.replan_each(&recipients);
    let begun = judge(failures(changes.take_failed()));
    // Detaching recipients changes this record too if the container is linked in a circle.
    let own = if begun.is_ok() { host.store.get(&record.id) } else { Ok(None) };
    let ruled = match &own {
        Ok(Some(own)) => host.effects(own.backend, |effects| remove_rules(effects, own)),
        Ok(None) | Err(_) => Ok(()),
    };
    if let (Ok(Some(own)), Ok(())) = (&own, &ruled) {
        changes.ends(own);
    }
    let ended = changes.end_connections();
    let ruled = ruled.and_then(|()| ended.as_ref().copied().map_err(Error::again));
    let finished = judge(failures(changes.finish(ended)));
    begun.and(finished)?;
    let mut unfinished = Failures::default();
    unfinished.note(guests);
    judge(unfinished)?;
    if let Some(own) = own? {
        host.effects(own.backend, |effects| rollback_rest(effects, &own, ruled))?;
    }
    // The file may have lost their blocks, or needs a line that was in the one that is gone.
    if let Err(error) = replan_all(host, &sharers).into_result() {
        log::error!("{}: hosts file of its pod: {error}", record.id.brief());
    }
    Ok(())
}

/// The containers with a block in the hosts file of `record`. They have nothing to do with its own rules, so a
/// failure is logged.
fn sharers(host: &Locked<'_>, record: &Record) -> Vec<Record> {
    if record.hosts.is_none() {
        return Vec::new();
    }
    hosts_sharers(host.store.as_ref(), record).unwrap_or_else(|error| {
        log::error!("{}: hosts file of its pod; run oci-link sync: {error}", record.id.brief());
        Vec::new()
    })
}
