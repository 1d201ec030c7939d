//! The netlink messages of ipset (`linux/netfilter/ipset/ip_set.h`).

use super::sets::{IpSet, Kind, SetEntry};
use crate::firewall::elements::Element;
use crate::model::{BridgeName, Flow, PortRange, Protocol};
use crate::sys::net::netlink::message::{Attributes, Batch, Body, family_number, text};
use crate::sys::net::netlink::uapi::{
    IPSET_ATTR_ADT, IPSET_ATTR_CADT_FLAGS, IPSET_ATTR_COMMENT, IPSET_ATTR_DATA, IPSET_ATTR_FAMILY,
    IPSET_ATTR_IFACE, IPSET_ATTR_IP, IPSET_ATTR_IP2, IPSET_ATTR_IPADDR_IPV4,
    IPSET_ATTR_IPADDR_IPV6, IPSET_ATTR_LINENO, IPSET_ATTR_MAXELEM, IPSET_ATTR_PORT,
    IPSET_ATTR_PORT_TO, IPSET_ATTR_PROTO, IPSET_ATTR_PROTOCOL, IPSET_ATTR_REVISION,
    IPSET_ATTR_SETNAME, IPSET_ATTR_SETNAME2, IPSET_ATTR_TYPENAME, IPSET_CMD_ADD, IPSET_CMD_CREATE,
    IPSET_CMD_DEL, IPSET_CMD_DESTROY, IPSET_CMD_HEADER, IPSET_CMD_LIST, IPSET_CMD_RENAME,
    IPSET_CMD_SWAP, IPSET_FLAG_WITH_COMMENT, IPSET_PROTOCOL_MIN, NFNL_SUBSYS_IPSET, NLM_F_CREATE,
    NLM_F_DUMP, NLM_F_EXCL, nfnl_type,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Maximum number of elements of a set. The kernel reserves no memory for it.
const MAX_ELEMENTS: u32 = 1 << 20;

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
        Kind::Seats => ("hash:net,iface", 4),
        Kind::Bridged | Kind::Ported | Kind::Routed => ("hash:ip,port,ip", 3),
    }
}

