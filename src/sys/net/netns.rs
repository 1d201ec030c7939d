//! Reads the network namespace of a container whose process is pinned by a pidfd.

#![allow(unsafe_code)] // Each block states its reason.

use super::bridge::{Leads, leads};
use super::listed::Addresses;
use super::netlink::{Netlink, namespace_cookie};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Address, Fingerprint, Instance, Invalid, first_of_networks};
use crate::sys::file::{open_to_read, open_with, shown};
use crate::sys::process::{self, network};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getsockname, socket,
};
use nix::sys::stat::Mode;
use std::fmt::Display;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The number of addresses of one container that count.
const MAX_ADDRESSES: usize = 64;
/// The number of interfaces of one container that are examined.
const MAX_INTERFACES: usize = 256;

/// A process pinned by a pidfd, so that a later process with the same pid is not confused with it.
#[derive(Debug)]
pub(crate) struct Process {
    pid: i32,
    fd: OwnedFd,
    started: u64,
}

impl Process {
    /// Opens a pidfd for `pid` and reads its start time. Fails if the process has ended.
    pub(crate) fn pin(pid: i32) -> Result<Self> {
        let gone = || Error::new(Kind::Namespace, format!("process {pid} does not run"));
        // SAFETY: the call takes two integers and returns a descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0u32) };
        let fd = match Errno::result(fd) {
            Err(Errno::ESRCH | Errno::EINVAL) => return Err(gone()),
            fd => fd.context(Kind::Namespace, || format!("process {pid}"))?,
        };
        let fd = i32::try_from(fd).map_err(|_| gone())?;
        // SAFETY: the descriptor is new and has no other owner.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let started = process::start_time(pid)?.ok_or_else(gone)?;
        let process = Self { pid, fd, started };
        // If the process still runs now, the start time was its own and not that of a successor.
        if process.ended(0) { Err(gone()) } else { Ok(process) }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// The start time in clock ticks since boot.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// Waits up to `milliseconds` for the end of the process. Returns false if the wait fails.
    pub(crate) fn ended(&self, milliseconds: u16) -> bool {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut fds, PollTimeout::from(milliseconds)) {
                Err(Errno::EINTR) => {}
                result => return result.is_ok_and(|ready| ready > 0),
            }
        }
    }
}

/// The descriptor is readable when the process has ended.
impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What oci-link needs to know of a network namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// Identifies the namespace within this boot.
    pub(crate) cookie: u64,
    /// The addresses that links may use, in the order of the interfaces. Loopback is left out, and
    /// so are addresses that do not identify the container.
    pub(crate) addresses: Vec<Address>,
    /// Of all its addresses.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Why the first address that was left out cannot be used.
    pub(crate) left_out: Option<Invalid>,
    /// Whether the loopback interface has an IPv6 address.
    pub ipv6_loopback: bool,
    /// Whether it is the namespace of this process.
    pub(crate) is_ours: bool,
}

impl Namespace {
    /// Reads the namespace of `process`, which it enters and leaves again.
    ///
    /// For the namespace of this process the addresses are empty. Requires `CAP_SYS_ADMIN`.
    pub(crate) fn of(process: &Process) -> Result<Self> {
        let (theirs, ours) = (open(process.pid)?, open("self")?);
        if process.ended(0) {
            let message = format!("process {} ended while it was examined", process.pid);
            return Err(Error::new(Kind::Namespace, message));
        }
        Self::behind(&theirs, &ours)
    }

    /// Reads the namespace of the file `path`, as [`Namespace::of`] does.
    pub(crate) fn at(path: &Path) -> Result<Self> {
        // The open of a FIFO must not wait for a writer.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let theirs = open_with(path, flags, Mode::empty());
        let theirs = theirs.context(Kind::Namespace, || shown(path))?;
        Self::behind(&theirs, &open("self")?)
    }

