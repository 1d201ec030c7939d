//! A netlink socket: messages are sent in a batch, and the answers are read at once.
//!
//! The kernel has answered when `send` returns, so no function here waits.

#![allow(unsafe_code)] // Each block states its reason.

pub(crate) mod kept;
pub(crate) mod message;
pub(crate) mod subscription;
pub(crate) mod uapi;

use crate::error::{Cause, Context, Error, Kind, Result};
use crate::sys::process::network;
use kept::Socket;
use message::{Batch, Message, messages};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, connect, send,
    setsockopt, socket, sockopt,
};
use std::cell::Cell;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use uapi::{NLMSG_DONE, NLMSG_ERROR};

/// Size of the receive buffer in bytes.
///
/// The kernel limits a part of a dump to the size of the read or 8 KiB, whichever is larger, and
/// never exceeds 32 KiB. The message about one interface contains all its names, which can be 64
/// KiB; its other attributes are short.
const DATAGRAM: usize = 96 << 10;

/// A batch of this size in bytes can be sent with the default send buffer of every kernel.
const AT_ONCE: usize = 64 << 10;

/// The kernel's refusal of one message of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NetlinkError {
    /// Sequence number of the message; the first of a batch is 1.
    pub(crate) sequence: u32,
    /// An errno, or a code of the subsystem itself from 4096 on.
    pub(crate) code: i32,
}

impl NetlinkError {
    /// The code as an errno.
    pub(crate) fn errno(self) -> Errno {
        Errno::from_raw(self.code)
    }
}

