//! Addresses of running containers change. Rules and hosts lines follow at the next look: `sync`, `watch`,
//! or the start of a container that the change concerns.

use super::{call, host_with, in_pod_of, knows};
use crate::{
    backends::each_backend,
    cast::{end, inspect, permissions, recipient, source},
    support::{Container, Host, OPEN, Proto, SECOND_BRIDGE, SHUT},
};
use oci_link::testing::BackendName;
use std::{net::IpAddr, process::Command, time::Duration};

const PORT: u16 = 3306;
/// A number that no container of a test has.
const NEW: u8 = 200;

/// Whether a rule or an element of a set names one of these addresses.
fn is_named(host: &Host, addresses: [IpAddr; 2]) -> bool {
    let text = permissions(host).join("\n");
    let words = text.split(|c: char| !c.is_ascii_hexdigit() && c != '.' && c != ':');
    let is_one = |word: &str| addresses.iter().any(|ip| word == ip.to_string());
    // An ipset writes `ADDRESS,tcp:PORT,ADDRESS`.
    words.map(|word| word.trim_matches(':')).any(is_one)
}

fn recorded(host: &Host, name: &str) -> Vec<IpAddr> {
    serde_json::from_value(inspect(host, name)["addresses"].clone()).expect("addresses")
}

#[track_caller]
fn assert_well(host: &Host) {
    assert_eq!(call(host, "sync --check").ended(0), "");
}

/// `sync --check` reports these containers, `sync` repairs them, and then all is well.
#[track_caller]
fn assert_followed(host: &Host, moved: &[&str]) {
    let told = call(host, "sync --check").ended(13);
    for name in moved {
        let finding = format!("container {name} ({name}): its addresses have changed\n");
        assert!(told.contains(&finding), "no {finding:?} in\n{told}");
    }
    assert_eq!(told.lines().count(), moved.len() + 1, "{told}");
    let repaired = call(host, "sync").ended(0);
    assert_eq!(repaired.lines().count(), moved.len(), "{repaired}");
    assert_well(host);
}

