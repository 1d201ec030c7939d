//! Ends connections of a container that its isolation does not permit.

use super::listing::of_address;
use super::{Connection, count, delete};
use crate::error::Result;
use crate::model::{Family, Protocol};
use crate::sys::net::netlink::Netlink;
use crate::sys::net::netlink::message::Attributes;
use crate::sys::net::netlink::uapi::{
    CTA_IP_V4_DST, CTA_IP_V4_SRC, CTA_IP_V6_DST, CTA_IP_V6_SRC, CTA_PROTO_NUM, CTA_PROTO_SRC_PORT,
    CTA_STATUS, CTA_TUPLE_IP, CTA_TUPLE_ORIG, CTA_TUPLE_PROTO, CTA_TUPLE_REPLY,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `IPS_DST_NAT`: the client asked for another address or port than that of the server.
const DST_NAT: u32 = 1 << 5;

/// A tracked connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tracked {
    /// The end that sent the first packet.
    pub(crate) client: IpAddr,
    /// The address that the client asked for.
    pub(crate) asked: IpAddr,
    /// The end that answers.
    pub(crate) server: IpAddr,
    /// The server's protocol and port, if it is one that a flow can name.
    pub(crate) port: Option<(Protocol, u16)>,
    /// Whether the client asked for a published port.
    pub(crate) is_published: bool,
}

impl Tracked {
    /// Parses an entry.
    fn parse(entry: &Attributes<'_>) -> Option<Self> {
        let (original, reply) = (entry.inside(CTA_TUPLE_ORIG), entry.inside(CTA_TUPLE_REPLY));
        let status = entry.get(CTA_STATUS).and_then(|bytes| bytes.first_chunk::<4>());
        let protocol = reply.inside(CTA_TUPLE_PROTO);
        let number = protocol.get(CTA_PROTO_NUM).and_then(|bytes| bytes.first().copied());
        let port = protocol.get(CTA_PROTO_SRC_PORT).and_then(|bytes| bytes.first_chunk::<2>());
        let port = port.map(|bytes| u16::from_be_bytes(*bytes));
        Some(Self {
            client: address(&original, CTA_IP_V4_SRC, CTA_IP_V6_SRC)?,
            asked: address(&original, CTA_IP_V4_DST, CTA_IP_V6_DST)?,
            server: address(&reply, CTA_IP_V4_SRC, CTA_IP_V6_SRC)?,
            port: number.and_then(Protocol::from_number).zip(port),
            is_published: status.is_some_and(|bits| u32::from_be_bytes(*bits) & DST_NAT != 0),
        })
    }
}

fn address(tuple: &Attributes<'_>, v4: u16, v6: u16) -> Option<IpAddr> {
    let addresses = tuple.inside(CTA_TUPLE_IP);
    let short = addresses.get(v4).and_then(|bytes| bytes.first_chunk::<4>());
    let long = || addresses.get(v6).and_then(|bytes| bytes.first_chunk::<16>());
    let short = short.map(|bytes| Ipv4Addr::from(*bytes).into());
    short.or_else(|| long().map(|bytes| Ipv6Addr::from(*bytes).into()))
}

/// Deletes the tracked connections of `addresses` that `stays` refuses. Requires `CAP_NET_ADMIN`, and that the
/// rules let no further packet of them pass.
pub(crate) fn drop_unless(addresses: &[IpAddr], stays: &dyn Fn(&Tracked) -> bool) -> Result<()> {
    let mut link = Netlink::netfilter()?;
    if addresses.is_empty() || count(&mut link)? == Some(0) {
        return Ok(());
    }
    let mut found = Vec::new();
    let mut judge = |entry: &Attributes<'_>| {
        let Some(tracked) = Tracked::parse(entry) else { return };
        let ends = [tracked.client, tracked.asked, tracked.server];
        if ends.iter().any(|ip| addresses.contains(ip)) && !stays(&tracked) {
            found.push(Connection::whole(entry, Family::of(tracked.client)));
        }
    };
    let mut has_read_v6 = false;
    for ip in addresses {
        // All entries of IPv6 are read, so once is enough.
        if ip.is_ipv4() || !std::mem::replace(&mut has_read_v6, true) {
            of_address(&mut link, *ip, &mut judge)?;
        }
    }
    delete(&mut link, &found)
}
