//! A container starts: its record is published, its links are made, and the containers that are
//! linked to it are planned again.

mod previous;

use crate::error::{Error, Failures, Kind, Result};
use crate::firewall::Removal;
use crate::host::Locked;
use crate::lifecycle::absent::Absences;
use crate::lifecycle::addresses::{Look, MAX_READ, follow, follow_sources};
use crate::lifecycle::alive::{is_running, remember};
use crate::lifecycle::apply::{carry_out, rollback};
use crate::lifecycle::limited::report_waiting;
use crate::lifecycle::lookup::{Requester, recipients_of};
use crate::lifecycle::planning::{conflicts, first_plan};
use crate::lifecycle::privileges::{AfterHook, confine};
use crate::lifecycle::replan::{ATTEMPTS, log_failure};
use crate::lifecycle::starting::StartingContainer;
use crate::lifecycle::stop::remove;
use crate::lifecycle::together::Changes;
use crate::lifecycle::{debug_log, displaced, home, isolating, orphans, routing};
use crate::link::OnMissing;
use crate::model::{ContainerId, HostsEdit, HostsPlace, MAX_LINKS, Missing, Phase, Record};
use crate::store::notes::Note;
use crate::store::{Change, Commit, hosts_sharers};
use crate::sys::hosts::HostsFile;
use previous::{Previous, replace_previous};
use std::path::PathBuf;

/// Publishes a container and makes its links. Requires that awaited sources are running.
///
/// On failure nothing of a first stage is left. A later stage that fails leaves the links that stand.
pub(crate) fn start_locked(
    host: &Locked<'_>,
    container: StartingContainer,
    after: AfterHook,
) -> Result<()> {
    let StartingContainer {
        mut record,
        process,
        mut hosts,
        ipv6_loopback,
        missing,
        listing,
        absences,
        ..
    } = container;
    let files = listing.of_docker().map(PathBuf::as_path);
    let _remembered = remember();
    home::check(host)?;
    match isolate_bridges(host, &record) {
        // The container starts all the same, so it is recorded.
        Err(error) if !record.needs_us() => {
            log::error!("isolation: left unchanged: {error}");
        }
        isolated => isolated?,
    }
    // Without links and isolation there are no rules, so no backend is chosen or set up.
    if !record.links.is_empty() || record.isolation.is_some() {
        record.backend = host.firewall.name();
    }
    debug_log::backend(&record, &host.config.firewall);
    let crosses = follow_own_sources(host, &record)?;
    let Previous { record, cleared, neighbours, are_more } = replace_previous(host, record, files)?;
    let note = are_more.then(|| Note::started(&record));
    orphans::purge_from(host, &record)?;
    isolating::prepare(host, &record)?;
    // The file was opened before the lock. Removed containers may have had lines in it.
    if let Some(hosts) = hosts.as_mut().filter(|_| cleared || absences.waited) {
        hosts.look_again()?;
    }
    if let (None, Some(edit)) = (&hosts, &record.hosts) {
        // `connect` linked it after an earlier stage.
        hosts = HostsFile::again(&edit.place, &host.config.state_dir)?;
    }
    let absent = on_missing(&record, missing);
    let (id, is_later_stage) = (record.id.clone(), record.phase == Phase::Ready);
    let recipients = living_recipients(host, &record);
    if !is_later_stage {
        follow_all(host, &recipients);
    }
    let sharers = sharers(host, &record);
    if after == AfterHook::Exit {
        let place = hosts.as_ref().map(HostsFile::place);
        let is_linked = !record.links.is_empty() || !recipients.is_empty();
        routing::prepare(host, recipients.iter().chain([&record]).filter(|_| is_linked));
        let records = recipients.iter().chain(&neighbours).chain(&sharers).chain([&record]);
        confine(host, records, place, crosses);
    }
    let how = (ipv6_loopback, absent, &absences);
    let place = hosts.as_ref().map(|file| file.place().clone());
    let displacing = host.config.cluster.as_ref().map(|_| record.clone());
    // What is recorded if the links of its engine cannot be made.
    let plain =
        (!record.needs_us() && !record.links.is_empty()).then(|| without_links(&record, place));
    let started = publish(host, record, hosts, how).and_then(|()| {
        if process.ended(0) {
            return Err(Error::new(Kind::Namespace, format!("{id}: ended while it was started")));
        }
        Ok(())
    });
    let undone = match (started, plain) {
        (Err(error), Some(plain)) if !is_later_stage => publish_without(host, &plain, error),
        (Err(error), None) if !is_later_stage => undo(host, &id, absences.explain(error)),
        (started, _) => {
            debug_log::recipients(&id, &recipients);
            started
        }
    };
    if let Some(Err(error)) = displacing.map(|record| displaced::displace(host, &record)) {
        log::error!(
            "{}: links of other hosts name its address; run oci-link sync: {error}",
            id.brief()
        );
    }
    // An earlier stage may have linked recipients to a container that does not start.
    replan_recipients(host, &recipients);
    replan_recipients(host, &neighbours);
    replan_recipients(host, &sharers);
    if let Some(Err(error)) = note.map(|note| host.notes().leave(&note)) {
        log::error!("{}: no note for sync: {error}", id.brief());
    }
    undone
}

