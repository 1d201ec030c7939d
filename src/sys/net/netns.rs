//! Reads the network namespace of a container whose process is pinned by a pidfd.

use super::bridge::ports::ports;
use super::bridge::{Leads, leads};
use super::listed::{Addresses, is_local};
use super::netlink::{Netlink, namespace_cookie};
pub(crate) use super::pinned::Process;
use crate::error::{Context, Error, Kind, Result};
use crate::model::{
    Address, BridgePort, Fingerprint, Inode, Instance, Invalid, NoBridge, first_of_networks,
};
use crate::sys::file::{open_to_read, open_with, read_text, shown};
use crate::sys::process::{self, network};
use crate::sys::site::{self, Standing};
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use std::fmt::Display;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The number of addresses of one container that count.
const MAX_ADDRESSES: usize = 64;
/// The number of interfaces of one container that are examined.
const MAX_INTERFACES: usize = 256;
/// Size limit of the list of interfaces in /proc, in bytes.
const MAX_LIST: u64 = 64 << 10;

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
    /// What it has in place of a bridge, if it is that of a container of a rootless engine.
    pub(crate) no_bridge: Option<NoBridge>,
}

impl Namespace {
    /// Reads the namespace of `process`, which it enters and leaves again.
    ///
    /// For the namespace of this process the addresses are empty. Requires `CAP_SYS_ADMIN`. A process that
    /// left the namespace of its engine for the site returns to the site.
    pub(crate) fn of(process: &Process) -> Result<Self> {
        let (theirs, ours) = (open(process.pid())?, open("self")?);
        if process.ended(0) {
            let message = format!("process {} ended while it was examined", process.pid());
            return Err(Error::new(Kind::Namespace, message));
        }
        let origin = match site::standing() {
            Standing::Home => return Self::behind(&theirs, &ours),
            Standing::Site { origin } | Standing::Nowhere { origin } => origin,
        };
        let itself = inode(&theirs)?;
        if itself == origin {
            return Ok(Self::without_bridge(itself, NoBridge::Host));
        }
        if matches!(site::standing(), Standing::Site { .. }) {
            let found = Self::behind(&theirs, &ours)?;
            if !found.addresses.is_empty() || found.left_out.is_some() {
                return Ok(found);
            }
        }
        Ok(Self::without_bridge(itself, interfaces(process.pid())?))
    }

    /// A namespace of a rootless engine that no bridge leads to. Its number in place of a cookie is enough
    /// for a container without rules.
    fn without_bridge(itself: Inode, no_bridge: NoBridge) -> Self {
        Self {
            cookie: itself.number,
            addresses: vec![],
            fingerprint: None,
            left_out: None,
            ipv6_loopback: true,
            is_ours: false,
            no_bridge: Some(no_bridge),
        }
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
                no_bridge: None,
            });
        }
        match visit(theirs, ours, None)? {
            Found::New(namespace) => Ok(namespace.usable()),
            Found::Same | Found::Other => {
                Err(Error::new(Kind::Internal, "a namespace is like none"))
            }
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
    let is_origin = match site::standing() {
        Standing::Home => false,
        Standing::Site { origin } | Standing::Nowhere { origin } => inode(&theirs)? == origin,
    };
    if is_origin || is_same(&theirs, &ours)? {
        return Ok(Now::Elsewhere);
    }
    Ok(match visit(&theirs, &ours, Some((instance.netns, known)))? {
        Found::Other => Now::Elsewhere,
        Found::Same => Now::Same,
        Found::New(found) => {
            let Namespace { addresses, fingerprint, .. } = found.usable();
            Now::Read(addresses, fingerprint)
        }
    })
}

/// Opens the network namespace of a process.
fn open(process: impl Display) -> Result<File> {
    let path = format!("/proc/{process}/ns/net");
    open_to_read(path.as_str()).context(Kind::Namespace, || path)
}

fn is_same(one: &File, other: &File) -> Result<bool> {
    Ok(inode(one)? == inode(other)?)
}

fn inode(namespace: &File) -> Result<Inode> {
    let found = namespace.metadata().context(Kind::Namespace, || "network namespace")?;
    Ok(Inode { device: found.dev(), number: found.ino() })
}

/// Judges by the interfaces in the network namespace of a process, which is not entered.
fn interfaces(pid: i32) -> Result<NoBridge> {
    let list = read_text(Path::new(&format!("/proc/{pid}/net/dev")), MAX_LIST, Kind::Namespace)?;
    // Two lines of headings.
    let names = list.lines().skip(2).filter_map(|line| line.split_once(':'));
    Ok(NoBridge::of_interfaces(names.map(|(name, _)| name.trim())))
}

