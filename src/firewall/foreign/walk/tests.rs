//! Packets in rules that are written here. tests/it/doctor/forward.rs reads those of a real kernel.

use super::super::kernel::{Base, Elements, Hook};
use super::*;
use std::collections::HashMap;
use std::rc::Rc;

/// The chains and sets of one table.
#[derive(Default)]
struct Table {
    chains: HashMap<&'static str, Vec<Rule>>,
    sets: HashMap<&'static str, Elements>,
}

impl Ruleset for Table {
    fn rules(&mut self, _: &Chain, name: &str) -> Option<Rc<Vec<Rule>>> {
        self.chains.get(name).cloned().map(Rc::new)
    }

    fn elements(&mut self, _: &Chain, set: &str) -> Option<Rc<Elements>> {
        self.sets.get(set).cloned().map(Rc::new)
    }
}

const DROP: Expression = Expression::Verdict(Verdict::Drop("drops"));
const ACCEPT: Expression = Expression::Verdict(Verdict::Accept);

fn packet() -> Sample {
    let bridge = BridgeName::new("br0").unwrap();
    let mut packet = Sample::on(bridge, Family::V4);
    packet.addresses = Some(([10, 0, 0, 2].into(), [10, 0, 0, 3].into()));
    packet
}

fn load(field: Field) -> Expression {
    Expression::Load { to: 0, field, length: 4 }
}

fn is(equal: bool, bytes: &[u8]) -> Expression {
    Expression::Compare { from: 0, equal, bytes: bytes.to_vec() }
}

/// What becomes of the packet in these rules of a chain with the policy accept or drop.
fn fate(table: &mut Table, drops: bool) -> Fate {
    let base = Base { hook: Hook::Forward, priority: 0, drops, kind: "filter".to_owned() };
    let (table_name, name) = ("t".to_owned(), "forward".to_owned());
    let chain = Chain { family: "inet", table: table_name, name, base: Some(base) };
    walk(table, &chain, &packet())
}

fn rules(rules: Vec<Rule>) -> Table {
    Table { chains: HashMap::from([("forward", rules)]), ..Table::default() }
}

fn is_dropped(given: Vec<Rule>) -> bool {
    fate(&mut rules(given), false) != Fate::Passes
}

#[test]
fn a_policy_and_a_drop_count_and_an_accept_before_them() {
    assert_eq!(fate(&mut rules(vec![]), false), Fate::Passes);
    let why = "its policy drop applies to packets of links".to_owned();
    assert_eq!(fate(&mut rules(vec![]), true), Fate::Dropped(why));
    assert_eq!(fate(&mut rules(vec![vec![ACCEPT]]), true), Fate::Passes);
    let counted = vec![vec![Expression::Neutral, DROP]];
    assert_eq!(
        fate(&mut rules(counted), false),
        Fate::Dropped("it drops packets of links".to_owned())
    );
    assert!(!is_dropped(vec![vec![ACCEPT], vec![DROP]]));
}

#[test]
fn a_drop_with_a_match_counts_if_it_matches_packets_of_links() {
    let from_lo = [load(Field::Interface(Way::In)), is(true, b"lo\0\0")];
    let from_br = [load(Field::Interface(Way::In)), is(true, b"br0\0")];
    let with = |matches: &[Expression], end: Expression| [matches, &[end]].concat();
    assert!(!is_dropped(vec![with(&from_lo, DROP)]));
    assert!(is_dropped(vec![with(&from_br, DROP)]));
    assert!(is_dropped(vec![with(&from_lo, ACCEPT), vec![DROP]]));
    assert!(!is_dropped(vec![with(&from_br, ACCEPT), vec![DROP]]));
    assert!(is_dropped(vec![vec![load(Field::Interface(Way::In)), is(false, b"lo\0\0"), DROP]]));
    // A mask, as `ct state established,related` has.
    let known =
        Expression::Mask { from: 0, to: 0, mask: 6_u32.to_ne_bytes().to_vec(), xor: vec![0; 4] };
    let established = [load(Field::State), known, is(false, &[0; 4])];
    assert!(is_dropped(vec![with(&established, ACCEPT), vec![DROP]]));
    let source = [load(Field::Network { offset: 12 }), is(true, &[10, 0, 0, 2])];
    assert!(is_dropped(vec![with(&source, DROP)]));
}

#[test]
fn what_is_not_understood_drops_nothing_and_may_accept() {
    let unknown = || Expression::Unknown;
    assert!(!is_dropped(vec![vec![unknown(), DROP]]));
    assert!(!is_dropped(vec![vec![unknown(), ACCEPT], vec![DROP]]));
    assert!(is_dropped(vec![vec![unknown(), DROP], vec![DROP]]));
    let queue = Expression::Verdict(Verdict::Other);
    assert!(!is_dropped(vec![vec![queue], vec![DROP]]));
    let port = [load(Field::Transport { offset: 0 }), is(true, &[0, 80])];
    assert!(!is_dropped(vec![[&port[..], &[ACCEPT]].concat(), vec![DROP]]), "any source port");
}

