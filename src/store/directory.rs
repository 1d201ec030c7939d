//! A store that keeps records as files in the state directory.
//!
//! ```text
//! records/51/c3/51c3dd52….json   one record; the path also serves as the index of id prefixes
//! names/mysql              -> id  the running container that was first to use this name, as its own
//!                                 or as its engine's
//! addresses/10.0.0.2/51c3… -> id  a container with this address
//! wanted/mysql/9d53…       -> id  a recipient whose links name `mysql`
//! wanted/5~/9d53…          -> id  a recipient with a link to `5…`, which was never connected and
//!                                 may name the beginning of an id
//! wanted/~~mysql/mysql~~…  -> id  another running container with the id `mysql`
//! wanted/~@db@n1/51c3…     -> id  a container with the alias `db` on the network `n1`
//! wanted/n~blog~db/51c3…   -> id  a container `db` in the Kubernetes namespace `blog` (`PodKey`)
//! broken/                         records that could not be read
//! whole                           the epoch in which no record has been lost
//! ```
//!
//! An id that is not a plain one, and that of a namesake, is encoded (`ContainerId::key`).
//!
//! A record is replaced by rename. Index entries are created before the record and removed after
//! it. A crash therefore leaves extra entries but never loses one. An entry without a record is
//! ignored.

mod entries;
mod known;
mod leftovers;
mod names;
mod newer;
mod search;
mod subscription;

use super::format;
use super::{Change, Commit, Found, NewerRecord, Store, Subscription};
use crate::error::{Cause, Error, Kind, Result};
use crate::model::{ContainerId, ContainerName, NetworkName, PodKey, Record, Reference};
use crate::sys::private_dir::Directory;
use crate::sys::process::lock::{self, Lock};
pub(super) use entries::record_path;
use entries::{Entries, namesakes};
use known::Known;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// Upper bound for a record in bytes. A record with twice the permitted flows takes at most 20 MiB.
const MAX_RECORD: u64 = 32 << 20;
/// The folders of the store, as listed in the module documentation.
pub(crate) const FOLDERS: [&str; 4] = ["records", "names", "addresses", "wanted"];
/// The file that contains the epoch in which no record has been lost.
const WHOLE: &str = "whole";
/// Upper bound for the length of an epoch's name in bytes.
const MAX_EPOCH: u64 = 256;

/// A store in the state directory; the module documentation describes its files.
#[derive(Debug)]
pub(crate) struct DirectoryStore {
    top: Rc<Directory>,
    records: Directory,
    names: Directory,
    addresses: Directory,
    wanted: Directory,
    /// What was read or written under the current host lock.
    known: RefCell<Known>,
    /// The records of a newer version that a warning has named.
    warned: RefCell<BTreeSet<String>>,
    /// The epoch in which the store was found complete under the current host lock.
    complete: RefCell<Option<String>>,
}

impl DirectoryStore {
    /// Opens the store below `top` and creates missing folders.
    ///
    /// Fails if a name of the store is in use by something other than a directory.
    pub(crate) fn open(top: Rc<Directory>) -> Result<Self> {
        // Check all folders before creating the first one. A symlink or file in their place is an
        // error.
        let found = FOLDERS.map(|name| top.existing(name));
        let found = found.into_iter().collect::<Result<Vec<_>>>()?;
        if found.iter().any(Option::is_none) {
            top.remove(WHOLE)?; // A folder was removed, and records with it.
        }
        let mut found = found.into_iter();
        let mut folder = |name| match found.next().flatten() {
            Some(there) => Ok(there),
            None => top.subdirectory(name),
        };
        let [records, names, addresses, wanted] = FOLDERS;
        Ok(Self {
            records: folder(records)?,
            names: folder(names)?,
            addresses: folder(addresses)?,
            wanted: folder(wanted)?,
            known: RefCell::default(),
            warned: RefCell::default(),
            complete: RefCell::default(),
            top,
        })
    }

