//! What closes the ways between this host and others.

use super::{config, doctor, paste};
use crate::{
    cast::end,
    configure::site::Site,
    lifecycle::by_hand,
    support::{Host, Runtime},
};
use std::{fs, os::unix::fs::PermissionsExt};

/// A host `a` whose bridge is in a declared network, and another host behind `up0`.
fn clustered(backend: &str, isolate: &str) -> Host {
    let host = Host::open(Runtime::Crun);
    let key = host.path("host.key");
    fs::write(&key, "").expect("written");
    let files =
        ["ca", "cert", "key"].map(|name| format!("{name} = \"{}\"\n", key.display())).concat();
    let text = format!(
        "[firewall]\nbackend = \"{backend}\"\n{isolate}\n[cluster]\nname = \"a\"\n\
         networks = {{ a = [\"10.77.0.0/24\"], b = [\"10.10.2.0/24\"] }}\n\
         endpoints = [\"https://127.0.0.1:1\"]\n{files}"
    );
    config(&host, &text);
    host
}

/// A way to host `b`.
const WAY: [&str; 4] = [
    "ip link add up0 up type veth peer name far0",
    "ip link set far0 up",
    "ip addr add 172.30.0.1/24 dev up0",
    "ip route add 10.10.2.0/24 via 172.30.0.2",
];

#[test]
fn routes_bridges_and_the_backend_are_looked_at() {
    let (host, site) = (clustered("iptables", ""), Site::new());
    let report = doctor(&host, &site, 12);
    report.of("backend between hosts").is("fault", "links across hosts need ipset or nftables");
    let said = report.of("routes to other hosts");
    said.is("fault", "no route to 10.10.2.0/24, the network of host b");
    said.is("fault", "ip route add 10.10.2.0/24 via the address of b");
    let open = report.of("isolation between hosts");
    open.is("warning", "bridge br0 is in cluster.networks of a and is not isolated");
    by_hand(&host, &WAY);
    paste(&host, &site, open.fix());
    let report = doctor(&host, &site, 12);
    report.of("routes to other hosts").is("ok", "");
    assert!(!report.text.contains("isolation between hosts"), "{}", report.text);

    by_hand(&host, &["ip link add br9 type bridge", "ip addr add 10.10.2.1/24 dev br9"]);
    let report = doctor(&host, &site, 12);
    report.of("networks of other hosts").is("warning", "bridge br9 has the network 10.10.2.0/24");
}

#[test]
fn a_masquerade_between_declared_networks_is_a_fault() {
    let (host, site) = (clustered("nftables", "isolate = [\"br0\"]"), Site::new());
    by_hand(&host, &WAY);
    doctor(&host, &site, 12).of("masquerade between hosts").is("ok", "");
    let rule = "iptables -t nat -A POSTROUTING -s 10.77.0.0/24 ! -o br0 -j MASQUERADE";
    by_hand(&host, &[rule]);
    let report = doctor(&host, &site, 12);
    let said = report.of("masquerade between hosts");
    said.is("fault", "from 10.77.0.0/24 to 10.10.2.0/24");
    paste(&host, &site, said.fix().split(';').next().expect("a command"));
    doctor(&host, &site, 12).of("masquerade between hosts").is("ok", "");
}

/// As Docker 28 makes them.
#[test]
fn a_drop_before_routing_is_a_fault() {
    let (host, site) = (clustered("ipset", "isolate = [\"br0\"]"), Site::new());
    by_hand(&host, &WAY);
    let shared = host.container("db").annotate("ports", "3306").annotate("share", "all");
    let db = shared.hooks().build();
    db.run().ok();
    let report = doctor(&host, &site, 12);
    assert!(!report.text.contains("\"packets of other hosts"), "{}", report.text);
    let ip = db.addresses()[0];
    by_hand(&host, &[&format!("iptables -t raw -A PREROUTING -d {ip} ! -i br0 -j DROP")]);
    let report = doctor(&host, &site, 12);
    let said = report.of("packets of other hosts");
    said.is("fault", "no packet of another host gets to a container");
    said.is("fault", "allow-direct-routing");
    end(&db);
}

#[test]
fn a_key_that_others_can_read_and_two_ways_are_named() {
    let (host, site) = (clustered("nftables", "isolate = [\"br0\"]"), Site::new());
    by_hand(&host, &WAY);
    let key = host.path("host.key");
    for mode in [0o640, 0o644] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("root may");
        let report = doctor(&host, &site, 12);
        assert_eq!(report.text.contains("key of this host"), mode == 0o644);
        if mode == 0o644 {
            paste(&host, &site, report.of("key of this host").fix());
        }
    }
    by_hand(
        &host,
        &[
            "ip link add up1 up type veth peer name far1",
            "ip link set far1 up",
            "ip route add 10.10.0.0/16 dev up1",
            "sysctl -qw net.ipv4.conf.all.rp_filter=0",
            "sysctl -qw net.ipv4.conf.up1.rp_filter=1",
        ],
    );
    let report = doctor(&host, &site, 12);
    let said = report.of("rp_filter");
    said.is("warning", "may come in by up0 and up1, and rp_filter is 1 on up1");
    paste(&host, &site, said.fix());
    let report = doctor(&host, &site, 12);
    assert!(!report.text.contains("\"rp_filter\"") && !report.text.contains("key of this host"));
}
