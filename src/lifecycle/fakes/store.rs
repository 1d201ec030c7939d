//! The store, in memory.

use super::Journal;
use crate::error::{Cause, Context, Error, Kind, Result};
use crate::model::{
    ContainerId, ContainerName, Meaning, NetworkName, Phase, PodKey, Record, Reference,
};
use crate::store::{Change, Commit, Found, Store, StoreEvent, Subscription};
use crate::sys::process::lock::{self, Lock};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// How long a call waits for the lock. Longer than any test, so that a forgotten lock is an error.
const PATIENCE: Duration = Duration::from_secs(5);

/// The records of one host. Clones share them.
#[derive(Clone)]
pub(crate) struct MemoryStore {
    journal: Journal,
    kept: Rc<RefCell<Kept>>,
    lock: PathBuf,
}

#[derive(Default)]
struct Kept {
    /// The records by the keys of their ids.
    records: BTreeMap<String, Record>,
    /// The key of the container that owns each name.
    names: BTreeMap<String, String>,
    epoch: Option<String>,
    leftovers: Vec<String>,
    subscribers: Vec<UnixStream>,
    /// Whether another process holds the lock.
    is_held: bool,
}

impl MemoryStore {
    /// An empty store. `lock` is the path of its lock file.
    pub(crate) fn new(journal: &Journal, lock: &Path) -> Self {
        Self { journal: journal.clone(), kept: Rc::default(), lock: lock.to_owned() }
    }

    /// All records, without a call that the journal counts.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.kept.borrow().records.values().cloned().collect()
    }

    /// The record of the container `id`, without a call that the journal counts.
    pub(crate) fn record(&self, id: &str) -> Option<Record> {
        self.kept.borrow().records.get(id).cloned()
    }

    /// Changes a record behind the back of the code under test. Its revision stays.
    pub(crate) fn alter(&self, id: &str, change: impl FnOnce(&mut Record)) {
        self.kept.borrow_mut().records.get_mut(id).map(change);
    }

    /// Adds a record behind the back of the code under test.
    pub(crate) fn insert(&self, record: Record) {
        let mut kept = self.kept.borrow_mut();
        kept.take_names(&record, None);
        let key = record.id.key().into_owned();
        kept.records.insert(key, Record { revision: 1, ..record });
    }

    /// Removes a record without its effects, like a wiped state directory.
    pub(crate) fn lose(&self, id: &str) {
        let mut kept = self.kept.borrow_mut();
        kept.records.remove(id);
        kept.names.retain(|_, owner| owner != id);
        kept.epoch = None;
    }

    /// Makes the store complete in `epoch`, or incomplete with `None`.
    pub(crate) fn set_epoch(&self, epoch: Option<String>) {
        self.kept.borrow_mut().epoch = epoch;
    }

    /// Adds a file that a killed writer left.
    pub(crate) fn leave(&self, name: &str) {
        self.kept.borrow_mut().leftovers.push(name.to_owned());
    }

    /// Makes every caller wait in vain for the lock, until this is called with `false`.
    pub(crate) fn hold(&self, is_held: bool) {
        self.kept.borrow_mut().is_held = is_held;
    }

    fn call<T>(&self, text: &str, act: impl FnOnce(&mut Kept) -> T) -> Result<T> {
        self.journal.call(Kind::State, text, || Ok(act(&mut self.kept.borrow_mut())))
    }
}

impl Kept {
    fn find(&self, text: &str) -> Found {
        if text.contains('/') {
            return Found::Nothing;
        }
        if let Some(record) = self.records.get(text).or_else(|| self.named(text)) {
            return Found::One(Box::new(record.clone()));
        }
        // The first container with this id has ended; others run.
        let mut found = self.those(|record| record.id.as_str() == text);
        if found.is_empty() {
            let reference = Reference::new(text).unwrap();
            found = self.those(|record| reference.begins(&record.id));
        }
        match found.pop() {
            None => Found::Nothing,
            Some(record) if found.is_empty() => Found::One(Box::new(record)),
            Some(_) => Found::Several,
        }
    }

    fn named(&self, text: &str) -> Option<&Record> {
        self.records.get(self.names.get(text)?).filter(|record| record.has_name(text))
    }

