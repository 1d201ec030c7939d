//! The state directory: root's alone, and proven to be so before anything is written.

use super::file::{shown, whole};
use crate::error::{Context, Error, Kind, Result};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, fstatat, mkdirat};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::unistd::{Uid, UnlinkatFlags, symlinkat, unlinkat};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

/// What a file is called while it is written. Who is killed meanwhile leaves it there.
pub(crate) const NEW: &str = "new";

const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Most files in it are no longer.
const USUAL: u64 = 2 << 10;

/// What fits into a file system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Whether it is gone when the host boots.
    pub(crate) in_memory: bool,
    /// Bytes that are free.
    pub(crate) bytes: u64,
    /// Files that can be made, if there is a limit.
    pub(crate) files: Option<u64>,
}

/// A directory held open. Names are relative to it and come from checked types.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    shown: String,
}

impl Directory {
    /// Walks down to `path` without following a link, and refuses it if anybody else could have
    /// put something there: each step must be root's (or ours) and writable by nobody else, but
    /// for directories like `/tmp`, whose sticky bit keeps strangers from moving our part of it.
    /// What is missing is made.
    pub fn open(path: &Path) -> Result<Self> {
        let make = |above: &OwnedFd, name: &OsStr| match mkdirat(above, name, Mode::S_IRWXU) {
            Err(Errno::EEXIST) => Ok(()),
            made => made,
        };
        let (directory, mode) = Self::walk(path, make)?;
        if mode != 0o700 {
            let closed = fchmod(&directory.fd, Mode::S_IRWXU);
            closed.context(Kind::State, || directory.shown.clone())?;
        }
        Ok(directory)
    }

    /// The same for those who only look, and the directory's mode: nothing is made or changed. None
    /// if it is not there.
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
        let here = nix::fcntl::open("/", DIRECTORY, Mode::empty());
        let mut fd = here.context(Kind::State, || "/")?;
        for component in path.components() {
            let name = match component {
                Component::RootDir | Component::CurDir => continue,
                Component::Normal(name) => name,
                _ => return Err(unsafe_path("has .. in it")),
            };
            check(&fd).map_err(unsafe_path)?;
            let open = || openat(&fd, name, DIRECTORY, Mode::empty());
            let next = match open() {
                Err(Errno::ENOENT) => {
                    make(&fd, name).context(Kind::State, || shown.clone())?;
                    open()
                }
                Err(Errno::ELOOP | Errno::ENOTDIR) => {
                    let name = name.to_string_lossy().escape_debug().to_string();
                    return Err(unsafe_path(&format!("{name} is a link or no directory")));
                }
                other => other,
            };
            fd = next.context(Kind::State, || shown.clone())?;
        }
        let stat = check(&fd).map_err(unsafe_path)?;
        if stat.st_mode & 0o022 != 0 {
            return Err(unsafe_path("others can write to it"));
        }
        Ok((Self { fd, shown }, stat.st_mode & 0o7777))
    }

    /// What its file system has room for.
    pub(crate) fn room(&self) -> Result<Room> {
        let stat = fstatfs(&self.fd).context(Kind::State, || self.shown.clone())?;
        Ok(Room {
            in_memory: stat.filesystem_type() == TMPFS_MAGIC,
            bytes: stat.blocks_available() * u64::try_from(stat.block_size()).unwrap_or(0),
            // Some file systems have no such limit, and say 0 of 0.
            files: (stat.files() > 0).then(|| stat.files_free()),
        })
    }

    /// A directory in this one, made if it is missing.
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

    /// A directory in this one; nothing if there is none, and an error if it is anything else.
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

    /// Nothing is no error.
    fn some<T>(&self, name: &str, result: nix::Result<T>) -> Result<Option<T>> {
        match result {
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            other => self.context(name, other).map(Some),
        }
    }

    /// Makes a directory, and those above it, unless they are there.
    pub(crate) fn make_directory(&self, name: &str) -> Result<()> {
        match mkdirat(&self.fd, name, Mode::S_IRWXU) {
            Err(Errno::ENOENT) => {
                if let Some((above, _)) = name.rsplit_once('/') {
                    self.make_directory(above)?;
                    return self.make_directory(name);
                }
                self.context(name, Err(Errno::ENOENT))
            }
            Err(Errno::EEXIST) => Ok(()),
            other => self.context(name, other),
        }
    }

    /// The file `name`, for locking.
    pub(crate) fn open_lock(&self, name: &str) -> Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR);
        self.context(name, fd).map(File::from)
    }

    /// What the file `name` holds, if there is one.
    pub(crate) fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let Some(fd) = self.some(name, openat(&self.fd, name, flags, Mode::empty()))? else {
            return Ok(None);
        };
        let read = whole(&File::from(fd), USUAL, max).context(Kind::State, || self.at(name))?;
        let too_large = || Error::new(Kind::State, format!("{}: too large", self.at(name)));
        read.ok_or_else(too_large).map(Some)
    }

    /// Puts `bytes` into `name`: all of them, or the file stays what it was. One writer at a time:
    /// the caller holds the lock.
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

    /// Moves a file out of the way.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.context(from, renameat(&self.fd, from, &self.fd, to))
    }

    /// Makes a symbolic link that says `target`; false if the name is taken.
    pub(crate) fn link(&self, target: &str, name: &str) -> Result<bool> {
        match symlinkat(target, &self.fd, name) {
            Err(Errno::EEXIST) => Ok(false),
            Err(Errno::ENOENT) => match name.rsplit_once('/') {
                Some((above, _)) => {
                    self.make_directory(above)?;
                    self.link(target, name)
                }
                None => self.context(name, Err(Errno::ENOENT)).map(|()| false),
            },
            other => self.context(name, other).map(|()| true),
        }
    }

    /// What the symbolic link `name` says.
    pub(crate) fn read_link(&self, name: &str) -> Result<Option<String>> {
        let target = match readlinkat(&self.fd, name) {
            Err(Errno::EINVAL) => return Ok(None),
            other => self.some(name, other)?,
        };
        Ok(target.and_then(|target| target.into_string().ok()))
    }

    /// Removes a file or link; if it is not there, well.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        self.some(name, unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir)).map(drop)
    }

    /// Removes `name` if it is an empty directory, then the one above it, and so on.
    pub(crate) fn prune(&self, name: &str) {
        let mut name = name;
        while unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir).is_ok() {
            let Some((above, _)) = name.rsplit_once('/') else { break };
            name = above;
        }
    }

    /// Calls `visit` with each entry's name until it says that it has seen enough.
    pub(crate) fn visit(
        &self,
        name: &str,
        mut visit: impl FnMut(&str) -> Result<bool>,
    ) -> Result<()> {
        let dir = Dir::openat(&self.fd, name, DIRECTORY, Mode::empty());
        let Some(dir) = self.some(name, dir)? else { return Ok(()) };
        for entry in dir {
            let entry = self.context(name, entry)?;
            match entry.file_name().to_str() {
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

    /// Whether there is something called `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether anybody but root and us could change what is in the directory.
fn check(fd: &OwnedFd) -> std::result::Result<FileStat, &'static str> {
    let stat = fstat(fd.as_fd()).map_err(|_| "cannot be looked at")?;
    let ours = stat.st_uid == 0 || stat.st_uid == Uid::effective().as_raw();
    let sticky = stat.st_mode & 0o1000 != 0;
    if !ours {
        Err("belongs to somebody else, or a directory above it does")
    } else if stat.st_mode & 0o022 != 0 && !sticky {
        Err("others can write to it, or to a directory above it")
    } else {
        Ok(stat)
    }
}
