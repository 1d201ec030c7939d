//! Elements and comments written as bytes and parsed again.

use super::*;
use crate::firewall::elements::owned;
use crate::model::OwnerTag;
use crate::sys::net::netlink::message::messages;
use crate::sys::net::netlink::uapi::{
    NFT_MSG_DELRULE, NFT_MSG_DELTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETGEN, NFT_MSG_GETRULE,
    NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWSET, NFT_MSG_NEWTABLE, NFTA_RULE_USERDATA,
};

fn flow(from: &str, to: &str, bridge: &str) -> Flow {
    let ports = PortRange::single(0x0102, Protocol::Udp).unwrap();
    let [from, to] = [from, to].map(|ip| ip.parse().unwrap());
    Flow { from, to, ports, bridge: on(bridge) }
}

/// A bridge, with `!` in front if the flow is tied to its ports.
fn on(bridge: &str) -> Option<OnBridge> {
    let name = BridgeName::new(bridge.trim_start_matches('!')).ok()?;
    Some(OnBridge { by_port: bridge.starts_with('!'), ..name.into() })
}

fn elements_of(flows: &[Flow]) -> Vec<Element<Flow>> {
    let owner = OwnerTag::parse("aaaaaaaaaaaaaaaa").unwrap();
    flows.iter().map(|flow| owned(*flow, &owner)).collect()
}

/// The set and the elements of each message of a transaction that adds `elements`.
fn read(added: &[Element<Flow>]) -> Vec<(NftSet, Vec<Element<Flow>>)> {
    let mut transaction = Transaction::default();
    transaction.add_elements(added);
    assert!(!transaction.batch.overflowed());
    let all = messages(transaction.batch.bytes())
        .filter(|message| message.kind == message_type(NFT_MSG_NEWSETELEM));
    let all = all.map(|message| {
        let body = message.attributes();
        let set = NftSet::ALL
            .into_iter()
            .find(|set| body.text(NFTA_SET_ELEM_LIST_SET) == Some(set.name()))
            .unwrap();
        (set, elements(&body).filter_map(|item| element(set, &item)).collect())
    });
    all.collect()
}

#[test]
fn what_is_written_is_read() {
    let flows = [
        flow("fd00::2", "fd00::3", ""),
        flow("10.0.0.2", "10.0.0.3", "br0"),
        flow("fd00::2", "fd00::3", "br-0123456789ab"),
        flow("10.0.0.2", "10.0.0.3", ""),
        flow("10.0.0.2", "10.0.0.3", "!br0"),
        flow("fd00::2", "fd00::3", "!br-0123456789ab"),
    ];
    let all = elements_of(&flows);
    let one = |set, at: usize| (set, vec![all[at].clone()]);
    let [ported4, bridged4, links4, ported6, bridged6, links6] = NftSet::ALL;
    let v4 = [one(ported4, 4), one(bridged4, 1), one(links4, 3)];
    let expected = [v4, [one(ported6, 5), one(bridged6, 2), one(links6, 0)]].concat();
    assert_eq!(read(&all), expected);
    assert_eq!(read(&[]), []);
}

/// Elements of the greatest length must fit too. If the 16-bit length of the list overflowed, the
/// kernel would read a part of the elements only.
#[test]
fn a_message_has_room_for_so_many() {
    let ports = |number| PortRange::single(number, Protocol::Tcp).unwrap();
    let flow = flow("fd00::2", "fd00::3", "br-0123456789ab");
    let element = |n| Element::new(Flow { ports: ports(n), ..flow }, "x".repeat(MAX_COMMENT));
    let elements: Vec<_> = (1..=193).map(element).collect();
    let (sets, read): (Vec<_>, Vec<_>) = read(&elements).into_iter().unzip();
    assert_eq!(sets, [NftSet::of(&flow); 2]);
    assert_eq!(read, [elements[..192].to_vec(), elements[192..].to_vec()]);
}

