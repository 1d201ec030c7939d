//! Which links can carry, by which pair of addresses, and what is said of those that cannot.

use super::*;
use crate::model::Routes;
use crate::model::sample::record;
use std::net::IpAddr;

/// A container with addresses on bridges, in a network namespace of its own.
fn at(name: &str, addresses: &[(&str, &str)]) -> Record {
    let on = |(text, bridge): &(&str, &str)| {
        Address::parse(text).unwrap().on(BridgeName::new(bridge).ok())
    };
    let mut record = record(name, "80", &[]);
    record.network = Network::Own(addresses.iter().map(on).collect());
    record.instance.netns = name.bytes().map(u64::from).sum();
    record
}

fn by(engine: Engine, record: Record) -> Record {
    Record { engine: Some(engine), ..record }
}

fn shown(recipient: &Record, source: &Record, routing: &Routing) -> Vec<String> {
    let pairs = Family::BOTH.into_iter().filter_map(|f| pair(recipient, source, f, routing));
    pairs
        .map(|Pair { ours, theirs, routed }| {
            format!("{} {}{}", ours.ip(), theirs.ip(), if routed { " routed" } else { "" })
        })
        .collect()
}

fn said(recipient: &Record, source: &Record) -> String {
    let gap = gap(recipient, source, &Routing::default()).unwrap();
    Cut::new(gap, End::of(recipient), End::of(source)).to_string()
}

#[test]
fn a_shared_network_comes_first_in_each_family() {
    let routing = Routing::default();
    let web = at("web", &[("10.0.0.2/24", "a"), ("10.1.0.2/24", "b"), ("fd00::2/64", "a")]);
    let db = at("db", &[("10.2.0.3/24", "c"), ("10.1.0.3/24", "b"), ("fd01::3/64", "c")]);
    assert_eq!(shown(&web, &db, &routing), ["10.1.0.2 10.1.0.3", "fd00::2 fd01::3 routed"]);
    assert_eq!(gap(&web, &db, &routing), None);
    // On Docker's networks nothing is routed: each family is judged alone.
    let [web, db] = [web, db].map(|record| by(Engine::Docker, record));
    assert_eq!(shown(&web, &db, &routing), ["10.1.0.2 10.1.0.3"]);
    assert_eq!(gap(&web, &db, &routing), None);
}

#[test]
fn addresses_of_single_hosts_and_of_unknown_places_are_routed() {
    let routing = Routing::default();
    for (ours, theirs) in [
        ("10.244.0.5/32", "10.244.0.6/32"),
        ("10.244.1.5/24", "10.244.2.6/24"),
        ("192.168.1.5/24", "10.0.0.3/16"),
    ] {
        let (web, db) = (at("web", &[(ours, "")]), at("db", &[(theirs, "")]));
        let [one, other] = [&web, &db].map(|it| it.network.addresses()[0].ip());
        assert_eq!(shown(&web, &db, &routing), [format!("{one} {other} routed")]);
        // A macvlan network of Docker is on no bridge, and no rule of Docker separates it.
        let [web, db] = [web, db].map(|record| by(Engine::Docker, record));
        assert_eq!(gap(&web, &db, &routing), None);
    }
}

