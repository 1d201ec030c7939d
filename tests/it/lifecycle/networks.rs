//! Links between containers on several networks: which carry, which wait, and which are refused.

use super::{call, deferred, knows, unprepared};
use crate::{
    cast::{end, inspect, iptables_host, link_rules, ls, recipient, source},
    support::{Container, Host, OPEN, Proto, Runtime, SECOND_BRIDGE, each_runtime},
};
use serde_json::{Value, json};
use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    process::Command,
    thread,
    time::Duration,
};

/// A bridge with the name that Docker gives to the bridge of a network.
const OF_DOCKER: &str = "br-0123456789ab";
const NO_NETWORK: &str = "web is on 10.77.0.0/24 and fd77::/64, db on 10.78.0.0/24 and fd78::/64: \
                          connect both to one network";

/// Renames the second bridge, as if Docker had made it.
fn docker_makes_the_second_bridge(host: &Host) {
    for line in ["down", &format!("name {OF_DOCKER}"), "up"] {
        let device = if line == "up" { OF_DOCKER } else { SECOND_BRIDGE };
        let words = ["link", "set", device].into_iter().chain(line.split(' '));
        host.run(Command::new("ip").args(words)).ok();
    }
    // Addresses of IPv6 go with the state down.
    let words = ["addr", "add", "fd78::1/64", "dev", OF_DOCKER, "nodad"];
    host.run(Command::new("ip").args(words)).ok();
}

/// Takes a container off the first bridge, and plugs it into the second one with routes to all others.
pub(crate) fn move_to_second(host: &Host, container: &Container) {
    container.unplug();
    host.plug_into_second(container);
    container.ip("route add default via 10.78.0.1\nroute add default via fd78::1");
}

/// A source on the second bridge only.
pub(crate) fn far_source<'h>(host: &'h Host, id: &str) -> Container<'h> {
    let db = host.container(id).annotate("ports", "3306").hooks().build();
    move_to_second(host, &db);
    db.run().ok();
    db
}

/// A source without any address.
fn nowhere<'h>(host: &'h Host, id: &str) -> Container<'h> {
    let db = host.container(id).annotate("ports", "3306").env("A=b").hooks().build();
    db.ip("addr flush dev eth0");
    db.run().ok();
    db
}

fn log(host: &Host) -> String {
    fs::read_to_string(host.path("log")).expect("a log")
}

fn link_of(host: &Host, container: &str) -> Value {
    let all = ls(host);
    let of = all.iter().find(|it| it["name"] == container).expect("listed");
    of["links"][0].clone()
}

/// The address of a container on the second bridge.
pub(crate) fn second(container: &Container) -> IpAddr {
    IpAddr::from([10, 78, 0, container.number()])
}

/// Whether a TCP connection gets from one to port 3306 of the other, which listens for it.
fn connects(from: &Container, to: &Container, ip: IpAddr) -> bool {
    let target = SocketAddr::new(ip, 3306);
    let _listener = to.netns().enter(|| TcpListener::bind(target)).expect("listens");
    let dial = || TcpStream::connect_timeout(&target, Duration::from_secs(1)).is_ok();
    from.netns().enter(dial)
}

/// Asserts that the link of `web` waits for `reason`, and that nothing of it exists.
#[track_caller]
fn waits(host: &Host, web: &Container, reason: &str) {
    let link = link_of(host, "web");
    assert_eq!((&link["state"], &link["reason"]), (&json!("waiting"), &json!(reason)));
    assert!(link["connected"].is_null(), "{link}");
    assert_eq!(link_rules(host), [""; 0]);
    assert!(!web.hosts().contains("\tdb"), "{}", web.hosts());
    let table = call(host, "ls").ok();
    assert!(table.contains(&format!(" db (waiting: {reason})")), "{table}");
    let shown = call(host, "inspect web").ok();
    assert!(shown.contains(&format!("db as db (waiting: {reason})")), "{shown}");
}

