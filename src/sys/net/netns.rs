//! Reads the network namespace of a container whose process is pinned by a pidfd.

#![allow(unsafe_code)] // Each block states its reason.

use super::bridge::{Leads, leads};
use super::netlink::message::{Attributes, Batch};
use super::netlink::uapi::{
    AF_UNSPEC, IFA_ADDRESS, IFA_LOCAL, NFPROTO_IPV4, NFPROTO_IPV6, NLM_F_DUMP, RTM_GETADDR,
    RTM_NEWADDR,
};
use super::netlink::{Netlink, NetlinkError, namespace_cookie};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Address, Instance, Invalid, first_of_networks};
use crate::sys::file::open_to_read;
use crate::sys::process::{self, network};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getsockname, socket,
};
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

/// The number of addresses of one container that count.
const MAX_ADDRESSES: usize = 64;
/// The number of interfaces of one container that are examined.
const MAX_INTERFACES: usize = 256;
/// The number of addresses of one container and family that are listed. The rest is not read: a
/// container may have any number, and the host lock is held while it is examined.
const MAX_LISTED: usize = 1 << 14;
/// Index of the loopback interface, the same in every namespace.
const LOOPBACK: u32 = 1;

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
        let path = format!("/proc/{}/ns/net", process.pid);
        let open = |path: &str| open_to_read(path).context(Kind::Namespace, || path.to_owned());
        let (theirs, ours) = (open(&path)?, open("/proc/self/ns/net")?);
        if process.ended(0) {
            let message = format!("process {} ended while it was examined", process.pid);
            return Err(Error::new(Kind::Namespace, message));
        }
        let inode = |file: &File| file.metadata().context(Kind::Namespace, || path.clone());
        let (a, b) = (inode(&theirs)?, inode(&ours)?);
        let is_ours = (a.dev(), a.ino()) == (b.dev(), b.ino());
        if is_ours {
            return Ok(Self {
                cookie: namespace_cookie()?,
                addresses: vec![],
                left_out: None,
                ipv6_loopback: true,
                is_ours,
            });
        }
        enter(&theirs)?;
        let found = read(&ours);
        // Without this, everything that follows would act on the container's network.
        leave_for(&ours)?;
        let mut namespace = found?;
        if namespace.cookie == 0 {
            namespace.cookie = a.ino();
        }
        let Namespace { addresses, left_out, .. } = &mut namespace;
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
        Ok(namespace)
    }
}

/// Returns the addresses that the container of `instance` has now, as [`Namespace::addresses`].
///
/// Returns `None` if its process is in another network namespace than recorded, or in that of this
/// process. Fails if the process has ended or cannot be examined. Requires `CAP_SYS_ADMIN`.
pub(crate) fn addresses_of(instance: &Instance) -> Result<Option<Vec<Address>>> {
    let process = Process::pin(instance.pid)?;
    if process.started() != instance.started {
        return Err(Error::new(Kind::Namespace, format!("process {} does not run", process.pid)));
    }
    let namespace = Namespace::of(&process)?;
    let is_same = namespace.cookie == instance.netns && !namespace.is_ours;
    Ok(is_same.then_some(namespace.addresses))
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
    let path = format!("/proc/{}/ns/net", process.pid);
    let open = |path: &str| File::open(path).context(Kind::Namespace, || path.to_owned());
    let (theirs, ours) = (open(&path)?, open("/proc/self/ns/net")?);
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
    let open = |process| File::open(format!("/proc/{process}/ns/net"));
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
///
/// `getifaddrs` is not used, because it would also list all interfaces and their statistics.
fn read(host: &File) -> Result<Namespace> {
    let mut link = Netlink::route()?;
    let cookie = link.namespace_cookie();
    let mut found = Vec::new();
    if !list(&mut link, AF_UNSPEC, &mut found)? {
        // IPv4 comes first and must not leave out IPv6.
        found.clear();
        for family in [NFPROTO_IPV4, NFPROTO_IPV6] {
            list(&mut Netlink::route()?, family, &mut found)?;
        }
        link = Netlink::route()?;
    }
    found.sort_by_key(|(interface, ..)| *interface);
    let ipv6_loopback = found.iter().any(|(at, ip, _)| *at == LOOPBACK && ip.is_ipv6());
    found.retain(|(interface, ip, _)| *interface != LOOPBACK && !is_link_local(*ip));
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
    Ok(Namespace { cookie, addresses, left_out, ipv6_loopback, is_ours: false })
}

/// Adds the addresses of `family` to `found`, each with the index of its interface and its prefix
/// length. Returns false if there are more than [`MAX_LISTED`]; `link` must not be used again then.
fn list(link: &mut Netlink, family: u8, found: &mut Vec<(u32, IpAddr, u8)>) -> Result<bool> {
    let (mut question, most) = (Batch::default(), found.len() + MAX_LISTED);
    question.message(RTM_GETADDR, NLM_F_DUMP, family, |_| ());
    let answer = link.ask_until(&question, |message| {
        if message.kind == RTM_NEWADDR {
            found.extend(message.address().and_then(|(header, rest)| assigned(header, &rest)));
        }
        found.len() >= most
    });
    let refused = answer.context(Kind::Namespace, || "addresses")?;
    refused.map_err(NetlinkError::errno).context(Kind::Namespace, || "addresses")?;
    Ok(found.len() < most)
}

/// Whether this is an IPv6 link-local address. Every interface has one, and links do not use it.
fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// Parses a message about an address. Returns the interface index, the address and the prefix
/// length.
///
/// On a point-to-point interface, `IFA_LOCAL` is the address and `IFA_ADDRESS` that of the peer.
pub(crate) fn assigned(header: [u8; 8], attributes: &Attributes<'_>) -> Option<(u32, IpAddr, u8)> {
    let [_family, prefix, _flags, _scope, index @ ..] = header;
    let bytes = attributes.get(IFA_LOCAL).or_else(|| attributes.get(IFA_ADDRESS))?;
    let ip = match bytes.len() {
        4 => IpAddr::from(*bytes.first_chunk::<4>()?),
        _ => IpAddr::from(*bytes.first_chunk::<16>()?),
    };
    Some((u32::from_ne_bytes(index), ip, prefix))
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
