//! Which connections go on when an isolation begins, and which ports it concerns.

use super::*;
use crate::model::sample::{port, record};
use crate::model::{BridgeName, Protocol};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn connection(client: &str, server: &str, port: u16) -> Tracked {
    let (client, server) = (ip(client), ip(server));
    let port = Some((Protocol::Tcp, port));
    Tracked { client, asked: server, server, port, is_published: false }
}

/// Whether a connection of 10.0.0.2 stays, whose port 80 is linked to by 10.0.0.3 and which is linked to
/// port 81 of 10.0.0.4. The host is 10.0.0.1.
fn goes_on(directions: Isolate, tracked: &Tracked) -> bool {
    let flow = |from, to, number: &str| Flow {
        from: ip(from),
        to: ip(to),
        ports: port(number),
        bridge: None,
    };
    let flows = [flow("10.0.0.3", "10.0.0.2", "80"), flow("10.0.0.2", "10.0.0.4", "81")];
    let permitted = FlowIndex::of(flows);
    let is_host = |address| address == ip("10.0.0.1");
    stays(tracked, (directions, &[ip("10.0.0.2")]), &permitted, is_host)
}

#[test]
fn connections_of_a_permitted_kind_go_on() {
    let [linked, own_link] =
        [connection("10.0.0.3", "10.0.0.2", 80), connection("10.0.0.2", "10.0.0.4", 81)];
    let [from_host, to_host] =
        [connection("10.0.0.1", "10.0.0.2", 9), connection("10.0.0.2", "10.0.0.1", 53)];
    let asked = ip("192.0.2.1");
    let published =
        Tracked { asked, is_published: true, ..connection("192.0.2.9", "10.0.0.2", 80) };
    for directions in [Isolate::In, Isolate::Out, Isolate::Both] {
        for tracked in [linked, own_link, from_host, to_host, published] {
            assert!(goes_on(directions, &tracked), "{directions} {tracked:?}");
        }
    }
}

#[test]
fn others_end_in_the_direction_that_is_limited() {
    let echo = Tracked { port: None, ..connection("10.0.0.9", "10.0.0.2", 0) };
    for comes in [
        connection("10.0.0.9", "10.0.0.2", 80),
        connection("10.0.0.3", "10.0.0.2", 81),
        connection("192.0.2.9", "10.0.0.2", 80),
        echo,
    ] {
        let all = [Isolate::In, Isolate::Out, Isolate::Both].map(|it| goes_on(it, &comes));
        assert_eq!(all, [false, true, false], "{comes:?}");
    }
    let asked = ip("10.0.0.1");
    let by_the_host =
        Tracked { asked, is_published: true, ..connection("10.0.0.2", "10.0.0.9", 80) };
    for goes in [
        connection("10.0.0.2", "10.0.0.9", 80),
        connection("10.0.0.2", "10.0.0.4", 80),
        connection("10.0.0.2", "192.0.2.9", 443),
        by_the_host,
    ] {
        let all = [Isolate::In, Isolate::Out, Isolate::Both].map(|it| goes_on(it, &goes));
        assert_eq!(all, [true, false, false], "{goes:?}");
    }
}

#[test]
fn each_port_has_a_key_for_each_direction() {
    let mut web = record("web", "", &["10.0.0.2/24"]);
    assert!(keys(&web).is_empty());
    let bridge = BridgeName::new("br0").unwrap();
    let ports = vec![BridgePort { index: 3, bridge }, BridgePort { index: 5, bridge }];
    let mut of = |directions| {
        web.isolation = Some(Isolation { directions, ports: ports.clone() });
        keys(&web)
    };
    assert_eq!(of(Isolate::In), [Key::IsolatedIn(3), Key::IsolatedIn(5)]);
    assert_eq!(of(Isolate::Out), [Key::IsolatedOut(3), Key::IsolatedOut(5)]);
    assert_eq!(of(Isolate::Both).len(), 4);
}

#[test]
fn no_backend_is_a_lack() {
    assert!(lack(BackendName::None).is_some_and(|lack| lack.contains("firewall.backend")));
}
