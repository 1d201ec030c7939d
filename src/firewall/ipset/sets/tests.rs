//! The entries of flows, and the rules that match them.

use super::*;
use crate::model::sample::port;

fn flow(from: &str, to: &str, ports: &str, bridge: &str) -> Flow {
    let ports = port(ports);
    let [from, to] = [from, to].map(|ip| ip.parse().unwrap());
    Flow { from, to, ports, bridge: BridgeName::new(bridge).ok().map(OnBridge::from) }
}

#[test]
fn a_bound_flow_takes_a_seat_too_and_says_so_again() {
    let flows = [
        flow("10.0.0.2", "10.0.0.3", "80", "br0"),
        flow("10.0.0.2", "10.0.0.3", "81", "br0"),
        flow("10.0.0.2", "10.0.1.3", "80", ""),
        flow("fd00::2", "fd00::3", "80", "br1"),
        flow("fd00::2", "fd00:1::3", "80", ""),
    ];
    let all = SetEntry::all(&flows);
    let shown: Vec<String> = all.iter().map(SetEntry::show).collect();
    let expected = [
        "add oci-link4 10.0.0.2,tcp:80,10.0.0.3",
        "add oci-link4 10.0.0.2,tcp:81,10.0.0.3",
        "add oci-link4-routed 10.0.0.2,tcp:80,10.0.1.3",
        "add oci-link6 fd00::2,tcp:80,fd00::3",
        "add oci-link6-routed fd00::2,tcp:80,fd00:1::3",
        "add oci-link4-at 10.0.0.2,br0",
        "add oci-link6-at fd00::2,br1",
    ];
    assert_eq!(shown, expected);

    let mut seats: HashMap<_, Vec<_>> = HashMap::new();
    for (ip, bridge) in all.iter().filter_map(SetEntry::as_seat) {
        seats.entry(ip).or_default().push(bridge);
    }
    let again: Vec<Flow> =
        all.iter().flat_map(|entry| entry.as_flows(&seats, &HashMap::new())).collect();
    assert_eq!(again, flows);
    let unseated = all[0].as_flows(&HashMap::new(), &HashMap::new());
    assert_eq!(unseated, [Flow { bridge: None, ..flows[0] }], "it would with any seat");
    let recipients: HashSet<_> = all.iter().map(SetEntry::recipient).collect();
    assert_eq!(recipients, flows.iter().map(|flow| flow.from).collect());
}

#[test]
fn a_range_is_an_entry_for_each_port_once() {
    let (from, to) = ("10.0.0.2", "10.0.0.3");
    let flows = [flow(from, to, "80", ""), flow(from, to, "79-82", "")];
    let shown: Vec<String> = SetEntry::all(&flows).iter().map(SetEntry::show).collect();
    let expected = [80, 79, 81, 82]
        .map(|number| format!("add oci-link4-routed 10.0.0.2,tcp:{number},10.0.0.3"));
    assert_eq!(shown, expected);
    assert_eq!(SetEntry::all(&[flow(from, to, "1-65535", "")]).len(), 65_535);
}

#[test]
fn many_neighbours_are_read_as_a_range() {
    let (from, to) = ("10.0.0.2", "10.0.0.3");
    let wide = [flow(from, to, "1000-1016", "br0"), flow(from, to, "1000-1016", "")];
    let few = [flow(from, to, "80", ""), flow(from, to, "81", ""), flow(to, from, "82", "")];
    let each: Vec<Flow> = wide
        .iter()
        .flat_map(|wide| {
            let single = |number: u16| flow(from, to, &number.to_string(), "");
            wide.ports.numbers().rev().map(move |n| Flow { bridge: wide.bridge, ..single(n) })
        })
        .chain(few)
        .collect();
    let mut found = with_ranges(&each);
    found.sort_by_key(ToString::to_string);
    let mut expected = [&wide[..], &few].concat();
    expected.sort_by_key(ToString::to_string);
    assert_eq!(found, expected);
}

#[test]
fn a_flow_between_hosts_takes_the_end_on_this_one() {
    let between = |crossing, ports| {
        let flow = flow("10.10.1.2", "10.10.2.2", ports, "br0");
        Flow { bridge: flow.bridge.map(|on| OnBridge { crossing, ..on }), ..flow }
    };
    for (crossing, set, end) in
        [(Crossing::Leaves, "leaves", "10.10.1.2"), (Crossing::Enters, "enters", "10.10.2.2")]
    {
        let all = SetEntry::all(&[between(crossing, "80-81")]);
        let shown: Vec<String> = all.iter().map(SetEntry::show).collect();
        let expected = [
            format!("add oci-link4-{set} 10.10.1.2,tcp:80,10.10.2.2"),
            format!("add oci-link4-{set} 10.10.1.2,tcp:81,10.10.2.2"),
            format!("add oci-link4-ends {end},br0"),
        ];
        assert_eq!(shown, expected);
        let mut ends = Bridges::new();
        for (ip, bridge) in all.iter().filter_map(SetEntry::as_end) {
            ends.entry(ip).or_default().push(bridge);
        }
        let again: Vec<Flow> =
            all.iter().flat_map(|entry| entry.as_flows(&Bridges::new(), &ends)).collect();
        assert_eq!(again, [between(crossing, "80"), between(crossing, "81")]);
    }
}
