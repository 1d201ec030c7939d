//! Sources in Docker's files. One that runs under another runtime gets a record of what they say, and one
//! that `docker rename` gave another name gets that name into its record.
//!
//! No hook reports the end of a source without oci-link. `watch`, `gc` and the next hook notice it. Rules
//! for it are made only while `watch` runs: without it, one would permit packets to the next container
//! of that address.

use crate::engine::{Listing, RunningContainer, Seen, Wanted, name_of, running};
use crate::error::{Error, Kind, Result};
use crate::host::{Host, Locked};
use crate::lifecycle::alive::is_running;
use crate::lifecycle::lookup::{Requester, candidates, recipients_of};
use crate::lifecycle::notes::{A_FEW, work_off};
use crate::lifecycle::renamed::{called, rename_all};
use crate::lifecycle::starting::{names, networks};
use crate::lifecycle::together::replan_all;
use crate::lifecycle::{contested, home, remove};
use crate::link::Candidate;
use crate::model::{
    Admitted, BackendName, ContainerName, Engine, Instance, LinkState, Network, OwnerTag, Phase,
    Record, Share,
};
use crate::store::notes::Note;
use crate::store::{Change, Commit};
use crate::sys::net::hardware;
use crate::sys::net::netns::{Namespace, Process};
use crate::sys::process::is_in_cgroup_of;
use std::path::Path;
use std::time::Duration;

/// How long the host lock is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Records the sources of `links` that run by Docker's files, and that no record answers for under their
/// present name. A failure is logged: the source is then missing.
///
/// Reads one file for each source that has a record, and those of all containers only if a source has
/// none or another name by now. The host lock must not be held.
pub(crate) fn adopt(host: &Host, me: Requester<'_>, links: &[LinkState], listing: &Listing) {
    let Some(containers) = listing.of_docker() else { return };
    let wanted = doubtful(host, me, links, containers);
    if !wanted.is_empty() {
        record_all(host, &look(host, containers, &wanted, None));
    }
}

/// The sources of `links` of which the records do not say enough.
fn doubtful(host: &Host, me: Requester<'_>, links: &[LinkState], containers: &Path) -> Vec<Wanted> {
    let found = candidates(host, me, links).unwrap_or_default();
    let (mut wanted, mut renamed) = (Vec::new(), Vec::<(Record, bool)>::new());
    for (link_state, candidate) in links.iter().zip(found) {
        match candidate {
            Candidate::Running(record) => {
                let known = renamed.iter().find(|(known, _)| known.id == record.id);
                let is_renamed = known.map(|(_, is_renamed)| *is_renamed);
                let is_renamed = is_renamed.unwrap_or_else(|| is_renamed_in(containers, &record));
                if is_doubtful(link_state, &record, is_renamed) {
                    wanted.push(Wanted::by(link_state));
                    wanted.extend(Wanted::with_id(&record.id));
                }
                if known.is_none() {
                    renamed.push((*record, is_renamed));
                }
            }
            candidate if candidate.is_absence() => wanted.push(Wanted::by(link_state)),
            _ => {}
        }
    }
    wanted.sort();
    wanted.dedup();
    wanted
}

/// Whether Docker's files have another name for the container than its record.
fn is_renamed_in(containers: &Path, record: &Record) -> bool {
    let now = name_of(containers, record.id.as_str());
    now.is_some_and(|now| now != record.name_in_engine().as_str())
}

/// Whether a link may mean another container than the running one of `record`, which was found for it.
fn is_doubtful(link_state: &LinkState, record: &Record, is_renamed: bool) -> bool {
    let reference = &link_state.link.source;
    let is_elsewhere = || link_state.user_network().is_some_and(|name| !record.may_be_on(name));
    if record.name_in_engine().as_str() == reference.as_str() {
        is_renamed || is_elsewhere()
    } else {
        // By its id and by the name of its annotation it is found under any name.
        record.was_named(reference) && !record.is_named(reference)
    }
}

/// Reads what Docker's files say of running containers that one of `wanted` names. Returns the records that
/// are missing, and those that have other names now, as they must be. Changes nothing.
pub(crate) fn look(
    host: &Host,
    containers: &Path,
    wanted: &[Wanted],
    mut seen: Option<&mut Seen>,
) -> Vec<Record> {
    let mut found = Vec::new();
    for container in running(containers, wanted, seen.as_deref_mut()) {
        let id = container.id.clone();
        match news_of(host, container) {
            Ok(news) => found.extend(news),
            Err(error) => {
                log::debug!("{}: is not what Docker's files say: {error}", id.brief());
                if let Some(seen) = &mut seen {
                    seen.forget(&id);
                }
            }
        }
    }
    found
}

/// The record that a running container must have. `None` if it has that record.
fn news_of(host: &Host, container: RunningContainer) -> Result<Option<Record>> {
    for known in host.store.namesakes(&container.id)? {
        if !is_running(&known, host.boot).unwrap_or(true) {
            continue;
        }
        if known.instance.pid != container.pid {
            return Ok(None);
        }
        let now = known.renamed_to(&called(host, &known, &container));
        let lacks = |name: &ContainerName| -> Result<bool> {
            let Some(name) = name.reference() else { return Ok(false) };
            Ok(host.store.named(&name)?.is_none())
        };
        let mut is_news = now != known;
        for name in now.names() {
            is_news = is_news || lacks(name)?;
        }
        return Ok(is_news.then_some(now));
    }
    record_of(host, container).map(Some)
}

/// Writes the records that [`look`] returned, and plans the links again that wait for them. Returns whether all
/// were written; a failure is logged. The host lock must not be held.
pub(crate) fn record_all(host: &Host, news: &[Record]) -> bool {
    if news.is_empty() {
        return true;
    }
    let locked = host.lock_within(PATIENCE);
    let locked = match locked.and_then(|locked| home::check(&locked).map(|()| locked)) {
        Ok(locked) => locked,
        Err(error) => {
            log::warn!("sources in docker's files are not recorded: {error}");
            return false;
        }
    };
    // A source of ours that could not be recorded in time left a note.
    work_off(&locked, A_FEW);
    let mut is_done = true;
    let (known, new): (Vec<_>, Vec<_>) = news.iter().partition(|record| record.revision > 0);
    if let Err(error) = rename_all(&locked, &known) {
        log::warn!("names of renamed containers cannot be recorded: {error}");
        is_done = false;
    }
    for record in new {
        if let Err(error) = add(&locked, record) {
            log::warn!("{}: runs, but cannot be recorded: {error}", record.id.brief());
            is_done = false;
        }
    }
    is_done
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
        former_names: Vec::new(),
        networks: networks(host, facts.networks),
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
        share: Share::None,
        host: None,
        isolation: None,
        is_pod_infra: false,
        id,
    })
}

/// Adds the record of a source without oci-link.
fn add(host: &Locked<'_>, record: &Record) -> Result<()> {
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