/// The containers whose blocks in a hosts file must be written again: the kubelet rewrites the file of a pod
/// whenever it creates a container there.
fn sharers(host: &Locked<'_>, record: &Record) -> Vec<Record> {
    hosts_sharers(host.store.as_ref(), record).unwrap_or_else(|error| {
        let id = &record.id;
        log::error!(
            "{}: the hosts file of its pod is not repaired; run oci-link sync: {error}",
            id.brief()
        );
        Vec::new()
    })
}

/// Isolates the bridges that config.toml names, before a container starts. One with links also restores what another
/// program removed of that; for one that asks for isolation all is compared later. Links that only the engine declares
/// delay no start.
fn isolate_bridges(host: &Locked<'_>, record: &Record) -> Result<()> {
    host.isolate()?;
    let holds = record.needs_links() && record.isolation.is_none();
    if holds { host.hold_isolation() } else { Ok(()) }
}

/// Follows the addresses of the sources of a starting container. Returns whether one is on another host.
fn follow_own_sources(host: &Locked<'_>, record: &Record) -> Result<bool> {
    if record.links.is_empty() {
        return Ok(false);
    }
    let mut look = Look::quick(host, MAX_LINKS);
    match follow_sources(host, Requester::of(record), &record.links, &mut look) {
        Err(error) if !record.needs_links() => {
            log::warn!("{}: addresses of its sources: {error}", record.id.brief());
            Ok(false)
        }
        followed => followed,
    }
}

/// What happens to a link of a starting container whose source is missing.
fn on_missing(record: &Record, missing: Missing) -> OnMissing {
    match missing {
        _ if record.phase == Phase::Ready || !record.needs_links() => OnMissing::Leave,
        Missing::Defer => OnMissing::Defer,
        Missing::Auto | Missing::Fail | Missing::Wait(_) => OnMissing::Refuse,
    }
}

/// Removes everything of a container that does not start. Returns `error`, with any new failure.
fn undo(host: &Locked<'_>, id: &ContainerId, error: Error) -> Result<()> {
    let mut failures = Failures::default();
    failures.note(Err(error));
    failures.note(host.store.get(id).and_then(|record| match record {
        Some(record) => host.effects(record.backend, |effects| rollback(effects, &record)),
        None => Ok(()),
    }));
    failures.into_result()
}

/// The record of a container whose links wait. `place` is its hosts file.
fn without_links(record: &Record, place: Option<HostsPlace>) -> Record {
    let links = record.links.iter().map(|link_state| link_state.connected(None)).collect();
    let hosts = place.map(|place| HostsEdit { place, block: String::new(), previous: Vec::new() });
    Record { links, revision: 0, phase: Phase::Ready, flows: vec![], hosts, ..record.clone() }
}

/// Records a container whose links only its engine declares, after they could not be made. They wait.
fn publish_without(host: &Locked<'_>, plain: &Record, error: Error) -> Result<()> {
    let (id, name) = (&plain.id, &plain.name);
    log::warn!("{name}: starts without the links of its engine; run oci-link sync: {error}");
    if host.store.get(id)?.is_some() {
        undo(host, id, error).or_else(|error| match host.store.get(id)? {
            // It names rules that may exist.
            Some(_) => Err(error),
            None => Ok(()),
        })?;
    }
    host.store.commit(host.lock(), &Change::Put(plain), 0).map(drop)
}

/// Follows the addresses of `recipients`, of which [`MAX_READ`] are read.
fn follow_all(host: &Locked<'_>, recipients: &[Record]) {
    let mut look = Look::quick(host, MAX_READ);
    for recipient in recipients {
        log_failure(recipient, follow(host, recipient, &mut look).map(drop));
    }
}

/// Plans the links of containers again that the start concerns. A failure is logged.
fn replan_recipients(host: &Locked<'_>, recipients: &[Record]) {
    let mut changes = Changes::new(host, Removal::AtOnce);
    changes.replan_each(recipients);
    let ended = changes.end_connections();
    for (recipient, error) in changes.finish(ended) {
        log_failure(&recipient, Err(error));
    }
}

/// The running recipients of a starting container. Dead ones are removed first: rules for them
/// would apply to the next container of their address.
fn living_recipients(host: &Locked<'_>, container: &Record) -> Vec<Record> {
    let mut recipients = recipients_of(host.store.as_ref(), container).unwrap_or_else(|error| {
        let id = &container.id;
        log::error!(
            "{}: its recipients could not be updated; run oci-link sync: {error}",
            id.brief()
        );
        Vec::new()
    });
    recipients.retain(|recipient| match is_running(recipient, host.boot) {
        Ok(true) => true,
        Ok(false) => {
            log_failure(recipient, remove(host, recipient));
            false
        }
        Err(error) => {
            log_failure(recipient, Err(error));
            false
        }
    });
    recipients
}

fn publish(
    host: &Locked<'_>,
    mut record: Record,
    hosts: Option<HostsFile>,
    (ipv6_loopback, absent, absences): (bool, OnMissing, &Absences),
) -> Result<()> {
    let mut hosts = hosts;
    for _ in 0..ATTEMPTS {
        let plan = first_plan(host, &record, hosts.as_ref(), (ipv6_loopback, absent, absences))?;
        if let Commit::Done(_) =
            host.effects(record.backend, |effects| carry_out(effects, &plan, hosts.take()))?
        {
            report_waiting(host.store.as_ref(), &plan.record.name, &plan.record.links);
            return Ok(());
        }
        record = replace_previous(host, record, None)?.record;
    }
    Err(conflicts(&record.id))
}
