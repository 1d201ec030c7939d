//! The netlink messages of `nf_tables` (`linux/netfilter/nf_tables.h`): transactions and set
//! elements.

use super::sets::{LONGEST_TICK, NftSet, write_lapse, write_timeout};
use crate::error::Result;
use crate::firewall::elements::{Element, TIMED};
use crate::model::{BridgeName, Crossing, Family, Flow, OnBridge, PortRange, Protocol};
use crate::sys::net::netlink::message::{Attributes, Batch, Body, text};
use crate::sys::net::netlink::uapi::{
    NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES, NFPROTO_INET,
    NFT_MSG_DELSETELEM, NFT_MSG_GETSETELEM, NFT_MSG_NEWSETELEM, NFT_USERDATA_MAXLEN,
    NFTA_DATA_VALUE, NFTA_LIST_ELEM, NFTA_SET_ELEM_EXPIRATION, NFTA_SET_ELEM_KEY,
    NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_USERDATA, NFTA_TABLE_NAME,
    NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, nfnl_type,
};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use nix::libc::IFNAMSIZ;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The name of our table.
pub(crate) const TABLE: &str = "oci-link";
/// The name of the chain with a pair of rules for each range of ports.
pub(crate) const RANGES: &str = "ranges";
/// The name of the administrator's chain.
pub(crate) const USER: &str = "user";
/// Elements per message.
///
/// The length of a nested attribute has 16 bits. The largest element takes 328 bytes: user data,
/// bridge, two IPv6 addresses, protocol, port, and four headers.
const TOGETHER: usize = 192;
/// Elements per request. The kernel uses up to one page for each answer.
const ANSWERS: usize = 32;
/// The longest comment in bytes. User data adds a type byte, a length byte and a NUL.
pub(crate) const MAX_COMMENT: usize = NFT_USERDATA_MAXLEN - 3;

/// The netlink message type of an `nf_tables` command.
pub(crate) const fn message_type(command: u16) -> u16 {
    nfnl_type(NFNL_SUBSYS_NFTABLES, command)
}

/// An `nf_tables` transaction, which the kernel carries out entirely or not at all.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    batch: Batch,
    empty: bool,
    family: u8,
}

impl Default for Transaction {
    fn default() -> Self {
        Self::of(NFPROTO_INET)
    }
}

impl Transaction {
    /// A transaction about our table of the protocol family `family` (`NFPROTO_…`).
    pub(crate) fn of(family: u8) -> Self {
        let mut batch = Batch::default();
        batch.bracket(NFNL_MSG_BATCH_BEGIN, NFNL_SUBSYS_NFTABLES);
        Self { batch, empty: true, family }
    }

    /// Adds a message about our table. `write` adds its attributes.
    pub(crate) fn message(&mut self, command: u16, flags: u16, write: impl FnOnce(&mut Body<'_>)) {
        self.empty = false;
        about_table_of(self.family, &mut self.batch, command, flags, write);
    }

    /// Adds elements. The kernel refuses the transaction if one of them exists.
    pub(crate) fn add_elements(&mut self, elements: &[Element<Flow>]) {
        self.elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, elements);
    }

    /// Deletes elements. The kernel refuses the transaction if one of them is missing.
    pub(crate) fn delete_elements(&mut self, elements: &[Element<Flow>]) {
        self.elements(NFT_MSG_DELSETELEM, 0, elements);
    }

    /// Gives existing elements a timeout that ends with the next tick of the kernel's clock.
    ///
    /// Unlike a deletion, this does not delay the closing of a netlink socket. Before Linux 6.12 the kernel
    /// accepts it and changes nothing. It refuses the transaction if a set does not support timeouts.
    pub(crate) fn lapse_elements(&mut self, elements: &[Element<Flow>]) {
        for (set, some) in by_set(elements, TOGETHER) {
            self.message(NFT_MSG_NEWSETELEM, NLM_F_CREATE, |body| {
                list_of(body, set, &some, |item, element| {
                    write_key(item, &element.key);
                    write_lapse(item);
                });
            });
        }
    }

    fn elements(&mut self, command: u16, flags: u16, elements: &[Element<Flow>]) {
        for (set, some) in by_set(elements, TOGETHER) {
            self.message(command, flags, |body| write_elements(body, set, &some));
        }
    }

