//! Finds records by reference and by index entry.

use super::DirectoryStore;
use super::entries::{LEVELS, alias_key, hope, record_path};
use crate::error::Result;
use crate::model::{ContainerId, NetworkName, Record, Reference};
use crate::store::{Found, Store};
use crate::sys::private_dir::Directory;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;

impl DirectoryStore {
    /// Resolves a reference as [`Store::find`] promises.
    pub(super) fn search(&self, reference: &Reference) -> Result<Found> {
        let text = reference.as_str();
        if reference.in_pod().is_some() {
            return Ok(Found::Nothing);
        }
        if let Some(record) = self.read(text)? {
            return Ok(Found::One(Box::new(record)));
        }
        if let Some(record) = self.owner_of(text)? {
            return Ok(Found::One(Box::new(record)));
        }
        // The first container with this id has ended; others run.
        let mut found = self.namesakes(&ContainerId::new(text)?)?;
        if found.is_empty() && reference.is_prefix() {
            let keys = self.begun_by(reference)?;
            if let [key] = keys.as_slice() {
                found.extend(self.read(key)?);
            } else if keys.len() > 1 {
                return Ok(Found::Several);
            }
        }
        Ok(match found.pop() {
            None => Found::Nothing,
            Some(record) if found.is_empty() => Found::One(Box::new(record)),
            Some(_) => Found::Several,
        })
    }

    /// Returns the record of the container that owns a name.
    pub(super) fn owner_of(&self, name: &str) -> Result<Option<Record>> {
        let record = self.names.read_link(name)?.map(|key| self.read(&key)).transpose()?.flatten();
        Ok(record.filter(|record| record.has_name(name)))
    }

    /// Returns the last owner of a name, if it has another name now.
    pub(super) fn last_owner_of(&self, name: &Reference) -> Result<Option<Record>> {
        if name.in_pod().is_some() {
            return Ok(None);
        }
        let key = self.names.read_link(name.as_str())?;
        let record = key.map(|key| self.read(&key)).transpose()?.flatten();
        Ok(record.filter(|record| !record.is_named(name) && record.was_named(name)))
    }

    /// Returns the keys of up to two ids that `reference` begins. All are in one directory, because a
    /// prefix is longer than the names of the directories above it.
    fn begun_by(&self, reference: &Reference) -> Result<Vec<String>> {
        let path = record_path(reference.as_str());
        let (directory, _) = path.rsplit_once('/').unwrap_or_default();
        let mut keys = Vec::new();
        self.records.visit(directory, |file| {
            let key = file.strip_suffix(".json").unwrap_or_default();
            if ContainerId::of_plain_key(key).is_some_and(|id| reference.begins(&id)) {
                keys.push(key.to_owned());
            }
            Ok(keys.len() < 2)
        })?;
        Ok(keys)
    }

    /// Returns the containers with this alias on the network.
    pub(super) fn those_with_alias(
        &self,
        network: &NetworkName,
        alias: &Reference,
    ) -> Result<Vec<Record>> {
        let Some(key) = alias_key(network, alias) else { return Ok(Vec::new()) };
        let mut records = self.behind(&self.wanted, &key, Self::read_known)?;
        records.retain(|record| record.has_alias(network, alias));
        Ok(records)
    }

    /// Returns the recipients with a link that was never connected and names a beginning of `id`.
    pub(super) fn those_awaiting(&self, id: &ContainerId) -> Result<Vec<Record>> {
        if !id.is_engine_id() {
            return Ok(Vec::new());
        }
        let Some(key) = hope(id.as_str()) else { return Ok(Vec::new()) };
        let mut records = self.behind(&self.wanted, &key, Self::read_known)?;
        records.retain(|record| record.links.iter().any(|link| link.awaits_prefix_of(id)));
        Ok(records)
    }

    /// Returns the records that the entries under `key` of an index point to. `read` reads one.
    pub(super) fn behind(
        &self,
        index: &Directory,
        key: &str,
        read: fn(&Self, &str) -> Result<Option<Record>>,
    ) -> Result<Vec<Record>> {
        let mut found = BTreeSet::new();
        index.visit(key, |entry| Ok(found.insert(entry.to_owned())))?;
        let records = found.iter().filter_map(|entry| read(self, entry).transpose());
        records.collect()
    }

    /// Returns the keys of the containers that are listed under an address.
    pub(super) fn keys_of(&self, address: IpAddr) -> Result<Rc<BTreeSet<String>>> {
        let address = address.to_string();
        if let Some(known) = self.known.borrow().holders(&address) {
            return Ok(known);
        }
        let mut keys = BTreeSet::new();
        self.addresses.visit(&address, |key| Ok(keys.insert(key.to_owned())))?;
        let keys = Rc::new(keys);
        self.known.borrow_mut().note_holders(&address, &keys);
        Ok(keys)
    }

    /// Collects the file names of all records below `path` without `.json`.
    fn collect(&self, path: &str, level: usize, keys: &mut Vec<String>) -> Result<()> {
        self.records.visit(path, |name| {
            if level == LEVELS {
                keys.extend(name.strip_suffix(".json").map(str::to_owned));
            } else {
                self.collect(&format!("{path}/{name}"), level + 1, keys)?;
            }
            Ok(true)
        })
    }

    /// Returns the ids of all records. Those of plain keys are not read.
    pub(super) fn all_ids(&self) -> Result<BTreeSet<ContainerId>> {
        let mut ids = BTreeSet::new();
        for key in self.file_names()? {
            match ContainerId::of_plain_key(&key) {
                Some(id) => _ = ids.insert(id),
                None => ids.extend(self.read_known(&key)?.map(|record| record.id)),
            }
        }
        Ok(ids)
    }

    /// Returns the file names of all records without `.json`, in order.
    pub(super) fn file_names(&self) -> Result<BTreeSet<String>> {
        let mut names = Vec::new();
        self.collect(".", 0, &mut names)?;
        Ok(names.into_iter().collect())
    }
}
