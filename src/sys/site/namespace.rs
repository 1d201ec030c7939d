//! Questions to the kernel about namespaces, see `ioctl_ns(2)`.

#![allow(unsafe_code)] // Each block states its reason.

use crate::error::{Context, Kind, Result};
use crate::model::Inode;
use crate::sys::file::open_to_read;
use nix::errno::Errno;
use nix::libc;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::MetadataExt;

/// `NS_GET_USERNS`: a descriptor of the user namespace that owns a namespace.
const NS_GET_USERNS: libc::Ioctl = 0xb701;
/// `NS_GET_NSTYPE`: the `CLONE_NEW…` flag of a namespace.
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
/// `NS_GET_OWNER_UID`: the user that owns a user namespace.
const NS_GET_OWNER_UID: libc::Ioctl = 0xb704;

/// Opens a namespace of a process: `net`, `user` or `mnt`.
pub(super) fn of_process(process: impl std::fmt::Display, kind: &str) -> Result<File> {
    let path = format!("/proc/{process}/ns/{kind}");
    open_to_read(path.as_str()).context(Kind::Namespace, || path)
}

/// Identifies the namespace behind an open file.
pub(super) fn inode(namespace: &File) -> Result<Inode> {
    let found = namespace.metadata().context(Kind::Namespace, || "namespace")?;
    Ok(Inode { device: found.dev(), number: found.ino() })
}

/// Whether `file` is a network namespace that belongs to the user namespace of this process. False if the
/// kernel does not tell the owner, as for the network namespace of the host.
pub(super) fn is_network_of_ours(file: &File) -> bool {
    // SAFETY: the request takes no argument and returns a number or -1.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) };
    let owner = || -> Option<bool> {
        // SAFETY: the request takes no argument and returns a new descriptor or -1.
        let owner = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_USERNS) };
        let owner = Errno::result(owner).ok()?;
        // SAFETY: the descriptor is new and has no other owner.
        let owner = unsafe { File::from_raw_fd(owner) };
        Some(inode(&owner).ok()? == inode(&of_process("self", "user").ok()?).ok()?)
    };
    kind == libc::CLONE_NEWNET && owner() == Some(true)
}

/// The user that owns the user namespace `file`, as this process sees its id.
pub(super) fn owner(file: &File) -> Result<u32> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: the kernel writes one user id to `uid`.
    let asked = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_OWNER_UID, &raw mut uid) };
    Errno::result(asked).context(Kind::Namespace, || "user namespace")?;
    Ok(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_namespace() {
        let ours = of_process("self", "user").unwrap();
        assert!(owner(&ours).is_ok());
        assert!(owner(&of_process("self", "net").unwrap()).is_err(), "not a user namespace");
        assert!(!is_network_of_ours(&ours), "not a network namespace");
        assert!(!is_network_of_ours(&File::open("/proc/self/stat").unwrap()));
    }
}
