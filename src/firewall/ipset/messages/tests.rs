//! What is written, and read again.

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
    let element = Element::new(key, String::new());
    for (change, command) in [(SetChange::Add, 9), (SetChange::Update, 9), (SetChange::Delete, 10)]
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
            let written = Element::new(key, comment.to_owned());
            change_run(&mut batch, change, &[written]);
            let message = messages(batch.bytes()).next().unwrap();
            let read =
                element(IpSet::of(&key), &message.attributes().inside(IPSET_ATTR_DATA)).unwrap();
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
    let flows =
        [flow(one, "1-16384"), flow(one, "7-9/udp"), flow(one, "80/udp"), flow(other, "81/udp")];
    let own = |key| Element::new(key, "a".to_owned());
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
    let comments: Vec<_> = elements(&answer).map(|item| item.text(IPSET_ATTR_COMMENT)).collect();
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
