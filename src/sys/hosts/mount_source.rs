//! Paths in config.json: root filesystems and mount sources.
//!
//! These paths come from the operator and may contain symlinks, but only root's. Another user could
//! change a symlink after the runtime has resolved it. oci-link, which runs as root, would then
//! write to a file of that user's choice.

use crate::error::{Context, Error, Kind, Result};
use crate::sys::file::shown;
use crate::sys::site::is_unmapped;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::Uid;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

/// The number of symlinks that the kernel follows in one path.
const MAX_LINKS: usize = 40;
/// Flags for a descriptor that refers to a file without opening it for reading or writing.
const PIN: OFlag = OFlag::O_PATH.union(OFlag::O_CLOEXEC);

/// Opens `path` with `O_PATH`. `what` names it in error messages.
///
/// A symlink that is not root's, or that procfs resolves without a path, is an error of kind
/// [`Kind::Unsafe`].
pub(crate) fn pin(path: &Path, what: &str) -> Result<OwnedFd> {
    // Most paths contain no symlink, which openat2(2) checks in one call. The walk also covers
    // Linux before 5.6 (ENOSYS) and seccomp filters that refuse the call (EPERM).
    let how = OpenHow::new().flags(PIN).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(AT_FDCWD, path, how) {
        Err(Errno::ELOOP | Errno::ENOSYS | Errno::EPERM) => walk(path, what),
        pinned => pinned.context(Kind::Hosts, || what.to_owned()),
    }
}

/// Resolves `path` component by component.
///
/// Each component is opened relative to the descriptor of its directory, so that no other process
/// can exchange a checked component.
fn walk(path: &Path, what: &str) -> Result<OwnedFd> {
    let error = || what.to_owned();
    let start = |from: &str| open(from, PIN, Mode::empty()).context(Kind::Hosts, error);
    let mut here = start(".")?;
    let mut left = Vec::new();
    let mut links = 0;
    push(&mut left, path);
    while let Some(name) = left.pop() {
        if name == "/" {
            here = start("/")?;
            continue;
        }
        let flags = PIN | OFlag::O_NOFOLLOW;
        let next = openat(&here, name.as_os_str(), flags, Mode::empty());
        let next = next.context(Kind::Hosts, error)?;
        let stat = fstat(&next).context(Kind::Hosts, error)?;
        if SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFLNK {
            here = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::ELOOP).context(Kind::Hosts, error);
        }
        let is_ours = stat.st_uid == Uid::effective().as_raw();
        // In a rootless engine root is unmapped. A container can own a link of that id, but not where only
        // another user of the host can make one.
        if !is_ours && !is_in_directory_of_root(&here) {
            let name = shown(Path::new(&name));
            let message = format!(
                "{what}: leads through the symbolic link \"{name}\", which does not belong to root"
            );
            return Err(Error::new(Kind::Unsafe, message));
        }
        if leads_elsewhere(&next, &name).context(Kind::Hosts, error)? {
            let name = shown(Path::new(&name));
            let message = format!(
                "{what}: leads through the symbolic link \"{name}\" in /proc, which is not a path"
            );
            return Err(Error::new(Kind::Unsafe, message));
        }
        let target = readlinkat(&next, "").context(Kind::Hosts, error)?;
        push(&mut left, Path::new(&target));
    }
    Ok(here)
}

/// Whether only a user that this user namespace does not map can make a link in `directory`.
fn is_in_directory_of_root(directory: &OwnedFd) -> bool {
    let Ok(stat) = fstat(directory) else { return false };
    stat.st_mode & 0o022 == 0 && is_unmapped(directory, stat.st_uid)
}

/// Whether the kernel resolves a symlink of procfs without using its text.
///
/// `/proc/PID/root`, for example, reads `/` but leads to the root of a container.
fn leads_elsewhere(link: &OwnedFd, name: &OsStr) -> nix::Result<bool> {
    let is_text = ["self", "thread-self", "mounts", "net"].iter().any(|text| name == *text);
    Ok(!is_text && fstatfs(link)?.filesystem_type() == PROC_SUPER_MAGIC)
}

/// Pushes the components of `path` in reverse order, so that `pop` returns the first one first.
fn push(left: &mut Vec<OsString>, path: &Path) {
    let names = path.components().filter(|name| *name != Component::CurDir);
    left.extend(names.rev().map(|name| name.as_os_str().to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_calls_a_link_is_followed_nowhere() {
        // The links of /proc/1 are root's, and only root may follow them.
        if !Uid::effective().is_root() {
            return;
        }
        for path in ["/proc/self/root/etc/hosts", "/proc/1/cwd/etc/hosts", "/proc/self/fd/0"] {
            let refusal = pin(Path::new(path), "it").unwrap_err();
            assert_eq!(refusal.kind, Kind::Unsafe, "{path}: {refusal}");
            assert!(refusal.to_string().contains("in /proc, which is not a path"), "{refusal}");
        }
        pin(Path::new("/proc/self/status"), "it").unwrap();
    }
}
