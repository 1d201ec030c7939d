//! Connections that the kernel goes on tracking when the rules that let them begin are gone.
//!
//! To be called after the rules are gone: a packet in between would only begin the entry anew.

use super::netlink::Netlink;
use super::netlink::message::{Attributes, Batch, Body, DUMP, family_number};
use crate::error::{Error, Kind, Result};
use crate::model::{Family, Flow, Port, Protocol};
use nix::libc::ENOENT;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;

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

/// How many messages go out together; see the ipset backend.
const TOGETHER: usize = 64;

/// Deletes the entries of connections that `flows` permitted, and no other; says how many there
/// were. A client's port is in no flow, so all entries are looked at, once per family.
pub fn forget(flows: &[Flow]) -> Result<usize> {
    let flows: HashSet<Flow> = flows.iter().copied().collect();
    let mut forgotten = 0;
    for family in Family::BOTH {
        if flows.iter().any(|flow| Family::of(flow.from) == family) {
            forgotten += forget_family(&flows, family)?;
        }
    }
    Ok(forgotten)
}

fn forget_family(flows: &HashSet<Flow>, family: Family) -> Result<usize> {
    let mut link = Netlink::netfilter()?;
    let mut found: Vec<Entry> = Vec::new();
    let mut question = Batch::default();
    question.message(GET, DUMP, family_number(family), |_| ());
    let answer = link.ask(&question, |message| {
        let attributes = message.attributes();
        if belongs(&attributes, flows) == Some(true) {
            found.push(Entry::of(&attributes));
        }
    })?;
    answer.map_err(|refusal| failed(refusal.errno()))?;
    for some in found.chunks(TOGETHER) {
        let mut batch = Batch::default();
        for entry in some {
            batch.message(DELETE, 0, family_number(family), |body| entry.write(body));
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

/// What tells an entry from every other: its attributes as they came.
struct Entry(Vec<(u16, Vec<u8>)>);

impl Entry {
    fn of(attributes: &Attributes<'_>) -> Self {
        let names = [ORIGINAL, ID, ZONE].into_iter();
        let present = names.filter_map(|kind| Some((kind, attributes.get(kind)?.to_vec())));
        Self(present.collect())
    }

    fn write(&self, body: &mut Body<'_>) {
        for (kind, value) in &self.0 {
            if *kind == ORIGINAL {
                body.nested(*kind, value);
            } else {
                body.bytes(*kind, value);
            }
        }
    }
}

/// Whether one of `flows` permitted the connection: the client is its recipient, and who answers,
/// whatever address the client used, is its source. A connection that the source began from that
/// very port belongs as well: no rule of ours permits one, but another's may have.
fn belongs(entry: &Attributes<'_>, flows: &HashSet<Flow>) -> Option<bool> {
    let original = Direction::parse(&entry.inside(ORIGINAL))?;
    let reply = Direction::parse(&entry.inside(REPLY))?;
    let flow = |from, to, number| {
        flows.contains(&Flow { from, to, port: Port { number, protocol: original.protocol } })
    };
    let asked = flow(original.from, reply.from, reply.from_port);
    let answered = flow(reply.from, original.from, original.from_port);
    Some(asked || answered)
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