/// Adds a message that creates the set. If the name is taken, the kernel refuses.
pub(crate) fn create_set(batch: &mut Batch, set: IpSet) {
    let (kind, revision) = type_of(set);
    let family = family_number(set.family);
    batch.message(message_type(IPSET_CMD_CREATE), NLM_F_CREATE | NLM_F_EXCL, family, |body| {
        about(body, set).text(IPSET_ATTR_TYPENAME, kind).byte(IPSET_ATTR_REVISION, revision);
        body.byte(IPSET_ATTR_FAMILY, family).nest(IPSET_ATTR_DATA, |set| {
            set.network(IPSET_ATTR_MAXELEM, &MAX_ELEMENTS.to_be_bytes());
            set.network(IPSET_ATTR_CADT_FLAGS, &IPSET_FLAG_WITH_COMMENT.to_be_bytes());
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
        one.comment == next.comment && one.key.is_followed_by(&next.key)
    };
    elements.chunk_by(follows).flat_map(move |run| run.chunks(most))
}

/// Adds a message that changes the elements of a run. The kernel stops at the first that it refuses. It
/// has changed those before it.
pub(crate) fn change_run(batch: &mut Batch, change: SetChange, run: &[Element<SetEntry>]) {
    let [Element { key, comment }, ..] = run else { return };
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
                SetEntry::Seat { ip, bridge } => {
                    address(data, IPSET_ATTR_IP, *ip);
                    data.text(IPSET_ATTR_IFACE, bridge.as_str());
                }
            }
            data.network(IPSET_ATTR_LINENO, &0u32.to_be_bytes());
            if change != SetChange::Delete {
                data.text(IPSET_ATTR_COMMENT, comment);
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
    let key = if set.kind == Kind::Seats {
        SetEntry::Seat { ip, bridge: BridgeName::new(data.text(IPSET_ATTR_IFACE)?).ok()? }
    } else {
        let protocol = Protocol::from_number(*data.get(IPSET_ATTR_PROTO)?.first()?)?;
        let number = u16::from_be_bytes(*data.get(IPSET_ATTR_PORT)?.first_chunk()?);
        let to = parse_address(&data.inside(IPSET_ATTR_IP2))?;
        let ports = PortRange::single(number, protocol)?;
        let flow = Flow { from: ip, to, ports, bridge: None };
        SetEntry::Flow { flow, kind: set.kind }
    };
    let comment = data.get(IPSET_ATTR_COMMENT).and_then(text).unwrap_or_default();
    Some(Element { key, comment: comment.to_owned() })
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
mod tests {
    use super::*;
    use crate::model::Family;
    use crate::sys::net::netlink::message::messages;

    const FLOWS: IpSet = IpSet { family: Family::V4, kind: Kind::Bridged };
    const SEATS: IpSet = IpSet { family: Family::V6, kind: Kind::Seats };

    /// The type of the only message of a batch, the set name and the second set name in it.
    fn said(write: impl FnOnce(&mut Batch)) -> (u16, Option<String>, Option<String>) {
        let mut batch = Batch::default();
        write(&mut batch);
        let all: Vec<_> = messages(batch.bytes()).collect();
        let [message] = all[..] else { panic!("{} messages", all.len()) };
        let text = |kind| message.attributes().text(kind).map(str::to_owned);
        (message.kind, text(IPSET_ATTR_SETNAME), text(IPSET_ATTR_SETNAME2))
    }

    /// ipset is subsystem 6; the commands are compared with the numbers in the kernel's header.
    #[test]
    fn commands_name_their_sets() {
        let (flows, seats) = ("oci-link4".to_owned(), "oci-link6-at".to_owned());
        let one = |command: u16| (0x600 | command, Some(flows.clone()), None);
        let two =
            |command: u16, other: &str| (0x600 | command, Some(flows.clone()), Some(other.into()));
        assert_eq!(said(|batch| create_set(batch, FLOWS)), two(2, "hash:ip,port,ip"));
        assert_eq!(said(|batch| destroy_set(batch, FLOWS)), one(3));
        assert_eq!(said(|batch| rename_to_itself(batch, FLOWS)), two(5, &flows));
        assert_eq!(said(|batch| swap(batch, FLOWS, SEATS)), two(6, &seats));
        assert_eq!(said(|batch| ask_for_set(batch, FLOWS)), one(7));
        assert_eq!(said(|batch| ask_for_header(batch, FLOWS)), one(12));
        let ip = [10, 0, 0, 2].into();
        let key = SetEntry::Seat { ip, bridge: BridgeName::new("br0").unwrap() };
        let element = Element { key, comment: String::new() };
        for (change, command) in
            [(SetChange::Add, 9), (SetChange::Update, 9), (SetChange::Delete, 10)]
        {
            let name = Some("oci-link4-at".to_owned());
            let expected = (0x600 | command, name, None);
            let run = std::slice::from_ref(&element);
            assert_eq!(said(|batch| change_run(batch, change, run)), expected);
        }
    }

    #[test]
    fn a_set_that_is_there_is_refused_and_not_taken_for_a_new_one() {
        let mut batch = Batch::default();
        create_set(&mut batch, FLOWS);
        let flags = u16::from_ne_bytes(*batch.bytes()[6..].first_chunk().unwrap());
        assert_eq!(flags & 0x600, 0x600, "made, and not there before");
    }

    #[test]
    fn what_is_written_is_read() {
        let [v4, other, v6] = ["10.0.0.2", "10.0.0.3", "fd00::2"].map(|ip| ip.parse().unwrap());
        let ports = PortRange::single(0x0102, Protocol::Sctp).unwrap();
        let flow = |from, to, kind| {
            let flow = Flow { from, to, ports, bridge: None };
            SetEntry::Flow { flow, kind }
        };
        let seat = |ip| SetEntry::Seat { ip, bridge: BridgeName::new("br-0123456789ab").unwrap() };
        let flows = [
            flow(v4, other, Kind::Bridged),
            flow(v4, other, Kind::Ported),
            flow(v6, v6, Kind::Ported),
            flow(v6, v6, Kind::Routed),
        ];
        for key in flows.into_iter().chain([seat(v4), seat(v6)]) {
            let read = |change, comment: &str| {
                let mut batch = Batch::default();
                let written = Element { key, comment: comment.to_owned() };
                change_run(&mut batch, change, &[written]);
                let message = messages(batch.bytes()).next().unwrap();
                let read = element(IpSet::of(&key), &message.attributes().inside(IPSET_ATTR_DATA))
                    .unwrap();
                (read.key, read.comment)
            };
            for change in [SetChange::Add, SetChange::Update] {
                assert_eq!(read(change, "a b"), (key, "a b".to_owned()));
            }
            assert_eq!(read(SetChange::Delete, "a b"), (key, String::new()), "with any owner");
        }
    }

    #[test]
    fn neighbouring_ports_of_one_owner_are_one_message() {
        let flow = |from: [u8; 4], ports: &str| {
            let ports = crate::model::sample::port(ports);
            Flow { from: from.into(), to: [10, 0, 0, 9].into(), ports, bridge: None }
        };
        let (one, other) = ([10, 0, 0, 2], [10, 0, 0, 3]);
        let flows = [
            flow(one, "1-16384"),
            flow(one, "7-9/udp"),
            flow(one, "80/udp"),
            flow(other, "81/udp"),
        ];
        let own = |key| Element { key, comment: "a".to_owned() };
        let mut elements: Vec<_> = SetEntry::all(&flows).into_iter().map(own).collect();
        elements[16_385].comment = "a b".to_owned();
        let lengths = |most| runs(&elements, most).map(<[_]>::len).collect::<Vec<_>>();
        let rest = [1; 5];
        assert_eq!(lengths(MAX_PORTS), [&[MAX_PORTS; 4][..], &rest].concat());
        assert_eq!(lengths(1).len(), elements.len());

        let mut batch = Batch::default();
        let first = runs(&elements, MAX_PORTS).next().unwrap();
        for change in [SetChange::Add, SetChange::Delete] {
            change_run(&mut batch, change, first);
        }
        for message in messages(batch.bytes()) {
            let data = message.attributes().inside(IPSET_ATTR_DATA);
            assert_eq!(data.get(IPSET_ATTR_PORT), Some(&1u16.to_be_bytes()[..]));
            assert_eq!(data.get(IPSET_ATTR_PORT_TO), Some(&4096u16.to_be_bytes()[..]));
        }
    }

    #[test]
    fn an_answer_is_a_list_of_elements() {
        let mut batch = Batch::default();
        batch.message(message_type(IPSET_CMD_LIST), 0, 0, |body| {
            body.nest(IPSET_ATTR_ADT, |list| {
                for kind in [IPSET_ATTR_DATA, IPSET_ATTR_DATA + 1, IPSET_ATTR_DATA] {
                    list.nest(kind, |item| {
                        item.text(
                            IPSET_ATTR_COMMENT,
                            if kind == IPSET_ATTR_DATA { "element" } else { "other" },
                        );
                    });
                }
            });
        });
        let answer = messages(batch.bytes()).next().unwrap().attributes();
        let comments: Vec<_> =
            elements(&answer).map(|item| item.text(IPSET_ATTR_COMMENT)).collect();
        assert_eq!(comments, [Some("element"); 2]);
    }

    #[test]
    fn a_set_of_another_kind_is_not_ours() {
        for (made, ours) in [(FLOWS, FLOWS), (SEATS, SEATS), (FLOWS, SEATS), (SEATS, FLOWS)] {
            let mut batch = Batch::default();
            create_set(&mut batch, made);
            let header = messages(batch.bytes()).next().unwrap().attributes();
            assert_eq!(is_ours(ours, &header), made == ours);
        }
    }
}
