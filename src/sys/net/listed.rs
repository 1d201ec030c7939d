//! Lists the addresses in a network namespace, and tells those of this host.

use super::netlink::message::{Attributes, Batch};
use super::netlink::uapi::{
    AF_UNSPEC, IFA_ADDRESS, IFA_LOCAL, NFPROTO_IPV4, NFPROTO_IPV6, NLM_F_DUMP, RTM_GETADDR,
    RTM_NEWADDR,
};
use super::netlink::{Netlink, NetlinkError};
use crate::error::{Context, Kind, Result};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, getsockname, socket,
};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

/// The number of addresses of one container and family that are listed. The rest is not read: a
/// container may have any number, and the host lock is held while it is examined.
const MAX_LISTED: usize = 1 << 14;
/// Index of the loopback interface, the same in every namespace.
const LOOPBACK: u32 = 1;

/// An address: the index of its interface, the address, and its prefix length.
pub(super) type Listed = (u32, IpAddr, u8);

/// The addresses in a namespace.
#[derive(Debug)]
pub(super) struct Addresses {
    /// In the order of the interfaces. Loopback and IPv6 link-local addresses are left out.
    pub(super) found: Vec<Listed>,
    /// Whether the loopback interface has an IPv6 address.
    pub(super) ipv6_loopback: bool,
}

impl Addresses {
    /// Reads the namespace in which `link` was opened, and which this process is in. `link` is another
    /// socket after that if its answer was not read to the end.
    ///
    /// `getifaddrs` is not used, because it would also list all interfaces and their statistics.
    pub(super) fn read(link: &mut Netlink) -> Result<Self> {
        let mut found = Vec::new();
        if !list(link, AF_UNSPEC, &mut found)? {
            // IPv4 comes first and must not leave out IPv6.
            found.clear();
            for family in [NFPROTO_IPV4, NFPROTO_IPV6] {
                list(&mut Netlink::route()?, family, &mut found)?;
            }
            *link = Netlink::route()?;
        }
        found.sort_by_key(|(interface, ..)| *interface);
        let ipv6_loopback = found.iter().any(|(at, ip, _)| *at == LOOPBACK && ip.is_ipv6());
        found.retain(|(interface, ip, _)| *interface != LOOPBACK && !is_link_local(*ip));
        Ok(Self { found, ipv6_loopback })
    }
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

/// Whether `ip` is an address of this host. The time does not depend on the number of addresses.
///
/// The kernel binds no socket to any other address, unless `net.ipv4.ip_nonlocal_bind` or that of IPv6 is set. A packet
/// to a local address has this same address as its source: `connect()` on a UDP socket selects it without sending
/// anything, but takes four times as long.
pub(crate) fn is_local(ip: IpAddr) -> bool {
    let family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let new = || socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None);
    let at = |port| SockaddrStorage::from(SocketAddr::new(ip, port));
    if new().and_then(|socket| bind(socket.as_raw_fd(), &at(0))) == Err(Errno::EADDRNOTAVAIL) {
        return false;
    }
    let source = || -> nix::Result<SockaddrStorage> {
        let socket = new()?;
        connect(socket.as_raw_fd(), &at(9))?;
        getsockname(socket.as_raw_fd())
    };
    source().is_ok_and(|local| match ip {
        IpAddr::V4(ip) => local.as_sockaddr_in().is_some_and(|local| local.ip() == ip),
        IpAddr::V6(ip) => local.as_sockaddr_in6().is_some_and(|local| local.ip() == ip),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_host_are_local() {
        for (ip, expected) in
            [("127.0.0.1", true), ("::1", true), ("192.0.2.7", false), ("2001:db8::7", false)]
        {
            assert_eq!(is_local(ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
