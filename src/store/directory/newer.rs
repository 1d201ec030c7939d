//! Records of a newer version: only the newer program can interpret them. They are skipped with a
//! warning, and keep their files, names and rules.

use super::entries::record_path;
use super::{DirectoryStore, MAX_RECORD, NewerRecord};
use crate::error::{Cause, Result};
use crate::model::Record;
use crate::store::format;

impl DirectoryStore {
    /// Reads the record with this key. One of a newer version counts as missing; the first time, a
    /// warning names it.
    pub(super) fn read_known(&self, key: &str) -> Result<Option<Record>> {
        match self.read(key) {
            Err(error) if error.cause == Cause::NewerRecord => {
                if self.warned.borrow_mut().insert(key.to_owned()) {
                    log::warn!("{error}: skipped; it and its rules stay");
                }
                Ok(None)
            }
            read => read,
        }
    }

    /// Lists the records of a newer version.
    pub(super) fn find_newer(&self) -> Result<Vec<NewerRecord>> {
        let mut found = Vec::new();
        for name in self.file_names()? {
            let error = match self.read(&name) {
                Err(error) if error.cause == Cause::NewerRecord => error,
                read => {
                    read?;
                    continue;
                }
            };
            let bytes = self.records.read(&record_path(&name), MAX_RECORD)?.unwrap_or_default();
            found.push(NewerRecord { owner: format::owner_of(&bytes), reason: error.to_string() });
        }
        Ok(found)
    }
}