/// A netlink socket in the network namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Rc<Socket>,
    /// Capacity for one datagram. Pages that the kernel does not write to are never touched, so
    /// most of it takes no memory.
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens a socket for netfilter.
    pub(crate) fn netfilter() -> Result<Self> {
        Self::open(SockProtocol::NetlinkNetFilter)
    }

    /// Opens a socket for interfaces and addresses (rtnetlink).
    pub(crate) fn route() -> Result<Self> {
        Self::open(SockProtocol::NetlinkRoute)
    }

    fn open(protocol: SockProtocol) -> Result<Self> {
        network::must_be_ours()?;
        if let Some(socket) = kept::idle(protocol) {
            let buffer = room().context(Kind::Firewall, || "netlink socket")?;
            return Ok(Self { socket, buffer });
        }
        let open = || {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
            let (any, kernel) = (NetlinkAddr::new(0, 0), NetlinkAddr::new(0, 0));
            bind(fd.as_raw_fd(), &any)?;
            answer_briefly(&fd)?;
            // After connect() the socket accepts datagrams of the kernel only.
            connect(fd.as_raw_fd(), &kernel)?;
            let socket = Rc::new(Socket { fd, is_busy: Cell::new(false) });
            kept::keep(protocol, &socket);
            Ok::<_, Errno>(Self { socket, buffer: room()? })
        };
        let opened = open();
        let cause = match &opened {
            Err(Errno::EPROTONOSUPPORT) => Cause::NotSupported,
            _ => Cause::Other,
        };
        opened.context(Kind::Firewall, || "netlink socket").map_err(|error| error.because(cause))
    }

    /// `SO_NETNS_COOKIE` of the namespace of this socket, or 0 before Linux 5.14.
    pub(crate) fn namespace_cookie(&self) -> u64 {
        cookie_of(&self.socket.fd)
    }

    /// Sends `batch` and returns the messages that the kernel refused.
    ///
    /// `batch` must ask for a receipt. An empty result means that the kernel carried out all
    /// messages.
    pub(crate) fn exchange(&mut self, batch: &Batch) -> Result<Vec<NetlinkError>> {
        self.send(batch)?;
        let mut refusals = Vec::new();
        let mut answered = false;
        while let Some(datagram) = self.receive()? {
            for message in messages(datagram).filter(|message| message.kind == NLMSG_ERROR) {
                answered = true;
                match message.code() {
                    Some(0) => {}
                    Some(code) => refusals.push(NetlinkError { sequence: message.sequence, code }),
                    None => return Err(failed("an error message without an error number")),
                }
            }
        }
        self.socket.is_busy.set(false);
        if answered { Ok(refusals) } else { Err(failed("no acknowledgement from the kernel")) }
    }

    /// Sends `batch`, a single request, and calls `visit` with each message of the answer.
    ///
    /// A dump ends with `NLMSG_DONE`. A request about one object must ask for a receipt, which ends
    /// the answer. The inner error is the kernel's refusal.
    pub(crate) fn ask(
        &mut self,
        batch: &Batch,
        mut visit: impl FnMut(&Message<'_>),
    ) -> Result<std::result::Result<(), NetlinkError>> {
        self.ask_until(batch, |message| {
            visit(message);
            false
        })
    }

    /// Like [`Netlink::ask`], but stops reading when `visit` returns true. The rest of the answer is
    /// still in the socket, so it must not be used again then.
    pub(crate) fn ask_until(
        &mut self,
        batch: &Batch,
        mut visit: impl FnMut(&Message<'_>) -> bool,
    ) -> Result<std::result::Result<(), NetlinkError>> {
        self.send(batch)?;
        let socket = Rc::clone(&self.socket);
        while let Some(datagram) = self.receive()? {
            for message in messages(datagram) {
                if matches!(message.kind, NLMSG_DONE | NLMSG_ERROR) {
                    socket.is_busy.set(false);
                }
                match (message.kind, message.code().unwrap_or(0)) {
                    (NLMSG_DONE | NLMSG_ERROR, 0) => return Ok(Ok(())),
                    (NLMSG_DONE | NLMSG_ERROR, code) => {
                        return Ok(Err(NetlinkError { sequence: message.sequence, code }));
                    }
                    _ if visit(&message) => return Ok(Ok(())),
                    _ => {}
                }
            }
        }
        Err(failed("the kernel's answer does not end"))
    }

    /// Sends `batch` and calls `visit` once per message, with the answer or the refusal.
    ///
    /// Each message must ask about one object and must not ask for a receipt.
    pub(crate) fn ask_each(
        &mut self,
        batch: &Batch,
        mut visit: impl FnMut(&Message<'_>),
    ) -> Result<()> {
        self.send(batch)?;
        for _ in 0..batch.count() {
            let answer = self.receive()?.and_then(|datagram| messages(datagram).next());
            visit(&answer.ok_or_else(|| failed("a request without an answer"))?);
        }
        self.socket.is_busy.set(false);
        Ok(())
    }

    fn send(&self, batch: &Batch) -> Result<()> {
        if batch.overflowed() {
            return Err(failed("a message is too long for its length field"));
        }
        let bytes = batch.bytes();
        self.socket.is_busy.set(true);
        if bytes.len() > AT_ONCE {
            let room = setsockopt(&self.socket.fd, sockopt::SndBufForce, &(2 * bytes.len()));
            room.context(Kind::Firewall, || "netlink: memory for a long message")?;
        }
        let sent = loop {
            match send(self.socket.fd.as_raw_fd(), bytes, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                result => break result.context(Kind::Firewall, || "netlink: send")?,
            }
        };
        if sent == bytes.len() { Ok(()) } else { Err(failed("only a part of a batch was sent")) }
    }

    /// Reads the next datagram; `None` if there is no more.
    fn receive(&mut self) -> Result<Option<&[u8]>> {
        loop {
            self.buffer.clear();
            let room = self.buffer.spare_capacity_mut();
            // SAFETY: the kernel writes at most `room.len()` bytes to `room` and does not read from
            // it.
            let length = unsafe {
                let (start, length) = (room.as_mut_ptr().cast(), room.len());
                libc::recv(self.socket.fd.as_raw_fd(), start, length, libc::MSG_TRUNC)
            };
            match Errno::result(length).map(usize::try_from) {
                Ok(Ok(length)) if length <= room.len() => {
                    // SAFETY: the kernel has written `length` bytes, which fit the capacity.
                    unsafe { self.buffer.set_len(length) };
                    return Ok(Some(&self.buffer));
                }
                Ok(_) => return Err(failed("a datagram is larger than expected")),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context(Kind::Firewall, || "netlink: receive"),
            }
        }
    }
}

/// Room for one datagram. 96 KiB may be refused under a memory limit, which must not abort the process.
fn room() -> nix::Result<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(DATAGRAM).map_err(|_| Errno::ENOMEM)?;
    Ok(buffer)
}

/// `SO_NETNS_COOKIE` of the namespace of this process, or 0 before Linux 5.14.
pub(crate) fn namespace_cookie() -> Result<u64> {
    // Any kind of socket knows the cookie; a Unix socket is the cheapest.
    let fd = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None);
    Ok(cookie_of(&fd.context(Kind::Namespace, || "socket")?))
}

fn cookie_of(fd: &OwnedFd) -> u64 {
    let mut cookie = 0u64;
    let mut size = libc::socklen_t::try_from(size_of_val(&cookie)).unwrap_or(8);
    // SAFETY: the kernel writes at most `size` bytes, the size of `cookie`.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut size,
        )
    };
    if result == 0 { cookie } else { 0 }
}

/// Sets `NETLINK_CAP_ACK`: errors do not repeat the refused message. A long transaction would
/// otherwise not fit the receive buffer of the socket.
fn answer_briefly(fd: &OwnedFd) -> nix::Result<()> {
    let yes: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of_val(&yes)).unwrap_or(4);
    // SAFETY: the kernel reads `size` bytes, the size of `yes`.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_CAP_ACK,
            (&raw const yes).cast(),
            size,
        )
    };
    Errno::result(result).map(drop)
}

fn failed(why: &str) -> Error {
    Error::new(Kind::Firewall, format!("netlink: {why}"))
}
