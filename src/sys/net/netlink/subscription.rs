//! Hearing of every change of nftables, whoever makes it. What is called iptables mostly is nftables
//! today; the older kind tells nobody of its changes, and neither do ipsets.

use super::message::{Message, messages};
use crate::error::{Context, Kind, Result};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// `NFNLGRP_NFTABLES` of linux/netfilter/nfnetlink.h, as a set of groups.
const NFTABLES: u32 = 1 << (7 - 1);
/// Above all messages of nftables, and the one that ends a transaction.
const SUBSYSTEM: u16 = 10 << 8;
const NEW_GENERATION: u16 = SUBSYSTEM + 15;
/// Whatever a message is about, this is the name of the table.
const TABLE: u16 = 1;
/// The kernel puts changes together, but not into more than this.
const DATAGRAM: usize = 32 << 10;

/// Changes in the network namespace that it was made in.
#[derive(Debug)]
pub(crate) struct NetlinkSubscription {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl NetlinkSubscription {
    /// From now on.
    pub(crate) fn open() -> Result<Self> {
        let open = || {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let (kind, protocol) = (SockType::Raw, SockProtocol::NetlinkNetFilter);
            let fd = socket(AddressFamily::Netlink, kind, flags, protocol)?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, NFTABLES))?;
            Ok::<_, Errno>(fd)
        };
        let fd = open().context(Kind::Firewall, || "changes of nftables")?;
        Ok(Self { fd, buffer: vec![0; DATAGRAM] })
    }

    /// Reads what has come, and says whether any of it is about a table that `concerns`. What was
    /// lost, because too much came at once, might have been.
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
    let of_a_table = message.kind & 0xff00 == SUBSYSTEM && message.kind != NEW_GENERATION;
    of_a_table && message.attributes().text(TABLE).is_some_and(concerns)
}

impl AsFd for NetlinkSubscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
