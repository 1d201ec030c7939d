//! A conversation with the kernel's packet filter, without any program in between: messages go out
//! together, and the kernel has answered by the time `send` returns. So nothing here ever waits.

#![allow(unsafe_code)] // Each block says why.

pub(crate) mod message;
pub(crate) mod subscription;

use crate::error::{Context, Error, Kind, Result};
use message::{Batch, DONE, ERROR, Message, messages};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, connect, send,
    setsockopt, socket, sockopt,
};
use std::os::fd::{AsRawFd, OwnedFd};

/// The kernel makes the parts of a dump no larger than what is asked for, or than 8 KiB; never than
/// 32 KiB. An interface tells all its names at once, which can be 64 KiB; what else it tells is short.
const DATAGRAM: usize = 96 << 10;

/// What a socket can send at once without being asked to make room, on every kernel.
const AT_ONCE: usize = 64 << 10;

/// What the kernel has against one message of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NetlinkError {
    /// Which message.
    pub(crate) sequence: u32,
    /// Why: an errno, or a code of the subsystem's own from 4096 on.
    pub(crate) code: i32,
}

impl NetlinkError {
    /// The code by its name, where it has one.
    pub(crate) fn errno(self) -> Errno {
        Errno::from_raw(self.code)
    }
}

/// A socket of the network namespace that it was made in.
#[derive(Debug)]
pub(crate) struct Netlink {
    fd: OwnedFd,
    /// Has room for a datagram. What the kernel does not write to is never touched, and so takes
    /// no memory: nearly all of it.
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens a conversation with netfilter.
    pub(crate) fn netfilter() -> Result<Self> {
        Self::open(SockProtocol::NetlinkNetFilter)
    }

    /// Opens a conversation about interfaces and addresses.
    pub(crate) fn route() -> Result<Self> {
        Self::open(SockProtocol::NetlinkRoute)
    }

    fn open(protocol: SockProtocol) -> Result<Self> {
        let open = || {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
            let (any, kernel) = (NetlinkAddr::new(0, 0), NetlinkAddr::new(0, 0));
            bind(fd.as_raw_fd(), &any)?;
            answer_briefly(&fd)?;
            // From now on nobody but the kernel can put in a word.
            connect(fd.as_raw_fd(), &kernel)?;
            // So much is asked of the kernel, who may refuse: that is no reason to abort.
            let mut buffer = Vec::new();
            buffer.try_reserve_exact(DATAGRAM).map_err(|_| Errno::ENOMEM)?;
            Ok::<_, Errno>(Self { fd, buffer })
        };
        open().context(Kind::Firewall, || "netlink socket")
    }

    /// See [`namespace_cookie`].
    pub(crate) fn namespace_cookie(&self) -> u64 {
        cookie_of(&self.fd)
    }

    /// Sends `batch`, whose last message asks for a receipt, and returns the messages that the
    /// kernel refused; none if it carried out all.
    pub(crate) fn exchange(&mut self, batch: &Batch) -> Result<Vec<NetlinkError>> {
        self.send(batch)?;
        let mut refusals = Vec::new();
        let mut answered = false;
        while let Some(datagram) = self.receive()? {
            for message in messages(datagram).filter(|message| message.kind == ERROR) {
                answered = true;
                match message.code() {
                    Some(0) => {}
                    Some(code) => refusals.push(NetlinkError { sequence: message.sequence, code }),
                    None => return Err(failed("an error message without an error number")),
                }
            }
        }
        if answered { Ok(refusals) } else { Err(failed("no acknowledgement from the kernel")) }
    }

    /// Sends `batch`, a single question, and calls `visit` with each message of the answer. What
    /// ends an answer is the end of a list, or the receipt for a question about one thing. The
    /// inner error is the kernel's refusal to answer.
    pub(crate) fn ask(
        &mut self,
        batch: &Batch,
        mut visit: impl FnMut(&Message<'_>),
    ) -> Result<std::result::Result<(), NetlinkError>> {
        self.send(batch)?;
        while let Some(datagram) = self.receive()? {
            for message in messages(datagram) {
                match (message.kind, message.code().unwrap_or(0)) {
                    (DONE | ERROR, 0) => return Ok(Ok(())),
                    (DONE | ERROR, code) => {
                        return Ok(Err(NetlinkError { sequence: message.sequence, code }));
                    }
                    _ => visit(&message),
                }
            }
        }
        Err(failed("the kernel's answer does not end"))
    }

    /// Sends `batch`, questions about one thing each and without receipts, and calls `visit` with
    /// each answer, or the refusal in its place.
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
        Ok(())
    }

    fn send(&self, batch: &Batch) -> Result<()> {
        if batch.overflowed() {
            return Err(failed("a message is too long for its length field"));
        }
        let bytes = batch.bytes();
        if bytes.len() > AT_ONCE {
            let room = setsockopt(&self.fd, sockopt::SndBufForce, &(2 * bytes.len()));
            room.context(Kind::Firewall, || "netlink: memory for a long message")?;
        }
        let sent = loop {
            match send(self.fd.as_raw_fd(), bytes, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                result => break result.context(Kind::Firewall, || "netlink: send")?,
            }
        };
        if sent == bytes.len() { Ok(()) } else { Err(failed("only a part of a batch was sent")) }
    }

    /// The next datagram; none when the kernel has said everything.
    fn receive(&mut self) -> Result<Option<&[u8]>> {
        loop {
            self.buffer.clear();
            let room = self.buffer.spare_capacity_mut();
            // SAFETY: the kernel writes at most the length of `room`, and reads nothing of it.
            let length = unsafe {
                let (start, length) = (room.as_mut_ptr().cast(), room.len());
                libc::recv(self.fd.as_raw_fd(), start, length, libc::MSG_TRUNC)
            };
            match Errno::result(length).map(usize::try_from) {
                Ok(Ok(length)) if length <= room.len() => {
                    // SAFETY: so many bytes the kernel has written, and there is room for them.
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

/// `SO_NETNS_COOKIE` of the namespace this process is in (Linux 5.14), or 0 on kernels that have
/// none.
pub(crate) fn namespace_cookie() -> Result<u64> {
    // Any socket knows; this kind costs least.
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

/// Asks for complaints that do not repeat the message: a long transaction's would not fit the
/// buffer of the socket.
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