each_runtime! {
    /// The host routes between its bridges, and no engine separates them.
    fn a_link_between_two_networks_is_routed(runtime) {
        let host = iptables_host(runtime);
        host.lay_second_bridge();
        let db = far_source(&host, "db");
        let web = recipient(&host, "web", "db");
        assert!(web.hosts().contains(&format!("{}\tdb", second(&db))), "{}", web.hosts());
        assert!(connects(&web, &db, second(&db)));
        let link = link_of(&host, "web");
        assert_eq!((&link["state"], &link["routed"]), (&json!("ready"), &json!(true)));
        assert!(call(&host, "ls").ok().contains(" db (routed)"));
        assert!(call(&host, "inspect web").ok().contains("db as db (db) (routed)"));
        let graph = call(&host, "graph").ok();
        assert!(graph.contains("as db  3306/tcp (routed)"), "{graph}");
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// No rule of ours is asked before those of Docker in all versions of Docker.
    fn a_link_to_a_network_that_docker_separates_is_refused(runtime) {
        let host = iptables_host(runtime);
        host.lay_second_bridge();
        docker_makes_the_second_bridge(&host);
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        db.unplug();
        let name = db.netns().name();
        let plug = format!("link add master {OF_DOCKER} up type veth peer name eth1 netns {name}");
        host.run(Command::new("ip").args(plug.split(' '))).ok();
        let number = db.number();
        db.ip(&format!(
            "addr add 10.78.0.{number}/24 dev eth1\naddr add fd78::{number:x}/64 dev eth1 nodad\n\
             link set eth1 up\nroute add default via 10.78.0.1\nroute add default via fd78::1"
        ));
        db.run().ok();
        for missing in ["fail", "auto", "wait=300ms"] {
            let web = unprepared(&host, "web", "db", missing).build();
            let _ = web.run().refused(1);
            let waited = if missing.starts_with("wait") { ": waited 300 ms" } else { "" };
            assert!(log(&host).contains(&format!("{NO_NETWORK}{waited}")), "{}", log(&host));
        }
        let web = deferred(&host, "web", "db", 80);
        waits(&host, &web, "the source shares no network");
        let graph = call(&host, "graph").ok();
        assert!(graph.contains("as db  waiting: the source shares no network"), "{graph}");
        assert!(!web.environ().iter().any(|entry| entry.starts_with("DB_PORT")));
        let plain = host.container("plain").hooks().build();
        plain.run().ok();
        let complaint = call(&host, "connect plain db").refused(4);
        assert!(complaint.contains("plain is on 10.77.0.0/24"), "{complaint}");
        assert!(complaint.contains("connect both to one network"), "{complaint}");
        assert!(!plain.hosts().contains("db"));
        // The next start of the source is on a network of both.
        end(&db);
        let db = source(&host, "db", "3306");
        assert!(knows(&web, "db", &db), "{}", web.hosts());
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        [&web, &db, &plain].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn without_a_route_nothing_is_routed(runtime) {
        let host = iptables_host(runtime);
        host.lay_second_bridge();
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        db.unplug();
        host.plug_into_second(&db);
        db.run().ok();
        let web = unprepared(&host, "web", "db", "fail").build();
        let _ = web.run().refused(1);
        assert!(log(&host).contains(NO_NETWORK), "{}", log(&host));
        let web = deferred(&host, "web", "db", 80);
        waits(&host, &web, "the source shares no network");
        // The first look after both have routes makes the link.
        db.ip("route add default via 10.78.0.1");
        assert_eq!(link_of(&host, "web")["reason"], "run oci-link sync");
        call(&host, "sync").ok();
        assert!(web.hosts().contains(&format!("{}\tdb", second(&db))), "{}", web.hosts());
        assert!(!web.hosts().contains("fd78::"), "there is no route of IPv6: {}", web.hosts());
        assert!(connects(&web, &db, second(&db)));
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn a_host_that_forwards_nothing_routes_nothing(runtime) {
        let host = iptables_host(runtime);
        host.lay_second_bridge();
        host.netns().enter(|| {
            for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                fs::write(format!("/proc/sys/net/{switch}"), "0").expect(switch);
            }
        });
        let _db = far_source(&host, "db");
        let web = unprepared(&host, "web", "db", "fail").build();
        let _ = web.run().refused(1);
        assert!(log(&host).contains(NO_NETWORK), "{}", log(&host));
    }

    /// N28: the network that both share is not the first one of either.
    fn the_shared_network_is_taken(runtime) {
        let host = iptables_host(runtime);
        host.lay_second_bridge();
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        db.ip("addr flush dev eth0\naddr add 10.79.0.9/24 dev eth0");
        host.plug_into_second(&db);
        db.run().ok();
        let web = unprepared(&host, "web", "db", "fail").build();
        host.plug_into_second(&web);
        web.run().ok();
        assert!(web.hosts().contains(&format!("{}\tdb", second(&db))), "{}", web.hosts());
        assert!(!web.hosts().contains("10.79.0.9"), "{}", web.hosts());
        assert!(connects(&web, &db, second(&db)));
        assert!(!call(&host, "ls").ok().contains("routed"));
        let flows = inspect(&host, "web")["flows"].clone();
        assert!(flows.as_array().expect("a list").iter().all(|flow| flow["bridge"] == "br1"));
    }

    fn families_are_judged_apart(runtime) {
        let host = iptables_host(runtime);
        let with = |id: &str, missing: &str, family: &str| {
            let container = unprepared(&host, id, "db", missing).build();
            container.ip(family);
            container
        };
        let only_v6 = "addr flush dev eth0 to 10.77.0.0/24";
        let only_v4 = "addr flush dev eth0 to fd77::/64";
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        db.ip(only_v6);
        db.run().ok();
        let web = with("web", "fail", only_v4);
        let _ = web.run().refused(1);
        let cause = "web is on 10.77.0.0/24, db on fd77::/64: connect both to one network";
        assert!(log(&host).contains(cause), "{}", log(&host));
        let web = with("web", "defer", only_v4);
        web.run().ok();
        waits(&host, &web, "the source shares no network");
        let both = recipient(&host, "both", "db");
        assert!(both.hosts().contains(&format!("{}\tdb", db.addresses()[1])), "{}", both.hosts());
        assert!(!both.hosts().contains(&format!("{}\tdb", db.addresses()[0])));
        assert_eq!(inspect(&host, "both")["flows"].as_array().map(Vec::len), Some(1));
        [&web, &both, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// N30: the engine, or CNI, gives it an address later.
    fn a_source_without_an_address_is_not_linked_to(runtime) {
        let host = iptables_host(runtime);
        let db = nowhere(&host, "db");
        let cause = "db has no address: connect db to a network";
        for missing in ["fail", "auto"] {
            let web = unprepared(&host, "web", "db", missing).build();
            let complaint = web.prepare().refused(4);
            assert!(complaint.contains(cause), "{complaint}");
            // Without variables the hook refuses it, at its start.
            let _ = web.run().refused(1);
            assert!(log(&host).contains(cause), "{}", log(&host));
        }
        let web = unprepared(&host, "web", "db", "defer").build();
        let note = web.prepare().ended(0);
        assert!(note.contains("db has no address: the variables for db are missing"), "{note}");
        web.run().ok();
        assert!(!web.environ().iter().any(|entry| entry.starts_with("DB_")), "{:?}", web.environ());
        waits(&host, &web, "the source has no address");
        let complaint = call(&host, "connect web db:other").refused(4);
        assert!(complaint.contains(cause), "{complaint}");
        end(&db);
        let db = source(&host, "db", "3306");
        assert!(knows(&web, "db", &db), "{}", web.hosts());
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert!(call(&host, "ls").ok().contains(" db (no variables)"));
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn a_wait_is_also_for_an_address(runtime) {
        let host = iptables_host(runtime);
        let db = nowhere(&host, "db");
        let web = unprepared(&host, "web", "db", "wait=300ms").build();
        let _ = web.run().refused(1);
        assert!(log(&host).contains("connect db to a network: waited 300 ms"), "{}", log(&host));
        let web = unprepared(&host, "web", "db", "wait=30s").build();
        thread::scope(|scope| {
            let started = scope.spawn(|| web.run().ok());
            thread::sleep(Duration::from_millis(300));
            assert!(!started.is_finished());
            end(&db);
            let db = source(&host, "db", "3306");
            started.join().expect("web starts");
            assert!(knows(&web, "db", &db), "{}", web.hosts());
        });
    }

    /// A recipient without an address may start with `defer` only, and is not linked before it has one.
    fn a_recipient_without_an_address_waits(runtime) {
        let host = iptables_host(runtime);
        let db = source(&host, "db", "3306");
        let web = unprepared(&host, "web", "db", "defer").build();
        web.ip("addr flush dev eth0");
        web.run().ok();
        waits(&host, &web, "the recipient has no address");
        let complaint = call(&host, "connect web db:other").refused(4);
        assert!(complaint.contains("web has no address: connect web to a network"), "{complaint}");
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

/// CNI's ptp plugin: each container has an address of its own, and the host routes between them.
#[test]
fn containers_with_addresses_of_single_hosts_are_linked() {
    let host = iptables_host(Runtime::Runc);
    let db = host.container("db").annotate("ports", "3306").hooks().build();
    let web = unprepared(&host, "web", "db", "fail").build();
    host.route_to(&db, "ptp-db");
    host.route_to(&web, "ptp-web");
    db.run().ok();
    web.run().ok();
    assert!(knows(&web, "db", &db), "{}", web.hosts());
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    assert_eq!(link_of(&host, "web")["state"], "ready");
    [&web, &db].into_iter().for_each(end);
    host.assert_nothing_left();
}

each_runtime! {
    /// N30: the address comes after the container runs.
    fn an_address_that_comes_later_makes_the_link(runtime) {
        let host = iptables_host(runtime);
        let db = nowhere(&host, "db");
        let web = deferred(&host, "web", "db", 80);
        waits(&host, &web, "the source has no address");
        let [v4, v6] = db.addresses();
        db.ip(&format!("addr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad"));
        call(&host, "sync").ok();
        assert!(knows(&web, "db", &db), "{}", web.hosts());
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// A wait reads the address of the source itself, without `watch` or `sync`.
    fn a_wait_ends_when_the_address_comes(runtime) {
        let host = iptables_host(runtime);
        let db = nowhere(&host, "db");
        let web = unprepared(&host, "web", "db", "wait=30s").build();
        thread::scope(|scope| {
            let started = scope.spawn(|| web.run().ok());
            thread::sleep(Duration::from_millis(300));
            assert!(!started.is_finished());
            let [v4, v6] = db.addresses();
            let lines = format!("addr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad");
            db.ip(&lines);
            started.join().expect("web starts");
            assert!(knows(&web, "db", &db), "{}", web.hosts());
        });
    }
}
