//! Notifications of the kernel about changes of nftables, whatever program makes them.
//!
//! On most hosts iptables is a front end of nftables, so its changes are included. The kernel sends
//! no notification for changes of iptables-legacy or of ipsets.

use super::message::{Message, messages};
use super::uapi::{
    NFNL_SUBSYS_NFTABLES, NFNLGRP_NFTABLES, NFT_MSG_NEWGEN, NFTA_TABLE_NAME, nfnl_type,
};
use crate::error::{Context, Kind, Result};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The multicast group of nftables as a bit mask; group n is bit n - 1.
const GROUPS: u32 = 1 << (NFNLGRP_NFTABLES - 1);
/// The largest datagram in bytes into which the kernel combines changes.
const DATAGRAM: usize = 32 << 10;

/// A subscription to changes in the network namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct NetlinkSubscription {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl NetlinkSubscription {
    /// Subscribes to all changes from now on.
    pub(crate) fn open() -> Result<Self> {
        let open = || {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let (kind, protocol) = (SockType::Raw, SockProtocol::NetlinkNetFilter);
            let fd = socket(AddressFamily::Netlink, kind, flags, protocol)?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
            Ok::<_, Errno>(fd)
        };
        let fd = open().context(Kind::Firewall, || "changes of nftables")?;
        Ok(Self { fd, buffer: vec![0; DATAGRAM] })
    }

    /// Reads the notifications that have arrived, without waiting.
    ///
    /// Returns whether one of them is about a table for which `concerns` is true. Also true if
    /// notifications were lost because too many arrived at once.
    pub(crate) fn take(&mut self, concerns: fn(&str) -> bool) -> Result<bool> {
        let mut told = false;
        loop {
            match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_TRUNC) {
                Ok(length) => {
                    let datagram = self.buffer.get(..length);
                    told |= datagram.is_none_or(|datagram| {
                        messages(datagram).any(|message| is_about(&message, concerns))
                    });
                }
                Err(Errno::EAGAIN) => return Ok(told),
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => {
                    log::debug!("changes of nftables: some were lost");
                    told = true;
                }
                Err(errno) => {
                    return Err(errno).context(Kind::Firewall, || "changes of nftables");
                }
            }
        }
    }
}

pub(crate) fn is_about(message: &Message<'_>, concerns: fn(&str) -> bool) -> bool {
    let generation = nfnl_type(NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWGEN);
    let of_a_table = message.kind >> 8 == NFNL_SUBSYS_NFTABLES && message.kind != generation;
    // In all these messages, attribute 1 is the name of the table.
    of_a_table && message.attributes().text(NFTA_TABLE_NAME).is_some_and(concerns)
}

impl AsFd for NetlinkSubscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
