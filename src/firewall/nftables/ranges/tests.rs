//! Rules written as bytes and parsed again.

use super::*;
use crate::model::BridgeName;
use crate::model::sample::port;
use crate::sys::net::netlink::message::messages;

const A: &str = "aaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbb";

fn tag(text: &str) -> OwnerTag {
    OwnerTag::parse(text).unwrap()
}

fn flow(from: &str, to: &str, ports: &str, bridge: &str) -> Flow {
    let [from, to] = [from, to].map(|ip| ip.parse().unwrap());
    Flow { from, to, ports: port(ports), bridge: on(bridge) }
}

/// A bridge, with `!` in front if the flow is tied to its ports.
fn on(bridge: &str) -> Option<OnBridge> {
    let name = BridgeName::new(bridge.trim_start_matches('!')).ok()?;
    Some(OnBridge { by_port: bridge.starts_with('!'), ..name.into() })
}

fn v4(ports: &str) -> Flow {
    flow("10.0.0.2", "10.0.0.3", ports, "br0")
}

/// A rule as it is in the kernel after `write` has written it.
fn listed(handle: u8, write: impl FnOnce(&mut Body<'_>)) -> Option<InstalledRange> {
    let mut batch = Batch::default();
    about_table(&mut batch, NFT_MSG_NEWRULE, 0, |body| {
        body.bytes(NFTA_RULE_HANDLE, &[handle; 8]);
        write(body);
    });
    installed(&messages(batch.bytes()).next().unwrap().attributes())
}

fn there(owner: &str, flows: &[Flow]) -> Vec<InstalledRange> {
    let owner = tag(owner);
    let all = rules(flows).zip(1..);
    all.map(|(rule, handle)| listed(handle, |body| rule.write(&owner, body)).unwrap()).collect()
}

/// The handles that a change deletes, and the rules that it adds.
fn changed(there: &[InstalledRange], flows: &[Flow]) -> (Vec<u8>, Vec<String>) {
    let mut transaction = Transaction::default();
    change(&mut transaction, there, &tag(A), flows);
    let (mut deleted, mut added) = (Vec::new(), Vec::new());
    for message in messages(transaction.bytes()) {
        let body = message.attributes();
        assert!(body.text(NFTA_RULE_CHAIN).is_none_or(|chain| chain == RANGES));
        deleted.extend(body.get(NFTA_RULE_HANDLE).map(|handle| handle[0]));
        added.extend(RangeRule::of(&body).map(RangeRule::show));
    }
    (deleted, added)
}

#[test]
fn what_is_written_is_read() {
    let flows = [
        v4("7000-7010/udp"),
        flow("10.0.0.2", "10.0.0.3", "1-65535", ""),
        flow("10.0.0.2", "10.0.0.3", "1-2", "!br0"),
        flow("fd00::2", "fd00::3", "1-2/udp", "!br-0123456789ab"),
        flow("fd00::2", "fd00::3", "1-2/sctp", "br-0123456789ab"),
        flow("fd00::2", "fd00::3", "65534-65535", ""),
    ];
    let installed = there(A, &flows);
    assert!(installed.iter().all(|installed| installed.owner == tag(A)));
    let read: Vec<RangeRule> = installed.iter().filter_map(|installed| installed.rule).collect();
    assert_eq!(read, rules(&flows).collect::<Vec<_>>());
    assert_eq!(read.iter().filter_map(|rule| rule.as_flow()).collect::<Vec<_>>(), flows);
}

#[test]
fn rules_are_shown_as_nft_does() {
    let flows = [v4("7000-7010/udp"), v4("80"), flow("fd00::2", "fd00::3", "1-9", "")];
    let shown: Vec<String> = rules(&flows).map(RangeRule::show).collect();
    let expected = [
        "ranges iifname \"br0\" oifname \"br0\" ip saddr 10.0.0.2 ip daddr 10.0.0.3 udp dport \
         7000-7010 accept",
        "ranges iifname \"br0\" oifname \"br0\" ip saddr 10.0.0.3 ip daddr 10.0.0.2 udp sport \
         7000-7010 ct state established accept",
        "ranges ip6 saddr fd00::2 ip6 daddr fd00::3 tcp dport 1-9 accept",
        "ranges ip6 saddr fd00::3 ip6 daddr fd00::2 tcp sport 1-9 ct state established accept",
    ];
    assert_eq!(shown, expected, "a single port has no rule");
    assert!(has_range(&flows) && !has_range(&[v4("80")]));
}

#[test]
fn only_what_differs_changes() {
    let both = there(A, &[v4("1-9"), v4("20-29")]);
    let nothing = (Vec::new(), Vec::new());
    assert_eq!(changed(&both, &[v4("20-29"), v4("1-9"), v4("80")]), nothing);
    let (deleted, added) = changed(&both, &[v4("1-9"), v4("20-30"), v4("20-30")]);
    assert_eq!((deleted, added.len()), (vec![3, 4], 2));
    assert!(added[0].contains("dport 20-30") && added[1].contains("sport 20-30"), "{added:?}");
    assert_eq!(changed(&both, &[]).0, [1, 2, 3, 4]);
    assert_eq!(changed(&there(B, &[v4("1-9")]), &[]), nothing, "another owner's");
    let mut half = there(A, &[v4("1-9")]);
    half.pop();
    let (deleted, added) = changed(&half, &[v4("1-9")]);
    assert_eq!((deleted.len(), added.len()), (0, 1));
    assert!(added[0].contains("sport 1-9"), "{added:?}");
}

/// A rule that another program replaced is deleted with its owner's, whatever it says now.
#[test]
fn a_rule_that_is_not_as_made_is_not_taken_for_one() {
    let rule = RangeRule { flow: v4("1-9"), back: false };
    let of = |expressions: &[Expression]| {
        listed(7, |body| {
            body.text(NFTA_RULE_CHAIN, RANGES).nest(NFTA_RULE_EXPRESSIONS, |list| {
                for expression in expressions {
                    list.nest(NFTA_LIST_ELEM, |item| expression.write(item));
                }
            });
            write_comment(body, NFTA_RULE_USERDATA, A);
        })
        .unwrap()
    };
    let made = rule.expressions();
    assert_eq!(of(&made).rule, Some(rule));
    for left_out in 0..made.len() {
        let mut fewer = made.clone();
        fewer.remove(left_out);
        assert_eq!(of(&fewer).rule, None, "without {:?}", made[left_out]);
        assert_eq!(changed(&[of(&fewer)], &[]).0, [7]);
    }
    let mut open = made.clone();
    for expression in &mut open {
        if let Expression::Compare { operator, .. } = expression {
            *operator = NFT_CMP_GTE;
        }
    }
    assert_eq!(of(&open).rule, None);
    assert_eq!(of(&[]).rule, None);
    let foreign = |comment: &str| {
        listed(1, |body| {
            body.text(NFTA_RULE_CHAIN, RANGES);
            write_comment(body, NFTA_RULE_USERDATA, comment);
        })
    };
    assert!(foreign("by hand").is_none() && foreign(A).is_some());
}
