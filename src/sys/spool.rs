//! A directory in which an unprivileged program leaves files for root.
//!
//! Its names and files can be anything. Nothing is written or removed here.

use crate::error::{Context, Error, Kind, Result};
use crate::sys::file::{open_with, shown, whole};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use rustix::fs::RawDir;
use std::collections::BinaryHeap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// Limit of entries that are read of the directory, names that are not kept included.
const MAX_ENTRIES: usize = 1 << 20;

/// Size of the buffer for names, in bytes.
const BUFFER: usize = 16 << 10;

/// An open spool.
#[derive(Debug)]
pub(crate) struct Spool {
    fd: OwnedFd,
    owner: u32,
    shown: String,
}

/// Names in a spool, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// The first names.
    pub(crate) first: Vec<OsString>,
    /// How many more there are.
    pub(crate) more: usize,
}

/// What tells one state of a file from another. A file that is replaced by rename has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signature {
    inode: u64,
    size: i64,
    changed: (i64, i64),
}

impl Signature {
    /// Returns the size of the file in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        u64::try_from(self.size).unwrap_or(0)
    }
}

impl Spool {
    /// Opens the directory `path`, an absolute path without symlinks. A missing one is `None`.
    ///
    /// Every directory above it must be root's, or sticky, and only root may write to it. The spool itself
    /// must belong to root or to the user `courier`, and no other user may write to it.
    pub(crate) fn open(path: &Path, courier: Option<u32>) -> Result<Option<Self>> {
        let shown = shown(path);
        let unsafe_path = |why: &str| Error::new(Kind::Unsafe, format!("{shown}: {why}"));
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let here = open_with("/", flags, Mode::empty()).context(Kind::State, || "/")?;
        let mut fd = OwnedFd::from(here);
        for component in path.components() {
            let name = match component {
                Component::RootDir | Component::CurDir => continue,
                Component::Normal(name) => name,
                _ => return Err(unsafe_path("must not contain ..")),
            };
            let above = fstat(&fd).context(Kind::State, || shown.clone())?;
            if above.st_uid != 0 {
                return Err(unsafe_path("a directory above it does not belong to root"));
            }
            if above.st_mode & 0o022 != 0 && above.st_mode & 0o1000 == 0 {
                return Err(unsafe_path("other users can write to a directory above it"));
            }
            fd = match openat(&fd, name, flags, Mode::empty()) {
                Err(Errno::ENOENT) => return Ok(None),
                Err(Errno::ELOOP | Errno::ENOTDIR) => {
                    return Err(unsafe_path("a part of the path is not a directory"));
                }
                opened => opened.context(Kind::State, || shown.clone())?,
            };
        }
        let stat = fstat(&fd).context(Kind::State, || shown.clone())?;
        if stat.st_uid != 0 && Some(stat.st_uid) != courier {
            return Err(unsafe_path("belongs neither to root nor to the user oci-link-cluster"));
        }
        if stat.st_mode & 0o022 != 0 {
            return Err(unsafe_path("its group or other users can write to it"));
        }
        Ok(Some(Self { fd, owner: stat.st_uid, shown }))
    }

    /// Lists the first `most` names in order. Names that begin with a full stop are left out.
    pub(crate) fn names(&self, most: usize) -> Result<Names> {
        let fd = openat(&self.fd, ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
        let dir = fd.context(Kind::State, || self.shown.clone())?;
        // The largest of the names that are kept is on top.
        let mut kept: BinaryHeap<OsString> = BinaryHeap::new();
        let mut more = 0;
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut entries = RawDir::new(dir, &mut buffer);
        let mut seen = 0;
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|error| Errno::from_raw(error.raw_os_error()));
            let entry = entry.context(Kind::State, || self.shown.clone())?;
            let name = entry.file_name().to_bytes();
            seen += 1;
            if seen > MAX_ENTRIES {
                let message = format!("{}: more than {MAX_ENTRIES} entries", self.shown);
                return Err(Error::new(Kind::State, message));
            }
            if name.starts_with(b".") {
                continue;
            }
            kept.push(OsStr::from_bytes(name).to_owned());
            if kept.len() > most {
                kept.pop();
                more += 1;
            }
        }
        Ok(Names { first: kept.into_sorted_vec(), more })
    }

    /// Returns the signature of the file `name`, or `None` if there is no such entry.
    pub(crate) fn signature(&self, name: &OsStr) -> Option<Signature> {
        let stat = fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        let changed = (stat.st_ctime, stat.st_ctime_nsec);
        Some(Signature { inode: stat.st_ino, size: stat.st_size, changed })
    }

    /// Reads the file `name` of at most `max` bytes. A missing one is `None`. Returns why any other is
    /// refused.
    pub(crate) fn read(
        &self,
        name: &OsStr,
        max: u64,
    ) -> std::result::Result<Option<Vec<u8>>, String> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = match openat(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => return Err("a symbolic link".to_owned()),
            Err(Errno::ENXIO) => return Err("not a regular file".to_owned()),
            opened => File::from(opened.map_err(|error| error.to_string())?),
        };
        let stat = fstat(&file).map_err(|error| error.to_string())?;
        let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        if let Some(why) = self.refusal(&stat) {
            return Err(why.to_owned());
        }
        let too_large = || format!("more than {max} bytes");
        if size > max {
            return Err(too_large());
        }
        let bytes = whole(&file, size, max).map_err(|error| error.to_string())?;
        bytes.map(Some).ok_or_else(too_large)
    }

    /// Why an open file is not read.
    fn refusal(&self, stat: &FileStat) -> Option<&'static str> {
        if SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFREG {
            Some("not a regular file")
        } else if stat.st_uid != self.owner && stat.st_uid != 0 {
            Some("belongs to another user")
        } else if stat.st_nlink > 1 {
            Some("has several hard links")
        } else {
            None
        }
    }
}

