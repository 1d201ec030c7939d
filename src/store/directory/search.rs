//! Finds records by reference, by index entry and by prefix.

use super::DirectoryStore;
use super::entries::{LEVELS, WIDTH};
use crate::error::Result;
use crate::model::{ContainerId, Record, Reference};
use crate::store::{Found, Store};
use crate::sys::private_dir::Directory;
use std::collections::BTreeSet;

impl DirectoryStore {
    /// Resolves a reference as [`Store::find`] promises.
    pub(super) fn search(&self, reference: &Reference) -> Result<Found> {
        let text = reference.as_str();
        if let Some(record) = self.read(text)? {
            return Ok(Found::One(Box::new(record)));
        }
        let named = self.names.read_link(text)?.map(|id| self.read(&id)).transpose()?.flatten();
        if let Some(record) = named.filter(|record| record.name.as_str() == text) {
            return Ok(Found::One(Box::new(record)));
        }
        // The first container with this id has ended; others run.
        let mut found = self.namesakes(&ContainerId::new(text)?)?;
        if found.is_empty() {
            let mut keys = Vec::new();
            self.prefixed(".", 0, text, 2, &mut keys)?;
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

    /// Collects up to `limit` keys that start with `prefix` from the part of the tree below `path`.
    ///
    /// Empty directories are removed with the last record in them, so a search for two ids takes
    /// few steps. A prefix matches plain ids only.
    fn prefixed(
        &self,
        path: &str,
        level: usize,
        prefix: &str,
        limit: usize,
        keys: &mut Vec<String>,
    ) -> Result<()> {
        if level == LEVELS {
            return self.records.visit(path, |file| {
                let is_meant = |key: &&str| {
                    key.starts_with(prefix) && (prefix.is_empty() || !key.contains('~'))
                };
                keys.extend(file.strip_suffix(".json").filter(is_meant).map(str::to_owned));
                Ok(keys.len() < limit)
            });
        }
        let wanted = prefix.get(level * WIDTH..).unwrap_or_default();
        if wanted.len() >= WIDTH {
            let next = format!("{path}/{}", wanted.get(..WIDTH).unwrap_or_default());
            return self.prefixed(&next, level + 1, prefix, limit, keys);
        }
        self.records.visit(path, |name| {
            if name.starts_with(wanted) {
                self.prefixed(&format!("{path}/{name}"), level + 1, prefix, limit, keys)?;
            }
            Ok(keys.len() < limit)
        })
    }

    /// Returns the file names of all records without `.json`, in order.
    pub(super) fn file_names(&self) -> Result<BTreeSet<String>> {
        let mut names = Vec::new();
        self.prefixed(".", 0, "", usize::MAX, &mut names)?;
        Ok(names.into_iter().collect())
    }
}
