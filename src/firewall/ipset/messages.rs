//! The netlink messages of ipset (`linux/netfilter/ipset/ip_set.h`).

use super::sets::{IpSet, Kind, SetEntry};
use crate::firewall::elements::Element;
use crate::model::{BridgeName, Flow, PortRange, Protocol};
use crate::sys::net::netlink::message::{Attributes, Batch, Body, family_number, text};
use crate::sys::net::netlink::uapi::{
    IPSET_ATTR_ADT, IPSET_ATTR_CADT_FLAGS, IPSET_ATTR_CIDR, IPSET_ATTR_COMMENT, IPSET_ATTR_DATA,
    IPSET_ATTR_FAMILY, IPSET_ATTR_IFACE, IPSET_ATTR_IP, IPSET_ATTR_IP2, IPSET_ATTR_IPADDR_IPV4,
    IPSET_ATTR_IPADDR_IPV6, IPSET_ATTR_LINENO, IPSET_ATTR_MAXELEM, IPSET_ATTR_PORT,
    IPSET_ATTR_PORT_TO, IPSET_ATTR_PROTO, IPSET_ATTR_PROTOCOL, IPSET_ATTR_REVISION,
    IPSET_ATTR_SETNAME, IPSET_ATTR_SETNAME2, IPSET_ATTR_TIMEOUT, IPSET_ATTR_TYPENAME,
    IPSET_CMD_ADD, IPSET_CMD_CREATE, IPSET_CMD_DEL, IPSET_CMD_DESTROY, IPSET_CMD_HEADER,
    IPSET_CMD_LIST, IPSET_CMD_RENAME, IPSET_CMD_SWAP, IPSET_FLAG_WITH_COMMENT, IPSET_PROTOCOL_MIN,
    NFNL_SUBSYS_IPSET, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, nfnl_type,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Maximum number of elements of a set. The kernel reserves no memory for it.
const MAX_ELEMENTS: u32 = 1 << 20;

/// The longest timeout in seconds (`IPSET_MAX_TIMEOUT`).
const MAX_TIMEOUT: u32 = (u32::MAX >> 1) / 1000;

/// The netlink message type of an ipset command.
const fn message_type(command: u16) -> u16 {
    nfnl_type(NFNL_SUBSYS_IPSET, command)
}

/// The most ports of one message. The kernel holds the set's lock meanwhile, and refuses more than 16,384
/// since Linux 5.14.
pub(crate) const MAX_PORTS: usize = 4096;

/// A change of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetChange {
    /// Add the element. If it exists, the kernel refuses.
    Add,
    /// Replace the comment of the element.
    Update,
    /// Delete the element, whatever its comment says.
    Delete,
}

/// The type name of a set, and the first revision of that type with comments (Linux 3.14).
fn type_of(set: IpSet) -> (&'static str, u8) {
    match set.kind {
        Kind::Seats | Kind::Ends | Kind::Closed => ("hash:net,iface", 4),
        Kind::Bridged | Kind::Ported | Kind::Routed | Kind::Leaves | Kind::Enters => {
            ("hash:ip,port,ip", 3)
        }
    }
}

/// Adds a message that creates the set. If the name is taken, the kernel refuses.
pub(crate) fn create_set(batch: &mut Batch, set: IpSet) {
    let (kind, revision) = type_of(set);
    let (family, is_timed) = (family_number(set.family), set.is_timed());
    batch.message(message_type(IPSET_CMD_CREATE), NLM_F_CREATE | NLM_F_EXCL, family, |body| {
        about(body, set).text(IPSET_ATTR_TYPENAME, kind).byte(IPSET_ATTR_REVISION, revision);
        body.byte(IPSET_ATTR_FAMILY, family).nest(IPSET_ATTR_DATA, |set| {
            set.network(IPSET_ATTR_MAXELEM, &MAX_ELEMENTS.to_be_bytes());
            set.network(IPSET_ATTR_CADT_FLAGS, &IPSET_FLAG_WITH_COMMENT.to_be_bytes());
            if is_timed {
                // Elements without a timeout of their own have none.
                set.network(IPSET_ATTR_TIMEOUT, &0u32.to_be_bytes());
            }
        });
    });
}

