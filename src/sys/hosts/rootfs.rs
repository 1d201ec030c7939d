//! `/etc/hosts` inside a root filesystem that wishes us ill.
//!
//! Every path is resolved by `pathrs` below a root that is held open; what is opened then is one
//! name in one directory, never followed further. Links lead where they lead inside the
//! container, so `/etc/hosts -> ../run/hosts` works and `-> ../../../etc/shadow` stays inside.

use super::mount_source;
use crate::error::{Context, Error, Kind, Result};
use crate::model::Inode;
use crate::sys::file::shown;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, stat};
use nix::sys::statfs::{
    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs,
};
use nix::unistd::{UnlinkatFlags, unlinkat};
use pathrs::Root;
use pathrs::error::ErrorKind;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// As many as the kernel follows.
const MAX_LINKS: usize = 40;
/// File systems whose files are not files.
const PSEUDO: [FsType; 4] =
    [PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC];
/// One directory entry below a root.
#[derive(Debug)]
pub(crate) struct HostsEntry {
    pub(super) root: Root,
    pub(super) directory: OwnedFd,
    pub(super) name: OsString,
    pub(super) file: Option<(OwnedFd, FileStat)>,
    pub(super) made_etc: bool,
}

/// Opens the root filesystem at `path` and says which one it is.
pub(crate) fn open_root(path: &Path) -> Result<(Root, Inode)> {
    let root = mount_source::pin(path, &shown(path))?;
    let stat_of_root = fstat(&root).context(Kind::Hosts, || shown(path))?;
    if SFlag::from_bits_truncate(stat_of_root.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFDIR {
        return Err(Errno::ENOTDIR).context(Kind::Hosts, || shown(path));
    }
    let inode = inode(&stat_of_root);
    let host = stat("/").context(Kind::Hosts, || "/")?;
    if inode == self::inode(&host) {
        let message = format!("root.path \"{}\": is the host's root", shown(path));
        return Err(Error::new(Kind::Unsafe, message));
    }
    Ok((Root::from_fd(root), inode))
}

/// Opens what `file` is held on to by, and nothing else: no path is looked up. pathrs would mount
/// a procfs of its own for it, in case somebody had covered the host's; then more is lost than this.
pub(crate) fn reopen(file: &impl AsRawFd, flags: OFlag) -> nix::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    nix::fcntl::open(path.as_str(), flags, Mode::empty()).map(File::from)
}

/// Device and number.
pub(crate) fn inode(stat: &FileStat) -> Inode {
    Inode { device: stat.st_dev, number: stat.st_ino }
}

/// Whether this is a file we may open: a FIFO hangs, a device acts, a directory is none, and files
/// of proc and its like are whatever the kernel makes of them.
pub(crate) fn must_be_ordinary(file: impl AsFd, stat: &FileStat, what: &str) -> Result<()> {
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    let name = match kind {
        SFlag::S_IFREG => {
            let system = fstatfs(file).context(Kind::Hosts, || what.to_owned())?;
            if !PSEUDO.contains(&system.filesystem_type()) {
                return Ok(());
            }
            "is not on a file system for regular files"
        }
        SFlag::S_IFDIR => "is a directory",
        SFlag::S_IFIFO => "is a FIFO",
        SFlag::S_IFSOCK => "is a socket",
        SFlag::S_IFCHR | SFlag::S_IFBLK => "is a device",
        _ => "is not a regular file",
    };
    Err(Error::new(Kind::Unsafe, format!("hosts file {what}: {name}")))
}

