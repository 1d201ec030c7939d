//! Containers that move while it runs.

use super::{Watch, is_well, soon};
use crate::{
    backends::each_backend,
    cast::{end, inspect, recipient, source},
    lifecycle::{host_with, knows},
    support::{OPEN, Proto},
};
use oci_link::testing::BackendName;
use std::process::Command;
use std::time::Duration;

each_backend! {
    fn n27_links_follow_a_container_that_moves(backend) {
        let host = host_with(backend);
        let mut db = source(&host, "db", "3306");
        let mut web = recipient(&host, "web", "db");
        let watch = Watch::begin(&host);
        db.renumber(200);
        soon("the source", || knows(&web, "db", &db));
        web.renumber(201);
        soon("the recipient", || is_well(&host));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN, "{}", watch.log());
        [&web, &db].into_iter().for_each(end);
        drop(watch);
        host.assert_nothing_left();
    }
}

/// Nothing wakes it while nothing changes, and a change of an address does at once.
#[test]
fn it_sleeps_until_the_kernel_reports_a_change() {
    let host = host_with(BackendName::Ipset);
    let mut db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    let watch = Watch::begin(&host);
    // Longer than any of its periods. Before that come its first round, its look for sources, and the reports of
    // a bridge about its ports, some 15 s after they were connected.
    watch.sleeps(Duration::from_secs(5));
    db.renumber(200);
    soon("the source", || knows(&web, "db", &db));
    [&web, &db].into_iter().for_each(end);
    drop(watch);
    host.assert_nothing_left();
}

/// The host's end of its veth pair gets another bridge: its address stays.
#[test]
fn a_container_that_changes_its_bridge_is_followed() {
    let host = host_with(BackendName::Ipset);
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    let watch = Watch::begin(&host);
    let bridge = |name: &str| inspect(&host, "web")["flows"][0]["bridge"] == name;
    assert!(bridge("br0"));
    let ports = host.run(Command::new("ip").args(["-br", "link", "show", "master", "br0"])).ok();
    let ports = ports.lines().filter_map(|line| line.split(['@', ' ']).next());
    let ports: Vec<String> = ports.map(ToOwned::to_owned).collect();
    host.run(Command::new("ip").args(["link", "add", "br9", "type", "bridge"])).ok();
    host.run(Command::new("ip").args(["link", "set", "br9", "up"])).ok();
    for port in ports {
        host.run(Command::new("ip").args(["link", "set", &port, "master", "br9"])).ok();
    }
    soon("the flow", || bridge("br9"));
    [&web, &db].into_iter().for_each(end);
    drop(watch);
}