impl AsFd for Spool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{Uid, chown, mkdtemp, mkfifo};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    fn directory() -> PathBuf {
        mkdtemp("/tmp/oci-link-spool-XXXXXX").unwrap()
    }

    fn open(path: &Path) -> std::result::Result<Spool, String> {
        match Spool::open(path, Some(1)) {
            Ok(opened) => opened.ok_or_else(|| "missing".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_spool_that_others_can_change_is_not_believed() {
        let top = directory();
        let spool = top.join("peers");
        assert_eq!(open(&spool).unwrap_err(), "missing");
        fs::create_dir(&spool).unwrap();
        mode(&spool, 0o750);
        assert!(open(&spool).is_ok());
        for (owner, is_believed) in [(1, true), (2, false), (0, true)] {
            chown(&spool, Some(Uid::from_raw(owner)), None).unwrap();
            assert_eq!(open(&spool).is_ok(), is_believed, "{owner}");
        }
        for (bits, is_believed) in [(0o770, false), (0o757, false), (0o755, true), (0o700, true)] {
            mode(&spool, bits);
            assert_eq!(open(&spool).is_ok(), is_believed, "{bits:o}");
        }
        mode(&top, 0o777);
        assert!(open(&spool).unwrap_err().contains("above it"));
        mode(&top, 0o1777);
        assert!(open(&spool).is_ok(), "no other user can replace what is in it");
        chown(&top, Some(Uid::from_raw(1)), None).unwrap();
        assert!(open(&spool).unwrap_err().contains("does not belong to root"));
        chown(&top, Some(Uid::from_raw(0)), None).unwrap();
        symlink(&spool, top.join("link")).unwrap();
        assert!(open(&top.join("link")).unwrap_err().contains("not a directory"));
        fs::write(top.join("file"), "x").unwrap();
        assert!(open(&top.join("file")).is_err());
        assert!(open(&top.join("peers/../peers")).is_err());
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn names_are_in_order_and_bounded() {
        let top = directory();
        for name in ["c", "a", "e", ".new", "b", "d"] {
            fs::write(top.join(name), "x").unwrap();
        }
        let odd = OsStr::from_bytes(b"\xff");
        fs::write(top.join(odd), "x").unwrap();
        let spool = open(&top).unwrap();
        let names = spool.names(100).unwrap();
        assert_eq!((names.first.len(), names.more), (6, 0));
        assert!(names.first.contains(&odd.to_owned()));
        let names = spool.names(3).unwrap();
        assert_eq!((names.first, names.more), (["a", "b", "c"].map(OsString::from).to_vec(), 3));
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn only_a_plain_file_is_read() {
        let top = directory();
        let spool = open(&top).unwrap();
        let at = |name: &str| top.join(name);
        fs::write(at("plain"), "bytes").unwrap();
        fs::write(at("empty"), "").unwrap();
        fs::write(at("long"), "123456789").unwrap();
        symlink("plain", at("link")).unwrap();
        symlink("/etc/shadow", at("away")).unwrap();
        fs::create_dir(at("directory")).unwrap();
        mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        fs::write(at("twice"), "x").unwrap();
        fs::hard_link(at("twice"), at("second")).unwrap();
        fs::write(at("foreign"), "x").unwrap();
        chown(&at("foreign"), Some(Uid::from_raw(7)), None).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let read = |name: &str| spool.read(OsStr::new(name), 8);
        assert_eq!(read("plain"), Ok(Some(b"bytes".to_vec())));
        assert_eq!(read("empty"), Ok(Some(Vec::new())));
        assert_eq!(read("missing"), Ok(None));
        for (name, why) in [
            ("long", "more than 8 bytes"),
            ("link", "symbolic link"),
            ("away", "symbolic link"),
            ("directory", "not a regular file"),
            ("fifo", "not a regular file"),
            ("socket", "not a regular file"),
            ("twice", "hard links"),
            ("second", "hard links"),
            ("foreign", "another user"),
        ] {
            let refused = read(name).unwrap_err();
            assert!(refused.contains(why), "{name}: {refused}");
        }
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_file_that_is_replaced_has_another_signature() {
        let top = directory();
        let spool = open(&top).unwrap();
        let signature = || spool.signature(OsStr::new("x"));
        assert_eq!(signature(), None);
        fs::write(top.join("x"), "1").unwrap();
        let first = signature();
        assert!(first.is_some() && first == signature());
        fs::write(top.join(".x"), "2").unwrap();
        fs::rename(top.join(".x"), top.join("x")).unwrap();
        assert_ne!(signature(), first);
        fs::remove_dir_all(top).unwrap();
    }
}