impl HostsEntry {
    /// Finds what `/etc/hosts` is inside `root`. Nothing is opened but directories and, by `O_PATH`,
    /// the file itself.
    pub(crate) fn find(root: Root) -> Result<Self> {
        let mut path = PathBuf::from("etc/hosts");
        let unsafe_link =
            |why: &str| Error::new(Kind::Unsafe, format!("hosts file /etc/hosts: {why}"));
        for followed in 0..MAX_LINKS {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(unsafe_link("does not lead to a file"));
            };
            let (parent, name) = (parent.to_owned(), name.to_owned());
            // Before pathrs is asked: to say what is missing it mounts a procfs of its own.
            if followed == 0 && !has(&root, "etc")? {
                let directory = root.as_fd().try_clone_to_owned();
                let directory = directory.context(Kind::Hosts, || "/etc")?;
                return Ok(Self { root, directory, name, file: None, made_etc: true });
            }
            let directory = match root.resolve(&parent) {
                Ok(directory) => OwnedFd::from(directory),
                Err(error) => {
                    let kind = if errno(error.kind()).is_some_and(is_ours) {
                        Kind::Hosts
                    } else {
                        Kind::Unsafe
                    };
                    let message = format!("hosts file /etc/hosts: {}", causes(&error));
                    return Err(Error::new(kind, message));
                }
            };
            let here = fstat(&directory).context(Kind::Hosts, || "/etc")?;
            if stat("/etc").is_ok_and(|host| inode(&host) == inode(&here)) {
                return Err(unsafe_link("is the host's own"));
            }
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let file = match openat(&directory, name.as_os_str(), flags, Mode::empty()) {
                Ok(file) => file,
                Err(Errno::ENOENT) if followed == 0 => {
                    return Ok(Self { root, directory, name, file: None, made_etc: false });
                }
                Err(Errno::ENOENT) => {
                    return Err(unsafe_link("is a symbolic link to a missing file"));
                }
                Err(Errno::ENOTDIR) => {
                    return Err(unsafe_link("has a parent that is not a directory"));
                }
                // A name that is too long, perhaps.
                Err(errno) if !is_ours(errno) => return Err(unsafe_link(errno.desc())),
                Err(errno) => return Err(errno).context(Kind::Hosts, || "hosts file /etc/hosts"),
            };
            let stat = fstat(&file).context(Kind::Hosts, || "hosts file /etc/hosts")?;
            if SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFLNK {
                must_be_ordinary(&file, &stat, "/etc/hosts")?;
                return Ok(Self {
                    root,
                    directory,
                    name,
                    file: Some((file, stat)),
                    made_etc: false,
                });
            }
            let target = readlinkat(&file, "").context(Kind::Hosts, || "hosts file /etc/hosts")?;
            // An absolute target replaces the path, and pathrs starts it at the container's root.
            path = parent.join(target);
        }
        Err(unsafe_link("is a loop of symbolic links"))
    }

    /// Looks again: somebody may have put another file there by rename.
    pub(crate) fn find_again(&mut self) -> Result<()> {
        *self = Self::find(self.root.try_clone().context(Kind::Hosts, || "root filesystem")?)?;
        Ok(())
    }

    /// The file for reading, and its size; none where there is no file.
    pub(crate) fn open(&self) -> Result<Option<(File, u64)>> {
        let Some((file, stat)) = &self.file else { return Ok(None) };
        let flags = OFlag::O_RDONLY;
        let file = reopen(file, flags).context(Kind::Hosts, || "hosts file /etc/hosts")?;
        Ok(Some((file, u64::try_from(stat.st_size).unwrap_or(u64::MAX))))
    }

    /// Whether `/etc` itself is missing.
    pub(crate) fn lacks_etc(&self) -> bool {
        self.made_etc
    }

    /// Removes the file, and `/etc` too if that was made for it.
    pub(crate) fn remove(&self, etc_too: bool) -> Result<()> {
        if self.made_etc {
            return Ok(());
        }
        match unlinkat(&self.directory, self.name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            // Where nothing can be written, nothing was made.
            Err(Errno::EROFS) if self.file.is_none() => {}
            Err(errno) => return Err(errno).context(Kind::Hosts, || "hosts file /etc/hosts"),
        }
        if etc_too {
            // Whoever put something there meanwhile keeps it.
            let _ = unlinkat(self.root.as_fd(), "etc", UnlinkatFlags::RemoveDir);
        }
        Ok(())
    }
}

/// What the kernel said, if it was asked.
fn errno(why: ErrorKind) -> Option<Errno> {
    let ErrorKind::OsError(Some(errno)) = why else { return None };
    Some(Errno::from_raw(errno))
}

/// Whether this host is in trouble, and not what the container made of its files. A disk that is
/// full or cannot be written to has nothing to say to who only looks, but some file systems do.
fn is_ours(errno: Errno) -> bool {
    use Errno::{EINTR, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, EROFS};
    matches!(errno, EMFILE | ENFILE | ENOMEM | EIO | EINTR | ENOSPC | EROFS)
}

/// An error of pathrs says which step failed, and its source why.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.escape_debug().to_string()
}

/// Whether the root has something of that name.
fn has(root: &Root, name: &str) -> Result<bool> {
    match fstatat(root.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno).context(Kind::Hosts, || name.to_owned()),
    }
}
