//! Brings what is known of other hosts up to date: from the spool into the mirror, by difference.

use crate::cluster::mirror::Mirror;
use crate::cluster::spool::{self, Aside, PeerKey, PeerRecord, SPOOL};
use crate::config::ClusterConfig;
use crate::error::{Failures, Result};
use crate::host::Host;
use crate::model::ContainerId;
use crate::recovery::links::{Pause, Touched, follow, settle_guests, settle_sources, shared};
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

/// What a look into the spool works with.
struct Look<'a> {
    host: &'a Host,
    mirror: Mirror,
    seen: &'a mut Seen,
    refreshed: Refreshed,
    touched: Touched,
    /// The containers of this host that others may link to, once one is wanted.
    shared: Option<BTreeSet<ContainerId>>,
    pause: Pause<'a>,
}

/// Compares the spool at `path` with the mirror, and writes the differences in lots. Takes the host lock for
/// each lot, and calls `pause` before each. Records that have gone come first.
///
/// Without a spool nothing is changed: what is not seen is not dead, until patience is over.
pub(crate) fn refresh(
    host: &Host,
    cluster: &ClusterConfig,
    path: &Path,
    seen: &mut Seen,
    pause: Pause<'_>,
) -> Result<Option<Refreshed>> {
    let Some(spool) = spool::open(path)? else { return Ok(None) };
    let mirror = Mirror::open(host.directory())?;
    let mut listing = spool::list(&spool, &cluster.hosts)?;
    let listed: BTreeSet<&PeerKey> = listing.records.iter().map(|listed| &listed.key).collect();
    let known = mirror.keys()?;
    let gone = known.iter().filter(|key| !listed.contains(key)).cloned();
    let mut lot: Vec<Change> = gone.map(|key| Change::Remove(key, None)).collect();
    seen.0.retain(|key, _| listed.contains(key));
    let (refreshed, touched) = (Refreshed::default(), Touched::default());
    let mut look = Look { host, mirror, seen, refreshed, touched, shared: None, pause };
    while lot.len() >= LOT {
        let rest = lot.split_off(LOT);
        look.apply(&mut lot)?;
        lot = rest;
    }
    if !lot.is_empty() && listing.records.len() > LOT {
        look.apply(&mut lot)?;
        look.settle();
    }
    for spool::Listed { key, signature } in &listing.records {
        if look.seen.0.get(key) == Some(&(*signature, known.contains(key))) {
            continue;
        }
        let record = spool::read(&spool, key, &cluster.hosts).unwrap_or_else(|why| {
            listing.aside.put(OsStr::new(&key.file_name()), why);
            None
        });
        match record {
            Some(record) if look.mirror.has(key, &record)? => {
                look.seen.0.insert(key.clone(), (*signature, true));
            }
            None if !known.contains(key) => {
                look.seen.0.insert(key.clone(), (*signature, false));
            }
            Some(record) => lot.push(Change::Put(key.clone(), Box::new(record), *signature)),
            None => lot.push(Change::Remove(key.clone(), Some(*signature))),
        }
        if lot.len() >= LOT {
            look.apply(&mut lot)?;
        }
    }
    look.apply(&mut lot)?;
    look.settle();
    let mut refreshed = look.refreshed;
    refreshed.aside = listing.aside;
    Ok(Some(refreshed))
}

/// Brings the mirror and the records of this host for others up to date. Without `[cluster]` nothing is done.
pub(crate) fn exchange(host: &Host) -> Result<()> {
    let Some(cluster) = &host.config.cluster else { return Ok(()) };
    let pause = &mut || Ok(());
    let refreshed = refresh(host, cluster, Path::new(SPOOL), &mut Seen::default(), pause)?;
    settle_guests(host, pause)?;
    publish(host, cluster)?;
    refreshed.map_or(Ok(()), |refreshed| refreshed.failures.into_result())
}

impl Look<'_> {
    /// Makes the changes of one lot under the host lock, and plans the recipients of this host again that they are about.
    fn apply(&mut self, lot: &mut Vec<Change>) -> Result<()> {
        if lot.is_empty() {
            return Ok(());
        }
        (self.pause)()?;
        self.refreshed.turns += 1;
        let host = self.host.lock_for_a_lot()?;
        for change in lot.drain(..) {
            let (Change::Put(key, ..) | Change::Remove(key, _)) = &change;
            self.mirror.get(key)?.into_iter().for_each(|old| self.touched.add(old));
            match change {
                Change::Put(key, record, signature) => {
                    let is_new = self.mirror.put(host.lock(), &key, &record)?;
                    self.refreshed.written += usize::from(is_new);
                    self.touched.add(*record);
                    self.seen.0.insert(key, (signature, true));
                }
                Change::Remove(key, signature) => {
                    let was_there = self.mirror.remove(host.lock(), &key)?;
                    self.refreshed.removed += usize::from(was_there);
                    match signature {
                        Some(signature) => self.seen.0.insert(key, (signature, false)),
                        None => self.seen.0.remove(&key),
                    };
                }
            }
        }
        drop(host);
        // The mirror has the records. A link that cannot follow must not keep others from being read.
        self.refreshed.failures.note(follow(self.host, &self.mirror, &mut self.touched));
        self.forget_strangers()
    }

    /// Keeps of the sources that recipients want those of this host: others may name any number of them.
    fn forget_strangers(&mut self) -> Result<()> {
        if self.touched.sources().is_empty() {
            return Ok(());
        }
        let shared = match self.shared.take() {
            Some(shared) => shared,
            None => shared(self.host)?,
        };
        self.touched.sources().retain(|id| shared.contains(id));
        self.shared = Some(shared);
        Ok(())
    }

    /// Brings the guests up to date of the sources that recipients want or wanted.
    fn settle(&mut self) {
        let sources = std::mem::take(self.touched.sources());
        match settle_sources(self.host, sources.iter(), self.pause) {
            Ok(guests) => self.refreshed.guests += guests,
            Err(error) => self.refreshed.failures.note(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests;
