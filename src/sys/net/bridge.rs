//! The bridge of the host's that a container's interface is plugged into.
//!
//! The container's end of a veth pair tells the number of the host's end and its namespace, the
//! host's end tells its master, the master its name. All are asked on the socket that is in the
//! container's namespace already. Whatever is otherwise (macvlan, point to point, a bridge of
//! another kind, a kernel that does not say) is no bridge: nothing is taken for one.

use super::netlink::Netlink;
use super::netlink::message::{Batch, Message, UNSPECIFIED};
use crate::error::Result;
use crate::model::BridgeName;
use std::fs::File;
use std::os::fd::AsRawFd;

/// Messages of rtnetlink(7).
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_NAMESPACE_NUMBER: u16 = 88;
const GET_NAMESPACE_NUMBER: u16 = 90;
/// Attributes of an interface.
const NAME: u16 = 3;
const PEER: u16 = 5;
const MASTER: u16 = 10;
const INFO: u16 = 18;
const WANTED: u16 = 29;
const PEER_NAMESPACE: u16 = 37;
const IN_NAMESPACE: u16 = 46;
/// Attribute of its information.
const KIND: u16 = 1;
/// An answer without its counters is half as long.
const SKIP_STATISTICS: u32 = 1 << 3;
/// Attributes of a namespace.
const NUMBER: u16 = 1;
const DESCRIPTOR: u16 = 3;

/// The bridge in the namespace `host` under `interface` of the namespace that `link` is in. Fails
/// where the kernel could not be asked: rules that are not bound would let through more.
pub(crate) fn under(link: &mut Netlink, host: &File, interface: u32) -> Result<Option<BridgeName>> {
    let mut questions = Batch::default();
    ask_for(&mut questions, interface, None);
    // Behind the other: telling where the peer is gives its namespace a number.
    questions.message(GET_NAMESPACE_NUMBER, 0, UNSPECIFIED, |body| {
        body.bytes(DESCRIPTOR, &host.as_raw_fd().to_ne_bytes());
    });
    let (mut own, mut number) = (None, None);
    link.ask_each(&questions, |answer| match answer.kind {
        NEW_LINK => own = Interface::parse(answer),
        NEW_NAMESPACE_NUMBER => number = answer.attributes().local(NUMBER),
        _ => {}
    })?;
    // A peer in a third namespace has an index that means another interface here.
    let number = number.filter(|number| i32::try_from(*number).is_ok());
    let own = own.filter(|own| own.kind == "veth" && own.peer_namespace == number);
    let (Some(peer), Some(number)) = (own.and_then(|own| own.peer), number) else {
        return Ok(None);
    };
    let peer = elsewhere(link, number, peer)?.filter(|peer| peer.kind == "veth");
    let Some(master) = peer.and_then(|peer| peer.master) else { return Ok(None) };
    let master = elsewhere(link, number, master)?.filter(|master| master.kind == "bridge");
    Ok(master.and_then(|bridge| BridgeName::new(&bridge.name).ok()))
}

/// An interface of the namespace that has this number here. A kernel that does not know the
/// question would answer it for the namespace that the socket is in.
fn elsewhere(link: &mut Netlink, namespace: u32, index: u32) -> Result<Option<Interface>> {
    let mut question = Batch::default();
    ask_for(&mut question, index, Some(namespace));
    let mut found = None;
    link.ask_each(&question, |answer| {
        if answer.kind == NEW_LINK {
            found = Interface::parse(answer);
        }
    })?;
    Ok(found.filter(|found| found.in_namespace == Some(namespace)))
}

fn ask_for(batch: &mut Batch, index: u32, namespace: Option<u32>) {
    batch.message(GET_LINK, 0, UNSPECIFIED, |body| {
        // Behind the family and the kind: index, flags, which flags.
        body.header(&[index, 0, 0]).bytes(WANTED, &SKIP_STATISTICS.to_ne_bytes());
        if let Some(number) = namespace {
            body.bytes(IN_NAMESPACE, &number.to_ne_bytes());
        }
    });
}

/// What counts of an interface.
pub(crate) struct Interface {
    name: String,
    kind: String,
    peer: Option<u32>,
    peer_namespace: Option<u32>,
    master: Option<u32>,
    in_namespace: Option<u32>,
}

impl Interface {
    pub(crate) fn parse(message: &Message<'_>) -> Option<Self> {
        let all = message.interface()?;
        Some(Self {
            name: all.text(NAME)?.to_owned(),
            kind: all.inside(INFO).text(KIND).unwrap_or_default().to_owned(),
            peer: all.local(PEER),
            peer_namespace: all.local(PEER_NAMESPACE),
            master: all.local(MASTER),
            in_namespace: all.local(IN_NAMESPACE),
        })
    }
}
