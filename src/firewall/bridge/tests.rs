use super::*;
use crate::firewall::nftables::expression::{Expression, Rule};
use rules::CHAINS;
use std::net::IpAddr;

const A: &str = "aaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbb";

fn tag(text: &str) -> OwnerTag {
    OwnerTag::parse(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn end(port: u32) -> Key {
    Key::End(port, ip("10.0.0.2"), ip("10.0.0.3"))
}

fn element(key: Key, comment: &str) -> Element<Key> {
    Element::new(key, comment.to_owned())
}

#[test]
fn every_key_is_read_as_it_is_written() {
    let ends = [("10.0.0.2", "10.0.0.3"), ("fd00::2", "fd00::3")];
    let keys = ends.map(|(one, other)| Key::End(7, ip(one), ip(other)));
    for key in keys.into_iter().chain([Key::IsolatedIn(8), Key::IsolatedOut(9)]) {
        let bytes = key.bytes();
        assert_eq!(Key::parse(key.set(), &bytes), Some(key));
        assert_eq!(key.set().key().1, u32::try_from(bytes.len()).unwrap(), "{key:?}");
        assert_eq!(Key::parse(key.set(), &bytes[1..]), None, "{key:?}");
        for other in PortSetName::ALL.into_iter().filter(|set| *set != key.set()) {
            assert_ne!(Key::parse(other, &bytes), Some(key));
        }
    }
}

#[test]
fn an_element_goes_with_the_last_container_of_its_pod() {
    let (a, b, key) = (tag(A), tag(B), end(3));
    let change = |owner, before: &[Key], after: &[Key]| KeyChange {
        owner,
        before: before.to_vec(),
        after: after.to_vec(),
    };
    let both = Difference::of(&[], &[change(&a, &[], &[key]), change(&b, &[], &[key])]);
    let comment = format!("{A} {B}");
    assert_eq!(both, Difference { add: vec![element(key, &comment)], ..Difference::default() });

    let there = [element(key, &comment)];
    let nothing = Difference::of(&there, &[change(&b, &[key], &[key])]);
    assert_eq!(nothing, Difference::default());
    let left = Difference::of(&there, &[change(&a, &[key], &[])]);
    assert_eq!((left.delete.len(), left.add), (1, vec![element(key, B)]));
    let last = Difference::of(&[element(key, B)], &[change(&b, &[key], &[])]);
    assert_eq!((last.lapse.len(), last.delete.len(), last.add.len()), (1, 0, 0));
    // What another program wrote stays.
    let by_hand = Difference::of(&[element(key, "mine")], &[change(&b, &[key], &[])]);
    assert_eq!(by_hand, Difference::default());
}

#[test]
fn an_element_with_a_timeout_is_deleted_and_added() {
    let (a, b, key) = (tag(A), tag(B), end(3));
    let there = [element(key, &format!("{A} {B} {TIMED}"))];
    let kept = KeyChange { owner: &a, before: vec![], after: vec![key] };
    let difference = Difference::of(&there, &[kept]);
    let both = format!("{A} {B}");
    assert_eq!((difference.delete.len(), difference.add), (1, vec![element(key, &both)]));
    let there = [element(key, &format!("{B} {TIMED}"))];
    let gone = KeyChange { owner: &b, before: vec![key], after: vec![] };
    let difference = Difference::of(&there, &[gone]);
    assert_eq!((difference.lapse.len(), difference.add.len()), (1, 0));
}

#[test]
fn an_element_that_moves_lapses_and_is_added() {
    let (a, old, new) = (tag(A), end(3), end(4));
    let moved = KeyChange { owner: &a, before: vec![old], after: vec![new] };
    let difference = Difference::of(&[element(old, A)], &[moved]);
    let expected =
        Difference { lapse: vec![element(old, A)], add: vec![element(new, A)], delete: vec![] };
    assert_eq!(difference, expected);
}

#[test]
fn the_rules_have_names_of_their_own() {
    for chain in &CHAINS {
        let rules = (chain.rules)();
        let names: BTreeSet<&String> = rules.iter().map(|rule| &rule.comment).collect();
        assert_eq!(names.len(), rules.len(), "{}", chain.name);
    }
    let all = BOUND | ISOLATED_IN | ISOLATED_OUT | ISOLATED_BOTH;
    assert_eq!((all.count_ones(), all), (4, ALL_BITS));
}

#[test]
fn more_of_a_pod_than_a_comment_can_name_are_no_obstacle() {
    let full = ["0123456789abcdef"; 14].join(" ");
    let a = tag(A);
    let change = |key| KeyChange { owner: &a, before: vec![], after: vec![key] };
    let there = [element(end(3), &full)];
    assert_eq!(Difference::of(&there, &[change(end(3))]), Difference::default());
    let isolated = [element(Key::IsolatedIn(3), &full)];
    let closed = Difference::of(&isolated, &[change(Key::IsolatedIn(3))]);
    assert!(closed.add[0].comment.len() > MAX_COMMENT, "refused: isolation fails closed");
}

#[test]
fn both_ends_of_tied_flows_are_keys() {
    let [from, to] = ["10.0.0.2", "10.0.0.3"].map(ip);
    let flow = |ports: &str, tied| {
        let name = crate::model::BridgeName::new("br0").unwrap();
        let bridge =
            Some(crate::model::OnBridge { by_port: tied, ports: Some([5, 7]), ..name.into() });
        crate::model::Flow { from, to, ports: crate::model::sample::port(ports), bridge }
    };
    let keys = Key::of_flows(&[flow("80", true), flow("81-90", true), flow("80/udp", false)]);
    assert_eq!(keys, [Key::End(5, from, to), Key::End(7, to, from)]);
    assert!(Key::of_flows(&[flow("80", false)]).is_empty());
}

#[test]
fn the_uses_of_a_chain_are_its_rules_and_the_jumps_to_it() {
    for extent in [Extent::Links, Extent::Isolation] {
        let full = || CHAINS.iter().filter(|chain| !chain.is_optional(extent));
        let rules: Vec<Rule> = full().flat_map(|chain| (chain.rules)()).collect();
        let jumps_to = |name: &str| {
            let is_jump = |it: &Expression| matches!(it, Expression::Jump(to) | Expression::Goto(to) if *to == name);
            rules.iter().filter(|rule| rule.expressions.iter().any(is_jump)).count()
        };
        for chain in &CHAINS {
            let own = if chain.is_optional(extent) { 0 } else { (chain.rules)().len() };
            let uses = chain.uses[extent as usize];
            assert_eq!(uses as usize, own + jumps_to(chain.name), "{} {extent:?}", chain.name);
        }
    }
}
