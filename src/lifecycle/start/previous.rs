//! What was there before a container starts: its record of an earlier stage, and dead containers with its id, an
//! address or a name of its own.

use crate::error::{Cause, Result};
use crate::host::Locked;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::contested;
use crate::lifecycle::renamed::give_way;
use crate::lifecycle::stop::remove_with;
use crate::model::{ContainerName, OwnerTag, Phase, Record};
use std::path::Path;

/// A starting container after its predecessors were handled.
pub(super) struct Previous {
    /// The record, with what an earlier stage did.
    pub(super) record: Record,
    /// Whether a dead container was removed.
    pub(super) cleared: bool,
    /// Containers whose links must be planned again after this one has a record.
    pub(super) neighbours: Vec<Record>,
    /// Whether there are more of them than one start handles.
    pub(super) are_more: bool,
}

/// Removes dead containers that had the id, an address or the name of the starting one, and
/// continues from its own record of an earlier stage.
///
/// An id of a running container is no obstacle: the starting one becomes its namesake. For an address
/// of a running one see [`contested`]. A running one with the name gives it up if Docker has renamed it;
/// `files` has a directory for each container of Docker.
pub(super) fn replace_previous(
    host: &Locked<'_>,
    container: Record,
    files: Option<&Path>,
) -> Result<Previous> {
    let (mut container, mut cleared) = (container, false);
    container.revision = 0;
    let first = container.id.tagged(None);
    let mut is_taken = false;
    for old in host.store.namesakes(&first)? {
        if old.instance == container.instance {
            container.id = old.id;
            container.owner = old.owner;
            container.revision = old.revision;
            container.flows = old.flows;
            container.hosts = old.hosts;
            container.former = old.former;
            container.former_names = old.former_names;
            container.backend = old.backend;
            if old.phase == Phase::Ready && !old.by_engine {
                // It has started. `connect` and `disconnect` may have changed its links since.
                container.phase = old.phase;
                container.links = old.links;
                container.without_variables = old.without_variables;
            }
        } else if may_run(host, &old) {
            is_taken |= old.id == first;
        } else {
            finish(host, &old)?;
            cleared = true;
        }
    }
    if container.revision == 0 && is_taken {
        // The same id below another root of the runtime, or in another namespace of containerd.
        container.id = first.namesake(&container.instance);
        container.owner = OwnerTag::new(host.identity, &container.id, &container.instance);
        log::info!(
            "{first}: another container with this id runs: this one is {}",
            container.id.brief()
        );
    }
    let settled = contested::settle(host, &container)?;
    cleared |= settled.cleared;
    if settled.followed && container.revision > 0 {
        // Its own links may have been planned again.
        if let Some(now) = host.store.get(&container.id)? {
            container.revision = now.revision;
            container.flows = now.flows;
            container.hosts = now.hosts;
            container.former = now.former;
            if container.phase == Phase::Ready {
                container.links = now.links;
            }
        }
    }
    let contested::Settled { mut neighbours, are_more, .. } = settled;
    for name in container.names().filter_map(ContainerName::reference) {
        let owner = match host.store.named(&name) {
            // The other container keeps the name. This one is found by its id.
            Err(error) if error.cause == Cause::NewerRecord => None,
            owner => owner?,
        };
        let Some(owner) = owner.filter(|owner| owner.id != container.id) else { continue };
        if !may_run(host, &owner) {
            finish(host, &owner)?;
            cleared = true;
        } else if let Some(files) = files {
            match give_way(host, files, &owner) {
                Ok(recipients) => {
                    // Those that want this name are recipients of the starting container too.
                    let wants = |it: &Record| it.links.iter().any(|link| link.link.source == name);
                    neighbours.extend(recipients.into_iter().filter(|it| !wants(it)));
                }
                Err(error) => log::warn!("{}: keeps its name {name}: {error}", owner.id.brief()),
            }
        }
    }
    Ok(Previous { record: container, cleared, neighbours, are_more })
}

/// Whether a container runs, or its process cannot be seen. Unknown is not dead.
fn may_run(host: &Locked<'_>, record: &Record) -> bool {
    is_running(record, host.boot).unwrap_or_else(|error| {
        log::warn!("{}: taken as running: {error}", record.id.brief());
        true
    })
}

/// Removes a dead container before the next one with its id or address starts. A recipient whose firewall fails does
/// not prevent that: its record still names the remaining rules, and `sync` finds them.
fn finish(host: &Locked<'_>, record: &Record) -> Result<()> {
    remove_with(host, record, |failures| {
        if let Err(error) = failures.into_result() {
            let id = &record.id;
            log::error!(
                "{}: its links could not be removed; run oci-link sync: {error}",
                id.brief()
            );
        }
        Ok(())
    })
}