    /// Reads the namespace `theirs`, and returns to `ours`.
    fn behind(theirs: &File, ours: &File) -> Result<Self> {
        if is_same(theirs, ours)? {
            return Ok(Self {
                cookie: namespace_cookie()?,
                addresses: vec![],
                fingerprint: None,
                left_out: None,
                ipv6_loopback: true,
                is_ours: true,
            });
        }
        match visit(theirs, ours, None)? {
            Found::New(namespace) => Ok(namespace.usable()),
            Found::Same(_) => Err(Error::new(Kind::Internal, "a namespace is like none")),
        }
    }

    /// Leaves out the addresses that the host has too, and those of which there are too many.
    fn usable(mut self) -> Self {
        let Namespace { addresses, left_out, .. } = &mut self;
        // A container may have any number of addresses, and each takes system calls.
        *addresses = first_of_networks(std::mem::take(addresses), 4 * MAX_ADDRESSES);
        addresses.retain(|address| {
            let usable = !is_local(address.ip());
            if !usable {
                let ip = address.ip().to_string();
                left_out.get_or_insert(Invalid::new("address", &ip, "is the host's own"));
            }
            usable
        });
        *addresses = first_of_networks(std::mem::take(addresses), MAX_ADDRESSES);
        self
    }
}

/// What a further look at the namespace of a container found.
#[derive(Debug)]
pub(crate) enum Now {
    /// The process is in another network namespace than recorded, or in that of this process.
    Elsewhere,
    /// The namespace has the fingerprint that it had.
    Same,
    /// The addresses that it has now, as [`Namespace::addresses`], and their fingerprint.
    Read(Vec<Address>, Option<Fingerprint>),
}

/// Reads the network namespace of the container of `instance` again. If its fingerprint is `known`, no more
/// is read.
///
/// Fails if its process has ended or cannot be examined. Requires `CAP_SYS_ADMIN`.
pub(crate) fn addresses_of(instance: &Instance, known: Option<Fingerprint>) -> Result<Now> {
    let (theirs, ours) = (open(instance.pid)?, open("self")?);
    // The process that has this pid now had it when its namespace was opened, if it is that of the record.
    if process::start_time(instance.pid)? != Some(instance.started) {
        let message = format!("process {} does not run", instance.pid);
        return Err(Error::new(Kind::Namespace, message));
    }
    if is_same(&theirs, &ours)? {
        return Ok(Now::Elsewhere);
    }
    Ok(match visit(&theirs, &ours, known)? {
        Found::Same(cookie) if cookie == instance.netns => Now::Same,
        Found::New(found) if found.cookie == instance.netns => {
            let Namespace { addresses, fingerprint, .. } = found.usable();
            Now::Read(addresses, fingerprint)
        }
        Found::Same(_) | Found::New(_) => Now::Elsewhere,
    })
}

/// Opens the network namespace of a process.
fn open(process: impl Display) -> Result<File> {
    let path = format!("/proc/{process}/ns/net");
    open_to_read(path.as_str()).context(Kind::Namespace, || path)
}

