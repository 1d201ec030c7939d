//! The spool: a directory with the records of other hosts, one file each, and `view`.
//!
//! A file is written under a temporary name and renamed, so that a reader sees the whole file or none.
//! All files are named relative to the open directory; links are never followed.

mod limits;
mod view;

pub(crate) use view::{Report, View};

use crate::names::Place;
use limits::{Limits, Size};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Largest record in bytes.
pub(crate) const MAX_RECORD: usize = 64 << 10;
/// Mode of files.
const MODE: Mode = Mode::from_bits_truncate(0o640);
/// Name of a file until it is whole.
const TEMPORARY: &str = ".new";
/// Name of the file whose lock the running courier holds.
const LOCK: &str = ".lock";
const VIEW: &str = "view";
const STATUS: &str = ".status";
const INCARNATION: &str = ".incarnation";

/// The open spool. One process at a time has it open for writing.
pub(crate) struct Spool {
    directory: File,
    path: PathBuf,
    known: HashMap<Box<str>, Known>,
    /// The round of comparison that is going on.
    round: u32,
    limits: Limits,
    hasher: RandomState,
    _lock: Flock<File>,
}

/// A file in the spool.
struct Known {
    /// Hash of the content; `None`: not known, the file is written again.
    hash: Option<u64>,
    length: usize,
    round: u32,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// Written.
    Written,
    /// It was there already.
    Same,
    /// There are too many, or a directory is in its place.
    Full,
}

impl Spool {
    /// Opens the spool, locks it, and reads what is there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let directory = open_directory(path)?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let lock = File::from(openat(&directory, LOCK, flags, MODE)?);
        let lock =
            Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(
                |(_, errno)| match errno {
                    Errno::EWOULDBLOCK => io::Error::other("another oci-link-cluster runs with it"),
                    errno => errno.into(),
                },
            )?;
        let mut spool = Self {
            directory,
            path: path.to_owned(),
            known: HashMap::new(),
            round: 0,
            limits: Limits::default(),
            hasher: RandomState::new(),
            _lock: lock,
        };
        spool.read_known()?;
        Ok(spool)
    }

    /// How many records are in it.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Begins a comparison with all records that there are: [`Spool::finish`] removes the others.
    pub(crate) fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Writes a record, unless it is there already.
    pub(crate) fn put(&mut self, place: &Place, value: &[u8]) -> io::Result<Put> {
        let name = place.spool_name();
        let hash = self.hasher.hash_one(value);
        let before = self.known.get_mut(name.as_str());
        let size = before.as_ref().map(|known| Size(known.length));
        if let Some(known) = before {
            known.round = self.round;
            if known.hash == Some(hash) && known.length == value.len() {
                return Ok(Put::Same);
            }
        }
        if !self.limits.allow(&place.host, size, Size(value.len())) {
            self.remove(place)?;
            return Ok(Put::Full);
        }
        match write(&self.directory, &name, value) {
            // A directory in its place was not made here. It is left alone, and stops no other record.
            Err(error) if error.raw_os_error() == Some(Errno::EISDIR as i32) => {
                return Ok(Put::Full);
            }
            written => written?,
        }
        self.limits.replace(&place.host, size, Some(Size(value.len())));
        let known = Known { hash: Some(hash), length: value.len(), round: self.round };
        self.known.insert(name.into(), known);
        Ok(Put::Written)
    }

    /// Removes a record. A missing one is not an error.
    pub(crate) fn remove(&mut self, place: &Place) -> io::Result<()> {
        let name = place.spool_name();
        if let Some(known) = self.known.get(name.as_str()) {
            unlink(&self.directory, &name)?;
            self.limits.replace(&place.host, Some(Size(known.length)), None);
            self.known.remove(name.as_str());
        }
        Ok(())
    }

    /// Removes the records that were not put since [`Spool::begin`].
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let round = self.round;
        let gone = self.known.iter().filter(|(_, known)| known.round != round);
        let gone: Vec<Place> = gone.filter_map(|(name, _)| Place::of_spool(name)).collect();
        gone.iter().try_for_each(|place| self.remove(place))
    }

    /// Writes `view` and `.status`.
    pub(crate) fn report(&self, view: &View, report: &Report) -> io::Result<()> {
        write(&self.directory, VIEW, &view.to_bytes()?)?;
        write(&self.directory, STATUS, &report.to_bytes()?)
    }

    /// The `view` of an earlier courier, if there is one.
    pub(crate) fn view(&self) -> Option<View> {
        View::parse(&read(&self.directory, VIEW).ok()?)
    }

    /// Reads the file that remembers which machine this is.
    pub(crate) fn incarnation(&self) -> Option<Vec<u8>> {
        read(&self.directory, INCARNATION).ok()
    }

    /// Writes the file that remembers which machine this is.
    pub(crate) fn set_incarnation(&self, bytes: &[u8]) -> io::Result<()> {
        write(&self.directory, INCARNATION, bytes)
    }

    fn read_known(&mut self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let Some(place) = Place::of_spool(name) else { continue };
            if entry.file_type()?.is_dir() {
                continue;
            }
            let content = read(&self.directory, name).ok();
            let hash = content.as_ref().map(|bytes| self.hasher.hash_one(bytes.as_slice()));
            let length = content.map_or(0, |bytes| bytes.len());
            self.limits.replace(&place.host, None, Some(Size(length)));
            self.known.insert(name.into(), Known { hash, length, round: self.round });
        }
        Ok(())
    }
}

