//! Which bridge the program takes a container to sit on, and what comes of it.

use crate::{
    cast::{end, inspect},
    support::{Container, Host, Netns, OPEN, Proto, Runtime, SHUT},
};
use serde_json::Value;
use std::{fs, process::Command};

/// The jump to the rules of a link between two ports of the bridge.
const JUMP: &str = "-A OCI-LINKS-TIED -i br0 -o br0 -j OCI-LINK-";
const BACKENDS: [&str; 3] = ["ipset", "iptables", "nftables"];

/// `db` and `web`, which is linked to it, created and not yet run; those of `isolated` are kept
/// apart.
fn pair<'h>(host: &'h Host, backend: &str, isolated: &str) -> [Container<'h>; 2] {
    let config = format!("[firewall]\nbackend = \"{backend}\"\nisolate = [{isolated}]\n");
    fs::write(host.path("config.toml"), config).expect("written");
    let db = host.container("db").annotate("ports", "3306, 53/udp").hooks().build();
    [db, host.container("web").annotate("links", "db").hooks().build()]
}

/// Runs both, and says on which bridge their flows are.
fn bridges(host: &Host, [db, web]: &[Container; 2]) -> Vec<Value> {
    db.run().ok();
    web.run().ok();
    let flows = inspect(host, "web")["flows"].take();
    let flows = flows.as_array().expect("a list");
    assert_eq!(flows.len(), 4);
    flows.iter().map(|flow| flow["bridge"].clone()).collect()
}

fn ip(host: &Host, inside: &Netns, line: &str) -> String {
    let mut ip = Command::new("ip");
    host.run(ip.args(["-netns", inside.name()]).args(line.split(' '))).ok()
}

/// Gives `web` back its addresses, on another kind of `eth0`.
fn settle(host: &Host, web: &Container) {
    let [v4, v6] = web.addresses();
    for line in [
        &format!("addr add {v4}/24 dev eth0"),
        &format!("addr add {v6}/64 dev eth0 nodad"),
        "link set eth0 up",
    ] {
        ip(host, web.netns(), line);
    }
}

#[test]
fn two_on_one_bridge_are_linked_on_it() {
    for backend in BACKENDS {
        let host = Host::open(Runtime::Runc);
        let both = pair(&host, backend, "\"br0\"");
        assert_eq!(bridges(&host, &both), ["br0"; 4], "{backend}");
        let [db, web] = &both;
        assert_eq!(web.reach(db, Proto::Tcp, 3306), OPEN, "{backend}");
        assert_eq!(inspect(&host, "web")["rules"]["verdict"], "as recorded", "{backend}");
        let bound = match backend {
            "iptables" => host.rules().concat().contains(JUMP),
            _ => host.set_elements().iter().any(|element| element.contains("br0")),
        };
        assert!(bound, "{backend}: {:?} {:?}", host.rules(), host.set_elements());
        end(web);
        end(db);
        host.assert_nothing_left();
    }
}

#[test]
fn two_that_the_host_routes_between_are_linked_by_their_addresses() {
    for backend in BACKENDS {
        let host = Host::open(Runtime::Runc);
        let both = pair(&host, backend, "\"ptp-db\", \"ptp-web\"");
        let [db, web] = &both;
        host.route_to(db, "ptp-db");
        host.route_to(web, "ptp-web");
        assert_eq!(bridges(&host, &both), [Value::Null, Value::Null, Value::Null, Value::Null]);
        assert_eq!(web.reach(db, Proto::Tcp, 3306), OPEN, "{backend}");
        assert_eq!(web.reach(db, Proto::Tcp, 3307), SHUT, "{backend}");
        assert_eq!(inspect(&host, "web")["rules"]["verdict"], "as recorded", "{backend}");
        end(web);
        end(db);
        host.assert_nothing_left();
    }
}

/// Its lower device is the bridge, and no end of a wire.
#[test]
fn a_macvlan_sits_on_no_bridge() {
    let host = Host::open(Runtime::Crun);
    let both = pair(&host, "iptables", "");
    let web = &both[1];
    web.unplug();
    let inside = web.netns().name();
    let line = format!("link add link br0 name eth0 netns {inside} type macvlan mode bridge");
    ip(&host, host.netns(), &line);
    settle(&host, web);
    assert_eq!(bridges(&host, &both)[0], Value::Null);
}

/// The other end of web's wire has the number that a port of `br0` has here, and both name the
/// same interface as their own other end: only the namespace differs.
#[test]
fn an_interface_of_a_third_namespace_is_not_mistaken() {
    let host = Host::open(Runtime::Crun);
    let both = pair(&host, "iptables", "");
    let [db, web] = &both;
    let shown = ip(&host, db.netns(), "-json link show eth0");
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let (number, own) = (shown[0]["link_index"].clone(), shown[0]["ifindex"].clone());
    let third = Netns::create();
    web.unplug();
    let inside = web.netns().name();
    let wire =
        format!("link add far index {number} type veth peer name eth0 index {own} netns {inside}");
    ip(&host, &third, &wire);
    settle(&host, web);
    let flows = bridges(&host, &both);
    assert_eq!(flows[0], Value::Null);
}

/// No name but a checked one gets into a rule.
#[test]
fn a_bridge_of_an_odd_name_is_unknown() {
    let host = Host::open(Runtime::Crun);
    let both = pair(&host, "iptables", "");
    for line in ["link set br0 down", "link set br0 name br+", "link set br+ up"] {
        ip(&host, host.netns(), line);
    }
    assert_eq!(bridges(&host, &both)[0], Value::Null);
}
