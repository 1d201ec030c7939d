//! What was read or written under the present host lock. While it is held, no other process changes the
//! store, so nothing has to be read twice: all recipients of one source have that source.

use crate::model::Record;
use crate::sys::process::lock::Lock;
use std::collections::{BTreeSet, HashMap};
use std::rc::{Rc, Weak};

/// The most records, and lists of containers with one address, that are kept. Further ones are read again,
/// unless [`Known::keep_all`] was called.
const MOST: usize = 1024;
/// The most flows of all these records.
const MOST_FLOWS: usize = 1 << 16;

/// Empty unless this process holds the host lock.
#[derive(Debug, Default)]
pub(super) struct Known {
    lock: Weak<()>,
    keeps_all: bool,
    records: HashMap<String, Record>,
    flows: usize,
    holders: HashMap<String, Rc<BTreeSet<String>>>,
}

impl Known {
    /// Forgets everything. From now on `lock` is the one that must be held.
    pub(super) fn begin(&mut self, lock: &Lock) {
        *self = Self { lock: lock.sign(), ..Self::default() };
    }

    /// Keeps everything that is read until the lock is released.
    pub(super) fn keep_all(&mut self) {
        self.keeps_all = true;
    }

    fn is_locked(&self) -> bool {
        self.lock.strong_count() > 0
    }

    /// The record with this key, if it is known.
    pub(super) fn record(&self, key: &str) -> Option<&Record> {
        self.records.get(key).filter(|_| self.is_locked())
    }

    /// Keeps a record that was read, if there is room.
    pub(super) fn note(&mut self, key: &str, record: &Record) {
        let has_room = self.records.len() < MOST && self.flows + record.flows.len() <= MOST_FLOWS;
        if (has_room || self.keeps_all) && self.is_locked() {
            self.insert(key, record.clone());
        }
    }

    /// Keeps a record that was written. It is likely to be written again.
    pub(super) fn note_written(&mut self, key: &str, record: Record) {
        self.forget(key);
        if self.records.len() >= MOST || self.flows + record.flows.len() > MOST_FLOWS {
            self.records.clear();
            self.flows = 0;
        }
        self.insert(key, record);
    }

    fn insert(&mut self, key: &str, record: Record) {
        self.forget(key);
        self.flows += record.flows.len();
        self.records.insert(key.to_owned(), record);
    }

    /// Forgets the record with this key.
    pub(super) fn forget(&mut self, key: &str) {
        if let Some(record) = self.records.remove(key) {
            self.flows -= record.flows.len();
        }
    }

    /// The keys of the containers with an address, if they are known.
    pub(super) fn holders(&self, address: &str) -> Option<Rc<BTreeSet<String>>> {
        self.holders.get(address).filter(|_| self.is_locked()).cloned()
    }

    /// Keeps the containers with an address, if there is room.
    pub(super) fn note_holders(&mut self, address: &str, keys: &Rc<BTreeSet<String>>) {
        if self.is_locked() && (self.holders.len() < MOST || self.keeps_all) {
            self.holders.insert(address.to_owned(), Rc::clone(keys));
        }
    }

    /// Forgets which containers have which address.
    pub(super) fn forget_holders(&mut self) {
        self.holders.clear();
    }
}
