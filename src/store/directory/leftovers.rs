//! Leftovers of a killed writer: incomplete files, empty directories, and index entries without a
//! record.

use super::DirectoryStore;
use super::entries::Entries;
use crate::error::{Cause, Result};
use crate::model::Record;
use crate::sys::private_dir::{Directory, NEW};
use std::collections::BTreeSet;
use std::fmt;

/// A file or directory to be removed.
pub(crate) struct Leftover<'a> {
    place: &'a Directory,
    folder: &'static str,
    name: String,
}

impl Leftover<'_> {
    /// Removes the file, and its directory if that becomes empty.
    pub(crate) fn remove(&self) -> Result<()> {
        let directory = match self.name.rsplit_once('/') {
            Some((directory, "")) => directory,
            Some((directory, _)) => {
                self.place.remove(&self.name)?;
                directory
            }
            None => return self.place.remove(&self.name),
        };
        self.place.prune(directory);
        Ok(())
    }
}

impl fmt::Display for Leftover<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.folder, self.name.escape_debug())
    }
}

impl DirectoryStore {
    /// Searches the whole store for leftovers. Requires the host lock.
    pub(crate) fn find_leftovers(&self) -> Result<Vec<Leftover<'_>>> {
        let mut found = Vec::new();
        for (place, folder) in [(&*self.top, ""), (&self.records, "records/")] {
            if place.has(NEW) {
                found.push(Leftover { place, folder, name: NEW.to_owned() });
            }
        }
        for name in names(&self.names, ".")? {
            let owner = self.names.read_link(&name)?;
            let was = |record: &Record| record.former_names.iter().any(|it| it.as_str() == name);
            let has = |record: &Record| record.has_name(&name) || was(record);
            let is_used = owner.map(|id| self.is_used(&id, has)).transpose()?;
            if is_used != Some(true) {
                found.push(Leftover { place: &self.names, folder: "names/", name });
            }
        }
        self.find_empty(&mut found)?;
        self.find_in(&self.addresses, "addresses/", |entries| &entries.addresses, &mut found)?;
        self.find_in(&self.wanted, "wanted/", |entries| &entries.wanted, &mut found)?;
        Ok(found)
    }

    /// Whether the record with this key needs an entry, which `has` tells. A record of a newer version
    /// may need any.
    fn is_used(&self, key: &str, has: impl Fn(&Record) -> bool) -> Result<bool> {
        if let Some(record) = self.known.borrow().record(key) {
            return Ok(has(record));
        }
        match self.read(key) {
            Err(error) if error.cause == Cause::NewerRecord => Ok(true),
            read => Ok(read?.is_some_and(|record| has(&record))),
        }
    }

    /// Finds empty directories in the tree of records.
    fn find_empty<'a>(&'a self, found: &mut Vec<Leftover<'a>>) -> Result<()> {
        let place = &self.records;
        let mut add = |name: &str| {
            found.push(Leftover { place, folder: "records/", name: format!("{name}/") });
        };
        for above in names(place, ".")?.into_iter().filter(|name| name != NEW) {
            let below = names(place, &above)?;
            if below.is_empty() {
                add(&above);
            }
            for name in below {
                let directory = format!("{above}/{name}");
                if names(place, &directory)?.is_empty() {
                    add(&directory);
                }
            }
        }
        Ok(())
    }

    /// Finds index entries whose record no longer has that key, and keys without entries.
    fn find_in<'a>(
        &self,
        place: &'a Directory,
        folder: &'static str,
        keys: impl Fn(&Entries) -> &BTreeSet<String>,
        found: &mut Vec<Leftover<'a>>,
    ) -> Result<()> {
        for key in names(place, ".")? {
            let ids = names(place, &key)?;
            if ids.is_empty() {
                found.push(Leftover { place, folder, name: format!("{key}/") });
            }
            for id in ids {
                let has = |record: &Record| keys(&Entries::of(record)).contains(&key);
                if !self.is_used(&id, has)? {
                    found.push(Leftover { place, folder, name: format!("{key}/{id}") });
                }
            }
        }
        Ok(())
    }
}

fn names(place: &Directory, path: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    place.visit(path, |name| {
        names.push(name.to_owned());
        Ok(true)
    })?;
    Ok(names)
}
