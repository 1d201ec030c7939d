//! Records of a newer version: only the newer program can interpret them. They are skipped with a
//! warning, and keep their files, names and rules.

use super::entries::record_path;
use super::{DirectoryStore, MAX_RECORD, NewerRecord};
use crate::error::{Cause, Error, Result};
use crate::model::Record;
use crate::store::format;

impl DirectoryStore {
    /// Reads the record with this key. One of a newer version counts as missing; the first time, a
    /// warning names it.
    pub(super) fn read_known(&self, key: &str) -> Result<Option<Record>> {
        match self.read(key) {
            Err(error) if error.cause == Cause::NewerRecord => {
                self.warn_once(key, &error);
                Ok(None)
            }
            read => read,
        }
    }

    fn warn_once(&self, key: &str, error: &Error) {
        if self.warned.borrow_mut().insert(key.to_owned()) {
            log::warn!("{error}: skipped; it and its rules stay");
        }
    }

    /// Reads all records and lists those of a newer version. The first time, a warning names each of these.
    pub(super) fn read_everything(&self) -> Result<(Vec<Record>, Vec<NewerRecord>)> {
        let keys = self.file_names()?;
        let (mut records, mut newer) = (Vec::with_capacity(keys.len()), Vec::new());
        for key in keys {
            match self.read(&key) {
                Err(error) if error.cause == Cause::NewerRecord => {
                    self.warn_once(&key, &error);
                    newer.push(self.describe(&key, &error)?);
                }
                read => records.extend(read?),
            }
        }
        Ok((records, newer))
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
            found.push(self.describe(&name, &error)?);
        }
        Ok(found)
    }

    /// Describes the record of a newer version with this key. `error` says why it is not read.
    fn describe(&self, key: &str, error: &Error) -> Result<NewerRecord> {
        let bytes = self.records.read(&record_path(key), MAX_RECORD)?.unwrap_or_default();
        Ok(NewerRecord { owner: format::owner_of(&bytes), reason: error.to_string() })
    }
}
