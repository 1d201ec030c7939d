//! Notifications of the kernel about addresses and interfaces, in this network namespace and in those of
//! containers that are connected to it.
//!
//! The kernel reports changes in a namespace that has a number in this one (`NETLINK_LISTEN_ALL_NSID`, since
//! Linux 4.2). It gives the namespace of a container a number when a veth pair connects the two. Where no
//! interface does, for example with macvlan, nothing is reported.

#![allow(unsafe_code)] // One block, with its reason.

use crate::error::{Context, Kind, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Interfaces, which change their bridge, and addresses of both families (`linux/rtnetlink.h`).
const GROUPS: libc::c_int = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;

/// A subscription to these changes.
#[derive(Debug)]
pub(crate) struct AddressChanges {
    fd: OwnedFd,
}

impl AddressChanges {
    /// Subscribes to all changes from now on. Needs `CAP_NET_BROADCAST`.
    pub(crate) fn open() -> Result<Self> {
        let open = || {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let (kind, protocol) = (SockType::Raw, SockProtocol::NetlinkRoute);
            let fd = socket(AddressFamily::Netlink, kind, flags, protocol)?;
            listen_everywhere(&fd)?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS.unsigned_abs()))?;
            Ok::<_, Errno>(fd)
        };
        let fd = open().context(Kind::Namespace, || "changes of addresses")?;
        Ok(Self { fd })
    }

    /// Drops the notifications that have arrived, without waiting. Their content is not needed, because the
    /// addresses are read again.
    pub(crate) fn drain(&mut self) -> Result<()> {
        loop {
            match recv(self.fd.as_raw_fd(), &mut [0; 1], MsgFlags::empty()) {
                Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(errno) => {
                    return Err(errno).context(Kind::Namespace, || "changes of addresses");
                }
            }
        }
    }
}

/// Sets `NETLINK_LISTEN_ALL_NSID`.
fn listen_everywhere(fd: &OwnedFd) -> nix::Result<()> {
    let on: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or(4);
    // SAFETY: the kernel reads `size` bytes, the size of `on`.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_LISTEN_ALL_NSID,
            (&raw const on).cast(),
            size,
        )
    };
    Errno::result(result).map(drop)
}

impl AsFd for AddressChanges {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