    fn those(&self, belongs: impl Fn(&Record) -> bool) -> Vec<Record> {
        self.records.values().filter(|record| belongs(record)).cloned().collect()
    }

    /// The first container with a name keeps it for as long as its record exists. Another container
    /// of that name gets it when it is written under a new name or for the first time.
    /// No container owns a name that is made of an id.
    fn take_names(&mut self, record: &Record, old: Option<&Record>) {
        for name in record.names().map(ContainerName::as_str) {
            if old.is_some_and(|old| old.has_name(name)) {
                continue;
            }
            if self.named(name).is_none() {
                self.names.insert(name.to_owned(), record.id.key().into_owned());
            }
        }
    }

    fn commit(&mut self, change: &Change<'_>, seen: u64) -> Commit {
        let (Change::Put(record) | Change::Remove(record)) = change;
        let key = record.id.key();
        let key = key.as_ref();
        if self.records.get(key).map_or(0, |old| old.revision) != seen {
            return Commit::Conflict;
        }
        for subscriber in &mut self.subscribers {
            let _ = subscriber.write(&[1]);
        }
        if let Change::Put(record) = change {
            let old = self.records.get(key).cloned();
            self.take_names(record, old.as_ref());
            let keeps = |name: &str| {
                record.has_name(name) || record.former_names.iter().any(|it| it.as_str() == name)
            };
            self.names.retain(|name, owner| owner != key || keeps(name));
            let record = Record { revision: seen + 1, ..(*record).clone() };
            self.records.insert(key.to_owned(), record);
            return Commit::Done(seen + 1);
        }
        if let Some(old) = self.records.remove(key) {
            for name in old.names().chain(&old.former_names).map(ContainerName::as_str) {
                if self.names.get(name).is_some_and(|owner| owner == key) {
                    self.names.remove(name);
                }
            }
        }
        Commit::Done(0)
    }
}

impl Store for MemoryStore {
    fn lock(&self, patience: Duration) -> Result<Lock> {
        self.journal.call(Kind::State, "lock", || {
            if self.kept.borrow().is_held {
                let message = format!("lock: held for {} ms", patience.as_millis());
                return Err(Error::new(Kind::State, message).because(Cause::LockHeld));
            }
            let file = File::create(&self.lock).context(Kind::State, || "lock")?;
            lock::exclusive(file, PATIENCE)
        })
    }

    fn namesakes(&self, id: &ContainerId) -> Result<Vec<Record>> {
        let is_one = |record: &Record| record.id.as_str() == id.as_str();
        self.call(&format!("namesakes {id}"), |kept| kept.those(is_one))
    }

    fn get(&self, id: &ContainerId) -> Result<Option<Record>> {
        self.call(&format!("get {id}"), |kept| kept.records.get(id.key().as_ref()).cloned())
    }

    fn find(&self, reference: &Reference) -> Result<Found> {
        self.call(&format!("find {reference}"), |kept| kept.find(reference.as_str()))
    }

    fn named(&self, reference: &Reference) -> Result<Option<Record>> {
        self.call(&format!("named {reference}"), |kept| kept.named(reference.as_str()).cloned())
    }

    fn formerly_named(&self, reference: &Reference) -> Result<Option<Record>> {
        self.call(&format!("formerly_named {reference}"), |kept| {
            let owner = kept.names.get(reference.as_str()).and_then(|key| kept.records.get(key));
            owner.filter(|it| !it.is_named(reference) && it.was_named(reference)).cloned()
        })
    }

    fn with_alias(&self, network: &NetworkName, alias: &Reference) -> Result<Vec<Record>> {
        let has = |record: &Record| record.has_alias(network, alias);
        self.call(&format!("with_alias {alias} {network}"), |kept| kept.those(has))
    }

    fn claim_names(&self, _: &Lock, record: &Record) -> Result<()> {
        self.call(&format!("claim_names {}", record.id), |kept| kept.take_names(record, None))
    }

