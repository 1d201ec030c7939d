//! Ends connections that the kernel still tracks after their rules were removed.
//!
//! Requires that the rules are already gone. Otherwise the next packet creates the entry again.

mod exact;
mod listing;
mod tracked;

use super::netlink::Netlink;
use super::netlink::message::{Attributes, Batch, Body, family_number};
use super::netlink::uapi::{
    CTA_FILTER, CTA_FILTER_ORIG_FLAGS, CTA_FILTER_REPLY_FLAGS, CTA_ID, CTA_IP_V4_SRC,
    CTA_IP_V6_SRC, CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_STATS_GLOBAL_ENTRIES, CTA_TUPLE_IP,
    CTA_TUPLE_ORIG, CTA_TUPLE_PROTO, CTA_TUPLE_REPLY, CTA_ZONE, IPCTNL_MSG_CT_DELETE,
    IPCTNL_MSG_CT_GET_STATS, NFNL_SUBSYS_CTNETLINK, NFPROTO_UNSPEC, nfnl_type,
};
use crate::error::{Error, Kind, Result};
use crate::model::{Family, Flow, FlowIndex, Protocol};
use nix::libc::ENOENT;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
pub(crate) use tracked::{Tracked, drop_unless};

/// Messages per netlink batch. The errors for a whole batch fit the receive buffer of the socket.
const TOGETHER: usize = 64;

/// The netlink message type of a connection tracking command.
const fn message_type(command: u16) -> u16 {
    nfnl_type(NFNL_SUBSYS_CTNETLINK, command)
}

/// Deletes the tracked connections that `flows` permitted. All flows of one event belong into one call.
///
/// A flow does not name the client's port. The kernel looks for the connections of a few flows; for
/// more, or where it cannot, the table is read. Requires `CAP_NET_ADMIN`. The rules of `flows` must
/// have been removed.
pub fn drop_connections(flows: &[Flow]) -> Result<()> {
    let mut link = Netlink::netfilter()?;
    if flows.is_empty() {
        return Ok(());
    }
    let entries = match count(&mut link)? {
        Some(0) => return Ok(()),
        entries => entries.unwrap_or(0),
    };
    let mut flows: Vec<Flow> = flows.iter().map(|flow| flow.anywhere()).collect();
    let mut known = HashSet::new();
    flows.retain(|flow| known.insert(*flow));
    let flows = exact::end(&mut link, &flows, entries)?;
    let found = listing::find(&mut link, &flows, entries)?;
    delete(&mut link, &found)
}

/// Deletes these connections. One that has ended in the meantime is not an error.
fn delete(link: &mut Netlink, found: &[Connection]) -> Result<()> {
    for some in found.chunks(TOGETHER) {
        let mut batch = Batch::default();
        for entry in some {
            batch.message(
                message_type(IPCTNL_MSG_CT_DELETE),
                0,
                family_number(entry.family),
                |body| entry.write(body),
            );
        }
        for refusal in link.exchange(&batch.with_receipt())? {
            if refusal.code != ENOENT {
                return Err(failed(refusal.errno()));
            }
        }
    }
    Ok(())
}

/// The number of tracked connections; `None` if the kernel does not report it.
pub(crate) fn entries() -> Result<Option<u32>> {
    count(&mut Netlink::netfilter()?)
}

/// The number of tracked connections. Asked first, because reading the table takes milliseconds.
fn count(link: &mut Netlink) -> Result<Option<u32>> {
    let mut count = None;
    let mut question = Batch::default();
    question.message(message_type(IPCTNL_MSG_CT_GET_STATS), 0, NFPROTO_UNSPEC, |_| ());
    let answer = link.ask(&question.with_receipt(), |message| {
        count = message.attributes().number(CTA_STATS_GLOBAL_ENTRIES);
    })?;
    Ok(count.filter(|_| answer.is_ok()))
}