each_backend! {
    fn n27_links_follow_a_source_that_moved(backend) {
        let host = host_with(backend);
        let mut db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        assert!(is_named(&host, db.addresses()) && is_named(&host, web.addresses()));
        assert_well(&host);
        let old = db.addresses();
        db.renumber(NEW);
        let doctor = call(&host, "doctor").said();
        assert!(doctor.contains("container db (db): its addresses have changed"), "{doctor}");
        assert_followed(&host, &["db"]);
        assert_eq!(recorded(&host, "db"), db.addresses());
        assert!(knows(&web, "db", &db), "{}", web.hosts());
        assert!(!is_named(&host, old), "{:?}", permissions(&host));
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
        assert_eq!(web.reach(&db, Proto::Tcp, PORT + 1), SHUT);
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn n27_links_follow_a_recipient_that_moved(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let mut web = recipient(&host, "web", "db");
        let (old, number) = (web.addresses(), web.number());
        web.renumber(NEW);
        assert_followed(&host, &["web"]);
        assert!(!is_named(&host, old), "{:?}", permissions(&host));
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
        let successor = host.container("successor").number(number).hooks().build();
        successor.run().ok();
        assert_eq!(successor.reach(&db, Proto::Tcp, PORT), SHUT);
        [&successor, &web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// A container with an address that is free again inherits no link, and keeps no link from being made.
    fn h06_an_address_that_is_free_again_is_inherited_without_links(backend) {
        for of_source in [true, false] {
            let host = host_with(backend);
            let mut db = source(&host, "db", "3306");
            let mut web = recipient(&host, "web", "db");
            let mover = if of_source { &mut db } else { &mut web };
            let number = mover.number();
            mover.renumber(NEW);
            let successor = host.container("successor").number(number).annotate("ports", "3306");
            let successor = successor.hooks().build();
            successor.run().ok();
            assert!(!is_named(&host, successor.addresses()), "{:?}", permissions(&host));
            assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
            let (from, to) = if of_source { (&web, &successor) } else { (&successor, &db) };
            assert_eq!(from.reach(to, Proto::Tcp, PORT), SHUT);
            assert_well(&host);
            [&successor, &web, &db].into_iter().for_each(end);
            host.assert_nothing_left();
        }
    }

    fn a_recipient_finds_a_source_where_it_is_now(backend) {
        let host = host_with(backend);
        let mut db = source(&host, "db", "3306");
        let early = recipient(&host, "early", "db");
        let old = db.addresses();
        db.renumber(NEW);
        let web = recipient(&host, "web", "db");
        assert!(web.environ().contains(&format!("DB_PORT_3306_TCP_ADDR={}", db.addresses()[0])));
        for recipient in [&early, &web] {
            assert!(knows(recipient, "db", &db), "{}", recipient.hosts());
            assert_eq!(recipient.reach(&db, Proto::Tcp, PORT), OPEN);
        }
        assert!(!is_named(&host, old), "{:?}", permissions(&host));
        assert_well(&host);
        [&web, &early, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn a_source_that_loses_its_addresses_is_waited_for(backend) {
        let host = host_with(backend);
        let mut db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        db.ip("addr flush dev eth0 scope global");
        assert_followed(&host, &["db"]);
        assert!(!web.hosts().contains("\tdb"), "{}", web.hosts());
        assert_eq!(permissions(&host), [""; 0]);
        // And it gets others later.
        db.renumber(NEW);
        assert_followed(&host, &["db"]);
        assert!(knows(&web, "db", &db), "{}", web.hosts());
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// `docker network connect`: the recipient is on the second network only.
    fn n28_a_network_that_was_connected_later(backend) {
        let host = host_with(backend);
        host.lay_second_bridge();
        let db = source(&host, "db", "3306");
        host.plug_into_second(&db);
        let web = host.container("web").annotate("links", "db").hooks().build();
        host.plug_into_second(&web);
        web.unplug();
        web.run().ok();
        let number = db.number();
        let hosts = web.hosts();
        assert!(hosts.contains(&format!("10.78.0.{number}\tdb")), "{hosts}");
        let flows = inspect(&host, "web")["flows"].clone();
        let flows = flows.as_array().expect("a list");
        assert!(flows.iter().all(|flow| flow["bridge"] == SECOND_BRIDGE), "{flows:?}");
        assert_eq!(flows.len(), 2, "{flows:?}");
        assert_eq!(recorded(&host, "db").len(), 4);
        assert_well(&host);
        // And disconnected again.
        db.ip("link del eth1");
        assert_followed(&host, &["db"]);
        assert!(!web.hosts().contains(&format!("10.78.0.{number}\tdb")), "{}", web.hosts());
        assert_eq!(recorded(&host, "db"), db.addresses());
    }
}

/// Docker inside two pods that are linked with each other, on a host with Docker. Its bridges are no
/// addresses of the pods, neither before nor after their start.
#[test]
fn h07_bridges_inside_of_two_pods() {
    let host = host_with(BackendName::Iptables);
    let docker0 = "link add docker0 type bridge
                   addr add 172.17.0.1/16 dev docker0
                   link set docker0 up";
    host.run(Command::new("ip").args(["link", "add", "docker0", "type", "bridge"])).ok();
    host.run(Command::new("ip").args(["addr", "add", "172.17.0.1/16", "dev", "docker0"])).ok();
    let db = source(&host, "db", "3306");
    db.ip(docker0);
    assert_well(&host);
    let web = host.container("web").annotate("links", "db").hooks().build();
    web.ip(docker0);
    web.run().ok();
    let second = in_pod_of(&web, host.container("second").annotate("links", "db"));
    assert!(!is_named(&host, ["172.17.0.1", "172.17.0.1"].map(|ip| ip.parse().expect("one"))));
    for name in ["web", "second"] {
        assert_eq!(recorded(&host, name), web.addresses());
    }
    assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
    assert_well(&host);
    [&second, &web, &db].into_iter().for_each(end);
    host.assert_nothing_left();
}

/// A source gave itself the address of a neighbour: links lead to its own.
#[test]
fn h06_the_address_of_a_neighbour_comes_first() {
    for neighbour_first in [true, false] {
        let host = host_with(BackendName::Iptables);
        let neighbour = host.container("neighbour").hooks().build();
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        let [v4, v6] = neighbour.addresses();
        let [own4, own6] = db.addresses();
        db.ip(&format!(
            "addr flush dev eth0 scope global
             addr add {v4}/24 dev eth0
             addr add {own4}/24 dev eth0
             addr add {own6}/64 dev eth0 nodad
             addr add {v6}/64 dev eth0 nodad"
        ));
        let both = if neighbour_first { [&neighbour, &db] } else { [&db, &neighbour] };
        for container in both {
            container.run().ok();
        }
        let web = recipient(&host, "web", "db");
        assert!(!is_named(&host, neighbour.addresses()), "{:?}", permissions(&host));
        assert!(knows(&web, "db", &db), "{}", web.hosts());
        assert_well(&host);
        [&web, &db, &neighbour].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

/// A packet of either would pass.
#[test]
fn n78_a_link_waits_while_its_source_has_the_address_of_the_recipient() {
    let host = host_with(BackendName::Nftables);
    let mut db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    let ([v4, v6], number) = (web.addresses(), db.number());
    let change = format!("addr flush dev eth0 scope global\naddr add {v4}/24 dev eth0");
    db.ip(&format!("{change}\naddr add {v6}/64 dev eth0 nodad"));
    assert_followed(&host, &["db"]);
    let listed = call(&host, "ls").ended(0);
    assert!(listed.contains("(waiting: another container has its address)"), "{listed}");
    assert!(!is_named(&host, web.addresses()), "{:?}", permissions(&host));
    db.renumber(number);
    assert_followed(&host, &["db"]);
    assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
    [&web, &db].into_iter().for_each(end);
    host.assert_nothing_left();
}

/// At most 64 addresses count, and no start waits for the others.
#[test]
fn n67_ten_thousand_addresses() {
    let host = host_with(BackendName::Nftables);
    let limit = Duration::from_secs(5);
    let many = |container: &Container, count: u32| {
        let one = |n| format!("addr add 10.90.{}.{}/16 dev eth0\n", n / 250, n % 250);
        container.ip(&(0..count).map(one).collect::<String>());
    };
    let db = source(&host, "db", "3306");
    many(&db, 10_000);
    let second = in_pod_of(&db, host.container("second").annotate("ports", "80"));
    let web = host.container("web").annotate("links", "db").hooks().build();
    web.run().within(limit).ok();
    assert_eq!((recorded(&host, "db").len(), recorded(&host, "second").len()), (64, 64));
    assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
    // Another has more than are listed, and some of them are the first one's.
    let other = host.container("other").hooks().build();
    many(&other, 17_000);
    other.run().within(limit).ok();
    assert_eq!(recorded(&host, "other").len(), 64);
    assert!(recorded(&host, "other").contains(&other.addresses()[1]), "IPv6 counts too");
    assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
    assert_well(&host);
    [&other, &web, &second, &db].into_iter().for_each(end);
    host.assert_nothing_left();
}

/// Takes a container's interface away and gives it one on the second bridge, with the same addresses.
fn replug_into_second(host: &Host, container: &Container) {
    container.unplug();
    let name = container.netns().name();
    let plug = format!("link add master {SECOND_BRIDGE} up type veth peer name eth0 netns {name}");
    host.run(Command::new("ip").args(plug.split(' '))).ok();
    let [v4, v6] = container.addresses();
    container.ip(&format!(
        "addr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad\nlink set eth0 up"
    ));
}

/// A start believes the recorded bridge of a source only while its interfaces are the same.
#[test]
fn a_start_finds_a_source_that_went_to_another_bridge_with_its_addresses() {
    let host = host_with(BackendName::Nftables);
    host.lay_second_bridge();
    let db = source(&host, "db", "3306");
    replug_into_second(&host, &db);
    let web = host.container("web").annotate("links", "db").hooks().build();
    web.run().ok();
    let log = std::fs::read_to_string(host.path("log")).expect("a log");
    assert!(log.contains("db: its addresses have changed"), "{log}");
    // A rule that is bound to the first bridge would let through what comes from its place there.
    assert!(call(&host, "inspect web").ok().contains("db as db (db) (routed)"));
    assert_well(&host);
    end(&web);
    end(&db);
    host.assert_nothing_left();
}

/// `sync` reads the bridge of each interface, whatever a start believes.
#[test]
fn sync_finds_an_interface_that_went_to_another_bridge() {
    let host = host_with(BackendName::Nftables);
    host.lay_second_bridge();
    let db = source(&host, "db", "3306");
    let mut list = Command::new("ip");
    let ports = host.run(list.args(["-br", "link", "show", "master", "br0"])).ok();
    let port = ports.split(['@', ' ']).next().expect("the host's end of the interface");
    host.run(Command::new("ip").args(["link", "set", port, "master", SECOND_BRIDGE])).ok();
    assert_followed(&host, &["db"]);
    end(&db);
    host.assert_nothing_left();
}
