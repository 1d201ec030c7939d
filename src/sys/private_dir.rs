//! The state directory. Only root may write to it, which is checked before it is used.

mod owner;
mod room;
mod shared;

use self::owner::{check, is_copied_link};
pub(crate) use self::room::Room;
use super::file::{open_with, shown, whole};
use crate::error::{Context, Error, Kind, Result};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{Mode, fchmod, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};
use rustix::fs::RawDir;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

/// The temporary name of a file during a write. A process killed during the write leaves this file.
pub(crate) const NEW: &str = "new";

/// The prefix of temporary names of [`Directory::write_unlocked`].
pub(crate) const TEMPORARY: &str = "new-";

const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// The mode of a directory that no other user may enter.
pub(crate) const PRIVATE: u32 = 0o700;
/// The mode of a state directory with a folder that another user may read.
pub(crate) const PASSABLE: u32 = 0o711;

/// Initial buffer size in bytes; most files in the state directory are smaller.
const USUAL: u64 = 2 << 10;

/// An open directory. All names are relative to it and must come from checked types.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    shown: String,
}

impl Directory {
    /// Opens the directory `path`, creates missing components and sets mode 0700.
    ///
    /// `path` must be absolute; no symlink is followed. Every component must belong to root or to
    /// the effective user, and no other user may be able to write to it. Parents with the sticky
    /// bit, such as `/tmp`, are accepted because other users cannot rename or remove the next
    /// component. In the user namespace of a rootless engine, root looks like any other user of the host:
    /// there, such owners are accepted of all but the last two components.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_as(path, PRIVATE)
    }

    /// Opens the directory `path` as [`Directory::open`] does, and sets this mode.
    pub(crate) fn open_as(path: &Path, wanted: u32) -> Result<Self> {
        let make = |above: &OwnedFd, name: &OsStr| {
            if is_copied_link(above, name) {
                // A process that made the directory meanwhile keeps it.
                let _ = unlinkat(above, name, UnlinkatFlags::NoRemoveDir);
            }
            mkdirat(above, name, Mode::S_IRWXU).or_else(|error| match error {
                Errno::EEXIST => Ok(()),
                error => Err(error),
            })
        };
        let (directory, mode) = Self::walk(path, make)?;
        if mode != wanted {
            let set = fchmod(&directory.fd, Mode::from_bits_truncate(wanted));
            set.context(Kind::State, || directory.shown.clone())?;
        }
        Ok(directory)
    }

    /// Opens the directory `path` with the checks of [`Directory::open`] and returns it with its
    /// mode.
    ///
    /// Nothing is created or changed. A missing directory is `None`.
    pub(crate) fn look(path: &Path) -> Result<Option<(Self, u32)>> {
        let mut absent = false;
        let walked = Self::walk(path, |_, _| {
            absent = true;
            Err(Errno::ENOENT)
        });
        if absent { Ok(None) } else { walked.map(Some) }
    }

    fn walk(
        path: &Path,
        mut make: impl FnMut(&OwnedFd, &OsStr) -> nix::Result<()>,
    ) -> Result<(Self, u32)> {
        let shown = shown(path);
        let unsafe_path = |why: &str| Error::new(Kind::State, format!("{shown}: {why}"));
        if !path.is_absolute() {
            return Err(unsafe_path("not an absolute path"));
        }
        let here = open_with("/", DIRECTORY, Mode::empty());
        let mut fd = OwnedFd::from(here.context(Kind::State, || "/")?);
        let mut above_is_ours = true;
        for component in path.components() {
            let name = match component {
                Component::RootDir | Component::CurDir => continue,
                Component::Normal(name) => name,
                _ => return Err(unsafe_path("must not contain ..")),
            };
            above_is_ours = check(&fd).map_err(unsafe_path)?.is_ours;
            let open = || openat(&fd, name, DIRECTORY, Mode::empty());
            let next = match open() {
                Err(error) if error == Errno::ENOENT || is_copied_link(&fd, name) => {
                    make(&fd, name).context(Kind::State, || shown.clone())?;
                    open()
                }
                Err(Errno::ELOOP | Errno::ENOTDIR) => {
                    let name = name.to_string_lossy().escape_debug().to_string();
                    return Err(unsafe_path(&format!(
                        "{name} is a symbolic link or not a directory"
                    )));
                }
                other => other,
            };
            fd = next.context(Kind::State, || shown.clone())?;
        }
        let last = check(&fd).map_err(unsafe_path)?;
        if !(above_is_ours && last.is_ours) {
            return Err(unsafe_path("it, or a directory above it, belongs to another user"));
        }
        let stat = last.stat;
        if stat.st_mode & 0o022 != 0 {
            return Err(unsafe_path("other users can write to it"));
        }
        Ok((Self { fd, shown }, stat.st_mode & 0o7777))
    }

    /// Opens the subdirectory `name` and creates it if it is missing.
    pub(crate) fn subdirectory(&self, name: &str) -> Result<Self> {
        let open = || openat(&self.fd, name, DIRECTORY, Mode::empty());
        let fd = match open() {
            Err(Errno::ENOENT) => {
                self.make_directory(name)?;
                open()
            }
            other => other,
        };
        Ok(Self { fd: fd.context(Kind::State, || self.at(name))?, shown: self.at(name) })
    }

    /// Opens the subdirectory `name`. A missing one is `None`; any other file of that name is an
    /// error.
    pub(crate) fn existing(&self, name: &str) -> Result<Option<Self>> {
        match openat(&self.fd, name, DIRECTORY, Mode::empty()) {
            Err(Errno::ENOENT) => Ok(None),
            other => Ok(Some(Self { fd: self.context(name, other)?, shown: self.at(name) })),
        }
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.shown)
    }

    fn context<T>(&self, name: &str, result: nix::Result<T>) -> Result<T> {
        result.context(Kind::State, || self.at(name))
    }

    /// Maps ENOENT and ENOTDIR to `None`.
    fn some<T>(&self, name: &str, result: nix::Result<T>) -> Result<Option<T>> {
        match result {
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            other => self.context(name, other).map(Some),
        }
    }

    /// Creates the directory `name` and its missing parents. An existing directory is not an error.
    pub(crate) fn make_directory(&self, name: &str) -> Result<()> {
        let make = || mkdirat(&self.fd, name, Mode::S_IRWXU);
        let mut made = make();
        if let (Err(Errno::ENOENT), Some((above, _))) = (made, name.rsplit_once('/')) {
            self.make_directory(above)?;
            // Only once: a symlink to nothing in place of a parent stays missing.
            made = make();
        }
        if made == Err(Errno::EEXIST) { Ok(()) } else { self.context(name, made) }
    }

    /// Opens the lock file `name` and creates it if it is missing. An empty directory in its place is
    /// removed first.
    pub(crate) fn open_lock(&self, name: &str) -> Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let open = || openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR);
        let fd = match open() {
            Err(Errno::EISDIR) => {
                self.prune(name);
                open()
            }
            opened => opened,
        };
        self.context(name, fd).map(File::from)
    }

    /// Reads the file `name`. A missing file is `None`; one larger than `max` bytes is an error.
    pub(crate) fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let Some(fd) = self.some(name, openat(&self.fd, name, flags, Mode::empty()))? else {
            return Ok(None);
        };
        let read = whole(&File::from(fd), USUAL, max).context(Kind::State, || self.at(name))?;
        let too_large = || Error::new(Kind::State, format!("{}: too large", self.at(name)));
        read.ok_or_else(too_large).map(Some)
    }

    /// Atomically replaces the content of the file `name` and creates missing parent directories.
    ///
    /// Requires the host lock, because every write uses the same temporary name.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let fd = openat(&self.fd, NEW, flags | OFlag::O_CLOEXEC, mode);
        let mut file = self.context(NEW, fd).map(File::from)?;
        file.write_all(bytes).context(Kind::State, || self.at(NEW))?;
        let mut renamed = renameat(&self.fd, NEW, &self.fd, name);
        if renamed == Err(Errno::ENOENT) {
            if let Some((above, _)) = name.rsplit_once('/') {
                self.make_directory(above)?;
                renamed = renameat(&self.fd, NEW, &self.fd, name);
            }
        }
        self.context(name, renamed)
    }

    /// Writes the new file `name` without the host lock, under a temporary name of this process's
    /// own. The directory `above` is created if it is missing.
    pub(crate) fn write_unlocked(&self, above: &str, name: &str, bytes: &[u8]) -> Result<()> {
        self.make_directory(above)?;
        let new = format!("{above}/{TEMPORARY}{}", std::process::id());
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let fd = openat(&self.fd, new.as_str(), flags | OFlag::O_CLOEXEC, mode);
        let mut file = self.context(&new, fd).map(File::from)?;
        file.write_all(bytes).context(Kind::State, || self.at(&new))?;
        self.rename(&new, &format!("{above}/{name}"))
    }

    /// Renames the file `from` to `to`.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.context(from, renameat(&self.fd, from, &self.fd, to))
    }

    /// Creates the symlink `name` with the text `target`, and missing parent directories.
    ///
    /// Returns `false` if `name` already exists.
    pub(crate) fn link(&self, target: &str, name: &str) -> Result<bool> {
        let link = || symlinkat(target, &self.fd, name);
        let mut linked = link();
        if let (Err(Errno::ENOENT), Some((above, _))) = (linked, name.rsplit_once('/')) {
            self.make_directory(above)?;
            linked = link();
        }
        match linked {
            Err(Errno::EEXIST) => Ok(false),
            other => self.context(name, other).map(|()| true),
        }
    }

    /// Returns the target of the symlink `name`. A missing file or one that is not a symlink is
    /// `None`.
    pub(crate) fn read_link(&self, name: &str) -> Result<Option<String>> {
        let target = match readlinkat(&self.fd, name) {
            Err(Errno::EINVAL) => return Ok(None),
            other => self.some(name, other)?,
        };
        Ok(target.and_then(|target| target.into_string().ok()))
    }

    /// Removes a file or symlink. A missing one is not an error.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        self.some(name, unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir)).map(drop)
    }

    /// Removes the directory `name` if it is empty, then each parent that becomes empty.
    pub(crate) fn prune(&self, name: &str) {
        let mut name = name;
        while unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir).is_ok() {
            let Some((above, _)) = name.rsplit_once('/') else { break };
            name = above;
        }
    }

    /// Calls `visit` with the name of each entry of the directory `name` until it returns `false`.
    ///
    /// A missing directory has no entries. Names that are not UTF-8 are skipped.
    pub(crate) fn visit(
        &self,
        name: &str,
        mut visit: impl FnMut(&str) -> Result<bool>,
    ) -> Result<()> {
        let dir = openat(&self.fd, name, DIRECTORY, Mode::empty());
        let Some(dir) = self.some(name, dir)? else { return Ok(()) };
        // The C library's readdir would allocate memory of its own, in each hook.
        let mut buffer = [MaybeUninit::uninit(); 2 << 10];
        let mut entries = RawDir::new(dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|error| Errno::from_raw(error.raw_os_error()));
            match self.context(name, entry)?.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(entry) => {
                    if !visit(entry)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// When the file `name` was changed last, in nanoseconds; 0 if that is unknown. Only good for a
    /// comparison with an earlier value.
    pub(crate) fn changed_at(&self, name: &str) -> u128 {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_or(0, |stat| {
            u128::from(stat.st_mtime.unsigned_abs()) * 1_000_000_000
                + u128::from(stat.st_mtime_nsec.unsigned_abs())
        })
    }

    /// Whether a file of any kind with this name exists.
    pub(crate) fn has(&self, name: &str) -> bool {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
