//! Tests of the formats: what the specification shows, every bound, and any value there and back.

use super::*;
use proptest::prelude::*;

const OFFER: &str = r#"{"v":1,"host":"b","id":"6f","run":"4be1c07d9a22e310","name":"mysql","names":["shop-db-1"],"hostname":"db1","addresses":["10.10.2.2"],"ports":["3306/tcp"],"to":"all","guests":["a/90c2f1be77d0aa14"]}"#;
const WANT: &str = r#"{"v":1,"host":"a","id":"03","run":"90c2f1be77d0aa14","name":"web","addresses":["10.10.1.2"],"sources":[{"host":"b","id":"6f","run":"4be1c07d9a22e310"}]}"#;
const VIEW: &str = r#"{"v":1,"boot":"2f0c1111-2222-3333-4444-555566667777","fresh_ms":81234567,"by":"etcd 3.5.30 rev 1841","published":true,"problem":null}"#;

/// What is replaced, the bound, and how to make an item.
type Item<'a> = (&'a str, usize, &'a dyn Fn(usize) -> String);

fn with(text: &str, from: &str, to: &str) -> Vec<u8> {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn the_examples_are_read_and_written() {
    let read = offer(OFFER.as_bytes()).unwrap();
    assert_eq!((read.name.as_str(), read.source.host.as_str()), ("mysql", "b"));
    assert_eq!((read.to.clone(), read.guests.len()), (Share::All, 1));
    assert_eq!(String::from_utf8(offer_bytes(&read).unwrap()).unwrap(), OFFER);
    let read = want(WANT.as_bytes()).unwrap();
    assert_eq!(read.sources[0].host.as_str(), "b");
    assert_eq!(String::from_utf8(want_bytes(&read).unwrap()).unwrap(), WANT);
    let read = view(VIEW.as_bytes()).unwrap();
    assert_eq!((read.fresh_ms, read.boot >> 112), (81_234_567, 0x2f0c));
    assert_eq!(String::from_utf8(view_bytes(&read).unwrap()).unwrap(), VIEW);
    let host = HostName::new("b").unwrap();
    assert_eq!(presence(&presence_bytes(&host, "x").unwrap()), Ok(host));
}

#[test]
fn what_is_optional_may_be_missing_or_null() {
    let short = r#"{"v":1,"host":"b","id":"x","run":"4be1c07d9a22e310","name":"m","hostname":null,"addresses":["fd00::2"],"ports":[],"to":["a","c"]}"#;
    let short = offer(short.as_bytes()).unwrap();
    assert_eq!((short.names.len(), short.hostname, short.guests.len()), (0, None, 0));
    assert_eq!(short.to, Share::parse("a,c").unwrap());
    let hand_made = r#"{"v":1,"boot":"2f0c1111-2222-3333-4444-555566667777","fresh_ms":1}"#;
    let view = view(hand_made.as_bytes()).unwrap();
    assert_eq!((view.published, view.problem, view.by.as_str()), (true, None, ""));
}

#[test]
fn unknown_keys_are_ignored_and_known_ones_are_not() {
    let more = with(OFFER, "{\"v\":1", "{\"v\":1,\"later\":{\"x\":[1.5,null]},\"env\":\"A=1\"");
    assert_eq!(offer(&more), offer(OFFER.as_bytes()));
    for (from, to, why) in [
        ("\"v\":1", "\"v\":2", "v: want version 1"),
        ("\"v\":1", "\"v\":\"1\"", "v: want"),
        ("\"v\":1", "\"v\":1.0", "v: want"),
        ("\"v\":1,", "", "v: is missing"),
        ("\"v\":1", "\"v\":1,\"v\":1", "twice"),
        ("\"name\"", "\"name\":\"x\",\"name\"", "twice"),
        ("\"host\":\"b\"", "\"host\":\"B\"", "host: host"),
        ("\"host\":\"b\"", "\"host\":7", "host: want a string"),
        ("\"id\":\"6f\"", "\"id\":\"\"", "id: container id"),
        ("\"id\":\"6f\"", "\"id\":\"a/b\"", "id: container id"),
        ("\"id\":\"6f\"", "\"id\":\"..\"", "id: container id"),
        ("4be1c07d9a22e310", "4BE1C07D9A22E310", "run: owner tag"),
        ("4be1c07d9a22e310", "4be1c07d9a22e31", "run: owner tag"),
        ("\"name\":\"mysql\"", "\"name\":\"a b\"", "name: container name"),
        ("\"name\":\"mysql\",", "", "name: is missing"),
        ("[\"shop-db-1\"]", "[\"\\n\"]", "names: container name"),
        ("[\"shop-db-1\"]", "\"shop-db-1\"", "names: want an array"),
        ("\"db1\"", "\"d b\"", "hostname: host name"),
        ("[\"10.10.2.2\"]", "[\"10.10.2.2/24\"]", "addresses: want"),
        ("[\"10.10.2.2\"]", "[]", "addresses: want 1 to 16"),
        ("[\"10.10.2.2\"]", "{}", "addresses: want an array"),
        ("3306/tcp", "3306", "ports: want NUMBER/tcp"),
        ("3306/tcp", "0/tcp", "ports: port"),
        ("3306/tcp", "03306/tcp", "ports: want NUMBER"),
        ("3306/tcp", "3306/TCP", "ports: want NUMBER"),
        ("3306/tcp", "3306-3307/tcp", "ports: want NUMBER"),
        ("3306/tcp", "3306/icmp", "ports: port"),
        ("\"all\"", "\"none\"", "to: want"),
        ("\"all\"", "[\"A\"]", "to: host"),
        ("\"to\":\"all\",", "", "to: is missing"),
        ("a/90c2", "a90c2", "guests: want HOST/RUN"),
        ("a/90c2", "A/90c2", "guests: host"),
    ] {
        let error = offer(&with(OFFER, from, to)).unwrap_err();
        assert!(error.contains(why) && !error.contains('\n'), "{to}: {error}");
    }
    for (from, to) in [
        ("\"sources\":[{", "\"sources\":[7,{"),
        (
            "\"run\":\"4be1c07d9a22e310\"}",
            "\"run\":\"4be1c07d9a22e310\",\"run\":\"4be1c07d9a22e310\"}",
        ),
        (",\"run\":\"4be1c07d9a22e310\"}", "}"),
        ("\"host\":\"b\",\"id\"", "\"host\":\"b.\",\"id\""),
    ] {
        assert!(want(&with(WANT, from, to)).is_err(), "{to}");
    }
    for (from, to) in [
        ("2f0c1111-", "2f0c1111"),
        ("2f0c1111-2222", "2f0c1111-2z22"),
        ("81234567", "-1"),
        ("81234567", "1.5"),
        ("81234567", "18446744073709551616"),
        ("\"fresh_ms\":81234567,", ""),
        ("true", "\"yes\""),
        ("null", "7"),
    ] {
        assert!(view(&with(VIEW, from, to)).is_err(), "{to}");
    }
    for junk in [&b""[..], b"[]", b"7", b"null", b"{}", b"\xff\xfe", b"{\"v\":1}", b"[1,2,3,4,5]"] {
        assert!(offer(junk).is_err() && want(junk).is_err() && presence(junk).is_err());
        assert!(view(junk).is_err());
    }
}

#[test]
fn every_list_has_its_bound() {
    let many = |count: usize, item: &dyn Fn(usize) -> String| {
        let items: Vec<String> = (1..=count).map(item).collect();
        format!("[{}]", items.join(","))
    };
    let lists: [Item<'_>; 5] = [
        ("[\"shop-db-1\"]", 8, &|n| format!("\"n{n}\"")),
        ("[\"10.10.2.2\"]", 16, &|n| format!("\"10.10.2.{n}\"")),
        ("[\"3306/tcp\"]", 1024, &|n| format!("\"{n}/udp\"")),
        ("\"all\"", 256, &|n| format!("\"h{n}\"")),
        ("[\"a/90c2f1be77d0aa14\"]", 512, &|n| format!("\"a/{n:016x}\"")),
    ];
    for (from, most, item) in lists {
        assert!(offer(&with(OFFER, from, &many(most, item))).is_ok(), "{from}");
        assert!(offer(&with(OFFER, from, &many(most + 1, item))).is_err(), "{from}");
    }
    let source = |n: usize| format!(r#"{{"host":"b","id":"i{n}","run":"{n:016x}"}}"#);
    let old = r#"[{"host":"b","id":"6f","run":"4be1c07d9a22e310"}]"#;
    assert!(want(&with(WANT, old, &many(256, &source))).is_ok());
    assert!(want(&with(WANT, old, &many(257, &source))).is_err());
    let id = |length: usize| with(OFFER, "\"6f\"", &format!("\"{}\"", "x".repeat(length)));
    assert!(offer(&id(180)).is_ok() && offer(&id(181)).is_err());
    let long = with(OFFER, "\"v\":1", &format!("\"v\":1,\"x\":\"{}\"", "x".repeat(64 << 10)));
    assert!(offer(&long).unwrap_err().contains("64 KiB"));
}

#[test]
fn what_others_would_refuse_is_not_written() {
    let read = || offer(OFFER.as_bytes()).unwrap();
    let unchanged = read();
    assert!(offer_bytes(&unchanged).is_some());
    for share in [Share::None, Share::parse("c").unwrap()] {
        let is_shared = share != Share::None;
        assert_eq!(offer_bytes(&Offer { to: share, ..read() }).is_some(), is_shared);
    }
    assert!(offer_bytes(&Offer { addresses: Vec::new(), ..read() }).is_none());
    for (ports, fits) in [("1-1024", true), ("1-1025", false), ("1-65535/udp", false)] {
        let ports = PortSet::parse(ports).unwrap();
        assert_eq!(offer_bytes(&Offer { ports, ..read() }).is_some(), fits);
    }
    for id in [&"x".repeat(181), ".hidden"] {
        let source = PeerRun { id: ContainerId::new(id).unwrap(), ..read().source };
        assert!(offer_bytes(&Offer { source, ..read() }).is_none(), "{id}");
    }
    let range = Offer { ports: PortSet::parse("7000-7002").unwrap(), ..read() };
    let text = String::from_utf8(offer_bytes(&range).unwrap()).unwrap();
    assert!(text.contains(r#"["7000/tcp","7001/tcp","7002/tcp"]"#), "{text}");
}

#[test]
fn a_courier_that_has_just_begun_says_why_nothing_is_heard() {
    let begun = with(VIEW, "81234567", "null");
    assert_eq!(view(&begun).unwrap_err(), "nothing heard yet");
    let begun = String::from_utf8(begun).unwrap();
    let failing = with(&begun, "\"problem\":null", "\"problem\":\"no endpoint\\nanswers\"");
    assert_eq!(view(&failing).unwrap_err(), "nothing heard yet: no endpoint answers");
}

#[test]
fn a_view_is_one_line() {
    let noisy = with(VIEW, "etcd 3.5.30", "a\\nb\\u001b[2J");
    assert_eq!(view(&noisy).unwrap().by, "a b [2J rev 1841");
    let long = with(VIEW, "null", &format!("\"{}\"", "é".repeat(5000)));
    assert_eq!(view(&long).unwrap().problem.unwrap().chars().count(), 200);
}

fn host_name() -> impl Strategy<Value = HostName> {
    "[a-z0-9]([a-z0-9.-]{0,8}[a-z0-9])?".prop_map(|text| HostName::new(&text).unwrap())
}

fn tag() -> impl Strategy<Value = OwnerTag> {
    "[0-9a-f]{16}".prop_map(|text| OwnerTag::parse(&text).unwrap())
}

fn peer_run() -> impl Strategy<Value = PeerRun> {
    let id = "[a-zA-Z0-9_][ -~&&[^/]]{0,20}".prop_map(|text| ContainerId::new(&text).unwrap());
    (host_name(), id, tag()).prop_map(|(host, id, run)| PeerRun { host, id, run })
}

fn name() -> impl Strategy<Value = ContainerName> {
    "[a-zA-Z0-9_][a-zA-Z0-9_.+-]{0,20}".prop_map(|text| ContainerName::new(&text).unwrap())
}

fn addresses_of() -> impl Strategy<Value = Vec<IpAddr>> {
    prop::collection::btree_set(any::<IpAddr>(), 1..16).prop_map(|all| all.into_iter().collect())
}

fn offers() -> impl Strategy<Value = Offer> {
    let ports = prop::collection::vec(
        ("[1-9][0-9]{0,3}", prop::sample::select(vec!["tcp", "udp", "sctp"])),
        0..12,
    );
    let ports = ports.prop_map(|all| {
        let all: Vec<String> = all.iter().map(|(number, of)| format!("{number}/{of}")).collect();
        PortSet::parse(&all.join(",")).unwrap()
    });
    let guests = (host_name(), tag()).prop_map(|(host, run)| Guest { host, run });
    let to = prop_oneof![
        Just(Share::All),
        prop::collection::vec(host_name(), 0..4).prop_map(|hosts| Share::only(hosts).unwrap())
    ];
    let names = (name(), prop::collection::vec(name(), 0..8));
    (peer_run(), names, addresses_of(), ports, to, prop::collection::vec(guests, 0..4)).prop_map(
        |(source, (name, names), addresses, ports, to, guests)| {
            let hostname = Hostname::new("db1").ok().filter(|_| guests.len() != 2);
            Offer { source, name, names, hostname, addresses, ports, to, guests }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_offer_is_read_as_it_was_written(value in offers()) {
        prop_assert_eq!(offer(&offer_bytes(&value).unwrap()), Ok(value));
    }

    #[test]
    fn a_want_is_read_as_it_was_written(
        recipient in peer_run(),
        name in name(),
        addresses in addresses_of(),
        sources in prop::collection::vec(peer_run(), 1..6),
    ) {
        let value = Want { recipient, name, addresses, sources };
        prop_assert_eq!(want(&want_bytes(&value).unwrap()), Ok(value));
    }

    #[test]
    fn a_view_is_read_as_it_was_written(
        boot: u128, fresh_ms: u64, published: bool, by in "[ -~]{0,40}", problem in prop::option::of("[ -~é]{0,40}"),
    ) {
        let value = View { boot, fresh_ms, by, published, problem };
        prop_assert_eq!(view(&view_bytes(&value).unwrap()), Ok(value));
    }
}
