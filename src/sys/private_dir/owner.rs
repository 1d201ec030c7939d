//! Who can change the entries of a directory.

use crate::sys::site::is_unmapped;
use nix::sys::stat::{FileStat, fstat};
use nix::unistd::Uid;
use std::os::fd::{AsFd, OwnedFd};

/// Why a directory is refused.
pub(super) const ANOTHER_USERS: &str = "it, or a directory above it, belongs to another user";

/// A directory in which no other user can replace an entry.
pub(super) struct Checked {
    /// Its status.
    pub(super) stat: FileStat,
    /// Whether it belongs to root or to the effective user, and not to an unmapped one.
    pub(super) is_ours: bool,
}

/// Returns the status of a directory in which no other user can replace an entry.
///
/// The directory must belong to root or to the effective user. An owner that the user namespace of a
/// rootless engine does not map is left to the caller. Other users must not be able to write to it, unless
/// the sticky bit protects existing entries.
pub(super) fn check(fd: &OwnedFd) -> std::result::Result<Checked, &'static str> {
    let stat = fstat(fd.as_fd()).map_err(|_| "cannot be examined")?;
    let is_ours = stat.st_uid == 0 || stat.st_uid == Uid::effective().as_raw();
    let sticky = stat.st_mode & 0o1000 != 0;
    if !is_ours && !is_unmapped(fd, stat.st_uid) {
        Err(ANOTHER_USERS)
    } else if stat.st_mode & 0o022 != 0 && !sticky {
        Err("other users can write to it, or to a directory above it")
    } else {
        Ok(Checked { stat, is_ours })
    }
}