    /// The messages so far.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        self.batch.bytes()
    }

    /// Asks the kernel whether it would carry out the transaction, and changes nothing. The kernel undoes what has
    /// no end.
    pub(crate) fn check(mut self, link: &mut Netlink) -> Result<Option<NetlinkError>> {
        self.batch.request_receipt();
        Ok(link.exchange(&self.batch)?.first().copied())
    }

    /// Sends the transaction. If the kernel refuses it, nothing has changed; the refusal is
    /// returned.
    pub(crate) fn commit(mut self, link: &mut Netlink) -> Result<Option<NetlinkError>> {
        if self.empty {
            return Ok(None);
        }
        self.batch.request_receipt();
        self.batch.bracket(NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES);
        Ok(link.exchange(&self.batch)?.first().copied())
    }
}

/// Adds a message about our table of family `inet`. `write` adds its attributes.
pub(crate) fn about_table(
    batch: &mut Batch,
    command: u16,
    flags: u16,
    write: impl FnOnce(&mut Body<'_>),
) {
    about_table_of(NFPROTO_INET, batch, command, flags, write);
}

/// Adds a message about our table of the protocol family `family`. `write` adds its attributes.
pub(crate) fn about_table_of(
    family: u8,
    batch: &mut Batch,
    command: u16,
    flags: u16,
    write: impl FnOnce(&mut Body<'_>),
) {
    batch.message(message_type(command), flags, family, |body| {
        body.text(NFTA_TABLE_NAME, TABLE);
        write(body);
    });
}

/// A request for all elements of a set.
pub(crate) fn ask_for_elements(set: NftSet) -> Batch {
    let mut batch = Batch::default();
    about_table(&mut batch, NFT_MSG_GETSETELEM, NLM_F_DUMP, |body| {
        body.text(NFTA_SET_ELEM_LIST_SET, set.name());
    });
    batch
}

/// Elements of one set, as many as the answers to a request for them fit the receive buffer of the socket.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// The set.
    pub(crate) set: NftSet,
    elements: Vec<&'a Element<Flow>>,
}

impl Asked<'_> {
    /// A request for all these elements. If one is missing, the kernel refuses the request.
    pub(crate) fn together(&self) -> Batch {
        let mut batch = Batch::default();
        ask(&mut batch, self.set, &self.elements);
        batch.with_receipt()
    }

    /// A request for each of these elements, without receipts.
    pub(crate) fn one_by_one(&self) -> Batch {
        let mut batch = Batch::default();
        for element in &self.elements {
            ask(&mut batch, self.set, &[element]);
        }
        batch
    }
}

/// Splits the elements into requests.
pub(crate) fn ask_for_these(elements: &[Element<Flow>]) -> impl Iterator<Item = Asked<'_>> + '_ {
    by_set(elements, ANSWERS).map(|(set, elements)| Asked { set, elements })
}

fn ask(batch: &mut Batch, set: NftSet, elements: &[&Element<Flow>]) {
    about_table(batch, NFT_MSG_GETSETELEM, 0, |body| write_elements(body, set, elements));
}

/// Groups the elements by set, in chunks of at most `together`.
fn by_set(
    elements: &[Element<Flow>],
    together: usize,
) -> impl Iterator<Item = (NftSet, Vec<&Element<Flow>>)> + '_ {
    NftSet::every().flat_map(move |set| {
        let of_set = |element: &&Element<Flow>| NftSet::of(&element.key) == set;
        let elements: Vec<&Element<Flow>> = elements.iter().filter(of_set).collect();
        let some = elements.chunks(together).map(|some| (set, some.to_vec()));
        some.collect::<Vec<_>>()
    })
}

/// The elements in one message of a listing.
pub(crate) fn elements<'a>(
    message: &Attributes<'a>,
) -> impl Iterator<Item = Attributes<'a>> + use<'a> {
    message.inside(NFTA_SET_ELEM_LIST_ELEMENTS).map(|(_, item)| Attributes::new(item))
}

/// The comment of a listed element, with [`TIMED`] if it has a timeout. `None` if it is about to lapse.
pub(crate) fn standing_comment(item: &Attributes<'_>) -> Option<String> {
    let comment = item.get(NFTA_SET_ELEM_USERDATA).and_then(comment).unwrap_or_default();
    let Some(left) = remaining(item) else { return Some(comment.to_owned()) };
    (left > LONGEST_TICK).then(|| format!("{comment} {TIMED}").trim_start().to_owned())
}

/// The time that a listed element has left, if it has a timeout.
fn remaining(item: &Attributes<'_>) -> Option<Duration> {
    let left = item.get(NFTA_SET_ELEM_EXPIRATION)?;
    Some(Duration::from_millis(left.try_into().map_or(0, u64::from_be_bytes)))
}

