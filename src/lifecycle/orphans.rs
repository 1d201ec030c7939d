//! Orphaned rules: no record names them, because the state directory was emptied, a record was set
//! aside, or the rules of an earlier boot were restored. No hook will remove them. A container that
//! gets an address which they name removes them at its start; `sync` and `gc` remove all of them.
//!
//! Rules of another state directory carry its tag and stay. A tag of an earlier version names none: its
//! rules go only when a container gets an address which they name.
//!
//! The search costs more than a start. It runs only where records may be missing, which the store
//! knows. Rules that another program restores later are found by `sync` only.

use crate::error::Result;
use crate::firewall::bridge::KeyChange;
use crate::host::Locked;
use crate::lifecycle::apply::drop_connections;
use crate::lifecycle::isolating::isolates_a_port;
use crate::lifecycle::snapshot::HostSnapshot;
use crate::model::{BackendName, Flow, OwnerTag, Record};
use std::collections::BTreeMap;

/// How many owners lose their rules before the connections are ended. A process that is killed in between
/// leaves connections that nothing names.
const TOGETHER: usize = 64;

/// Removes orphaned rules that name an address of `container`, and ends their connections.
pub(crate) fn purge_from(host: &Locked<'_>, container: &Record) -> Result<()> {
    let epoch = host.epoch()?;
    if host.store.is_complete(&epoch)? {
        return Ok(());
    }
    let snapshot = match HostSnapshot::read(host) {
        Ok(snapshot) => snapshot,
        // A failing firewall must not prevent a start without links. The next start searches again.
        Err(error) => {
            log::error!("orphaned rules: cannot look for them: {error}");
            return Ok(());
        }
    };
    // A backend may skip the rules of an earlier boot, because its setup cache does not know them.
    let of_earlier = |record: &Record| {
        let has_rules = |(_, owners): &(_, BTreeMap<_, _>)| owners.contains_key(&record.owner);
        record.instance.boot != host.boot && snapshot.rules.iter().any(has_rules)
    };
    let mut others = !snapshot.is_complete || snapshot.dead.iter().any(of_earlier);
    let mut orphans = Vec::new();
    for (backend, owner, installed) in snapshot.orphans(host.identity) {
        if installed.flows.iter().any(|flow| concerns(flow, container)) {
            log::warn!("orphaned rules in {backend}: no record has the owner tag {owner}: removed");
            orphans.push((backend, owner));
        } else {
            others = true;
        }
    }
    // Until they are removed, no container may have its address.
    remove_all(host, &snapshot, &orphans).into_iter().collect::<Result<()>>()?;
    if others { Ok(()) } else { host.store.mark_complete(host.lock(), &epoch) }
}

/// Removes all rules of these owners, then ends the connections that only they permitted, together. Returns the
/// outcome of each, in the same order.
pub(crate) fn remove_all(
    host: &Locked<'_>,
    snapshot: &HostSnapshot,
    orphans: &[(BackendName, &OwnerTag)],
) -> Vec<Result<()>> {
    let mut outcomes = Vec::new();
    for some in orphans.chunks(TOGETHER) {
        let (mut flows, mut last) = (Vec::new(), None);
        let before = outcomes.len();
        for (backend, owner) in some {
            let removed = host.effects(*backend, |effects| effects.firewall.remove_owner(owner));
            let removed = removed.and(remove_ports(host, snapshot, owner));
            if removed.is_ok() {
                flows.extend(snapshot.own_flows(*backend, owner));
                last = Some(*backend);
            }
            outcomes.push(removed);
        }
        let end = |backend| host.effects(backend, |effects| drop_connections(effects, &flows));
        if let Some(Err(error)) = last.map(end) {
            let removed = outcomes.iter_mut().skip(before).filter(|outcome| outcome.is_ok());
            removed.for_each(|outcome| *outcome = Err(error.again()));
        }
    }
    outcomes
}

/// Removes what the bridge table has of an owner without a record. A port that exists stays isolated: its
/// container may run, and its record may be lost.
fn remove_ports(host: &Locked<'_>, snapshot: &HostSnapshot, owner: &OwnerTag) -> Result<()> {
    let unrecorded = snapshot.ports.get(owner).filter(|_| !snapshot.is_recorded(owner));
    let Some(there) = unrecorded else { return Ok(()) };
    let before = there.iter().copied().filter(|key| !isolates_a_port(*key)).collect();
    host.ports.change(&[KeyChange { owner, before, after: Vec::new() }])
}

fn concerns(flow: &Flow, container: &Record) -> bool {
    container.network.addresses().iter().any(|own| [flow.from, flow.to].contains(&own.ip()))
}