/// Adds a message that destroys the set and its elements.
pub(crate) fn destroy_set(batch: &mut Batch, set: IpSet) {
    batch.message(message_type(IPSET_CMD_DESTROY), 0, family_number(set.family), |body| {
        about(body, set);
    });
}

/// Adds a request for the elements of a set.
pub(crate) fn ask_for_set(batch: &mut Batch, set: IpSet) {
    batch.message(message_type(IPSET_CMD_LIST), NLM_F_DUMP, family_number(set.family), |body| {
        about(body, set);
    });
}

/// Adds a request for the type of a set.
pub(crate) fn ask_for_header(batch: &mut Batch, set: IpSet) {
    batch.message(message_type(IPSET_CMD_HEADER), 0, family_number(set.family), |body| {
        about(body, set);
    });
}

/// Whether `header` describes a set of the type that we create.
pub(crate) fn is_ours(set: IpSet, header: &Attributes<'_>) -> bool {
    header.text(IPSET_ATTR_TYPENAME) == Some(type_of(set).0)
}

/// Adds a message that renames a set to its own name. It never changes anything.
///
/// The kernel refuses it with `IPSET_ERR_REFERENCED` if rules refer to the set. Else the error says
/// that the name is taken or that the set is missing.
pub(crate) fn rename_to_itself(batch: &mut Batch, set: IpSet) {
    batch.message(message_type(IPSET_CMD_RENAME), 0, family_number(set.family), |body| {
        about(body, set).text(IPSET_ATTR_SETNAME2, set.name());
    });
}

/// Adds a message that exchanges the elements of two sets.
pub(crate) fn swap(batch: &mut Batch, one: IpSet, other: IpSet) {
    batch.message(message_type(IPSET_CMD_SWAP), 0, family_number(one.family), |body| {
        about(body, one).text(IPSET_ATTR_SETNAME2, other.name());
    });
}

/// Splits `elements` into parts that one message names: neighbouring ports of the same two addresses and
/// owners, at most `most` of them.
pub(crate) fn runs(
    elements: &[Element<SetEntry>],
    most: usize,
) -> impl Iterator<Item = &[Element<SetEntry>]> {
    let follows = |one: &Element<SetEntry>, next: &Element<SetEntry>| {
        one.comment == next.comment && one.left == next.left && one.key.is_followed_by(&next.key)
    };
    elements.chunk_by(follows).flat_map(move |run| run.chunks(most))
}

/// Adds a message that changes the elements of a run. The kernel stops at the first that it refuses. It
/// has changed those before it.
pub(crate) fn change_run(batch: &mut Batch, change: SetChange, run: &[Element<SetEntry>]) {
    let [Element { key, comment, left }, ..] = run else { return };
    let (command, flags) = match change {
        SetChange::Add => (IPSET_CMD_ADD, NLM_F_EXCL),
        SetChange::Update => (IPSET_CMD_ADD, 0),
        SetChange::Delete => (IPSET_CMD_DEL, 0),
    };
    let last = run.last().and_then(|element| element.key.port()).filter(|_| run.len() > 1);
    let set = IpSet::of(key);
    batch.message(message_type(command), flags, family_number(set.family), |body| {
        about(body, set).nest(IPSET_ATTR_DATA, |data| {
            match key {
                SetEntry::Flow { flow, .. } => {
                    address(data, IPSET_ATTR_IP, flow.from);
                    data.network(IPSET_ATTR_PORT, &flow.ports.first().to_be_bytes());
                    if let Some(last) = last {
                        data.network(IPSET_ATTR_PORT_TO, &last.to_be_bytes());
                    }
                    data.byte(IPSET_ATTR_PROTO, flow.ports.protocol().number());
                    address(data, IPSET_ATTR_IP2, flow.to);
                }
                SetEntry::Seat { ip, bridge } | SetEntry::End { ip, bridge } => {
                    address(data, IPSET_ATTR_IP, *ip);
                    data.text(IPSET_ATTR_IFACE, bridge.as_str());
                }
                SetEntry::Closed { any, bridge } => {
                    address(data, IPSET_ATTR_IP, *any);
                    data.byte(IPSET_ATTR_CIDR, 0).text(IPSET_ATTR_IFACE, bridge.as_str());
                }
            }
            data.network(IPSET_ATTR_LINENO, &0u32.to_be_bytes());
            if change != SetChange::Delete {
                data.text(IPSET_ATTR_COMMENT, comment);
                if let Some(left) = left.filter(|_| set.is_timed()) {
                    // Zero would be no timeout.
                    let seconds = u32::try_from(left.as_secs()).unwrap_or(MAX_TIMEOUT);
                    let seconds = seconds.clamp(1, MAX_TIMEOUT);
                    data.network(IPSET_ATTR_TIMEOUT, &seconds.to_be_bytes());
                }
            }
        });
    });
}