    /// Reads the record with this key and moves an unreadable one to `broken/`.
    ///
    /// A damaged record must not prevent other containers from starting.
    fn read(&self, key: &str) -> Result<Option<Record>> {
        if let Some(record) = self.known.borrow().record(key) {
            return Ok(Some(record.clone()));
        }
        let path = record_path(key);
        let Some(bytes) = self.records.read(&path, MAX_RECORD)? else { return Ok(None) };
        match format::decode(&bytes) {
            Ok(record) if record.id.key() == key => {
                self.known.borrow_mut().note(key, &record);
                return Ok(Some(record));
            }
            Ok(_) => log::error!("record {key}: belongs to another container: moved to broken/"),
            Err(error) if error.cause == Cause::NewerRecord => {
                return Err(Error::new(Kind::State, format!("record {key}: {error}"))
                    .because(Cause::NewerRecord));
            }
            Err(error) => log::error!("record {key}: {error}: moved to broken/"),
        }
        self.complete.take();
        self.top.remove(WHOLE)?;
        self.top.make_directory("broken")?;
        self.top.rename(&format!("records/{path}"), &format!("broken/{key}.json"))?;
        Ok(None)
    }

    fn put(&self, record: &Record, old: Option<&Record>) -> Result<()> {
        let key = record.id.key();
        let key = key.as_ref();
        let (new, was) = (Entries::of(record), old.map(Entries::of).unwrap_or_default());
        if new.addresses != was.addresses {
            self.known.borrow_mut().forget_holders();
        }
        for address in new.addresses.difference(&was.addresses) {
            self.addresses.link(key, &format!("{address}/{key}"))?;
        }
        for source in new.wanted.difference(&was.wanted) {
            self.wanted.link(key, &format!("{source}/{key}"))?;
        }
        let is_new = |name: &&ContainerName| old.is_none_or(|old| !old.names().any(|n| n == *name));
        for name in record.names().filter(is_new) {
            self.take_name(record, name)?;
        }
        let bytes = format::encode(record)?;
        if bytes.len() as u64 > MAX_RECORD {
            // A record above the limit could not be read at poststop, so its rules would never be
            // removed.
            return Err(Error::new(Kind::State, format!("record {key}: too large")));
        }
        self.records.write(&record_path(key), &bytes)?;
        let is_lost = |name: &&ContainerName| {
            !record.has_name(name.as_str()) && !record.former_names.contains(*name)
        };
        let before = old.into_iter().flat_map(|old| old.names().chain(&old.former_names));
        before.filter(is_lost).try_for_each(|name| self.drop_name(key, name))?;
        self.drop_entries(key, &was, &new)
    }

    fn remove(&self, record: &Record) -> Result<()> {
        let key = record.id.key();
        let key = key.as_ref();
        let path = record_path(key);
        self.records.remove(&path)?;
        if let Some((directory, _)) = path.rsplit_once('/') {
            self.records.prune(directory);
        }
        self.drop_entries(key, &Entries::of(record), &Entries::default())?;
        let mut names = record.names().chain(&record.former_names);
        names.try_for_each(|name| self.drop_name(key, name))
    }

    fn drop_entries(&self, key: &str, was: &Entries, now: &Entries) -> Result<()> {
        if was.addresses != now.addresses {
            self.known.borrow_mut().forget_holders();
        }
        let gone = |index: &Directory, was: &BTreeSet<String>, now: &BTreeSet<String>| {
            for listed in was.difference(now) {
                index.remove(&format!("{listed}/{key}"))?;
                index.prune(listed);
            }
            Ok(())
        };
        gone(&self.addresses, &was.addresses, &now.addresses)?;
        gone(&self.wanted, &was.wanted, &now.wanted)
    }
}

impl Store for DirectoryStore {
    fn lock(&self, patience: Duration) -> Result<Lock> {
        self.complete.take();
        let file = self.top.open_lock("lock")?;
        let lock = lock::exclusive(file, patience)?;
        self.known.borrow_mut().begin(&lock);
        lock.mark();
        Ok(lock)
    }

    fn lock_turns(&self) -> u128 {
        self.top.changed_at("lock")
    }

    fn namesakes(&self, id: &ContainerId) -> Result<Vec<Record>> {
        let mut records: Vec<Record> = self.read(&id.tagged(None).key())?.into_iter().collect();
        records.extend(self.behind(&self.wanted, &namesakes(id), Self::read)?);
        // A record that was damaged, or an entry of a killed writer, may be another container's.
        records.retain(|record| record.id.as_str() == id.as_str());
        Ok(records)
    }

    fn get(&self, id: &ContainerId) -> Result<Option<Record>> {
        self.read(&id.key())
    }

    fn find(&self, reference: &Reference) -> Result<Found> {
        self.search(reference)
    }

    fn named(&self, reference: &Reference) -> Result<Option<Record>> {
        if reference.in_pod().is_some() {
            return Ok(None);
        }
        self.owner_of(reference.as_str())
    }