/// What was found in a namespace.
enum Found {
    /// It is another one than expected.
    Other,
    /// It is the expected one, and its addresses have the fingerprint that was known.
    Same,
    /// It has another fingerprint, or none was known.
    New(Namespace),
}

/// The cookie of a namespace, and the fingerprint of its addresses if that is known.
type Expected = (u64, Option<Fingerprint>);

/// Enters `theirs`, reads it, and returns to `ours`.
fn visit(theirs: &File, ours: &File, expected: Option<Expected>) -> Result<Found> {
    // There would be no way back.
    network::must_be_ours()?;
    enter(theirs)?;
    let found = read(theirs, ours, expected);
    // Without this, everything that follows would act on the container's network.
    leave_for(ours)?;
    found
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
    let (theirs, ours) = (open(process.pid())?, open("self")?);
    if process.ended(0) {
        let message = format!("process {} ended while it was examined", process.pid());
        return Err(Error::new(Kind::Namespace, message));
    }
    network::must_be_ours()?;
    enter(&theirs)?;
    let found = act();
    leave_for(&ours)?;
    Ok(found)
}

/// Returns the bridge ports of all interfaces in the network namespace of `process`, or the name of an
/// interface that leads elsewhere. This process enters the namespace and leaves it again.
pub(crate) fn ports_of(process: &Process) -> Result<std::result::Result<Vec<BridgePort>, String>> {
    let ours = open("self")?;
    inside(process, || ports(&mut Netlink::route()?, &ours))?
}

/// The network namespace that this process has left, if there is a way back.
#[derive(Debug)]
pub(crate) struct Left(Option<File>);

impl Left {
    /// Enters it again.
    pub(crate) fn enter(&self) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), enter)
    }
}

/// Enters the network namespace of process 1 if its cookie is `cookie`, or that site of a rootless engine.
/// `None` if there is none or it cannot be entered; nothing has changed then. Requires `CAP_SYS_ADMIN`.
pub(crate) fn enter_first(cookie: u64) -> Result<Option<Left>> {
    if site::standing() != Standing::Home {
        return Ok(site::enter_by_cookie(cookie)?.then_some(Left(None)));
    }
    // Before Linux 5.14 all cookies are 0.
    let (Ok(first), Ok(ours), true) = (open("1"), open("self"), cookie != 0) else {
        return Ok(None);
    };
    if enter(&first).is_err() {
        return Ok(None);
    }
    if namespace_cookie().is_ok_and(|found| found == cookie) {
        return Ok(Some(Left(Some(ours))));
    }
    leave_for(&ours).map(|()| None)
}

/// Reads the namespace `theirs`, which this process is in; `host` is that of the host.
fn read(theirs: &File, host: &File, expected: Option<Expected>) -> Result<Found> {
    let mut link = Netlink::route()?;
    let cookie = match link.namespace_cookie() {
        // Before Linux 5.14 there are no cookies.
        0 => theirs.metadata().context(Kind::Namespace, || "network namespace")?.ino(),
        cookie => cookie,
    };
    if expected.is_some_and(|(expected, _)| expected != cookie) {
        return Ok(Found::Other);
    }
    let Addresses { found, ipv6_loopback } = Addresses::read(&mut link)?;
    let fingerprint = Fingerprint::of(&found);
    if fingerprint.is_some() && expected.is_some_and(|(_, known)| known == fingerprint) {
        return Ok(Found::Same);
    }
    let (mut addresses, mut doubtful, mut left_out) = (Vec::new(), Vec::new(), None);
    let is_users = site::standing() != Standing::Home;
    let interfaces = found.chunk_by(|(one, ..), (other, ..)| one == other);
    for same in interfaces.take(MAX_INTERFACES) {
        let Some((at, first, _)) = same.first() else { continue };
        let (list, place) = match leads(&mut link, host, *at)? {
            Leads::To(bridge, port) => (&mut addresses, Some((bridge, port))),
            // The interface of pasta and slirp4netns leads to no other container.
            Leads::Unknown | Leads::Doubtful if is_users => continue,
            Leads::Outside | Leads::Unknown => (&mut addresses, None),
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
                Ok(address) => {
                    let (bridge, port) = place.unzip();
                    list.push(address.on(bridge).behind(port));
                }
                Err(error) => _ = left_out.get_or_insert(error),
            }
        }
    }
    if addresses.is_empty() {
        addresses = doubtful;
    }
    let (is_ours, no_bridge) = (false, None);
    Ok(Found::New(Namespace {
        cookie,
        addresses,
        fingerprint,
        left_out,
        ipv6_loopback,
        is_ours,
        no_bridge,
    }))
}