/// What another program reads of a spool: whether a courier runs, its view and its report.
pub(crate) struct Seen {
    /// Whether a courier holds the lock.
    pub(crate) runs: bool,
    /// `view`.
    pub(crate) view: Option<View>,
    /// `.status`.
    pub(crate) report: Option<Report>,
    /// `.incarnation`.
    pub(crate) incarnation: Option<Vec<u8>>,
}

impl Seen {
    /// Reads a spool and changes nothing.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let directory = open_directory(path)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let runs = match openat(&directory, LOCK, flags, Mode::empty()) {
            Ok(lock) => Flock::lock(File::from(lock), FlockArg::LockSharedNonblock).is_err(),
            Err(Errno::ENOENT) => false,
            Err(errno) => return Err(errno.into()),
        };
        let parsed = |name| read(&directory, name).ok();
        Ok(Self {
            runs,
            view: parsed(VIEW).as_deref().and_then(View::parse),
            report: parsed(STATUS).as_deref().and_then(Report::parse),
            incarnation: parsed(INCARNATION),
        })
    }
}

/// Opens a directory that no link leads to, and that only its owner may write.
fn open_directory(path: &Path) -> io::Result<File> {
    if fs::canonicalize(path)? != path {
        return Err(io::Error::other("a link leads to it"));
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let mode = directory.metadata()?.mode();
    if mode & 0o022 != 0 {
        let why = format!("has mode {:04o}: others can write; want 0750", mode & 0o7777);
        return Err(io::Error::other(why));
    }
    Ok(directory)
}

/// Reads a regular file of at most [`MAX_RECORD`] bytes, without following a link.
pub(crate) fn read(directory: &File, name: &str) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(directory, name, flags, Mode::empty())?);
    let about = file.metadata()?;
    let mut bytes = Vec::new();
    let is_file = about.is_file() && about.len() <= MAX_RECORD as u64;
    if is_file {
        file.take(MAX_RECORD as u64 + 1).read_to_end(&mut bytes)?;
    }
    if is_file && bytes.len() <= MAX_RECORD {
        Ok(bytes)
    } else {
        Err(io::Error::other("is no file of at most 64 KiB"))
    }
}

/// Writes a file as a whole: readers see the old one or the new one.
fn write(directory: &File, name: &str, bytes: &[u8]) -> io::Result<()> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let open = || openat(directory, TEMPORARY, flags, MODE);
    let file = open().or_else(|errno| match errno {
        // Left behind by one that was killed.
        Errno::EEXIST => {
            unlinkat(directory, TEMPORARY, UnlinkatFlags::NoRemoveDir).and_then(|()| open())
        }
        errno => Err(errno),
    });
    let mut file = File::from(file?);
    // The umask must not decide.
    fchmod(&file, MODE)?;
    file.write_all(bytes)?;
    Ok(renameat(directory, TEMPORARY, directory, name)?)
}

fn unlink(directory: &File, name: &str) -> io::Result<()> {
    match unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Fuzz target for the files that a courier leaves to its next run, and to `status`.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    use super::{Report, View};
    use crate::incarnation::Incarnation;

    /// What is read is written as what it was.
    pub(crate) fn kept(bytes: &[u8]) {
        if let Some(view) = View::parse(bytes) {
            let written = view.to_bytes().unwrap_or_default();
            let again = View::parse(&written).and_then(|again| again.to_bytes().ok());
            assert_eq!(again, Some(written));
        }
        if let Some(report) = Report::parse(bytes) {
            let written = report.to_bytes().unwrap_or_default();
            let again = Report::parse(&written).and_then(|again| again.to_bytes().ok());
            assert_eq!(again, Some(written));
        }
        let _ = Incarnation::parse(bytes, "b").map(|it| it.presence());
    }
}

#[cfg(test)]
mod tests;
