//! Ends connections that the kernel still tracks after their rules were removed.
//!
//! Requires that the rules are already gone. Otherwise the next packet creates the entry again.

mod exact;

use super::netlink::Netlink;
use super::netlink::message::{Attributes, Batch, Body, family_number};
use super::netlink::uapi::{
    CTA_ID, CTA_IP_V4_SRC, CTA_IP_V6_SRC, CTA_PROTO_NUM, CTA_PROTO_SRC_PORT,
    CTA_STATS_GLOBAL_ENTRIES, CTA_TUPLE_IP, CTA_TUPLE_ORIG, CTA_TUPLE_PROTO, CTA_TUPLE_REPLY,
    CTA_ZONE, IPCTNL_MSG_CT_DELETE, IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_GET_STATS,
    NFNL_SUBSYS_CTNETLINK, NFPROTO_UNSPEC, NLM_F_DUMP, nfnl_type,
};
use crate::error::{Error, Kind, Result};
use crate::model::{Family, Flow, Port, Protocol};
use nix::libc::ENOENT;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Messages per netlink batch. The errors for a whole batch fit the receive buffer of the socket.
const TOGETHER: usize = 64;

/// The netlink message type of a connection tracking command.
const fn message_type(command: u16) -> u16 {
    nfnl_type(NFNL_SUBSYS_CTNETLINK, command)
}

/// Deletes the tracked connections that `flows` permitted.
///
/// A flow does not name the client's port. The kernel looks for the connections of a few flows; for
/// more, or where it cannot, the whole table is read once. Requires `CAP_NET_ADMIN`. The rules of
/// `flows` must have been removed.
pub fn drop_connections(flows: &[Flow]) -> Result<()> {
    let mut link = Netlink::netfilter()?;
    if flows.is_empty() || count(&mut link)? == Some(0) {
        return Ok(());
    }
    let flows = exact::end(&mut link, flows)?;
    if flows.is_empty() {
        return Ok(());
    }
    let found = find(&mut link, &flows.iter().map(|flow| flow.anywhere()).collect())?;
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
            // The connection may have ended in the meantime.
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

/// Reads the table and returns the connections of both families that `flows` permitted.
fn find(link: &mut Netlink, flows: &HashSet<Flow>) -> Result<Vec<Connection>> {
    let mut found = Vec::new();
    let mut question = Batch::default();
    question.message(message_type(IPCTNL_MSG_CT_GET), NLM_F_DUMP, NFPROTO_UNSPEC, |_| ());
    let answer = link.ask(&question, |message| {
        found.extend(Connection::of(&message.attributes(), flows));
    })?;
    answer.map_err(|refusal| failed(refusal.errno()))?;
    Ok(found)
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
    pub(crate) fn of(entry: &Attributes<'_>, flows: &HashSet<Flow>) -> Option<Self> {
        let original = Direction::parse(&entry.inside(CTA_TUPLE_ORIG))?;
        let reply = Direction::parse(&entry.inside(CTA_TUPLE_REPLY))?;
        let permitted = |client: &Direction, server: &Direction| {
            let port = Port { number: server.from_port, protocol: server.protocol };
            flows.contains(&Flow { from: client.from, to: server.from, port, bridge: None })
        };
        if !permitted(&original, &reply) && !permitted(&reply, &original) {
            return None;
        }
        let kinds = [CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE].into_iter();
        let attributes = kinds.filter_map(|kind| Some((kind, entry.get(kind)?.to_vec())));
        Some(Self { family: Family::of(original.from), attributes: attributes.collect() })
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

fn failed(why: nix::errno::Errno) -> Error {
    Error::new(Kind::Firewall, format!("connection tracking: {}", why.desc()))
}
