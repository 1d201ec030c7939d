//! Publishes what this host tells others: offers of the containers that it shares, wants of those that are linked to
//! other hosts. Removes what is no longer true.

use crate::cluster::offers::{Offers, file_names, id_of, offer_of, want_of};
use crate::cluster::spool::COURIER;
use crate::config::ClusterConfig;
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::guests;
use crate::model::{ContainerId, GuestRecord, Record, Share};
use crate::sys::users;
use std::collections::BTreeSet;
use std::path::Path;

/// How many files are changed before the host lock is given to other processes.
const LOT: usize = 50;

/// What other hosts should know of a container.
enum Wish {
    /// These files.
    Files(Vec<(String, Vec<u8>)>),
    /// What they know now: whether it runs cannot be seen.
    Unchanged,
}

/// Writes the offers and wants of all running containers, and removes all others. Returns how many files were changed.
/// Takes the host lock where something must be changed.
pub(crate) fn publish(host: &Host, cluster: &ClusterConfig) -> Result<usize> {
    let offers = open(host)?;
    let records = host.store.all()?;
    let mut stale = offers.names()?;
    let mut due: Vec<&ContainerId> = Vec::new();
    for record in &records {
        match wish(host, cluster, record)? {
            Wish::Files(files) => {
                let mut is_due = false;
                for (name, bytes) in files {
                    stale.remove(&name);
                    is_due |= !offers.is(&name, &bytes)?;
                }
                due.extend(is_due.then_some(&record.id));
            }
            Wish::Unchanged => {
                for name in file_names(&record.id) {
                    stale.remove(&name);
                }
            }
        }
    }
    let mut changed = withdraw_all(host, cluster, &offers, &stale)?;
    for lot in due.chunks(LOT) {
        let host = host.lock_for_a_lot()?;
        for id in lot {
            // It may have ended meanwhile.
            let Some(record) = host.store.get(id)? else { continue };
            let Wish::Files(files) = wish(&host, cluster, &record)? else { continue };
            for (name, bytes) in files {
                changed += usize::from(offers.put(host.lock(), &name, &bytes)?);
            }
        }
    }
    Ok(changed)
}

/// Removes the offers and wants of containers that do not run any more. Without `[cluster]` nothing is done.
pub(crate) fn withdraw(host: &Host) -> Result<()> {
    let Some(cluster) = &host.config.cluster else { return Ok(()) };
    let offers = open(host)?;
    let names = offers.names()?;
    withdraw_all(host, cluster, &offers, &names).map(drop)
}

fn open(host: &Host) -> Result<Offers> {
    Offers::open(host.directory(), users::gid_of(Path::new("/"), COURIER).unwrap_or(0))
}

/// Removes those of the files `names` that say what is no longer true.
fn withdraw_all(
    host: &Host,
    cluster: &ClusterConfig,
    offers: &Offers,
    names: &BTreeSet<String>,
) -> Result<usize> {
    let mut removed = 0;
    let files: Vec<(&String, ContainerId)> =
        names.iter().filter_map(|name| Some((name, id_of(name)?))).collect();
    for lot in files.chunks(LOT) {
        let host = host.lock_for_a_lot()?;
        for (name, id) in lot {
            let record = host.store.get(id)?;
            let is_true = match record.map(|record| wish(&host, cluster, &record)).transpose()? {
                None => false,
                Some(Wish::Unchanged) => true,
                Some(Wish::Files(files)) => files.iter().any(|(wanted, _)| wanted == *name),
            };
            if !is_true {
                offers.remove(host.lock(), name)?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn wish(host: &Host, cluster: &ClusterConfig, record: &Record) -> Result<Wish> {
    let tells = record.share != Share::None || record.is_linked_elsewhere();
    match if tells { is_running(record, host.boot) } else { Ok(false) } {
        Ok(true) => {}
        Ok(false) => return Ok(Wish::Files(Vec::new())),
        Err(_) => return Ok(Wish::Unchanged),
    }
    let [offer, want] = file_names(&record.id);
    let mut ready = Vec::new();
    if record.share != Share::None {
        let guests = guests::there(host, &record.id)?.into_iter();
        ready.extend(guests.filter_map(|guest: GuestRecord| guest.receipt()));
    }
    let offer = offer_of(record, &cluster.hosts, ready).map(|bytes| (offer, bytes));
    let want = want_of(record, &cluster.hosts).map(|bytes| (want, bytes));
    Ok(Wish::Files(offer.into_iter().chain(want).collect()))
}
