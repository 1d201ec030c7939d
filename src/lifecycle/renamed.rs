//! Containers that `docker rename` gave another name while they run. Links that are connected to one stay, and
//! links that are made from then on find it under its new name.

use crate::engine::{RunningContainer, running_with_id};
use crate::error::Result;
use crate::host::{Host, Locked};
use crate::lifecycle::addresses::put;
use crate::lifecycle::lookup::recipients_of;
use crate::lifecycle::starting::{names, networks};
use crate::lifecycle::together::replan_all;
use crate::model::{ContainerName, Record};
use std::path::Path;

/// The record `known` with the names that Docker's files have for its container.
pub(super) fn called(host: &Host, known: &Record, container: &RunningContainer) -> Record {
    let of_engine = container.facts.name.clone();
    let (name, engine_name) = names(container.declared.name.clone(), of_engine, &known.id);
    let networks = networks(host, container.facts.networks.clone());
    Record { name, engine_name, networks, ..known.clone() }
}

/// Gives each record its names in `all`. All of them lose their names first, so that no name is in the way
/// of another.
pub(super) fn rename_all(host: &Locked<'_>, all: &[&Record]) -> Result<()> {
    let mut changed = Vec::new();
    for current in all {
        let known = host.store.get(&current.id)?;
        let Some(known) = known.filter(|known| known.instance == current.instance) else {
            continue;
        };
        let mut now = known.renamed_to(current);
        if now != known {
            let name = ContainerName::from(&now.id);
            let mut nameless = Record { name, engine_name: None, ..now.clone() };
            put(host, &mut nameless)?;
            now.revision = nameless.revision;
        }
        changed.push((known, now));
    }
    let mut recipients = Vec::new();
    for (known, now) in &mut changed {
        if now != known {
            put(host, now)?;
        }
        if now.name_in_engine() != known.name_in_engine() {
            let (was, is) = (known.name_in_engine(), now.name_in_engine());
            log::info!("{was} ({}): docker calls it {is} now", now.id.short());
        }
    }
    for (_, now) in &changed {
        host.store.claim_names(host.lock(), now)?;
        recipients.extend(recipients_of(host.store.as_ref(), now)?);
    }
    recipients.sort_by(|one, other| one.id.cmp(&other.id));
    recipients.dedup_by(|one, other| one.id == other.id);
    replan_all(host, &recipients).into_result()
}

/// Lets the running container `owner` have the name that Docker's files have for it now. A container starts
/// that has its recorded one, and Docker never has two containers of one name. Returns its recipients.
pub(super) fn give_way(
    host: &Locked<'_>,
    containers: &Path,
    owner: &Record,
) -> Result<Vec<Record>> {
    let Some(container) = running_with_id(containers, &owner.id) else { return Ok(Vec::new()) };
    if container.pid != owner.instance.pid {
        return Ok(Vec::new());
    }
    let mut now = owner.renamed_to(&called(host, owner, &container));
    if now == *owner {
        return Ok(Vec::new());
    }
    log::info!("{} ({}): docker calls it {} now", owner.name, owner.id.short(), now.name);
    put(host, &mut now)?;
    recipients_of(host.store.as_ref(), &now)
}