/// The kernel refuses an element with more than 256 bytes of user data.
#[test]
fn the_longest_comment_fills_256_bytes() {
    let comment = "x".repeat(MAX_COMMENT);
    let mut transaction = Transaction::default();
    transaction.add_elements(&[Element::new(flow("10.0.0.2", "10.0.0.3", ""), comment)]);
    let all = messages(transaction.batch.bytes())
        .find(|message| message.kind == message_type(NFT_MSG_NEWSETELEM));
    let item = elements(&all.unwrap().attributes()).next().unwrap();
    assert_eq!(item.get(NFTA_SET_ELEM_USERDATA).map(<[u8]>::len), Some(256));
}

#[test]
fn so_many_are_asked_for_at_once() {
    let ports = |number| PortRange::single(number, Protocol::Tcp).unwrap();
    let flow = flow("10.0.0.2", "10.0.0.3", "br0");
    let all: Vec<_> = (1..=33).map(|number| Flow { ports: ports(number), ..flow }).collect();
    let all = elements_of(&all);
    let asked = ask_for_these(&all).map(|asked| {
        let (set, batch) = (asked.set, asked.together());
        let message = messages(batch.bytes()).next().unwrap();
        assert_eq!(messages(asked.one_by_one().bytes()).count(), asked.elements.len());
        let keys: Vec<Flow> =
            elements(&message.attributes()).map(|item| element(set, &item).unwrap().key).collect();
        (message.kind, set, keys)
    });
    let keys: Vec<Flow> = all.iter().map(|element| element.key).collect();
    let of = |keys: &[Flow]| (message_type(NFT_MSG_GETSETELEM), NftSet::of(&flow), keys.to_vec());
    assert_eq!(asked.collect::<Vec<_>>(), [of(&keys[..32]), of(&keys[32..])]);
}

#[test]
fn each_part_of_a_key_begins_at_a_multiple_of_four() {
    let expected = [
        &b"br0\0\0\0\0\0\0\0\0\0\0\0\0\0"[..],
        &[10, 0, 0, 2],
        &[10, 0, 0, 3],
        &[17, 0, 0, 0],
        &[1, 2, 0, 0],
    ];
    assert_eq!(key(&flow("10.0.0.2", "10.0.0.3", "br0")), expected.concat());
}

/// Subsystem 10; the commands are compared with the numbers in the kernel's header.
#[test]
fn commands_are_the_kernels() {
    for (command, number) in [
        (NFT_MSG_NEWTABLE, 0),
        (NFT_MSG_DELTABLE, 2),
        (NFT_MSG_NEWCHAIN, 3),
        (NFT_MSG_GETCHAIN, 4),
        (NFT_MSG_NEWRULE, 6),
        (NFT_MSG_GETRULE, 7),
        (NFT_MSG_DELRULE, 8),
        (NFT_MSG_NEWSET, 9),
        (NFT_MSG_NEWSETELEM, 12),
        (NFT_MSG_GETSETELEM, 13),
        (NFT_MSG_DELSETELEM, 14),
        (NFT_MSG_GETGEN, 16),
    ] {
        assert_eq!(message_type(command), 0xa00 | number);
    }
}

/// As `nft` writes it: the length includes the NUL of the text.
#[test]
fn a_comment_is_a_note_of_kind_0() {
    let mut batch = Batch::default();
    batch.message(0, 0, 0, |body| write_comment(body, NFTA_RULE_USERDATA, "hi"));
    let message = messages(batch.bytes()).next().unwrap();
    assert_eq!(message.attributes().get(NFTA_RULE_USERDATA), Some(&b"\x00\x03hi\0"[..]));
}

#[test]
fn a_comment_is_found_behind_other_notes() {
    for (notes, expected) in [
        (&b"\x00\x03hi\0"[..], Some("hi")),
        (b"\x01\x02x\0\x00\x03hi\0\x00\x03no\0", Some("hi")),
        (b"\x01\x02x\0", None),
        (b"\x01\x09x\0\x00\x03hi\0", None),
        (b"\x00\x04hi", None),
        (b"\x00", None),
        (b"", None),
    ] {
        assert_eq!(comment(notes), expected, "{notes:?}");
    }
}
