//! Replacing the hosts file, or creating `/etc`, in a root filesystem.
//!
//! The new file or directory is created under a temporary name in the same directory. It gets its
//! owner, mode and extended attributes and is then renamed.

use super::rootfs::HostsEntry;
use crate::error::{Context, Kind, Result};
use crate::sys::restrict::capabilities::act_as;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};
use std::ffi::OsStr;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use xattr::FileExt;

/// The temporary name of a new hosts file.
const NEW: &str = ".hosts.oci-link";
/// The temporary name of a new `/etc`.
const NEW_ETC: &str = ".etc.oci-link";

impl HostsEntry {
    /// Replaces the hosts file by rename and returns the new one, open for writing.
    ///
    /// Other hard links to the old file keep its content, and a reader sees either the old file or
    /// the new one. Owner, mode and extended attributes are kept. A file that did not exist gets
    /// the owner of its directory.
    pub(crate) fn replace(&mut self, bytes: &[u8]) -> Result<File> {
        if self.made_etc {
            self.make_etc()?;
        }
        let place =
            Replacement { directory: &self.directory, name: &self.name, new: NEW, is_file: true };
        let replaced = place.take(|new| self.write_new(new, bytes));
        replaced.context(Kind::Hosts, || "hosts file /etc/hosts")
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let new = openat(&self.directory, name, flags | OFlag::O_CLOEXEC, Mode::S_IRUSR)?;
        let mut new = File::from(new);
        new.write_all(bytes)?;
        let (owner, mode) = match &self.file {
            Some((_, old)) => (*old, old.st_mode & 0o7777),
            None => (fstat(&self.directory)?, 0o644),
        };
        give(&new, &owner, mode)?;
        if let Ok(Some((old, _))) = self.open() {
            for name in old.list_xattr()? {
                if let Some(value) = old.get_xattr(&name)? {
                    new.set_xattr(&name, &value)?;
                }
            }
        }
        Ok(new)
    }

    /// Creates `/etc` with the owner of the root directory and mode 0755.
    ///
    /// The rename comes last, so a process killed before it leaves no `/etc` that only root can
    /// enter.
    fn make_etc(&mut self) -> Result<()> {
        let root = &self.directory;
        let place =
            Replacement { directory: root, name: "etc".as_ref(), new: NEW_ETC, is_file: false };
        let made = place.take(|new| {
            mkdirat(root, new, Mode::S_IRWXU)?;
            let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let etc = openat(root, new, flags, Mode::empty())?;
            give(&etc, &fstat(root)?, 0o755)?;
            Ok(etc)
        });
        self.directory = made.context(Kind::Hosts, || "hosts file /etc")?;
        self.made_etc = false;
        Ok(())
    }

    /// Removes the temporary file or directory of a process that was killed before its rename.
    pub(crate) fn clear(&self) {
        let (new, flags) = if self.made_etc {
            (NEW_ETC, UnlinkatFlags::RemoveDir)
        } else {
            (NEW, UnlinkatFlags::NoRemoveDir)
        };
        let _ = unlinkat(&self.directory, new, flags);
    }
}

fn give(new: impl AsFd, owner: &FileStat, mode: u32) -> nix::Result<()> {
    fchown(&new, Some(Uid::from_raw(owner.st_uid)), Some(Gid::from_raw(owner.st_gid)))?;
    fchmod(&new, Mode::from_bits_truncate(mode))
}

/// The final place of a new file or directory, and its temporary name.
struct Replacement<'a> {
    directory: &'a OwnedFd,
    name: &'a OsStr,
    new: &'a str,
    is_file: bool,
}

impl Replacement<'_> {
    /// Creates the file or directory with `make`, which gets a temporary name, and renames it.
    ///
    /// On an idmapped mount, creating a file fails with EOVERFLOW if root's id is not mapped. The
    /// file is then created as the owner of the directory.
    fn take<T>(&self, make: impl Fn(&str) -> io::Result<T>) -> io::Result<T> {
        match self.take_by_some_name(&make) {
            Err(error) if error.raw_os_error() == Some(Errno::EOVERFLOW as i32) => {
                let owner = fstat(self.directory)?;
                let (uid, gid) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
                act_as(uid, gid, || self.take_by_some_name(&make))
            }
            taken => taken,
        }
    }

    /// Tries the usual temporary name twice and then a random one.
    ///
    /// An existing file of the usual name was left by a killed process; the first attempt removes
    /// it. If that fails, a container created it, and the container cannot predict the random name.
    fn take_by_some_name<T>(&self, make: impl Fn(&str) -> io::Result<T>) -> io::Result<T> {
        let is_there = |taken: &io::Result<T>| {
            taken.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists)
        };
        let mut taken = self.take_by(self.new, &make);
        if is_there(&taken) {
            taken = self.take_by(self.new, &make);
        }
        if is_there(&taken) {
            let number = RandomState::new().hash_one(self.new);
            taken = self.take_by(&format!("{}.{number:016x}", self.new), &make);
        }
        taken
    }

    fn take_by<T>(&self, new: &str, make: impl Fn(&str) -> io::Result<T>) -> io::Result<T> {
        let taken = make(new).and_then(|made| {
            renameat(self.directory, new, self.directory, self.name)?;
            Ok(made)
        });
        if taken.is_err() {
            let kind =
                if self.is_file { UnlinkatFlags::NoRemoveDir } else { UnlinkatFlags::RemoveDir };
            let _ = unlinkat(self.directory, new, kind);
        }
        taken
    }
}