/// Parses an element of `set`. Returns `None` if its key is not a flow, or if it is about to lapse.
pub(crate) fn element(set: NftSet, item: &Attributes<'_>) -> Option<Element<Flow>> {
    let key = item.inside(NFTA_SET_ELEM_KEY).get(NFTA_DATA_VALUE)?;
    let (bridge, key) = if set.bridged {
        let (name, rest) = key.split_at_checked(IFNAMSIZ)?;
        let name = interface_name(name)?;
        let (by_port, crossing) = (set.by_port, set.crossing);
        (Some(OnBridge { by_port, crossing, ..name.into() }), rest)
    } else {
        (None, key)
    };
    let (from, to, rest): (IpAddr, IpAddr, &[u8]) = match set.family {
        Family::V4 => {
            let (from, rest) = key.split_first_chunk::<4>()?;
            let (to, rest) = rest.split_first_chunk::<4>()?;
            (Ipv4Addr::from(*from).into(), Ipv4Addr::from(*to).into(), rest)
        }
        Family::V6 => {
            let (from, rest) = key.split_first_chunk::<16>()?;
            let (to, rest) = rest.split_first_chunk::<16>()?;
            (Ipv6Addr::from(*from).into(), Ipv6Addr::from(*to).into(), rest)
        }
    };
    let [protocol, _, _, _, high, low, ..] = *rest else { return None };
    let protocol = Protocol::from_number(protocol)?;
    let ports = PortRange::single(u16::from_be_bytes([high, low]), protocol)?;
    let (mut comment, mut left) = (standing_comment(item)?, None);
    if set.crossing != Crossing::Within {
        // Elsewhere, another program gave it the timeout.
        comment = comment.trim_end_matches(TIMED).trim_end().to_owned();
        left = remaining(item);
    }
    Some(Element { key: Flow { from, to, ports, bridge }, comment, left })
}

fn write_elements(body: &mut Body<'_>, set: NftSet, elements: &[&Element<Flow>]) {
    list_of(body, set, elements, |item, element| {
        write_key(item, &element.key);
        write_comment(item, NFTA_SET_ELEM_USERDATA, &element.comment);
        if let Some(left) = element.left {
            write_timeout(item, left);
        }
    });
}

/// Writes a list of elements of `set`. `write` writes each.
fn list_of(
    body: &mut Body<'_>,
    set: NftSet,
    elements: &[&Element<Flow>],
    write: impl Fn(&mut Body<'_>, &Element<Flow>),
) {
    body.text(NFTA_SET_ELEM_LIST_SET, set.name()).nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
        for element in elements {
            list.nest(NFTA_LIST_ELEM, |item| write(item, element));
        }
    });
}

fn write_key(item: &mut Body<'_>, flow: &Flow) {
    item.nest(NFTA_SET_ELEM_KEY, |inside| {
        inside.bytes(NFTA_DATA_VALUE, &key(flow));
    });
}

/// The key of the element of a flow to a single port. Each part is padded to a multiple of four bytes.
pub(crate) fn key(flow: &Flow) -> Vec<u8> {
    let [high, low] = flow.ports.first().to_be_bytes();
    let rest = [flow.ports.protocol().number(), 0, 0, 0, high, low, 0, 0];
    let bridge = flow.bridge.map(|on| interface(&on.name)).unwrap_or_default();
    [bridge, octets(flow.from), octets(flow.to), rest.to_vec()].concat()
}

/// The bridge whose name is in a key or comparison.
pub(super) fn interface_name(name: &[u8]) -> Option<BridgeName> {
    BridgeName::new(text(name)?).ok()
}

/// The address with these bytes in a packet.
pub(crate) fn parse_address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// An address as it stands in a packet.
pub(crate) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// The name of an interface as the kernel compares it: `IFNAMSIZ` bytes, padded with NUL bytes.
pub(crate) fn interface(bridge: &BridgeName) -> Vec<u8> {
    let mut name = bridge.as_str().as_bytes().to_vec();
    name.resize(IFNAMSIZ, 0);
    name
}

/// Writes a comment in the format of the user data that `nft` stores: type 0, length, text.
pub(crate) fn write_comment(body: &mut Body<'_>, kind: u16, comment: &str) {
    let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
    body.bytes(kind, &[&[0, length], comment.as_bytes(), &[0]].concat());
}

/// The comment in the user data of an object.
pub(crate) fn comment(notes: &[u8]) -> Option<&str> {
    let mut rest = notes;
    while let [kind, length, after @ ..] = rest {
        let (note, after) = after.split_at_checked(usize::from(*length))?;
        if *kind == 0 {
            return text(note);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests;