#[test]
fn jumps_are_followed_there_and_back() {
    let jump = |to: &str| Expression::Verdict(Verdict::Jump(to.to_owned()));
    let goto = |to: &str| Expression::Verdict(Verdict::Goto(to.to_owned()));
    let table = |first: Vec<Rule>, second: Vec<Rule>| Table {
        chains: HashMap::from([("forward", first), ("other", second)]),
        ..Table::default()
    };
    let place = "it drops packets of links, in its chain other".to_owned();
    let mut drops = table(vec![vec![jump("other")]], vec![vec![DROP]]);
    assert_eq!(fate(&mut drops, false), Fate::Dropped(place));
    let mut returns = table(vec![vec![jump("other")], vec![DROP]], vec![]);
    assert_ne!(fate(&mut returns, false), Fate::Passes);
    let mut left = table(vec![vec![goto("other")], vec![DROP]], vec![]);
    assert_eq!(fate(&mut left, false), Fate::Passes);
    assert_ne!(fate(&mut left, true), Fate::Passes, "then the policy applies");
    let mut circle = table(vec![vec![jump("forward")], vec![DROP]], vec![]);
    assert_eq!(fate(&mut circle, false), Fate::Passes, "and it ends");
    assert_eq!(fate(&mut rules(vec![vec![jump("gone")], vec![DROP]]), false), Fate::Passes);
}

#[test]
fn elements_of_sets_and_maps_are_compared() {
    let look =
        |inverted, is_map| Expression::Lookup { from: 0, set: "s".to_owned(), inverted, is_map };
    let name = |name: &[u8]| name.to_vec();
    let state = load(Field::Interface(Way::In));
    let with = |elements: Elements, rules: Vec<Rule>| {
        let mut table = Table {
            chains: HashMap::from([("forward", rules)]),
            sets: HashMap::from([("s", elements)]),
        };
        fate(&mut table, false) != Fate::Passes
    };
    let one = || vec![(name(b"br0\0"), None)];
    assert!(with(one(), vec![vec![state.clone(), look(false, false), DROP]]));
    assert!(!with(one(), vec![vec![state.clone(), look(true, false), DROP]]));
    assert!(!with(vec![], vec![vec![state.clone(), look(false, false), DROP]]));
    let map = vec![
        (name(b"eth0"), Some(Verdict::Accept)),
        (name(b"br0\0"), Some(Verdict::Drop("drops"))),
    ];
    assert!(with(map, vec![vec![state.clone(), look(false, true)]]));
    let others = vec![(name(b"eth0"), Some(Verdict::Accept))];
    assert!(with(others, vec![vec![state, look(false, true)], vec![DROP]]));
    let unknown = vec![vec![load(Field::Other), look(false, true)], vec![DROP]];
    assert!(!with(vec![(name(b"eth0"), Some(Verdict::Accept))], unknown));
}

#[test]
fn a_translation_is_named_with_its_rule() {
    let masquerade = || Expression::Verdict(Verdict::Translate("masquerade"));
    let named = |text: &str| Fate::Translated(text.to_owned());
    let source = || [load(Field::Network { offset: 12 }), is(true, &[10, 0, 0, 2])];
    let out = |equal| [load(Field::Interface(Way::Out)), is(equal, b"br0\0")];
    let with = |matches: &[Expression]| vec![[matches, &[masquerade()]].concat()];
    for (given, expected) in [
        (with(&source()), named("rule: ip saddr 10.0.0.2 masquerade")),
        (with(&out(true)), named("rule: oifname \"br0\" masquerade")),
        (with(&out(false)), Fate::Passes),
        (with(&[Expression::Unknown]), Fate::Passes),
        ([with(&[Expression::Unknown]), with(&[])].concat(), named("rule: masquerade")),
        ([vec![vec![ACCEPT]], with(&[])].concat(), Fate::Passes),
        ([vec![vec![Expression::Unknown, ACCEPT]], with(&[])].concat(), Fate::Passes),
    ] {
        assert_eq!(fate(&mut rules(given.clone()), false), expected, "{given:?}");
    }
}

/// Of a packet that stays on a bridge, the hook postrouting does not see where it came from.
#[test]
fn the_interfaces_of_a_packet_that_leaves() {
    let base =
        Base { hook: Hook::Postrouting, priority: 100, drops: false, kind: "nat".to_owned() };
    let (table, name) = ("t".to_owned(), "forward".to_owned());
    let chain = Chain { family: "inet", table, name, base: Some(base) };
    let masquerade = Expression::Verdict(Verdict::Translate("masquerade"));
    for (way, stays, is_hit) in [
        (Way::In, true, false),
        (Way::Out, true, true),
        (Way::In, false, true),
        (Way::Out, false, false),
    ] {
        let rule = vec![load(Field::Interface(way)), is(true, b"br0\0"), masquerade.clone()];
        let mut packet = packet();
        if !stays {
            packet.output = Sample::on(BridgeName::new("br1").unwrap(), Family::V4).output;
        }
        let fate = walk(&mut rules(vec![rule]), &chain, &packet);
        assert_eq!(fate != Fate::Passes, is_hit, "{way:?} {stays}");
    }
}