#[test]
fn what_an_engine_separates_is_not_routed() {
    let web = |bridge| at("web", &[("10.1.0.2/24", bridge)]);
    let db = |bridge| at("db", &[("10.2.0.3/24", bridge)]);
    let of = |bridge: &str, separation| (BridgeName::new(bridge).unwrap(), separation);
    let separated = vec![
        of("podman1", Separation::FromSeparated),
        of("podman2", Separation::FromSeparated),
        of("podman3", Separation::FromAll),
        of("nerdctl0", Separation::FromSeparated),
        of("br-aaaaaaaaaaaa", Separation::FromSeparated),
        of("br-bbbbbbbbbbbb", Separation::Open),
    ];
    let routing = Routing { separated: SeparatedBridges(separated), ..Routing::default() };
    let cut = Some(Gap::Network);
    for (ours, theirs, expected) in [
        ("br0", "br1", None),
        ("docker0", "br0", cut),
        ("br0", "br-0123456789ab", cut),
        ("br0", "br-lan", None),
        ("podman0", "podman1", None),
        ("podman1", "podman2", cut),
        ("podman1", "podman3", cut),
        ("podman3", "podman0", cut),
        ("podman3", "", cut),
        ("podman1", "podman1", None),
        ("docker0", "docker0", None),
    ] {
        let found = gap(&web(ours), &db(theirs), &routing);
        assert_eq!(found, expected, "{ours} {theirs}");
        let back = gap(&db(theirs), &web(ours), &routing);
        assert_eq!(back, expected, "{theirs} {ours}");
    }
    for engine in [Engine::Docker, Engine::Nerdctl] {
        let named = by(engine, web("mine"));
        assert_eq!(gap(&named, &db("br1"), &routing), cut, "a bridge with a name of its own");
    }
    assert_eq!(gap(&by(Engine::Podman, web("mine")), &db("br1"), &routing), None);
    for (ours, theirs, expected) in [
        ("nerdctl0", "br-aaaaaaaaaaaa", cut),
        ("nerdctl0", "br-bbbbbbbbbbbb", None),
        ("br-bbbbbbbbbbbb", "br-bbbbbbbbbbbb", None),
        ("br-bbbbbbbbbbbb", "unknown", cut),
        ("br-bbbbbbbbbbbb", "", None),
    ] {
        let [web, db] = [web(ours), db(theirs)].map(|record| by(Engine::Nerdctl, record));
        assert_eq!(gap(&web, &db, &routing), expected, "{ours} {theirs}");
        assert_eq!(gap(&db, &web, &routing), expected, "{theirs} {ours}");
    }
    let docker = by(Engine::Docker, db("br-bbbbbbbbbbbb"));
    let named = by(Engine::Nerdctl, web("nerdctl0"));
    assert_eq!(gap(&named, &docker, &routing), cut, "that is another one's bridge");
}

/// The bridge of another network may have the same subnet.
#[test]
fn one_subnet_on_two_bridges_is_not_one_network() {
    let routing = Routing::default();
    let (web, db) = (at("web", &[("10.1.0.2/24", "a")]), at("db", &[("10.1.0.3/24", "b")]));
    assert_eq!(shown(&web, &db, &routing), ["10.1.0.2 10.1.0.3 routed"]);
    let [web, db] = [web, db].map(|record| by(Engine::Docker, record));
    assert_eq!(
        said(&web, &db),
        "web is on 10.1.0.0/24 (a), db on 10.1.0.0/24 (b): docker network connect NETWORK db"
    );
}

#[test]
fn without_a_route_or_forwarding_nothing_is_routed() {
    let (web, db) = (at("web", &[("10.1.0.2/24", "a")]), at("db", &[("10.2.0.3/24", "b")]));
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let routes = |of: &Record, networks: &[(&str, u8)]| Routes {
        netns: of.instance.netns,
        family: Family::V4,
        networks: networks.iter().map(|(network, prefix)| (ip(network), *prefix)).collect(),
    };
    let judge = |ours: &[(&str, u8)], theirs: &[(&str, u8)]| {
        let routes = vec![routes(&web, ours), routes(&db, theirs)];
        gap(&web, &db, &Routing { routes, ..Routing::default() })
    };
    let default = [("0.0.0.0", 0)];
    assert_eq!(judge(&default, &default), None);
    assert_eq!(judge(&[("10.1.0.0", 24)], &default), Some(Gap::Network));
    assert_eq!(judge(&default, &[("10.2.0.0", 24)]), Some(Gap::Network), "no way back");
    assert_eq!(judge(&[("10.2.0.0", 24)], &[("10.1.0.2", 32)]), None);
    let dark = |family| Routing { unforwarded: vec![family], ..Routing::default() };
    assert_eq!(gap(&web, &db, &dark(Family::V4)), Some(Gap::Network));
    assert_eq!(gap(&web, &db, &dark(Family::V6)), None);
    // Another router may be in between.
    let far = at("far", &[("10.2.0.3/24", "")]);
    assert_eq!(gap(&web, &far, &dark(Family::V4)), None);
}