fn is_same(one: &File, other: &File) -> Result<bool> {
    let inode = |file: &File| file.metadata().context(Kind::Namespace, || "network namespace");
    let (a, b) = (inode(one)?, inode(other)?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// What was found in a namespace.
enum Found {
    /// It has the fingerprint that was known, and this cookie.
    Same(u64),
    /// It has another one, or none was known.
    New(Namespace),
}

/// Enters `theirs`, reads it, and returns to `ours`.
fn visit(theirs: &File, ours: &File, known: Option<Fingerprint>) -> Result<Found> {
    enter(theirs)?;
    let found = read(ours, known);
    // Without this, everything that follows would act on the container's network.
    leave_for(ours)?;
    let mut found = found?;
    // Before Linux 5.14 there are no cookies.
    let (Found::Same(cookie) | Found::New(Namespace { cookie, .. })) = &mut found;
    if *cookie == 0 {
        *cookie = theirs.metadata().context(Kind::Namespace, || "network namespace")?.ino();
    }
    Ok(found)
}

fn enter(namespace: &File) -> Result<()> {
    setns(namespace, CloneFlags::CLONE_NEWNET).context(Kind::Namespace, || "setns")
}

/// Returns to this process's own namespace. A caller may go on without what it wanted to read, so a failure
/// is remembered: no rule is changed after that.
fn leave_for(ours: &File) -> Result<()> {
    enter(ours).inspect_err(|_| network::is_lost())
}

/// Calls `act` in the network namespace of `process`, which this process enters and leaves again.
/// Requires `CAP_SYS_ADMIN`.
pub(crate) fn inside<T>(process: &Process, act: impl FnOnce() -> T) -> Result<T> {
    let (theirs, ours) = (open(process.pid)?, open("self")?);
    if process.ended(0) {
        let message = format!("process {} ended while it was examined", process.pid);
        return Err(Error::new(Kind::Namespace, message));
    }
    enter(&theirs)?;
    let found = act();
    leave_for(&ours)?;
    Ok(found)
}

/// The network namespace that this process has left.
#[derive(Debug)]
pub(crate) struct Left(File);

impl Left {
    /// Enters it again.
    pub(crate) fn enter(&self) -> Result<()> {
        enter(&self.0)
    }
}

/// Enters the network namespace of process 1 if its cookie is `cookie`. `None` if it has another one or
/// cannot be entered; nothing has changed then. Requires `CAP_SYS_ADMIN`.
pub(crate) fn enter_first(cookie: u64) -> Result<Option<Left>> {
    // Before Linux 5.14 all cookies are 0.
    let (Ok(first), Ok(ours), true) = (open("1"), open("self"), cookie != 0) else {
        return Ok(None);
    };
    if enter(&first).is_err() {
        return Ok(None);
    }
    if namespace_cookie().is_ok_and(|found| found == cookie) {
        return Ok(Some(Left(ours)));
    }
    leave_for(&ours).map(|()| None)
}

/// Reads the namespace that this process is in; `host` is the namespace of the host.
fn read(host: &File, known: Option<Fingerprint>) -> Result<Found> {
    let mut link = Netlink::route()?;
    let cookie = link.namespace_cookie();
    let Addresses { found, ipv6_loopback } = Addresses::read(&mut link)?;
    let fingerprint = Fingerprint::of(&found);
    if known.is_some() && fingerprint == known {
        return Ok(Found::Same(cookie));
    }
    let (mut addresses, mut doubtful, mut left_out) = (Vec::new(), Vec::new(), None);
    let interfaces = found.chunk_by(|(one, ..), (other, ..)| one == other);
    for same in interfaces.take(MAX_INTERFACES) {
        let Some((at, first, _)) = same.first() else { continue };
        let (list, bridge) = match leads(&mut link, host, *at)? {
            Leads::To(bridge) => (&mut addresses, Some(bridge)),
            Leads::Outside => (&mut addresses, None),
            Leads::Doubtful => (&mut doubtful, None),
            Leads::Nowhere => {
                let ip = first.to_string();
                left_out.get_or_insert_with(|| {
                    Invalid::new(
                        "address",
                        &ip,
                        "its interface leads nowhere outside the container",
                    )
                });
                continue;
            }
        };
        for (_, ip, prefix) in same {
            match Address::new(*ip, *prefix) {
                Ok(address) => list.push(address.on(bridge)),
                Err(error) => _ = left_out.get_or_insert(error),
            }
        }
    }
    if addresses.is_empty() {
        addresses = doubtful;
    }
    let is_ours = false;
    Ok(Found::New(Namespace { cookie, addresses, fingerprint, left_out, ipv6_loopback, is_ours }))
}

/// Whether `ip` is an address of this host.
///
/// A packet to a local address has this same address as its source. `connect()` on a UDP socket
/// selects the source address without sending anything. The time does not depend on the number of
/// addresses.
fn is_local(ip: IpAddr) -> bool {
    let family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let source = || -> nix::Result<SockaddrStorage> {
        let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        connect(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(ip, 9)))?;
        getsockname(socket.as_raw_fd())
    };
    source().is_ok_and(|local| match ip {
        IpAddr::V4(ip) => local.as_sockaddr_in().is_some_and(|local| local.ip() == ip),
        IpAddr::V6(ip) => local.as_sockaddr_in6().is_some_and(|local| local.ip() == ip),
    })
}
