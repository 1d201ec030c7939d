//! What the kernel's ipset understands (`linux/netfilter/ipset/ip_set.h`).

use crate::firewall::elements::Element;
use crate::model::{Family, Flow, Port, Protocol};
use crate::sys::netlink::message::{
    self, Attributes, Batch, Body, DUMP, EXCLUSIVE, family_number, text,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SUBSYSTEM: u16 = 0x600;
const CREATE: u16 = SUBSYSTEM + 2;
const RENAME: u16 = SUBSYSTEM + 5;
const LIST: u16 = SUBSYSTEM + 7;
const ADD: u16 = SUBSYSTEM + 9;
const DELETE: u16 = SUBSYSTEM + 10;
const HEADER: u16 = SUBSYSTEM + 12;

/// Kernels of today speak 7 and understand 6, which is all that is said here.
const VERSION: u8 = 6;
const TYPE: &str = "hash:ip,port,ip";
/// The first revision that has comments (Linux 3.14).
const REVISION: u8 = 3;
/// More links than a host has containers for; the kernel reserves nothing for it.
const MAX_ELEMENTS: u32 = 1 << 20;

/// Attributes of a message.
const PROTOCOL: u16 = 1;
const SET_NAME: u16 = 2;
const TYPE_NAME: u16 = 3;
const SET_NAME_2: u16 = 3;
const SET_REVISION: u16 = 4;
const SET_FAMILY: u16 = 5;
const DATA: u16 = 7;
const ELEMENTS: u16 = 8;
/// Attributes of a set.
const SET_FLAGS: u16 = 8;
const SET_MAX_ELEMENTS: u16 = 19;
/// Attributes of an element.
const IP: u16 = 1;
const PORT: u16 = 4;
const PROTO: u16 = 7;
const IP2: u16 = 20;
const COMMENT: u16 = 26;
const LINE: u16 = 9;
/// Flags.
const WITH_COMMENT: u32 = 1 << 4;

/// There is no such set.
pub const MISSING: i32 = 2;
/// The element to add is there.
pub const EXISTS: i32 = 4103;
/// No room for another element.
pub const FULL: i32 = 4352;
/// Rules ask for the set.
pub const REFERENCED: i32 = 4108;

/// What to do to an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Make it, unless there is one.
    Add,
    /// Give it another comment.
    Update,
    /// Delete it, whoever's it is.
    Delete,
}

/// What a family's set is called.
pub fn set_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "oci-link4",
        Family::V6 => "oci-link6",
    }
}

/// The same set may be created twice.
pub fn create_set(batch: &mut Batch, family: Family) {
    batch.message(CREATE, message::CREATE, family_number(family), |body| {
        about(body, family).text(TYPE_NAME, TYPE).byte(SET_REVISION, REVISION);
        body.byte(SET_FAMILY, family_number(family)).nest(DATA, |set| {
            set.network(SET_MAX_ELEMENTS, &MAX_ELEMENTS.to_be_bytes());
            set.network(SET_FLAGS, &WITH_COMMENT.to_be_bytes());
        });
    });
}

/// Asks for a set with its elements.
pub fn ask_for_set(batch: &mut Batch, family: Family) {
    batch.message(LIST, DUMP, family_number(family), |body| {
        about(body, family);
    });
}

/// Asks what kind of set there is.
pub fn ask_for_header(batch: &mut Batch, family: Family) {
    batch.message(HEADER, 0, family_number(family), |body| {
        about(body, family);
    });
}

/// Whether the header is that of a set whose elements are flows.
pub fn is_ours(header: &Attributes<'_>) -> bool {
    header.text(TYPE_NAME) == Some(TYPE)
}

/// Never changes anything: refused with [`REFERENCED`] where rules ask for the set, else because
/// the name is taken, or there is no set.
pub fn rename_to_itself(batch: &mut Batch, family: Family) {
    batch.message(RENAME, 0, family_number(family), |body| {
        about(body, family).text(SET_NAME_2, set_name(family));
    });
}

/// A message about one element.
pub fn change_element(batch: &mut Batch, change: Change, element: &Element) {
    let Element { flow, comment } = element;
    let (kind, flags) = match change {
        Change::Add => (ADD, EXCLUSIVE),
        Change::Update => (ADD, 0),
        Change::Delete => (DELETE, 0),
    };
    let family = Family::of(flow.from);
    batch.message(kind, flags, family_number(family), |body| {
        about(body, family).nest(DATA, |data| {
            address(data, IP, flow.from);
            data.network(PORT, &flow.port.number.to_be_bytes());
            data.byte(PROTO, flow.port.protocol.number());
            address(data, IP2, flow.to);
            data.network(LINE, &0u32.to_be_bytes());
            if change != Change::Delete {
                data.text(COMMENT, comment);
            }
        });
    });
}

/// The elements in one part of the answer.
pub fn elements<'a>(message: &Attributes<'a>) -> impl Iterator<Item = Attributes<'a>> + use<'a> {
    message
        .inside(ELEMENTS)
        .filter(|(kind, _)| *kind == DATA)
        .map(|(_, data)| Attributes::new(data))
}

/// An element; none if somebody put in what is no flow.
pub fn element(data: &Attributes<'_>) -> Option<Element> {
    let protocol = Protocol::from_number(*data.get(PROTO)?.first()?)?;
    let number = u16::from_be_bytes(*data.get(PORT)?.first_chunk()?);
    let flow = Flow {
        from: parse_address(&data.inside(IP))?,
        to: parse_address(&data.inside(IP2))?,
        port: Port { number, protocol },
    };
    let comment = data.get(COMMENT).and_then(text).unwrap_or_default();
    Some(Element { flow, comment: comment.to_owned() })
}

fn about<'a, 'b>(body: &'a mut Body<'b>, family: Family) -> &'a mut Body<'b> {
    body.byte(PROTOCOL, VERSION).text(SET_NAME, set_name(family))
}

/// An IPv4 address is attribute 1 inside its attribute, an IPv6 address attribute 2.
fn address(data: &mut Body<'_>, kind: u16, ip: IpAddr) {
    data.nest(kind, |inside| {
        match ip {
            IpAddr::V4(ip) => inside.network(1, &ip.octets()),
            IpAddr::V6(ip) => inside.network(2, &ip.octets()),
        };
    });
}

fn parse_address(inside: &Attributes<'_>) -> Option<IpAddr> {
    let v4 = inside.get(1).and_then(|bytes| bytes.first_chunk::<4>());
    let v6 = || inside.get(2).and_then(|bytes| bytes.first_chunk::<16>());
    v4.map(|ip| Ipv4Addr::from(*ip).into()).or_else(|| v6().map(|ip| Ipv6Addr::from(*ip).into()))
}
