//! Finds and removes what dead containers left behind, and rules without a record. A dead container
//! keeps its record if it was killed with its runtime, or if the host was rebooted.

use super::finding::Finding;
use crate::error::{Failures, Result};
use crate::firewall::bridge::KeyChange;
use crate::firewall::bridge::keys::Key;
use crate::host::Locked;
use crate::lifecycle::apply::remove_owner;
use crate::lifecycle::isolating::{isolates_a_port, keys};
use crate::lifecycle::orphans::remove_all;
use crate::lifecycle::remove;
use crate::lifecycle::snapshot::HostSnapshot;
use crate::model::{BackendName, Origin, OwnerTag, Record};
use std::collections::{HashMap, HashSet};

/// Finds dead containers, orphaned rules and leftovers in the state directory. The caller holds the
/// host lock.
pub(crate) fn findings(host: &Locked<'_>, snapshot: &HostSnapshot) -> Result<Vec<Finding>> {
    let mut findings: Vec<Finding> =
        snapshot.dead.iter().map(|record| Finding::Dead(record.into())).collect();
    for (backend, owners) in &snapshot.rules {
        // Other tags are of another state directory, or of an earlier version and perhaps of another
        // state directory.
        let is_ours = |owner: &OwnerTag| {
            owner.origin(host.identity) == Origin::Own || snapshot.is_recorded(owner)
        };
        // Rules of dead containers are removed with their record.
        let ownerless = owners
            .keys()
            .filter(|owner| is_ours(owner) && !snapshot.is_accounted_for(*backend, owner));
        findings.extend(
            ownerless.map(|owner| Finding::Orphaned { backend: *backend, owner: owner.clone() }),
        );
    }
    findings.extend(stale_ports(host, snapshot).map(|(owner, _)| Finding::Ports(owner.clone())));
    findings.extend(host.store.leftovers(host.lock())?.into_iter().map(Finding::Leftover));
    Ok(findings)
}

/// What the bridge table has that no record accounts for, by owner. What dead containers have is removed with
/// their records, and what belongs to orphaned rules with those.
fn stale_ports<'a>(
    host: &Locked<'_>,
    snapshot: &'a HostSnapshot,
) -> impl Iterator<Item = (&'a OwnerTag, Vec<Key>)> {
    let living: HashMap<&OwnerTag, &Record> =
        snapshot.living.iter().map(|record| (&record.owner, record)).collect();
    let own = host.identity;
    let all = snapshot.ports.iter().filter(move |(owner, _)| {
        let is_ours = owner.origin(own) == Origin::Own || snapshot.is_recorded(owner);
        is_ours && !snapshot.may_be_newer(owner)
    });
    all.filter_map(move |(owner, there)| {
        let valid: HashSet<Key> = match living.get(owner) {
            Some(record) => {
                let ties = Key::of_flows(&record.flows).into_iter();
                ties.chain(keys(record)).collect()
            }
            None if snapshot.is_recorded(owner) || snapshot.has_rules(owner) => return None,
            // Its record may be lost while it runs: what isolates it stays as long as its port.
            None => there.iter().copied().filter(|key| isolates_a_port(*key)).collect(),
        };
        let stale: Vec<Key> = there.iter().filter(|key| !valid.contains(key)).copied().collect();
        (!stale.is_empty()).then_some((owner, stale))
    })
}

/// Removes what the bridge table has of `owner` that no record accounts for. Requires the host lock under which it
/// was found.
pub(crate) fn remove_ports(
    host: &Locked<'_>,
    snapshot: &HostSnapshot,
    owner: &OwnerTag,
) -> Result<()> {
    let stale = stale_ports(host, snapshot).find(|(its, _)| *its == owner);
    let Some((owner, before)) = stale else { return Ok(()) };
    host.ports.change(&[KeyChange { owner, before, after: Vec::new() }])
}

/// Removes the rules of `orphaned`, and ends their connections together. Returns the outcome of each, in the
/// same order. Requires the host lock under which they were found.
pub(crate) fn remove_orphaned(
    host: &Locked<'_>,
    snapshot: &HostSnapshot,
    orphaned: &[Finding],
) -> Vec<Result<()>> {
    let owners = orphaned.iter().filter_map(|finding| match finding {
        Finding::Orphaned { backend, owner } => Some((*backend, owner)),
        _ => None,
    });
    remove_all(host, snapshot, &owners.collect::<Vec<_>>())
}

/// Removes everything that a dead container left behind. After a reboot its backend may not
/// remember rules that it made, so rules with its tag are removed too. Requires the host lock.
pub(crate) fn remove_dead(
    host: &Locked<'_>,
    snapshot: &HostSnapshot,
    record: &Record,
) -> Result<()> {
    let mut failures = Failures::default();
    failures.note(remove(host, record));
    if snapshot.ports.contains_key(&record.owner) {
        failures.note(host.ports.remove_owner(&record.owner));
    }
    for (backend, owners) in &snapshot.rules {
        if owners.contains_key(&record.owner) {
            failures.note(purge_from(host, snapshot, *backend, &record.owner));
        }
    }
    failures.into_result()
}

fn purge_from(
    host: &Locked<'_>,
    snapshot: &HostSnapshot,
    backend: BackendName,
    owner: &OwnerTag,
) -> Result<()> {
    let flows = snapshot.own_flows(backend, owner);
    host.effects(backend, |effects| remove_owner(effects, owner, &flows))
}
