//! Sources that run under another runtime: what Docker's files say of them becomes a record.
//!
//! No hook reports their end. `watch`, `gc` and the next hook notice it. Rules for them are made only
//! while `watch` runs: without it, one would permit packets to the next container of that address.

use crate::engine::{Listing, RunningContainer, running};
use crate::error::{Error, Kind, Result};
use crate::host::{Host, Locked};
use crate::lifecycle::alive::is_running;
use crate::lifecycle::lookup::{Requester, candidates, recipients_of};
use crate::lifecycle::notes::{A_FEW, work_off};
use crate::lifecycle::starting::names;
use crate::lifecycle::together::replan_all;
use crate::lifecycle::{contested, home, remove};
use crate::model::{
    Admitted, BackendName, Engine, Instance, LinkState, Network, OwnerTag, Phase, Record, Reference,
};
use crate::store::notes::Note;
use crate::store::{Change, Commit};
use crate::sys::net::hardware;
use crate::sys::net::netns::{Namespace, Process};
use crate::sys::process::is_in_cgroup_of;
use std::time::Duration;

/// How long the host lock is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Records the sources of `links` that have no record and run by Docker's files. A failure is logged:
/// the source is then missing.
///
/// Reads no file if all sources have a record. The host lock must not be held.
pub(crate) fn adopt(host: &Host, me: Requester<'_>, links: &[LinkState], listing: &Listing) {
    let Some(containers) = listing.of_docker() else { return };
    let found = candidates(host.store.as_ref(), host.boot, me, links).unwrap_or_default();
    let absent = links.iter().zip(&found).filter(|(_, candidate)| candidate.is_absence());
    let wanted: Vec<Reference> = absent.map(|(it, _)| it.link.source.clone()).collect();
    if wanted.is_empty() {
        return;
    }
    let mut records = Vec::new();
    for container in running(containers, &wanted) {
        let id = container.id.clone();
        match record_of(host, container) {
            Ok(record) => records.push(record),
            Err(error) => log::debug!("{id}: is not what Docker's files say: {error}"),
        }
    }
    if records.is_empty() {
        return;
    }
    let locked = host.lock_within(PATIENCE);
    match locked.and_then(|locked| home::check(&locked).map(|()| locked)) {
        Ok(locked) => {
            // A source of ours that could not be recorded in time left a note.
            work_off(&locked, A_FEW);
            for record in records {
                if let Err(error) = put(&locked, &record) {
                    log::warn!("{}: runs, but cannot be recorded: {error}", record.id);
                }
            }
        }
        Err(error) => log::warn!("sources that run without oci-link are not recorded: {error}"),
    }
}

/// Returns the record of a container, if its process is the one that Docker's files mean.
fn record_of(host: &Host, container: RunningContainer) -> Result<Record> {
    let RunningContainer { id, facts, declared, pid, addresses } = container;
    let refuse = |why: &str| Err(Error::new(Kind::Namespace, format!("process {pid}: {why}")));
    let process = Process::pin(pid)?;
    if !is_in_cgroup_of(pid, id.as_str()) {
        return refuse("is in no cgroup of the container");
    }
    let namespace = Namespace::of(&process)?;
    let hardware = hardware::addresses(&process)?;
    let has = |ip| namespace.addresses.iter().any(|address| address.ip() == ip);
    let is_its_own = |(ip, mac): &(_, Option<[u8; 6]>)| {
        has(*ip) && mac.is_none_or(|mac| hardware.contains(&mac))
    };
    if namespace.is_ours || !addresses.iter().any(is_its_own) {
        return refuse("does not have the address of the container");
    }
    if process.ended(0) {
        return refuse("ended");
    }
    let instance =
        Instance { boot: host.boot, netns: namespace.cookie, pid, started: process.started() };
    let (name, engine_name) = names(declared.name, facts.name, &id);
    let environment = facts.environment.unwrap_or_default();
    Ok(Record {
        revision: 0,
        phase: Phase::Ready,
        name,
        engine_name,
        engine: Some(Engine::Docker),
        hostname: facts.hostname,
        owner: OwnerTag::new(host.identity, &id, &instance),
        instance,
        network: Network::Own(namespace.addresses),
        fingerprint: namespace.fingerprint,
        former: Vec::new(),
        ports: declared.ports.or(facts.ports).unwrap_or_default(),
        environment: environment.into_iter().filter(|it| declared.env.allows(&it.key)).collect(),
        links: Vec::new(),
        without_variables: Vec::new(),
        backend: BackendName::None,
        flows: Vec::new(),
        hosts: None,
        bundle: None,
        place: Some(host.place()?),
        engine_files: None,
        by_engine: true,
        pod: None,
        admitted: Admitted::None,
        is_pod_infra: false,
        id,
    })
}

fn put(host: &Locked<'_>, record: &Record) -> Result<()> {
    for known in host.store.namesakes(&record.id)? {
        if is_running(&known, host.boot).unwrap_or(true) {
            return Ok(());
        }
        remove(host, &known)?;
    }
    contested::settle(host, record)?;
    host.notes().leave(&Note::adopted(record))?;
    if let Commit::Done(_) = host.store.commit(host.lock(), &Change::Put(record), 0)? {
        log::info!(
            "{} ({}): runs without oci-link: recorded by docker's files",
            record.name,
            record.id.short()
        );
        let recipients = recipients_of(host.store.as_ref(), record)?;
        replan_all(host, &recipients).into_result()?;
    }
    Ok(())
}

/// Removes the rules for such sources when `watch` ends. Its lock must be free.
pub(crate) fn end_watch(host: &Host) {
    let close = || -> Result<()> {
        let records = host.store.all()?;
        let sources: Vec<&Record> = records.iter().filter(|record| record.by_engine).collect();
        if sources.is_empty() {
            return Ok(());
        }
        let locked = host.lock()?;
        for source in sources {
            replan_all(&locked, &recipients_of(locked.store.as_ref(), source)?).into_result()?;
        }
        Ok(())
    };
    if let Err(error) = close() {
        log::error!("rules for sources that run without oci-link stay; run oci-link sync: {error}");
    }
}
