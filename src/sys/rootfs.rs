//! `/etc/hosts` inside a root filesystem that wishes us ill.
//!
//! Every path is resolved by `pathrs` below a root that is held open; what is opened then is one
//! name in one directory, never followed further. Links lead where they lead inside the
//! container, so `/etc/hosts -> ../run/hosts` works and `-> ../../../etc/shadow` stays inside.

use super::file::shown;
use super::operator_path;
use crate::error::{Context, Error, Kind, Result};
use crate::model::Inode;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat, stat};
use nix::sys::statfs::{
    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs,
};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};
use pathrs::Root;
use pathrs::error::ErrorKind;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use xattr::FileExt;

/// As many as the kernel follows.
const MAX_LINKS: usize = 40;
/// File systems whose files are not files.
const PSEUDO: [FsType; 4] =
    [PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC];
/// What the new file is called until it takes its place.
const NEW: &str = ".hosts.oci-link";
/// The same for a new `/etc`.
const NEW_ETC: &str = ".etc.oci-link";

/// One directory entry below a root.
#[derive(Debug)]
pub struct Entry {
    root: Root,
    directory: OwnedFd,
    name: OsString,
    file: Option<(OwnedFd, FileStat)>,
    made_etc: bool,
}

/// Opens the root filesystem at `path` and says which one it is.
pub fn open_root(path: &Path) -> Result<(Root, Inode)> {
    let root = operator_path::pin(path, &shown(path))?;
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
pub fn reopen(file: &impl AsRawFd, flags: OFlag) -> nix::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    nix::fcntl::open(path.as_str(), flags, Mode::empty()).map(File::from)
}

/// Device and number.
pub fn inode(stat: &FileStat) -> Inode {
    Inode { device: stat.st_dev, number: stat.st_ino }
}

/// Whether this is a file we may open: a FIFO hangs, a device acts, a directory is none, and files
/// of proc and its like are whatever the kernel makes of them.
pub fn must_be_ordinary(file: impl AsFd, stat: &FileStat, what: &str) -> Result<()> {
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    let name = match kind {
        SFlag::S_IFREG => {
            let system = fstatfs(file).context(Kind::Hosts, || what.to_owned())?;
            if !PSEUDO.contains(&system.filesystem_type()) {
                return Ok(());
            }
            "is not on a file system for files"
        }
        SFlag::S_IFDIR => "is a directory",
        SFlag::S_IFIFO => "is a FIFO",
        SFlag::S_IFSOCK => "is a socket",
        SFlag::S_IFCHR | SFlag::S_IFBLK => "is a device",
        _ => "is no regular file",
    };
    Err(Error::new(Kind::Unsafe, format!("hosts file {what}: {name}")))
}

impl Entry {
    /// Finds what `/etc/hosts` is inside `root`. Nothing is opened but directories and, by `O_PATH`,
    /// the file itself.
    pub fn find(root: Root) -> Result<Self> {
        let mut path = PathBuf::from("etc/hosts");
        let unsafe_link =
            |why: &str| Error::new(Kind::Unsafe, format!("hosts file /etc/hosts: {why}"));
        for followed in 0..MAX_LINKS {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(unsafe_link("leads to no file"));
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
                    let kind = if is_ours(error.kind()) { Kind::Hosts } else { Kind::Unsafe };
                    let message = format!("hosts file /etc/hosts: {}", causes(&error));
                    return Err(Error::new(kind, message));
                }
            };
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let file = match openat(&directory, name.as_os_str(), flags, Mode::empty()) {
                Ok(file) => file,
                Err(Errno::ENOENT) if followed == 0 => {
                    return Ok(Self { root, directory, name, file: None, made_etc: false });
                }
                Err(Errno::ENOENT) => return Err(unsafe_link("is a link that leads nowhere")),
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
        Err(unsafe_link("is a loop of links"))
    }

    /// Looks again: somebody may have put another file there by rename.
    pub fn find_again(&mut self) -> Result<()> {
        *self = Self::find(self.root.try_clone().context(Kind::Hosts, || "root filesystem")?)?;
        Ok(())
    }

