//! What the kernel's `nf_tables` understands (`linux/netfilter/nf_tables.h`): transactions, and set
//! elements in them.

use crate::error::Result;
use crate::firewall::elements::Element;
use crate::model::{BridgeName, Family, Flow, Port, Protocol};
use crate::sys::net::netlink::message::{Attributes, Batch, Body, text};
use crate::sys::net::netlink::uapi::{
    NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES, NFPROTO_INET,
    NFT_MSG_DELSETELEM, NFT_MSG_GETSETELEM, NFT_MSG_NEWSETELEM, NFT_USERDATA_MAXLEN,
    NFTA_DATA_VALUE, NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_LIST_ELEMENTS,
    NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_USERDATA, NFTA_TABLE_NAME, NLM_F_CREATE, NLM_F_DUMP,
    NLM_F_EXCL, nfnl_type,
};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use nix::libc::IFNAMSIZ;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The table's name, which is attribute 1 of every message.
pub(crate) const TABLE: &str = "oci-link";
/// A list's length is 16 bits. An element of many owners takes 328 bytes: its notes, a bridge, two
/// addresses of IPv6, protocol and port, and four headers.
const TOGETHER: usize = 192;
/// How many elements are asked for at once: the kernel keeps a page for each answer, at worst.
const ANSWERS: usize = 32;
/// The longest comment: before it are its kind and its length, behind it a NUL.
pub(crate) const MAX_COMMENT: usize = NFT_USERDATA_MAXLEN - 3;

/// The netlink message type of a command of `nf_tables`.
pub(crate) const fn message_type(command: u16) -> u16 {
    nfnl_type(NFNL_SUBSYS_NFTABLES, command)
}

/// All or nothing.
#[derive(Debug)]
pub(crate) struct Transaction {
    batch: Batch,
    empty: bool,
}

impl Default for Transaction {
    fn default() -> Self {
        let mut batch = Batch::default();
        batch.bracket(NFNL_MSG_BATCH_BEGIN, NFNL_SUBSYS_NFTABLES);
        Self { batch, empty: true }
    }
}

impl Transaction {
    /// A message about the table.
    pub(crate) fn message(&mut self, command: u16, flags: u16, write: impl FnOnce(&mut Body<'_>)) {
        self.empty = false;
        about_table(&mut self.batch, command, flags, write);
    }

    /// Elements that must not be there yet.
    pub(crate) fn add_elements(&mut self, elements: &[Element<Flow>]) {
        self.elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, elements);
    }

    /// Elements that must be there, and then are not.
    pub(crate) fn delete_elements(&mut self, elements: &[Element<Flow>]) {
        self.elements(NFT_MSG_DELSETELEM, 0, elements);
    }

    fn elements(&mut self, command: u16, flags: u16, elements: &[Element<Flow>]) {
        for (set, some) in by_set(elements, TOGETHER) {
            self.message(command, flags, |body| write_elements(body, set, &some));
        }
    }

    /// Carries it out, or returns why nothing has changed.
    pub(crate) fn commit(mut self, link: &mut Netlink) -> Result<Option<NetlinkError>> {
        if self.empty {
            return Ok(None);
        }
        self.batch.request_receipt();
        self.batch.bracket(NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES);
        Ok(link.exchange(&self.batch)?.first().copied())
    }
}

/// One of our sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NftSet {
    /// Of which family's flows.
    pub(crate) family: Family,
    /// Whether of those that are bound to a bridge, which their keys begin with.
    pub(crate) bridged: bool,
}

impl NftSet {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [
        Self { family: Family::V4, bridged: true },
        Self { family: Family::V4, bridged: false },
        Self { family: Family::V6, bridged: true },
        Self { family: Family::V6, bridged: false },
    ];

    /// The set that a flow belongs in.
    pub(crate) fn of(flow: &Flow) -> Self {
        Self { family: Family::of(flow.from), bridged: flow.bridge.is_some() }
    }

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match (self.family, self.bridged) {
            (Family::V4, true) => "bridged4",
            (Family::V4, false) => "links4",
            (Family::V6, true) => "bridged6",
            (Family::V6, false) => "links6",
        }
    }
}

