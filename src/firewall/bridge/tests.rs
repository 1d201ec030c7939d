use super::*;
use keys::PortSetName;
use std::net::IpAddr;

const A: &str = "aaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbb";

fn tag(text: &str) -> OwnerTag {
    OwnerTag::parse(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn element(key: Key, comment: &str) -> Element<Key> {
    Element { key, comment: comment.to_owned() }
}

#[test]
fn every_key_is_read_as_it_is_written() {
    let addresses = [ip("10.0.0.2"), ip("fd00::2")];
    let keys = addresses.iter().flat_map(|ip| Key::seat(7, *ip));
    for key in keys.chain([Key::IsolatedIn(8), Key::IsolatedOut(9)]) {
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
    let (a, b, key) = (tag(A), tag(B), Key::Port(3));
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
fn an_element_that_moves_lapses_and_is_added() {
    let (a, old, new) = (tag(A), Key::Port(3), Key::Port(4));
    let moved = KeyChange { owner: &a, before: vec![old], after: vec![new] };
    let difference = Difference::of(&[element(old, A)], &[moved]);
    let expected =
        Difference { lapse: vec![element(old, A)], add: vec![element(new, A)], delete: vec![] };
    assert_eq!(difference, expected);
}

#[test]
fn the_rules_have_names_of_their_own() {
    for chain in rules::chains() {
        let names: BTreeSet<&String> = chain.rules.iter().map(|rule| &rule.comment).collect();
        assert_eq!(names.len(), chain.rules.len(), "{}", chain.name);
    }
    let all = BOUND | ISOLATED_IN | ISOLATED_OUT;
    assert_eq!(all.count_ones(), 3);
}