    /// The file for reading, and its size; none where there is no file.
    pub fn open(&self) -> Result<Option<(File, u64)>> {
        let Some((file, stat)) = &self.file else { return Ok(None) };
        let flags = OFlag::O_RDONLY;
        let file = reopen(file, flags).context(Kind::Hosts, || "hosts file /etc/hosts")?;
        Ok(Some((file, u64::try_from(stat.st_size).unwrap_or(u64::MAX))))
    }

    /// Whether `/etc` itself is missing.
    pub fn lacks_etc(&self) -> bool {
        self.made_etc
    }

    /// Puts a new file in the place of the old, by rename: other names of the old one keep their
    /// bytes, and a reader sees the one or the other. Owner, mode and attributes are kept; a file
    /// that was not there belongs to whom its directory belongs to.
    pub fn replace(&mut self, bytes: &[u8]) -> Result<()> {
        if self.made_etc {
            self.make_etc()?;
        }
        let written = self.write_new(bytes);
        let renamed = written.and_then(|()| {
            Ok(renameat(&self.directory, NEW, &self.directory, self.name.as_os_str())?)
        });
        if renamed.is_err() {
            let _ = unlinkat(&self.directory, NEW, UnlinkatFlags::NoRemoveDir);
        }
        renamed.context(Kind::Hosts, || "hosts file /etc/hosts")
    }

    fn write_new(&self, bytes: &[u8]) -> std::io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let create = || openat(&self.directory, NEW, flags | OFlag::O_CLOEXEC, Mode::S_IRUSR);
        let new = match create() {
            Err(Errno::EEXIST) => {
                // Left by one of us that was killed.
                unlinkat(&self.directory, NEW, UnlinkatFlags::NoRemoveDir)?;
                create()
            }
            other => other,
        };
        let mut new = File::from(new?);
        new.write_all(bytes)?;
        let (owner, mode) = match &self.file {
            Some((_, old)) => (*old, old.st_mode & 0o7777),
            None => (fstat(&self.directory)?, 0o644),
        };
        let (uid, gid) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
        fchown(&new, Some(uid), Some(gid))?;
        fchmod(&new, Mode::from_bits_truncate(mode))?;
        if let Ok(Some((old, _))) = self.open() {
            for name in old.list_xattr()? {
                if let Some(value) = old.get_xattr(&name)? {
                    new.set_xattr(&name, &value)?;
                }
            }
        }
        Ok(())
    }

    /// Whoever is killed meanwhile leaves no `/etc` that only root can enter.
    fn make_etc(&mut self) -> Result<()> {
        let made = (|| -> nix::Result<OwnedFd> {
            let owner = fstat(&self.directory)?;
            let make = || mkdirat(&self.directory, NEW_ETC, Mode::S_IRWXU);
            make().or_else(|errno| match errno {
                // Left by one of us that was killed: empty. An image's own would not be ours to move.
                Errno::EEXIST => {
                    unlinkat(&self.directory, NEW_ETC, UnlinkatFlags::RemoveDir)?;
                    make()
                }
                errno => Err(errno),
            })?;
            let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let etc = openat(&self.directory, NEW_ETC, flags, Mode::empty())?;
            let (uid, gid) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
            fchown(&etc, Some(uid), Some(gid))?;
            fchmod(&etc, Mode::from_bits_truncate(0o755))?;
            renameat(&self.directory, NEW_ETC, &self.directory, "etc")?;
            Ok(etc)
        })();
        if made.is_err() {
            let _ = unlinkat(&self.directory, NEW_ETC, UnlinkatFlags::RemoveDir);
        }
        self.directory = made.context(Kind::Hosts, || "hosts file /etc")?;
        self.made_etc = false;
        Ok(())
    }

    /// Removes what one of us left who was killed before it took its place.
    pub fn clear(&self) {
        let _ = if self.made_etc {
            unlinkat(&self.directory, NEW_ETC, UnlinkatFlags::RemoveDir)
        } else {
            unlinkat(&self.directory, NEW, UnlinkatFlags::NoRemoveDir)
        };
    }

    /// Removes the file, and `/etc` too if that was made for it.
    pub fn remove(&self, etc_too: bool) -> Result<()> {
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

/// Whether this host is in trouble, and not what the container made of its files.
fn is_ours(why: ErrorKind) -> bool {
    let ErrorKind::OsError(Some(errno)) = why else { return false };
    let errno = Errno::from_raw(errno);
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EIO | Errno::EINTR)
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
