//! Brings what is known of other hosts up to date: from the spool into the mirror, by difference.

use crate::cluster::mirror::Mirror;
use crate::cluster::spool::{self, Aside, PeerKey, PeerRecord, SPOOL};
use crate::config::ClusterConfig;
use crate::error::{Failures, Result};
use crate::host::Host;
use crate::recovery::links::{Touched, follow, settle_guests};
use crate::recovery::offers::publish;
use crate::sys::spool::Signature;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::Path;

/// How many records are changed before the host lock is given to other processes. A start waits for one lot
/// at most.
const LOT: usize = 20;

/// What was read of the spool last, and whether the mirror has it. Files that have not changed since are not
/// read again.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashMap<PeerKey, (Signature, bool)>);

/// What a look into the spool changed.
#[derive(Debug, Default)]
pub(crate) struct Refreshed {
    /// How many records were written.
    pub(crate) written: usize,
    /// How many records were removed.
    pub(crate) removed: usize,
    /// How many guests were let in or out.
    pub(crate) guests: usize,
    /// How often the host lock was taken.
    pub(crate) turns: usize,
    /// The links that could not follow.
    pub(crate) failures: Failures,
    /// The files that were put aside. Files that have not changed since are not named again.
    pub(crate) aside: Aside,
}

/// A change of one record.
#[derive(Debug)]
enum Change {
    Put(PeerKey, Box<PeerRecord>, Signature),
    /// The file has gone, or is not believed. Its signature, if it is there.
    Remove(PeerKey, Option<Signature>),
}

/// Compares the spool at `path` with the mirror, and writes the differences in lots. Takes the host lock for
/// each lot.
///
/// Without a spool nothing is changed: what is not seen is not dead, until patience is over.
pub(crate) fn refresh(
    host: &Host,
    cluster: &ClusterConfig,
    path: &Path,
    seen: &mut Seen,
) -> Result<Option<Refreshed>> {
    let Some(spool) = spool::open(path)? else { return Ok(None) };
    let mirror = Mirror::open(host.directory())?;
    let mut listing = spool::list(&spool, &cluster.hosts)?;
    let listed: BTreeSet<&PeerKey> = listing.records.iter().map(|listed| &listed.key).collect();
    let known = mirror.keys()?;
    let gone = known.iter().filter(|key| !listed.contains(key)).cloned();
    seen.0.retain(|key, _| listed.contains(key));
    let mut refreshed = Refreshed::default();
    let mut lot: Vec<Change> = gone.map(|key| Change::Remove(key, None)).collect();
    while lot.len() >= LOT {
        let rest = lot.split_off(LOT);
        apply(host, &mirror, &mut lot, &mut refreshed, seen)?;
        lot = rest;
    }
    for spool::Listed { key, signature } in &listing.records {
        if seen.0.get(key) == Some(&(*signature, known.contains(key))) {
            continue;
        }
        let record = spool::read(&spool, key, &cluster.hosts).unwrap_or_else(|why| {
            listing.aside.put(OsStr::new(&key.file_name()), why);
            None
        });
        match record {
            Some(record) if mirror.has(key, &record)? => {
                seen.0.insert(key.clone(), (*signature, true));
            }
            None if !known.contains(key) => {
                seen.0.insert(key.clone(), (*signature, false));
            }
            Some(record) => lot.push(Change::Put(key.clone(), Box::new(record), *signature)),
            None => lot.push(Change::Remove(key.clone(), Some(*signature))),
        }
        if lot.len() >= LOT {
            apply(host, &mirror, &mut lot, &mut refreshed, seen)?;
        }
    }
    apply(host, &mirror, &mut lot, &mut refreshed, seen)?;
    refreshed.aside = listing.aside;
    Ok(Some(refreshed))
}

/// Brings the mirror and the records of this host for others up to date. Without `[cluster]` nothing is done.
pub(crate) fn exchange(host: &Host) -> Result<()> {
    let Some(cluster) = &host.config.cluster else { return Ok(()) };
    let refreshed = refresh(host, cluster, Path::new(SPOOL), &mut Seen::default())?;
    settle_guests(host)?;
    publish(host, cluster)?;
    refreshed.map_or(Ok(()), |refreshed| refreshed.failures.into_result())
}

/// Makes the changes of one lot under the host lock.
fn apply(
    host: &Host,
    mirror: &Mirror,
    lot: &mut Vec<Change>,
    refreshed: &mut Refreshed,
    seen: &mut Seen,
) -> Result<()> {
    if lot.is_empty() {
        return Ok(());
    }
    refreshed.turns += 1;
    let host = host.lock_for_a_lot()?;
    let mut touched = Touched::default();
    for change in lot.drain(..) {
        let (Change::Put(key, ..) | Change::Remove(key, _)) = &change;
        mirror.get(key)?.into_iter().for_each(|old| touched.add(old));
        match change {
            Change::Put(key, record, signature) => {
                refreshed.written += usize::from(mirror.put(host.lock(), &key, &record)?);
                touched.add(*record);
                seen.0.insert(key, (signature, true));
            }
            Change::Remove(key, signature) => {
                refreshed.removed += usize::from(mirror.remove(host.lock(), &key)?);
                match signature {
                    Some(signature) => seen.0.insert(key, (signature, false)),
                    None => seen.0.remove(&key),
                };
            }
        }
    }
    // The mirror has the records. A link that cannot follow must not keep others from being read.
    match follow(&host, mirror, touched) {
        Ok(guests) => refreshed.guests += guests,
        Err(error) => refreshed.failures.note(Err(error)),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