/// The elements in one message of a listing.
pub(crate) fn elements<'a>(
    message: &Attributes<'a>,
) -> impl Iterator<Item = Attributes<'a>> + use<'a> {
    message
        .inside(IPSET_ATTR_ADT)
        .filter(|(kind, _)| *kind == IPSET_ATTR_DATA)
        .map(|(_, data)| Attributes::new(data))
}

/// Parses an element of `set`. Returns `None` for an element that oci-link never adds.
pub(crate) fn element(set: IpSet, data: &Attributes<'_>) -> Option<Element<SetEntry>> {
    let ip = parse_address(&data.inside(IPSET_ATTR_IP))?;
    let bridge = || BridgeName::new(data.text(IPSET_ATTR_IFACE)?).ok();
    let key = match set.kind {
        Kind::Seats => SetEntry::Seat { ip, bridge: bridge()? },
        Kind::Ends => SetEntry::End { ip, bridge: bridge()? },
        Kind::Closed if !ip.is_unspecified() => return None,
        Kind::Closed => SetEntry::Closed { any: ip, bridge: bridge()? },
        Kind::Bridged | Kind::Ported | Kind::Routed | Kind::Leaves | Kind::Enters => {
            let protocol = Protocol::from_number(*data.get(IPSET_ATTR_PROTO)?.first()?)?;
            let number = u16::from_be_bytes(*data.get(IPSET_ATTR_PORT)?.first_chunk()?);
            let to = parse_address(&data.inside(IPSET_ATTR_IP2))?;
            let ports = PortRange::single(number, protocol)?;
            let flow = Flow { from: ip, to, ports, bridge: None };
            SetEntry::Flow { flow, kind: set.kind }
        }
    };
    let left = data.get(IPSET_ATTR_TIMEOUT).filter(|_| set.is_timed());
    let left = left.and_then(|seconds| seconds.try_into().ok()).map(u32::from_be_bytes);
    let left = left.filter(|left| *left > 0).map(|left| Duration::from_secs(left.into()));
    let comment = data.get(IPSET_ATTR_COMMENT).and_then(text).unwrap_or_default();
    Some(Element { key, comment: comment.to_owned(), left })
}

fn about<'a, 'b>(body: &'a mut Body<'b>, set: IpSet) -> &'a mut Body<'b> {
    // Current kernels speak version 7 and accept 6. All messages here are part of version 6.
    body.byte(IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN).text(IPSET_ATTR_SETNAME, set.name())
}

/// Writes an address as a nested attribute.
fn address(data: &mut Body<'_>, kind: u16, ip: IpAddr) {
    data.nest(kind, |inside| {
        match ip {
            IpAddr::V4(ip) => inside.network(IPSET_ATTR_IPADDR_IPV4, &ip.octets()),
            IpAddr::V6(ip) => inside.network(IPSET_ATTR_IPADDR_IPV6, &ip.octets()),
        };
    });
}

fn parse_address(inside: &Attributes<'_>) -> Option<IpAddr> {
    let v4 = inside.get(IPSET_ATTR_IPADDR_IPV4).and_then(|bytes| bytes.first_chunk::<4>());
    let v6 = || inside.get(IPSET_ATTR_IPADDR_IPV6).and_then(|bytes| bytes.first_chunk::<16>());
    v4.map(|ip| Ipv4Addr::from(*ip).into()).or_else(|| v6().map(|ip| Ipv6Addr::from(*ip).into()))
}

#[cfg(test)]
mod tests;
