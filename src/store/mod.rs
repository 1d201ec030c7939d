//! The store of container records, shared by all hooks of a host.
//!
//! Code outside this module uses the [`Store`] trait only and does not depend on the file layout.
//! The trait leaves room for another implementation, such as etcd.

mod directory;
pub(crate) mod format;
pub(crate) mod glimpse;
pub(crate) mod guests;
pub(crate) mod notes;

use crate::error::{Cause, Result};
use crate::model::{ContainerId, HostsEdit, NetworkName, PodKey, Record, Reference};
use crate::sys::private_dir::Directory;
use crate::sys::process::lock::Lock;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

pub use format::NewerRecord;

/// The result of resolving a reference to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Exactly one container matches.
    One(Box<Record>),
    /// The reference is a prefix of several container ids.
    Several,
    /// No container matches.
    Nothing,
}

/// A change to one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// Writes the record, or replaces the existing one.
    Put(&'a Record),
    /// Removes the record.
    Remove(&'a Record),
}

/// The outcome of [`Store::commit`].
#[must_use = "a conflict means that nothing was changed"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// The change was made. The value is the new revision, or 0 after a removal.
    Done(u64),
    /// Nothing was changed, because the record is at another revision. The caller must read it and
    /// plan again.
    Conflict,
}

/// Container records and the indexes to find them.
///
/// The cost of a look-up does not depend on the number of records, except for [`Store::all`] and
/// [`Store::ids`].
pub trait Store {
    /// Takes the host lock, which is held until the returned value is dropped.
    ///
    /// Plans are made and applied under this lock, so that rules and records change together. Fails
    /// with the cause `LockHeld` if the lock is not free within `patience`.
    fn lock(&self, patience: Duration) -> Result<Lock>;
    /// A value that changes whenever a process takes the host lock.
    fn lock_turns(&self) -> u128 {
        0
    }
    /// Returns the records of all containers that the runtime calls `id`.
    fn namesakes(&self, id: &ContainerId) -> Result<Vec<Record>>;
    /// Returns the record of the container `id`. Of several with this id it is exactly the one that
    /// is meant.
    ///
    /// A record of a newer version is an error with the cause `NewerRecord` here, in
    /// [`Store::namesakes`], [`Store::find`], [`Store::holders_of`] and [`Store::other_holders_of`]. All other queries skip it with
    /// a warning.
    fn get(&self, id: &ContainerId) -> Result<Option<Record>>;
    /// Resolves `reference` in Docker's order: exact id, then exact name, then the beginning of an id
    /// if it is unique and it has at least 12 characters of a 64-hex id.
    ///
    /// Of several containers with one id the first is found for as long as its record exists. `pod/container`
    /// finds nothing, see [`Store::listed`].
    fn find(&self, reference: &Reference) -> Result<Found>;
    /// Returns the container that owns the name `reference`: the first running one with that name.
    fn named(&self, reference: &Reference) -> Result<Option<Record>>;
    /// Returns the last owner of the name `reference` if it has another name now and no other container
    /// owns this one.
    fn formerly_named(&self, reference: &Reference) -> Result<Option<Record>>;
    /// Returns the records with the alias `alias` on `network`.
    fn with_alias(&self, network: &NetworkName, alias: &Reference) -> Result<Vec<Record>>;
    /// Gives `record`, which is stored, those of its names that no other container owns.
    ///
    /// Requires the host lock.
    fn claim_names(&self, lock: &Lock, record: &Record) -> Result<()>;
    /// Whether the container of `record`, which has the name `reference`, owns it. Reads no record.
    fn owns(&self, record: &Record, reference: &Reference) -> Result<bool> {
        Ok(self.named(reference)?.is_some_and(|owner| owner.id == record.id))
    }
    /// Returns the records that contain this address, also those of containers that had it before.
    fn holders_of(&self, address: IpAddr) -> Result<Vec<Record>>;
    /// Returns the records of other containers than `id` that contain this address.
    fn other_holders_of(&self, address: IpAddr, id: &ContainerId) -> Result<Vec<Record>> {
        let mut records = self.holders_of(address)?;
        records.retain(|record| record.id != *id);
        Ok(records)
    }
    /// Returns the recipients with a link that names `reference` or is connected to that id, here or there.
    fn recipients_naming(&self, reference: &Reference) -> Result<Vec<Record>>;
    /// Returns the recipients with a link that names `id` or is connected to it.
    fn recipients_of(&self, id: &ContainerId) -> Result<Vec<Record>>;
    /// Returns the recipients with a link that was never connected and names a beginning of `id`, see
    /// `Reference::begins`.
    fn unresolved_by_prefix(&self, id: &ContainerId) -> Result<Vec<Record>>;
    /// Returns the containers that are listed under `key`.
    fn listed(&self, key: PodKey<'_>) -> Result<Vec<Record>>;
    /// Returns the ids of all records.
    fn ids(&self) -> Result<BTreeSet<ContainerId>>;
    /// Returns all records.
    fn all(&self) -> Result<Vec<Record>>;
    /// Returns the records of a newer version, which [`Store::all`] leaves out.
    fn newer(&self) -> Result<Vec<NewerRecord>> {
        Ok(Vec::new())
    }
    /// Returns what [`Store::all`] and [`Store::newer`] return. Each record is read once.
    fn everything(&self) -> Result<(Vec<Record>, Vec<NewerRecord>)> {
        Ok((self.all()?, self.newer()?))
    }
    /// Keeps every record that is read in memory until the host lock is released, however many they are:
    /// no record is read twice. For a command that examines the whole store.
    ///
    /// Requires the host lock.
    fn keep_all(&self, _: &Lock) {}
    /// Whether [`Store::mark_complete`] was called in this `epoch` and no record has been lost
    /// since.
    ///
    /// A new store is not complete. A record that cannot be read makes the store incomplete.
    /// `epoch` names the boot and the network namespace that the rules belong to.
    fn is_complete(&self, epoch: &str) -> Result<bool>;
    /// Marks the store as complete: a record exists for every installed rule.
    ///
    /// Requires the host lock.
    fn mark_complete(&self, lock: &Lock, epoch: &str) -> Result<()>;
    /// Describes the files left by a process that was killed during a write, one text per file.
    ///
    /// Requires the host lock.
    fn leftovers(&self, lock: &Lock) -> Result<Vec<String>>;
    /// Removes the files that [`Store::leftovers`] lists. Requires the host lock.
    fn remove_leftovers(&self, lock: &Lock) -> Result<()>;
    /// Subscribes to changes made from now on.
    fn subscribe(&self) -> Result<Box<dyn Subscription>>;
    /// Makes one change if the record is still at revision `seen`; 0 means that no record exists.
    ///
    /// Requires the host lock.
    fn commit(&self, lock: &Lock, change: &Change<'_>, seen: u64) -> Result<Commit>;
}

/// An event that a [`Subscription`] reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreEvent {
    /// No relevant change.
    Nothing,
    /// Records may have been written or removed.
    Written,
    /// A process left a note, because another one held the host lock. Records may have changed too.
    Noted,
    /// The store was removed or moved. Its successor must be opened as a new store.
    Gone,
}

/// A subscription to record changes by any process. Its descriptor is readable when an event is
/// pending.
pub trait Subscription: AsFd {
    /// Returns what happened since the last call. Does not block.
    fn poll(&mut self) -> Result<StoreEvent>;
}

/// Returns the pod peers of `record`: the other containers with the same first address.
pub(crate) fn pod_peers(store: &dyn Store, record: &Record) -> Result<Vec<Record>> {
    let Some(address) = record.network.addresses().first() else { return Ok(Vec::new()) };
    match store.other_holders_of(address.ip(), &record.id) {
        // A pod peer whose record is newer must not keep this container from being changed.
        Err(error) if error.cause == Cause::NewerRecord => Ok(Vec::new()),
        found => found,
    }
}

/// Returns the hosts blocks of pod peers that share the hosts file of `record`.
pub(crate) fn shared_hosts_blocks(store: &dyn Store, record: &Record) -> Result<Vec<String>> {
    let Some(edit) = &record.hosts else { return Ok(Vec::new()) };
    let pod_peers = pod_peers(store, record)?;
    let edits = pod_peers.iter().filter_map(|peer| peer.hosts.as_ref());
    let shared = edits.filter(|other| other.place.is_same_file(&edit.place));
    Ok(shared.flat_map(HostsEdit::blocks).map(str::to_owned).collect())
}

/// Returns the containers whose block may be in the hosts file of `record`: pod peers with the same file. Of a
/// container in a pod of Kubernetes that has no links the file is not known, so all its peers count.
pub(crate) fn hosts_sharers(store: &dyn Store, record: &Record) -> Result<Vec<Record>> {
    if record.hosts.is_none() && record.pod.is_none() {
        return Ok(Vec::new());
    }
    let own = record.hosts.as_ref().map(|edit| &edit.place);
    let mut peers = pod_peers(store, record)?;
    peers.retain(|peer| {
        peer.hosts.as_ref().is_some_and(|edit| own.is_none_or(|own| own.is_same_file(&edit.place)))
    });
    Ok(peers)
}

/// Whether the state directory contains a store. Unlike [`open`], this creates nothing.
pub(crate) fn is_there(state: &Directory) -> bool {
    directory::FOLDERS.iter().all(|folder| state.has(folder))
}

/// Opens the store in the state directory `state`. The store implementation is chosen here only.
pub fn open(state: Rc<Directory>) -> Result<Box<dyn Store>> {
    Ok(Box::new(directory::DirectoryStore::open(state)?))
}

#[cfg(test)]
pub(crate) mod contract;
