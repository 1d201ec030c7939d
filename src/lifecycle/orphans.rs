//! Rules that no record names: the state directory was emptied, a record was put aside, or somebody
//! restored the rules of an earlier boot. Nobody will say that their owner has ended; so a container
//! that is given an address which they name clears them away, as it does with those of the dead.
//! `sync` and `gc` remove them all.
//!
//! To look for them costs more than a start. It is done where records may be missing, and the store
//! knows that. Of rules that somebody restores later it knows nothing: they are for `sync`.

use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::apply::purge;
use crate::lifecycle::snapshot::Scene;
use crate::model::{Flow, Record};
use std::collections::BTreeMap;

/// Removes those that name an address of `newcomer`, and the connections that they permitted.
pub fn purge_from(host: &Host, newcomer: &Record) -> Result<()> {
    let epoch = host.epoch()?;
    if host.store.is_whole(&epoch)? {
        return Ok(());
    }
    let scene = match Scene::look(host) {
        Ok(scene) => scene,
        // Who has no links must not wait for a firewall that fails. The next start looks again.
        Err(error) => {
            log::error!("rules that no record names: not looked for: {error}");
            return Ok(());
        }
    };
    // An earlier boot's may go unseen when their record is removed: the backend has no memory of it.
    let of_earlier = |record: &Record| {
        let has_rules = |(_, owners): &(_, BTreeMap<_, _>)| owners.contains_key(&record.owner);
        record.instance.boot != host.boot && scene.rules.iter().any(has_rules)
    };
    let mut others = !scene.is_complete || scene.dead.iter().any(of_earlier);
    for (backend, owner, kept) in scene.strangers() {
        if kept.flows.iter().any(|flow| concerns(flow, newcomer)) {
            log::warn!("rules of {owner} in {backend}: no record names them: removed");
            // While they stand, nobody may have its address.
            let flows = scene.own_flows(backend, owner);
            host.at(backend, |site| purge(site, owner, &flows))?;
        } else {
            others = true;
        }
    }
    if others { Ok(()) } else { host.store.vouch(&epoch) }
}

fn concerns(flow: &Flow, newcomer: &Record) -> bool {
    newcomer.network.addresses().iter().any(|own| [flow.from, flow.to].contains(&own.ip()))
}
