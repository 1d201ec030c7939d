//! Connections that the kernel goes on tracking when the rules that let them begin are gone.
//!
//! To be called after the rules are gone: a packet in between would only begin the entry anew.

use super::netlink::Netlink;
use super::netlink::message::{Attributes, Batch, Body, DUMP, UNSPECIFIED, family_number};
use crate::error::{Error, Kind, Result};
use crate::model::{Family, Flow, Port, Protocol};
use nix::libc::ENOENT;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SUBSYSTEM: u16 = 0x100;
const GET: u16 = SUBSYSTEM + 1;
const DELETE: u16 = SUBSYSTEM + 2;
const GET_STATISTICS: u16 = SUBSYSTEM + 5;

/// Attributes of an entry.
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
/// Attributes of a direction.
const ADDRESSES: u16 = 1;
const PROTOCOL: u16 = 2;
const NUMBER: u16 = 1;
const SOURCE_PORT: u16 = 2;

/// How many entries there are, among the statistics.
const ENTRIES: u16 = 1;

/// How many messages go out together; see the ipset backend.
const TOGETHER: usize = 64;

/// Deletes the entries of connections that `flows` permitted, and no other; says how many there
/// were. A client's port is in no flow, so all entries are looked at, once.
pub fn drop_connections(flows: &[Flow]) -> Result<usize> {
    let mut link = Netlink::netfilter()?;
    if flows.is_empty() || count(&mut link)? == Some(0) {
        return Ok(0);
    }
    let found = find(&mut link, &flows.iter().map(|flow| flow.anywhere()).collect())?;
    for some in found.chunks(TOGETHER) {
        let mut batch = Batch::default();
        for entry in some {
            batch.message(DELETE, 0, family_number(entry.family), |body| entry.write(body));
        }
        for refusal in link.exchange(&batch.with_receipt())? {
            // It may have ended by itself meanwhile.
            if refusal.code != ENOENT {
                return Err(failed(refusal.errno()));
            }
        }
    }
    Ok(found.len())
}

/// How many connections the kernel tracks; none if it does not say.
pub(crate) fn entries() -> Result<Option<u32>> {
    count(&mut Netlink::netfilter()?)
}

/// How many entries there are, if the kernel says: looking for them costs milliseconds.
fn count(link: &mut Netlink) -> Result<Option<u32>> {
    let mut count = None;
    let mut question = Batch::default();
    question.message(GET_STATISTICS, 0, UNSPECIFIED, |_| ());
    let answer =
        link.ask(&question.with_receipt(), |message| count = message.attributes().number(ENTRIES))?;
    Ok(count.filter(|_| answer.is_ok()))
}

/// The entries of both families that belong to `flows`.
fn find(link: &mut Netlink, flows: &HashSet<Flow>) -> Result<Vec<Connection>> {
    let mut found = Vec::new();
    let mut question = Batch::default();
    question.message(GET, DUMP, UNSPECIFIED, |_| ());
    let answer = link.ask(&question, |message| {
        found.extend(Connection::of(&message.attributes(), flows));
    })?;
    answer.map_err(|refusal| failed(refusal.errno()))?;
    Ok(found)
}

/// What tells an entry from every other: its attributes as they came.
pub(crate) struct Connection {
    family: Family,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Connection {
    /// The entry, if one of `flows` permitted its connection: the client is the flow's recipient,
    /// and who answers, whatever address the client used, is its source. A connection that the
    /// source began from that very port belongs as well: no rule of ours permits one, but
    /// another's may have.
    pub(crate) fn of(entry: &Attributes<'_>, flows: &HashSet<Flow>) -> Option<Self> {
        let original = Direction::parse(&entry.inside(ORIGINAL))?;
        let reply = Direction::parse(&entry.inside(REPLY))?;
        let permitted = |client: &Direction, server: &Direction| {
            let port = Port { number: server.from_port, protocol: server.protocol };
            flows.contains(&Flow { from: client.from, to: server.from, port, bridge: None })
        };
        if !permitted(&original, &reply) && !permitted(&reply, &original) {
            return None;
        }
        let kinds = [ORIGINAL, ID, ZONE].into_iter();
        let attributes = kinds.filter_map(|kind| Some((kind, entry.get(kind)?.to_vec())));
        Some(Self { family: Family::of(original.from), attributes: attributes.collect() })
    }

    pub(crate) fn write(&self, body: &mut Body<'_>) {
        for (kind, value) in &self.attributes {
            if *kind == ORIGINAL {
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
        let (addresses, protocol) = (tuple.inside(ADDRESSES), tuple.inside(PROTOCOL));
        let v4 = addresses.get(1).and_then(|bytes| bytes.first_chunk::<4>());
        let v6 = || addresses.get(3).and_then(|bytes| bytes.first_chunk::<16>());
        let v4 = v4.map(|ip| Ipv4Addr::from(*ip).into());
        let from_port = protocol.get(SOURCE_PORT)?.first_chunk()?;
        Some(Self {
            from: v4.or_else(|| v6().map(|ip| Ipv6Addr::from(*ip).into()))?,
            protocol: Protocol::from_number(*protocol.get(NUMBER)?.first()?)?,
            from_port: u16::from_be_bytes(*from_port),
        })
    }
}

fn failed(why: nix::errno::Errno) -> Error {
    Error::new(Kind::Firewall, format!("connection tracking: {}", why.desc()))
}
