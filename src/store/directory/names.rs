//! Names: the first container with a name keeps it for as long as its record exists.

use super::DirectoryStore;
use crate::error::{Cause, Result};
use crate::model::{ContainerName, Record};

impl DirectoryStore {
    /// Creates the name entry of a record, unless another container owns the name.
    ///
    /// The first container with a name keeps it for as long as its record exists.
    pub(super) fn take_name(&self, record: &Record) -> Result<()> {
        let (name, id, key) = (record.name.as_str(), &record.id, record.id.key());
        if self.names.link(&key, name)? {
            return Ok(());
        }
        match self.names.read_link(name)? {
            Some(owner) if owner == key => Ok(()),
            Some(owner) if self.keeps_name(&owner, &record.name)? => {
                log::warn!(
                    "name {name} belongs to container {owner}: container {id} is found by its id \
                     only"
                );
                Ok(())
            }
            _ => {
                self.names.remove(name)?;
                self.names.link(&key, name).map(drop)
            }
        }
    }

    /// Whether the container with this key keeps the name: its record has it, or is of a newer version.
    fn keeps_name(&self, key: &str, name: &ContainerName) -> Result<bool> {
        match self.read(key) {
            Err(error) if error.cause == Cause::NewerRecord => Ok(true),
            read => Ok(read?.is_some_and(|record| record.name == *name)),
        }
    }
}