#[test]
fn containers_without_addresses_or_of_one_namespace() {
    let routing = Routing::default();
    let (web, db) = (at("web", &[("10.1.0.2/24", "a")]), at("db", &[]));
    assert_eq!(gap(&web, &db, &routing), Some(Gap::SourceAddress));
    assert_eq!(gap(&db, &web, &routing), Some(Gap::RecipientAddress));
    let six = at("six", &[("fd00::3/64", "a")]);
    assert_eq!(gap(&web, &six, &routing), Some(Gap::Network), "no family in common");
    let mut peer = db.clone();
    peer.instance = web.instance.clone();
    assert_eq!(gap(&web, &peer, &routing), None, "a pod");
    assert!(!needs_routing(&web, &peer) && !needs_routing(&web, &db) && !needs_routing(&web, &six));
    assert!(needs_routing(&web, &at("far", &[("10.2.0.3/24", "b")])));
    assert!(!needs_routing(&web, &at("near", &[("10.2.0.3/24", "b"), ("10.1.0.3/24", "a")])));
}

#[test]
fn the_fix_is_a_command_of_the_engine() {
    let web = at("web", &[("172.18.0.2/16", "br-0123456789ab"), ("fd00::2/64", "br-0123456789ab")]);
    let db = at("mysql", &[("172.17.0.2/16", "docker0")]);
    let mut nowhere = at("mysql", &[]);
    nowhere.instance.netns = 1;
    let cause = "web is on 172.18.0.0/16 and fd00::/64, mysql on 172.17.0.0/16: ";
    let fix = |engine: Engine| {
        let [web, db, nowhere] = [&web, &db, &nowhere].map(|record| by(engine, (*record).clone()));
        let network = said(&web, &db).strip_prefix(cause).unwrap().to_owned();
        [network, said(&web, &nowhere), said(&nowhere, &db)]
    };
    assert_eq!(
        fix(Engine::Docker),
        [
            "docker network connect 0123456789ab mysql",
            "mysql has no address: docker network connect 0123456789ab mysql; if it has --network \
             none, first docker network disconnect none mysql",
            "mysql has no address: docker network connect bridge mysql; if it has --network none, \
             first docker network disconnect none mysql",
        ]
    );
    let web = at("web", &[("10.89.0.2/24", "podman1")]);
    let db = at("mysql", &[("fd00::3/64", "podman0")]);
    let [web, db] = [web, db].map(|record| by(Engine::Podman, record));
    assert_eq!(
        said(&web, &db),
        "web is on 10.89.0.0/24, mysql on fd00::/64: podman network connect NETWORK mysql"
    );
    assert_eq!(
        said(&db, &web),
        "mysql is on fd00::/64, web on 10.89.0.0/24: podman network connect podman web"
    );
    let other = by(Engine::Nerdctl, db.clone());
    assert!(said(&web, &other).ends_with(": connect both to one network"));
    let web = by(Engine::Nerdctl, web);
    assert!(
        said(&web, &other).ends_with(": create mysql again with: nerdctl run --network NETWORK")
    );
    let [web, nowhere] = [web, nowhere].map(|record| Record { engine: None, ..record });
    assert_eq!(said(&web, &nowhere), "mysql has no address: connect mysql to a network");
}

#[test]
fn a_long_list_of_networks_is_cut() {
    let many: Vec<String> = (0..9).map(|n| format!("10.{n}.0.2/24")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|text| (text.as_str(), "")).collect();
    let web = at("web", &many);
    assert_eq!(
        End::of(&web).networks(false),
        "10.0.0.0/24 and 10.1.0.0/24 and 10.2.0.0/24 and others"
    );
}
