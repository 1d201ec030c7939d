//! Lists, ranges and bounds.

use super::*;

fn list(value: &str) -> Option<Vec<String>> {
    PortSet::parse(value).ok().map(|ports| ports.iter().map(|port| port.to_string()).collect())
}

#[test]
fn lists_and_ranges() {
    let ports = list("3306/tcp, 33060\t7000-7002/UDP,7001/udp 53/sctp").unwrap_or_default();
    assert_eq!(ports, ["53/sctp", "3306/tcp", "7000-7002/udp", "33060/tcp"]);
    assert_eq!(list("none"), Some(vec![]));
    assert_eq!(list(""), Some(vec![]));
}

#[test]
fn ranges_that_overlap_are_one_and_neighbours_stay() {
    for (ports, expected) in [
        ("80,70-90", &["70-90/tcp"][..]),
        ("70-90,80-100,100/tcp", &["70-100/tcp"]),
        ("70-90,80/udp", &["70-90/tcp", "80/udp"]),
        ("80,80/tcp,80-80", &["80/tcp"]),
        ("81,80,82-90", &["80/tcp", "81/tcp", "82-90/tcp"]),
        ("1-65535", &["1-65535/tcp"]),
        ("1-65535,65535/tcp,1", &["1-65535/tcp"]),
    ] {
        assert_eq!(list(ports).unwrap_or_default(), expected, "{ports}");
    }
}

#[test]
fn a_long_run_of_single_ports_is_one_range() {
    let run = |last: u16| {
        let all: Vec<String> = (100..=last).map(|number| format!("{number}/udp")).collect();
        all.join(",")
    };
    assert_eq!(list(&run(115)).map(|ports| ports.len()), Some(16));
    assert_eq!(list(&run(116)), Some(vec!["100-116/udp".to_owned()]));
    let with_tcp = format!("{},100", run(116));
    assert_eq!(list(&with_tcp), Some(vec!["100/tcp".to_owned(), "100-116/udp".to_owned()]));
    assert_eq!(list(&run(60_000)).map(|ports| ports.len()), Some(1));
}

#[test]
fn runs_are_written_as_ranges() {
    for (ports, written) in [
        ("none", ""),
        ("3306,53/udp", "53/udp,3306/tcp"),
        ("80-82,81/udp,84", "80-82/tcp,81/udp,84/tcp"),
        ("80,81,82-83", "80-83/tcp"),
        ("65534-65535/sctp", "65534-65535/sctp"),
    ] {
        let set = PortSet::parse(ports);
        assert_eq!(set.as_ref().map(ToString::to_string).as_deref(), Ok(written));
        let again = PortSet::parse(written);
        assert_eq!(again.as_ref().map(ToString::to_string).as_deref(), Ok(written));
        assert_eq!(again.map(|set| set.count()), set.map(|set| set.count()), "{ports}");
    }
}

#[test]
fn a_set_covers_what_one_of_its_ranges_has() {
    let set = PortSet::parse("70-90,53/udp").unwrap_or_default();
    let covers = |text| PortRange::parse(text).is_ok_and(|range| set.covers(range));
    for (text, expected) in [
        ("70-90", true),
        ("80", true),
        ("53/udp", true),
        ("69-80", false),
        ("80-91", false),
        ("80/udp", false),
        ("53/tcp", false),
    ] {
        assert_eq!(covers(text), expected, "{text}");
    }
}

#[test]
fn protocols_go_by_the_numbers_that_packets_carry() {
    for (protocol, number) in [(Protocol::Tcp, 6), (Protocol::Udp, 17), (Protocol::Sctp, 132)] {
        assert_eq!(protocol.number(), number);
        assert_eq!(Protocol::from_number(number), Some(protocol));
    }
    assert_eq!(Protocol::from_number(1), None, "that is icmp");
}

#[test]
fn what_is_not_a_port() {
    for bad in
        ["0", "65536", "+80", "-1", "80/icmp", "80/", "2-1", "1-", "a", "80\0", "0-1", "1-65536"]
    {
        assert_eq!(list(bad), None, "{bad}");
    }
    assert_eq!(PortRange::new(0, 1, Protocol::Tcp), None);
    assert_eq!(PortRange::new(2, 1, Protocol::Tcp), None);
}

/// Every second port: no two are neighbours.
fn scattered(count: u16) -> Vec<PortRange> {
    (1..=count).filter_map(|n| PortRange::single(2 * n, Protocol::Tcp)).collect()
}

#[test]
fn the_bound_counts_ranges() {
    let text = |count| {
        let all: Vec<_> = scattered(count).iter().map(ToString::to_string).collect();
        all.join(",")
    };
    assert_eq!(list(&text(4096)).map(|ports| ports.len()), Some(4096));
    assert_eq!(list(&text(4097)), None);
    let (set, left_out) = PortSet::fitting(scattered(5000));
    assert_eq!((set.0.len(), left_out), (4096, 904));
    assert_eq!(set.0.first().copied(), PortRange::single(2, Protocol::Tcp));
    let (set, left_out) = PortSet::fitting(scattered(4096));
    assert_eq!((set.0.len(), left_out), (4096, 0));
}

/// Runs of three, which would stay apart, but are too many.
#[test]
fn what_would_be_too_many_is_joined_to_the_last() {
    let numbers = (1..=5000_u16).filter(|number| number % 4 != 0);
    let set: PortSet = numbers.filter_map(|n| PortRange::single(n, Protocol::Tcp)).collect();
    assert_eq!((set.0.len(), set.count()), (3750, 3750), "they fit as they are");
    let numbers = (1..=8000_u16).filter(|number| number % 4 != 0);
    let set: PortSet = numbers.filter_map(|n| PortRange::single(n, Protocol::Tcp)).collect();
    assert_eq!((set.0.len(), set.count()), (2000, 6000));
}
