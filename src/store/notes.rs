//! Notes about containers whose start or end could not be recorded, because another process held the
//! host lock.
//!
//! A note is a small file in the folder `notes` of the state directory. Writing one needs no lock. The
//! next holder of the lock works the notes off before anything else (`lifecycle/notes.rs`).

use crate::error::{Context, Kind, Result};
use crate::model::{ContainerId, Record};
use crate::sys::private_dir::{Directory, TEMPORARY};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The folder of the notes.
pub(crate) const FOLDER: &str = "notes";
/// How the file names of notes begin that stay as long as a record.
const ADOPTED: &str = "adopted-";
/// Upper bound for a note, in bytes. The bundle's path is its longest part.
const MAX_NOTE: u64 = 16 << 10;

/// What happened to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Event {
    /// It started: its record is missing.
    Started {
        /// The first process, and when it started, in clock ticks since boot.
        pid: i32,
        /// See `pid`.
        started: u64,
        /// The cookie of its network namespace. Its record names the one that is read then.
        netns: u64,
        /// The directory of its bundle.
        bundle: PathBuf,
    },
    /// Its record was made from its engine's files. No hook reports its end. The note stays as long as the
    /// record.
    Adopted,
    /// It ended: its record and its links may still exist.
    Ended,
}

/// A note about one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// The container's id.
    id: String,
    /// The boot in which the note was written.
    #[serde(with = "hexadecimal")]
    pub(crate) boot: u128,
    /// What happened.
    pub(crate) event: Event,
}

impl Note {
    /// A note that the container of `record` has started.
    pub(crate) fn started(record: &Record) -> Self {
        let instance = &record.instance;
        let bundle = record.bundle.clone().unwrap_or_default();
        let (pid, started, netns) = (instance.pid, instance.started, instance.netns);
        let event = Event::Started { pid, started, netns, bundle };
        Self { id: record.id.as_str().to_owned(), boot: instance.boot, event }
    }

    /// A note that the container `id` has ended in this `boot`.
    pub(crate) fn ended(id: &ContainerId, boot: u128) -> Self {
        Self { id: id.as_str().to_owned(), boot, event: Event::Ended }
    }

    /// A note that the record of a container was made from its engine's files.
    pub(crate) fn adopted(record: &Record) -> Self {
        let (id, boot) = (record.id.as_str().to_owned(), record.instance.boot);
        Self { id, boot, event: Event::Adopted }
    }

    /// The container's id. A note with a bad id is an error.
    pub(crate) fn id(&self) -> Result<ContainerId> {
        Ok(ContainerId::new(&self.id)?)
    }

    /// The id as it is printed.
    pub(crate) fn short_id(&self) -> String {
        self.id().map_or_else(|_| format!("{:?}", self.id), |id| id.short())
    }

    /// The name of the file: one note of each kind for each id. A key has at most 240 bytes.
    fn file_name(&self) -> Result<String> {
        Ok(file_name(&self.event, &self.id()?))
    }
}

fn file_name(event: &Event, id: &ContainerId) -> String {
    let kind = match event {
        Event::Ended => "ended-",
        Event::Started { .. } => "started-",
        Event::Adopted => ADOPTED,
    };
    format!("{kind}{}", id.key())
}

/// A boot id as text: a JSON number has no 128 bits.
mod hexadecimal {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref)] // The signature that serde wants.
    pub(super) fn serialize<S: Serializer>(boot: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{boot:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        u128::from_str_radix(&String::deserialize(from)?, 16).map_err(D::Error::custom)
    }
}

/// The notes in a state directory.
#[derive(Clone, Copy)]
pub(crate) struct Notes<'a>(&'a Directory);

impl<'a> Notes<'a> {
    /// The notes in the state directory `state`.
    pub(crate) fn new(state: &'a Directory) -> Self {
        Self(state)
    }

    /// Writes a note. Needs no lock. A note of the same kind about the same container is replaced.
    pub(crate) fn leave(self, note: &Note) -> Result<()> {
        let bytes = serde_json::to_vec(note).context(Kind::Internal, || "cannot write a note")?;
        self.0.write_unlocked(FOLDER, &note.file_name()?, &bytes)
    }

    /// The file names of at most `most` notes to work off. Costs one system call if there is none.
    pub(crate) fn names(self, most: usize) -> Result<Vec<String>> {
        Ok(self.all(most)?.0)
    }

    /// The file names of at most `most` notes to work off, and of at most as many notes of records that
    /// were made from an engine's files.
    pub(crate) fn all(self, most: usize) -> Result<(Vec<String>, Vec<String>)> {
        let (mut names, mut adopted) = (Vec::new(), Vec::new());
        self.0.visit(FOLDER, |name| {
            let list = if name.starts_with(ADOPTED) { &mut adopted } else { &mut names };
            if !name.starts_with(TEMPORARY) && list.len() < most {
                list.push(format!("{FOLDER}/{name}"));
            }
            Ok(names.len() < most)
        })?;
        Ok((names, adopted))
    }

    /// Reads a note; `None` if it is gone. One that cannot be read is an error.
    pub(crate) fn read(self, name: &str) -> Result<Option<Note>> {
        let Some(bytes) = self.0.read(name, MAX_NOTE)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).context(Kind::State, || name.to_owned())
    }

    /// Removes a note. A missing one is not an error.
    pub(crate) fn remove(self, name: &str) -> Result<()> {
        self.0.remove(name)
    }

    /// Whether there is a note that `id` has ended.
    pub(crate) fn has_ended(self, id: &ContainerId) -> bool {
        self.0.has(&format!("{FOLDER}/{}", file_name(&Event::Ended, id)))
    }

    /// The name of the note that `id` has started.
    pub(crate) fn name_of_start(id: &ContainerId) -> String {
        let bundle = PathBuf::new();
        let event = Event::Started { pid: 0, started: 0, netns: 0, bundle };
        format!("{FOLDER}/{}", file_name(&event, id))
    }

    /// Removes the note that `id` has started.
    pub(crate) fn remove_started(self, id: &ContainerId) -> Result<()> {
        self.0.remove(&Self::name_of_start(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let path = std::env::temp_dir().join(format!("oci-link-notes-{}", std::process::id()));
        let directory = Directory::open(&path).unwrap();
        let notes = Notes::new(&directory);
        assert!(notes.names(9).unwrap().is_empty());
        let record = sample::record("web", "", &[]);
        let (started, ended) = (Note::started(&record), Note::ended(&record.id, 7));
        for note in [&started, &ended, &ended] {
            notes.leave(note).unwrap();
        }
        let names = notes.names(9).unwrap();
        assert_eq!((names.len(), notes.names(1).unwrap().len()), (2, 1));
        let read: Vec<_> = names.iter().filter_map(|name| notes.read(name).unwrap()).collect();
        assert!(read.contains(&started) && read.contains(&ended), "{read:?}");
        assert_eq!(read[0].id().unwrap(), record.id);
        notes.remove_started(&record.id).unwrap();
        assert_eq!(notes.names(9).unwrap().len(), 1);
        std::fs::write(path.join("notes/started-x"), "{").unwrap();
        assert!(notes.read("notes/started-x").is_err());
        std::fs::remove_dir_all(path).unwrap();
    }
}
