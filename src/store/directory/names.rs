//! Names: the first container with a name keeps it for as long as its record exists.

use super::DirectoryStore;
use crate::error::{Cause, Result};
use crate::model::{ContainerId, ContainerName, Record};

impl DirectoryStore {
    /// Creates the entry of one of a record's names, unless another container owns the name.
    ///
    /// The first container with a name keeps it for as long as its record exists.
    pub(super) fn take_name(&self, record: &Record, name: &ContainerName) -> Result<()> {
        let (name, id, key) = (name.as_str(), &record.id, record.id.key());
        if self.names.link(&key, name)? {
            return Ok(());
        }
        match self.names.read_link(name)? {
            Some(owner) if owner == key => Ok(()),
            // Links of pods do not use this index.
            Some(owner) if self.keeps_name(&owner, name)? && record.pod.is_some() => Ok(()),
            Some(owner) if self.keeps_name(&owner, name)? => {
                log::warn!(
                    "name {name} belongs to container {}: links by this name do not find \
                     container {}",
                    ContainerId::of_plain_key(&owner).map_or(owner, |owner| owner.brief()),
                    id.brief()
                );
                Ok(())
            }
            _ => {
                self.names.remove(name)?;
                self.names.link(&key, name).map(drop)
            }
        }
    }

    /// Removes the entry of a name, if it is that of the container with this key.
    pub(super) fn drop_name(&self, key: &str, name: &ContainerName) -> Result<()> {
        if self.names.read_link(name.as_str())?.as_deref() == Some(key) {
            self.names.remove(name.as_str())?;
        }
        Ok(())
    }

    /// Whether the container with this key keeps the name: its record has it, or is of a newer version.
    fn keeps_name(&self, key: &str, name: &str) -> Result<bool> {
        match self.read(key) {
            Err(error) if error.cause == Cause::NewerRecord => Ok(true),
            read => Ok(read?.is_some_and(|record| record.has_name(name))),
        }
    }
}