/// A tracked connection: the attributes that identify it, as the kernel sent them.
pub(crate) struct Connection {
    family: Family,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Connection {
    /// Parses an entry. Returns `None` if none of `flows` permitted the connection.
    ///
    /// The client must be the flow's recipient. The address that replies must be the flow's source,
    /// whatever address the client used (NAT). A connection that the source opened from the same
    /// port belongs to the flow as well: our rules permit none, but rules of other programs may
    /// have.
    pub(crate) fn of(entry: &Attributes<'_>, flows: &FlowIndex) -> Option<Self> {
        let original = Direction::parse(&entry.inside(CTA_TUPLE_ORIG))?;
        let reply = Direction::parse(&entry.inside(CTA_TUPLE_REPLY))?;
        let permitted = |client: &Direction, server: &Direction| {
            flows.permits(client.from, server.from, server.protocol, server.from_port)
        };
        if !permitted(&original, &reply) && !permitted(&reply, &original) {
            return None;
        }
        Some(Self::whole(entry, Family::of(original.from)))
    }

    /// An entry of the table.
    fn whole(entry: &Attributes<'_>, family: Family) -> Self {
        let kinds = [CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE].into_iter();
        let attributes = kinds.filter_map(|kind| Some((kind, entry.get(kind)?.to_vec())));
        Self { family, attributes: attributes.collect() }
    }

    pub(crate) fn write(&self, body: &mut Body<'_>) {
        for (kind, value) in &self.attributes {
            if *kind == CTA_TUPLE_ORIG {
                body.nested(*kind, value);
            } else {
                body.bytes(*kind, value);
            }
        }
    }
}

struct Direction {
    from: IpAddr,
    protocol: Protocol,
    from_port: u16,
}

impl Direction {
    fn parse(tuple: &Attributes<'_>) -> Option<Self> {
        let (addresses, protocol) = (tuple.inside(CTA_TUPLE_IP), tuple.inside(CTA_TUPLE_PROTO));
        let v4 = addresses.get(CTA_IP_V4_SRC).and_then(|bytes| bytes.first_chunk::<4>());
        let v6 = || addresses.get(CTA_IP_V6_SRC).and_then(|bytes| bytes.first_chunk::<16>());
        let v4 = v4.map(|ip| Ipv4Addr::from(*ip).into());
        let from_port = protocol.get(CTA_PROTO_SRC_PORT)?.first_chunk()?;
        Some(Self {
            from: v4.or_else(|| v6().map(|ip| Ipv6Addr::from(*ip).into()))?,
            protocol: Protocol::from_number(*protocol.get(CTA_PROTO_NUM)?.first()?)?,
            from_port: u16::from_be_bytes(*from_port),
        })
    }
}

/// Writes the part of a tuple that is a source address.
fn write_address(body: &mut Body<'_>, ip: Ipv4Addr) {
    body.nest(CTA_TUPLE_IP, |body| {
        body.bytes(CTA_IP_V4_SRC, &ip.octets());
    });
}

/// Writes the part of a tuple that is a protocol and a source port.
fn write_port(body: &mut Body<'_>, protocol: Protocol, port: u16) {
    body.nest(CTA_TUPLE_PROTO, |body| {
        body.byte(CTA_PROTO_NUM, protocol.number());
        body.bytes(CTA_PROTO_SRC_PORT, &port.to_be_bytes());
    });
}

/// Writes which attributes of both tuples the kernel compares (`CTA_FILTER_F_…`).
fn write_filter(body: &mut Body<'_>, original: u32, reply: u32) {
    body.nest(CTA_FILTER, |body| {
        // In host byte order.
        body.bytes(CTA_FILTER_ORIG_FLAGS, &original.to_ne_bytes());
        body.bytes(CTA_FILTER_REPLY_FLAGS, &reply.to_ne_bytes());
    });
}

fn failed(why: nix::errno::Errno) -> Error {
    Error::new(Kind::Firewall, format!("connection tracking: {}", why.desc()))
}
