//! Rules that no record names: the state directory was emptied, a record was put aside, or somebody
//! restored the rules of an earlier boot. Nobody will say that their owner has ended; so a container
//! that is given an address which they name clears them away, as it does with those of the dead.
//! `sync` and `gc` remove them all.
//!
//! To look for them costs more than a start. It is done where records may be missing, and the store
//! knows that. Of rules that somebody restores later it knows nothing: they are for `sync`.

use crate::error::Result;
use crate::host::Locked;
use crate::lifecycle::apply::remove_owner;
use crate::lifecycle::snapshot::HostSnapshot;
use crate::model::{Flow, Record};
use std::collections::BTreeMap;

/// Removes those that name an address of `container`, and the connections that they permitted.
pub(crate) fn purge_from(host: &Locked<'_>, container: &Record) -> Result<()> {
    let epoch = host.epoch()?;
    if host.store.is_complete(&epoch)? {
        return Ok(());
    }
    let snapshot = match HostSnapshot::read(host) {
        Ok(snapshot) => snapshot,
        // Who has no links must not wait for a firewall that fails. The next start looks again.
        Err(error) => {
            log::error!("orphaned rules: cannot look for them: {error}");
            return Ok(());
        }
    };
    // An earlier boot's may go unseen when their record is removed: the backend has no memory of it.
    let of_earlier = |record: &Record| {
        let has_rules = |(_, owners): &(_, BTreeMap<_, _>)| owners.contains_key(&record.owner);
        record.instance.boot != host.boot && snapshot.rules.iter().any(has_rules)
    };
    let mut others = !snapshot.is_complete || snapshot.dead.iter().any(of_earlier);
    for (backend, owner, installed) in snapshot.orphans() {
        if installed.flows.iter().any(|flow| concerns(flow, container)) {
            log::warn!("removed: orphaned rules in {backend}: no record has the owner tag {owner}");
            // While they stand, nobody may have its address.
            let flows = snapshot.own_flows(backend, owner);
            host.effects(backend, |effects| remove_owner(effects, owner, &flows))?;
        } else {
            others = true;
        }
    }
    if others { Ok(()) } else { host.store.mark_complete(host.lock(), &epoch) }
}

fn concerns(flow: &Flow, container: &Record) -> bool {
    container.network.addresses().iter().any(|own| [flow.from, flow.to].contains(&own.ip()))
}
