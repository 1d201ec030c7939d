//! Paths that config.json names: where a root filesystem is, and what is mounted from.
//!
//! They are the operator's, and may lead over links; but only over root's. Where another user can
//! make links, he can make one after the runtime has looked: the container got his own file, and we
//! would write to whatever he likes.

use crate::error::{Context, Error, Kind, Result};
use crate::sys::file::shown;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::Uid;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

/// As many as the kernel follows.
const MAX_LINKS: usize = 40;
/// A descriptor to hold on by, and not to read or write.
const PIN: OFlag = OFlag::O_PATH.union(OFlag::O_CLOEXEC);

/// Holds on to what is at `path`, which is `what` in a message.
pub(crate) fn pin(path: &Path, what: &str) -> Result<OwnedFd> {
    // Most paths have no link in them, and the kernel says so in one call.
    let how = OpenHow::new().flags(PIN).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(AT_FDCWD, path, how) {
        Err(Errno::ELOOP | Errno::ENOSYS | Errno::EPERM) => walk(path, what),
        pinned => pinned.context(Kind::Hosts, || what.to_owned()),
    }
}

/// One name after the other, each in a directory that is held: nobody can exchange what has been
/// looked at.
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
        if stat.st_uid != Uid::effective().as_raw() {
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

/// Whether the kernel follows a link by something else than what it says: `/proc/PID/root` says `/`
/// and leads to the root of a container.
fn leads_elsewhere(link: &OwnedFd, name: &OsStr) -> nix::Result<bool> {
    let is_text = ["self", "thread-self", "mounts", "net"].iter().any(|text| name == *text);
    Ok(!is_text && fstatfs(link)?.filesystem_type() == PROC_SUPER_MAGIC)
}

/// The names of `path`, the first of them last.
fn push(left: &mut Vec<OsString>, path: &Path) {
    let names = path.components().filter(|name| *name != Component::CurDir);
    left.extend(names.rev().map(|name| name.as_os_str().to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_calls_a_link_is_followed_nowhere() {
        for path in ["/proc/self/root/etc/hosts", "/proc/1/cwd/etc/hosts", "/proc/self/fd/0"] {
            let refusal = pin(Path::new(path), "it").unwrap_err();
            assert_eq!(refusal.kind, Kind::Unsafe, "{path}: {refusal}");
            assert!(refusal.to_string().contains("in /proc, which is not a path"), "{refusal}");
        }
        pin(Path::new("/proc/self/status"), "it").unwrap();
    }
}