    fn holders_of(&self, address: IpAddr) -> Result<Vec<Record>> {
        let has = |record: &Record| {
            let mut now = record.network.addresses().iter();
            now.any(|own| own.ip() == address) || record.former.contains(&address)
        };
        self.call(&format!("holders_of {address}"), |kept| kept.those(has))
    }

    fn recipients_naming(&self, reference: &Reference) -> Result<Vec<Record>> {
        let names = |record: &Record| wants(record, reference.as_str());
        self.call(&format!("recipients_naming {reference}"), |kept| kept.those(names))
    }

    fn recipients_of(&self, id: &ContainerId) -> Result<Vec<Record>> {
        let key = id.key();
        let names = |record: &Record| wants(record, &key);
        self.call(&format!("recipients_of {id}"), |kept| kept.those(names))
    }

    fn listed(&self, key: PodKey<'_>) -> Result<Vec<Record>> {
        self.call(&format!("listed {}", key.text()), |kept| kept.those(|record| key.lists(record)))
    }

    fn unresolved_by_prefix(&self, id: &ContainerId) -> Result<Vec<Record>> {
        let hopes = |record: &Record| record.links.iter().any(|link| link.awaits_prefix_of(id));
        self.call(&format!("unresolved_by_prefix {id}"), |kept| kept.those(hopes))
    }

    fn ids(&self) -> Result<BTreeSet<ContainerId>> {
        self.call("ids", |kept| kept.records.values().map(|record| record.id.clone()).collect())
    }

    fn all(&self) -> Result<Vec<Record>> {
        self.call("all", |kept| kept.those(|_| true))
    }

    fn is_complete(&self, epoch: &str) -> Result<bool> {
        self.call("is_complete", |kept| kept.epoch.as_deref() == Some(epoch))
    }

    fn mark_complete(&self, _: &Lock, epoch: &str) -> Result<()> {
        self.call("mark_complete", |kept| {
            kept.epoch = Some(epoch.to_owned());
            self.journal.changed("mark_complete".to_owned());
        })
    }

    fn leftovers(&self, _: &Lock) -> Result<Vec<String>> {
        self.call("leftovers", |kept| kept.leftovers.clone())
    }

    fn remove_leftovers(&self, _: &Lock) -> Result<()> {
        self.call("remove_leftovers", |kept| kept.leftovers.clear())
    }

    fn subscribe(&self) -> Result<Box<dyn Subscription>> {
        let (end, subscriber) = UnixStream::pair().context(Kind::State, || "subscribe")?;
        end.set_nonblocking(true).context(Kind::State, || "subscribe")?;
        self.call("subscribe", |kept| kept.subscribers.push(subscriber))?;
        Ok(Box::new(MemorySubscription(end)))
    }

    fn commit(&self, _: &Lock, change: &Change<'_>, seen: u64) -> Result<Commit> {
        let text = match change {
            Change::Put(Record { id, phase: Phase::Pending, .. }) => format!("put {id} pending"),
            Change::Put(record) => format!("put {} ready", record.id),
            Change::Remove(record) => format!("delete {}", record.id),
        };
        self.call(&text, |kept| {
            let done = kept.commit(change, seen);
            if done != Commit::Conflict {
                self.journal.changed(text.clone());
            }
            done
        })
    }
}

/// Whether a link of `record` names a source by this text, or is connected to the id with this key.
fn wants(record: &Record, text: &str) -> bool {
    record.links.iter().any(|link_state| {
        let source = link_state.source.as_ref();
        let meant = match &link_state.meaning {
            Some(Meaning::Id(id)) => Some(id),
            Some(Meaning::Name) | None => None,
        };
        link_state.link.source.as_str() == text
            || link_state.there.as_ref().is_some_and(|run| run.key() == text)
            || source.into_iter().chain(meant).any(|id| id.key() == text)
    })
}

struct MemorySubscription(UnixStream);

impl Subscription for MemorySubscription {
    fn poll(&mut self) -> Result<StoreEvent> {
        match self.0.read(&mut [0; 4096]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(StoreEvent::Nothing),
            read => read.context(Kind::State, || "subscription").map(|_| StoreEvent::Written),
        }
    }
}

impl AsFd for MemorySubscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Both stores must behave alike, so the store's own test cases run on this one too.
mod tests;
