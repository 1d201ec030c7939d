//! What containers published, shared by all hooks of a host.
//!
//! Nothing outside this folder knows that it is files: an etcd store will stand behind the same
//! trait.

mod directory;
pub(crate) mod format;

use crate::error::Result;
use crate::model::{ContainerId, HostsEdit, Record, Reference};
use crate::sys::private_dir::Directory;
use crate::sys::process::lock::Lock;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::rc::Rc;

/// What a reference may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Exactly one container.
    One(Box<Record>),
    /// Several ids start so.
    Several,
    /// Nothing.
    Nothing,
}

/// One change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// Write it.
    Put(&'a Record),
    /// Remove it.
    Remove(&'a Record),
}

/// What became of a change.
#[must_use = "a conflict means that nothing was changed"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It is there, under this revision.
    Done(u64),
    /// Somebody was faster: read again and plan again.
    Conflict,
}

/// Records and the indexes that find them. Every look-up but [`Store::all`] and [`Store::ids`]
/// costs the same however many records there are.
pub trait Store {
    /// Keeps other changes of this host out until the lock is dropped. Plans are made and carried
    /// out under it, so that rules and records change together.
    fn lock(&self) -> Result<Lock>;
    /// The record of a container.
    fn get(&self, id: &ContainerId) -> Result<Option<Record>>;
    /// Docker's order: exact id, then exact name, then unique id prefix.
    fn find(&self, reference: &Reference) -> Result<Found>;
    /// Who published this address.
    fn holders_of(&self, address: IpAddr) -> Result<Vec<Record>>;
    /// Whose links name `reference`.
    fn recipients_naming(&self, reference: &Reference) -> Result<Vec<Record>>;
    /// Whose links are not connected and may mean this container by a prefix of its id.
    fn unresolved_by_prefix(&self, id: &ContainerId) -> Result<Vec<Record>>;
    /// Whose records there are.
    fn ids(&self) -> Result<BTreeSet<ContainerId>>;
    /// Every record.
    fn all(&self) -> Result<Vec<Record>>;
    /// Whether no record was lost since somebody vouched for it, in the same `epoch`. It is not so
    /// where the store is new, nor where a record could not be read.
    fn is_complete(&self, epoch: &str) -> Result<bool>;
    /// Records that every rule of ours is named by a record, in this `epoch`.
    fn mark_complete(&self, lock: &Lock, epoch: &str) -> Result<()>;
    /// Descriptions of what a killed writer left behind.
    fn leftovers(&self, lock: &Lock) -> Result<Vec<String>>;
    /// Removes what a killed writer left behind.
    fn remove_leftovers(&self, lock: &Lock) -> Result<()>;
    /// From now on, what changes.
    fn subscribe(&self) -> Result<Box<dyn Subscription>>;
    /// Makes one change, if the record is still at revision `seen` (0: there is none).
    fn commit(&self, lock: &Lock, change: &Change<'_>, seen: u64) -> Result<Commit>;
}

/// What happened to a store that somebody listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreEvent {
    /// Nothing of interest.
    Nothing,
    /// Records were written, perhaps; some may have gone.
    Written,
    /// The store itself is gone: what comes after it has to be opened anew.
    Gone,
}

/// Hears of records that are written, whoever writes them. Can be read when there are news.
pub trait Subscription: AsFd {
    /// What happened since this was last asked.
    fn poll(&mut self) -> Result<StoreEvent>;
}

/// The other containers that have the first address of `record`: those of its pod.
pub(crate) fn pod_peers(store: &dyn Store, record: &Record) -> Result<Vec<Record>> {
    let Some(address) = record.network.addresses().first() else { return Ok(Vec::new()) };
    let mut pod_peers = store.holders_of(address.ip())?;
    pod_peers.retain(|peer| peer.id != record.id);
    Ok(pod_peers)
}

/// What stands in the hosts file of `record` for others: containers of one pod share it.
pub(crate) fn shared_hosts_blocks(store: &dyn Store, record: &Record) -> Result<Vec<String>> {
    let Some(edit) = &record.hosts else { return Ok(Vec::new()) };
    let pod_peers = pod_peers(store, record)?;
    let edits = pod_peers.iter().filter_map(|peer| peer.hosts.as_ref());
    let shared = edits.filter(|other| other.place == edit.place);
    Ok(shared.flat_map(HostsEdit::blocks).map(str::to_owned).collect())
}

/// Whether there is a store: to open one makes it.
pub(crate) fn is_there(state: &Directory) -> bool {
    directory::FOLDERS.iter().all(|folder| state.has(folder))
}

/// The choice point of this seam.
pub fn open(state: Rc<Directory>) -> Result<Box<dyn Store>> {
    Ok(Box::new(directory::DirectoryStore::open(state)?))
}