/// A message about the table, with what `write` adds.
pub(crate) fn about_table(
    batch: &mut Batch,
    command: u16,
    flags: u16,
    write: impl FnOnce(&mut Body<'_>),
) {
    batch.message(message_type(command), flags, NFPROTO_INET, |body| {
        body.text(NFTA_TABLE_NAME, TABLE);
        write(body);
    });
}

/// Asks for all elements of a set.
pub(crate) fn ask_for_elements(set: NftSet) -> Batch {
    let mut batch = Batch::default();
    about_table(&mut batch, NFT_MSG_GETSETELEM, NLM_F_DUMP, |body| {
        body.text(NFTA_SET_ELEM_LIST_SET, set.name());
    });
    batch
}

/// Asks for each of these elements, so few at once that the answers fit the buffer of the socket.
pub(crate) fn ask_for_these(
    elements: &[Element<Flow>],
) -> impl Iterator<Item = (NftSet, Batch)> + '_ {
    by_set(elements, ANSWERS).map(|(set, some)| {
        let mut batch = Batch::default();
        about_table(&mut batch, NFT_MSG_GETSETELEM, 0, |body| write_elements(body, set, &some));
        (set, batch.with_receipt())
    })
}

/// The elements of each set, so many at a time.
fn by_set(
    elements: &[Element<Flow>],
    together: usize,
) -> impl Iterator<Item = (NftSet, Vec<&Element<Flow>>)> + '_ {
    NftSet::ALL.into_iter().flat_map(move |set| {
        let of_set = |element: &&Element<Flow>| NftSet::of(&element.key) == set;
        let elements: Vec<&Element<Flow>> = elements.iter().filter(of_set).collect();
        let some = elements.chunks(together).map(|some| (set, some.to_vec()));
        some.collect::<Vec<_>>()
    })
}

/// The elements in one part of the answer.
pub(crate) fn elements<'a>(
    message: &Attributes<'a>,
) -> impl Iterator<Item = Attributes<'a>> + use<'a> {
    message.inside(NFTA_SET_ELEM_LIST_ELEMENTS).map(|(_, item)| Attributes::new(item))
}

/// An element; none if somebody put in what is no flow.
pub(crate) fn element(set: NftSet, item: &Attributes<'_>) -> Option<Element<Flow>> {
    let key = item.inside(NFTA_SET_ELEM_KEY).get(NFTA_DATA_VALUE)?;
    let (bridge, key) = if set.bridged {
        let (name, rest) = key.split_at_checked(IFNAMSIZ)?;
        (Some(BridgeName::new(text(name)?).ok()?), rest)
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
    let port = Port { number: u16::from_be_bytes([high, low]), protocol };
    let comment = item.get(NFTA_SET_ELEM_USERDATA).and_then(comment).unwrap_or_default();
    Some(Element { key: Flow { from, to, port, bridge }, comment: comment.to_owned() })
}

fn write_elements(body: &mut Body<'_>, set: NftSet, elements: &[&Element<Flow>]) {
    body.text(NFTA_SET_ELEM_LIST_SET, set.name()).nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
        for element in elements {
            list.nest(NFTA_LIST_ELEM, |item| write_element(item, element));
        }
    });
}

fn write_element(item: &mut Body<'_>, element: &Element<Flow>) {
    item.nest(NFTA_SET_ELEM_KEY, |inside| {
        inside.bytes(NFTA_DATA_VALUE, &key(&element.key));
    });
    write_comment(item, NFTA_SET_ELEM_USERDATA, &element.comment);
}

/// Each part of a key begins at a multiple of four bytes.
pub(crate) fn key(flow: &Flow) -> Vec<u8> {
    let octets = |ip| match ip {
        IpAddr::V4(ip) => Ipv4Addr::octets(&ip).to_vec(),
        IpAddr::V6(ip) => Ipv6Addr::octets(&ip).to_vec(),
    };
    let [high, low] = flow.port.number.to_be_bytes();
    let rest = [flow.port.protocol.number(), 0, 0, 0, high, low, 0, 0];
    let bridge = flow.bridge.as_ref().map(interface).unwrap_or_default();
    [bridge, octets(flow.from), octets(flow.to), rest.to_vec()].concat()
}

/// An interface's name as the kernel compares it.
pub(crate) fn interface(bridge: &BridgeName) -> Vec<u8> {
    let mut name = bridge.as_str().as_bytes().to_vec();
    name.resize(IFNAMSIZ, 0);
    name
}

/// A comment is the first of the notes that `nft` keeps with an object: kind 0, length, text.
pub(crate) fn write_comment(body: &mut Body<'_>, kind: u16, comment: &str) {
    let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
    body.bytes(kind, &[&[0, length], comment.as_bytes(), &[0]].concat());
}

/// The comment among an object's notes.
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
