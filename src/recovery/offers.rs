//! Publishes the containers that this host shares: writes their offers, and removes those of others.

use crate::cluster::offers::{Offers, file_name, offer_of};
use crate::cluster::spool::COURIER;
use crate::config::ClusterConfig;
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::model::{ContainerId, Record};
use crate::sys::users;
use std::collections::BTreeSet;
use std::path::Path;

/// How many files are changed before the host lock is given to other processes.
const LOT: usize = 50;

/// What other hosts should know of a container.
enum Wish {
    /// This.
    Offer(Vec<u8>),
    /// Nothing.
    Nothing,
    /// What they know now: whether it runs cannot be seen.
    Unchanged,
}

/// Writes the offers of all running containers that are shared, and removes all others. Returns how many
/// files were changed. Takes the host lock where something must be changed.
pub(crate) fn publish(host: &Host, cluster: &ClusterConfig) -> Result<usize> {
    let offers = open(host)?;
    let records = host.store.all()?;
    let mut stale = offers.names()?;
    let mut due: Vec<&ContainerId> = Vec::new();
    for record in &records {
        match wish(host, cluster, record) {
            Wish::Offer(bytes) => {
                stale.remove(&file_name(&record.id));
                if !offers.is(&record.id, &bytes)? {
                    due.push(&record.id);
                }
            }
            Wish::Unchanged => {
                stale.remove(&file_name(&record.id));
            }
            Wish::Nothing => {}
        }
    }
    let mut changed = withdraw_all(host, cluster, &offers, &stale)?;
    for lot in due.chunks(LOT) {
        let host = host.lock()?;
        for id in lot {
            // It may have ended meanwhile.
            let Some(record) = host.store.get(id)? else { continue };
            if let Wish::Offer(bytes) = wish(&host, cluster, &record) {
                changed += usize::from(offers.put(host.lock(), id, &bytes)?);
            }
        }
    }
    Ok(changed)
}

/// Removes the offers of containers that do not run any more. Without `[cluster]` nothing is done.
pub(crate) fn withdraw(host: &Host) -> Result<()> {
    let Some(cluster) = &host.config.cluster else { return Ok(()) };
    let offers = open(host)?;
    let names = offers.names()?;
    withdraw_all(host, cluster, &offers, &names).map(drop)
}

fn open(host: &Host) -> Result<Offers> {
    Offers::open(host.directory(), users::gid_of(Path::new("/"), COURIER).unwrap_or(0))
}

/// Removes those of the files `names` whose container shares nothing.
fn withdraw_all(
    host: &Host,
    cluster: &ClusterConfig,
    offers: &Offers,
    names: &BTreeSet<String>,
) -> Result<usize> {
    let mut removed = 0;
    let ids = names.iter().filter_map(|name| ContainerId::new(name.strip_suffix(".offer")?).ok());
    let ids: Vec<ContainerId> = ids.collect();
    for lot in ids.chunks(LOT) {
        let host = host.lock()?;
        for id in lot {
            let record = host.store.get(id)?;
            let wish = record.map_or(Wish::Nothing, |record| wish(&host, cluster, &record));
            if matches!(wish, Wish::Nothing) {
                offers.remove(host.lock(), id)?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn wish(host: &Host, cluster: &ClusterConfig, record: &Record) -> Wish {
    match is_running(record, host.boot) {
        Ok(true) => offer_of(record, &cluster.hosts).map_or(Wish::Nothing, Wish::Offer),
        Ok(false) => Wish::Nothing,
        Err(_) => Wish::Unchanged,
    }
}
