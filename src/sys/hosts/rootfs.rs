//! Finding `/etc/hosts` in a root filesystem whose content may be hostile.
//!
//! Every path is resolved by `pathrs` below an open root. The result is one name in one open
//! directory, which is never followed further. Symlinks lead where they lead inside the container:
//! `/etc/hosts -> ../run/hosts` works, and `-> ../../../etc/shadow` stays inside.

use super::mount_source;
use crate::error::{Context, Error, Kind, Result};
use crate::model::Inode;
use crate::sys::file::{open_with, shown};
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

/// The number of symlinks that the kernel follows in one path.
const MAX_LINKS: usize = 40;
/// Pseudo file systems, whose files do not store data.
const PSEUDO: [FsType; 4] =
    [PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC];
/// The directory entry that `/etc/hosts` leads to inside a root filesystem.
#[derive(Debug)]
pub(crate) struct HostsEntry {
    pub(super) root: Root,
    pub(super) directory: OwnedFd,
    pub(super) name: OsString,
    pub(super) file: Option<(OwnedFd, FileStat)>,
    pub(super) made_etc: bool,
}

/// Opens the root filesystem at `path` and returns it with its inode.
///
/// The host's own root directory is an error of kind [`Kind::Unsafe`].
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

/// Opens the file that an `O_PATH` descriptor refers to, by its link in /proc/self/fd.
///
/// pathrs would mount a private procfs, in case another mount covers /proc. That is unnecessary
/// here: a process that can mount over the host's /proc is already privileged.
pub(crate) fn reopen(file: &impl AsRawFd, flags: OFlag) -> nix::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    open_with(path.as_str(), flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, Mode::empty())
}

/// Returns the device and inode number of a file status.
pub(crate) fn inode(stat: &FileStat) -> Inode {
    Inode { device: stat.st_dev, number: stat.st_ino }
}

/// Checks that a file is a regular one on an ordinary file system; `what` names it in messages.
///
/// Opening a FIFO can block and opening a device can have effects. The files of procfs, sysfs and
/// cgroupfs are interfaces of the kernel.
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
    /// Resolves `/etc/hosts` inside `root`.
    ///
    /// Only directories are opened, and the file itself with `O_PATH`. A missing file or a missing
    /// `/etc` is not an error. A symlink that leads nowhere, a loop, a file that is not regular and
    /// the host's own /etc are errors.
    pub(crate) fn find(root: Root) -> Result<Self> {
        let mut path = PathBuf::from("etc/hosts");
        let unsafe_link =
            |why: &str| Error::new(Kind::Unsafe, format!("hosts file /etc/hosts: {why}"));
        for followed in 0..MAX_LINKS {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(unsafe_link("does not lead to a file"));
            };
            let (parent, name) = (parent.to_owned(), name.to_owned());
            // Check this first: to report a missing component, pathrs mounts a private procfs.
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
                // For example, a name that is too long (ENAMETOOLONG).
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
            // An absolute target replaces the path. pathrs resolves it from the container's root.
            path = parent.join(target);
        }
        Err(unsafe_link("is a loop of symbolic links"))
    }

    /// Resolves `/etc/hosts` again, because the container may have replaced it by rename.
    pub(crate) fn find_again(&mut self) -> Result<()> {
        *self = Self::find(self.root.try_clone().context(Kind::Hosts, || "root filesystem")?)?;
        Ok(())
    }

    /// Opens the file for reading and returns it with its size in bytes, or `None` if there is no
    /// file.
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

    /// Removes the file, and with `etc_too` also an empty `/etc`. A missing file is not an error.
    pub(crate) fn remove(&self, etc_too: bool) -> Result<()> {
        if self.made_etc {
            return Ok(());
        }
        match unlinkat(&self.directory, self.name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            // On a read-only file system, oci-link cannot have created the file.
            Err(Errno::EROFS) if self.file.is_none() => {}
            Err(errno) => return Err(errno).context(Kind::Hosts, || "hosts file /etc/hosts"),
        }
        if etc_too {
            // This fails if the container has put other files into `/etc`, which then stay.
            let _ = unlinkat(self.root.as_fd(), "etc", UnlinkatFlags::RemoveDir);
        }
        Ok(())
    }
}

/// Returns the errno of an error of pathrs, if it comes from a system call.
fn errno(why: ErrorKind) -> Option<Errno> {
    let ErrorKind::OsError(Some(errno)) = why else { return None };
    Some(Errno::from_raw(errno))
}

/// Whether an errno is a problem of the host, which the files of a container cannot cause.
///
/// A look-up should not return ENOSPC or EROFS, but some file systems do.
fn is_ours(errno: Errno) -> bool {
    use Errno::{EINTR, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, EROFS};
    matches!(errno, EMFILE | ENFILE | ENOMEM | EIO | EINTR | ENOSPC | EROFS)
}

/// Formats an error with all its causes. An error of pathrs names the failed step, its source the
/// reason.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.escape_debug().to_string()
}

/// Whether the root directory contains a file of any kind with this name.
fn has(root: &Root, name: &str) -> Result<bool> {
    match fstatat(root.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno).context(Kind::Hosts, || name.to_owned()),
    }
}
