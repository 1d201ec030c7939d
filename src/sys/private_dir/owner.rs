//! Checks which users can change the entries of a directory.

use crate::sys::site::{is_unmapped, whose};
use nix::fcntl::{AtFlags, readlinkat};
use nix::sys::stat::{FileStat, fstat, fstatat};
use nix::unistd::Uid;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

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
        Err("it, or a directory above it, belongs to another user")
    } else if stat.st_mode & 0o022 != 0 && !sticky {
        Err("other users can write to it, or to a directory above it")
    } else {
        Ok(Checked { stat, is_ours })
    }
}

/// Whether `name` in `directory` is a link that rootlesskit made. For each entry that the host's `/run` has when
/// a rootless docker starts, rootlesskit puts a link of the form `.ro123/NAME` into the `/run` of that
/// docker. dockerd-rootless.sh removes such links in the place of docker's own directories.
pub(super) fn is_copied_link(directory: &OwnedFd, name: &OsStr) -> bool {
    let is_ours = || {
        let stat = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        let owner = Uid::effective().as_raw();
        stat.is_ok_and(|stat| stat.st_uid == owner)
            && check(directory).is_ok_and(|above| above.is_ours)
    };
    let target = || readlinkat(directory, name).is_ok_and(|target| is_copy(&target, name));
    whose().is_in_engine() && target() && is_ours()
}

/// Whether a link `name` to `target` is one of rootlesskit's.
fn is_copy(target: &OsStr, name: &OsStr) -> bool {
    let number = target
        .as_bytes()
        .strip_prefix(b".ro")
        .and_then(|rest| rest.strip_suffix(name.as_bytes())?.strip_suffix(b"/"));
    number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rootlesskits_links_are_copies() {
        let is_copy = |target: &str| is_copy(OsStr::new(target), OsStr::new("oci-link"));
        assert!(is_copy(".ro4211460917/oci-link"));
        for target in [
            "oci-link",
            ".ro/oci-link",
            ".ro1/other",
            ".ro1/../oci-link",
            "/.ro1/oci-link",
            ".ro1/oci-link/",
            ".ro1a/oci-link",
            ".ro1oci-link",
            "",
            "/elsewhere/oci-link",
        ] {
            assert!(!is_copy(target), "{target}");
        }
    }
}