    fn formerly_named(&self, reference: &Reference) -> Result<Option<Record>> {
        self.last_owner_of(reference)
    }

    fn with_alias(&self, network: &NetworkName, alias: &Reference) -> Result<Vec<Record>> {
        self.those_with_alias(network, alias)
    }

    fn claim_names(&self, _: &Lock, record: &Record) -> Result<()> {
        record.names().try_for_each(|name| self.take_name(record, name))
    }

    fn owns(&self, record: &Record, reference: &Reference) -> Result<bool> {
        Ok(self.names.read_link(reference.as_str())?.as_deref() == Some(record.id.key().as_ref()))
    }

    fn holders_of(&self, address: IpAddr) -> Result<Vec<Record>> {
        let keys = self.keys_of(address)?;
        keys.iter().filter_map(|key| self.read(key).transpose()).collect()
    }

    fn other_holders_of(&self, address: IpAddr, id: &ContainerId) -> Result<Vec<Record>> {
        let (own, keys) = (id.key(), self.keys_of(address)?);
        let others = keys.iter().filter(|key| **key != *own);
        others.filter_map(|key| self.read(key).transpose()).collect()
    }

    fn recipients_naming(&self, reference: &Reference) -> Result<Vec<Record>> {
        self.behind(&self.wanted, &reference.key(), Self::read_known)
    }

    fn recipients_of(&self, id: &ContainerId) -> Result<Vec<Record>> {
        self.behind(&self.wanted, &id.key(), Self::read_known)
    }

    fn listed(&self, key: PodKey<'_>) -> Result<Vec<Record>> {
        let mut records = self.behind(&self.wanted, &key.text(), Self::read_known)?;
        records.retain(|record| key.lists(record));
        Ok(records)
    }

    fn unresolved_by_prefix(&self, id: &ContainerId) -> Result<Vec<Record>> {
        self.those_awaiting(id)
    }

    fn ids(&self) -> Result<BTreeSet<ContainerId>> {
        self.all_ids()
    }

    fn all(&self) -> Result<Vec<Record>> {
        Ok(self.everything()?.0)
    }

    fn newer(&self) -> Result<Vec<NewerRecord>> {
        self.find_newer()
    }

    fn everything(&self) -> Result<(Vec<Record>, Vec<NewerRecord>)> {
        self.read_everything()
    }

    fn keep_all(&self, _: &Lock) {
        self.known.borrow_mut().keep_all();
    }

    fn is_complete(&self, epoch: &str) -> Result<bool> {
        if self.complete.borrow().as_deref() == Some(epoch) {
            return Ok(true);
        }
        let is_complete =
            self.top.read(WHOLE, MAX_EPOCH)?.is_some_and(|mark| mark == epoch.as_bytes());
        if is_complete {
            self.complete.replace(Some(epoch.to_owned()));
        }
        Ok(is_complete)
    }

    fn mark_complete(&self, _: &Lock, epoch: &str) -> Result<()> {
        self.complete.take();
        self.top.write(WHOLE, epoch.as_bytes())
    }

    fn leftovers(&self, _: &Lock) -> Result<Vec<String>> {
        Ok(self.find_leftovers()?.iter().map(ToString::to_string).collect())
    }

    fn remove_leftovers(&self, _: &Lock) -> Result<()> {
        self.find_leftovers()?.iter().try_for_each(leftovers::Leftover::remove)
    }

    fn subscribe(&self) -> Result<Box<dyn Subscription>> {
        Ok(Box::new(subscription::DirectorySubscription::open(&self.top, &self.records)?))
    }

    fn commit(&self, _: &Lock, change: &Change<'_>, seen: u64) -> Result<Commit> {
        let (Change::Put(record) | Change::Remove(record)) = change;
        let key = record.id.key();
        let old = self.read(&key)?;
        if old.as_ref().map_or(0, |old| old.revision) != seen {
            return Ok(Commit::Conflict);
        }
        // A change that fails may have been made in part.
        self.known.borrow_mut().forget(&key);
        match change {
            Change::Put(record) => {
                let record = Record { revision: seen + 1, ..(*record).clone() };
                self.put(&record, old.as_ref())?;
                let revision = record.revision;
                self.known.borrow_mut().note_written(&key, record);
                Ok(Commit::Done(revision))
            }
            Change::Remove(record) => {
                self.remove(old.as_ref().unwrap_or(record))?;
                Ok(Commit::Done(0))
            }
        }
    }
}

#[cfg(test)]
mod tests;
