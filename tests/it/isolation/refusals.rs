//! An isolation that cannot hold: the container does not start, and every other one does.

use super::{isolated, open_host};
use crate::{
    cast::end,
    lifecycle::call,
    support::{Host, Runtime, each_runtime},
};
use oci_link::testing::BackendName;
use std::fs;

fn host_of(runtime: Runtime) -> Host {
    let host = Host::open(runtime);
    fs::write(host.path("config.toml"), "[firewall]\nbackend = \"ipset\"\n").expect("written");
    host
}

/// `db` is refused for this reason, nothing of it is left, and a container that asks for nothing starts.
#[track_caller]
fn refused(host: &Host, db: &crate::support::Container, reason: &str) {
    assert!(!db.run().succeeded(), "it starts");
    let log = fs::read_to_string(host.path("log")).expect("a log");
    assert!(log.contains(reason), "no {reason:?} in\n{log}");
    assert_eq!(host.state_files(), [""; 0]);
    let plain = host.container("plain").hooks().build();
    plain.run().ok();
    end(&plain);
    host.assert_nothing_left();
}

fn switch_off(host: &Host, name: &str) {
    let path = format!("/proc/sys/net/bridge/{name}");
    host.netns().enter(|| fs::write(path, "0").expect("a switch"));
}

each_runtime! {
    fn a_bridge_that_is_not_filtered(runtime) {
        for name in ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"] {
            let host = host_of(runtime);
            switch_off(&host, name);
            let db = isolated(&host, "db", "in").build();
            refused(&host, &db, &format!("isolate \"in\": net.bridge.{name} is off: sysctl -w "));
        }
    }

    fn no_backend(runtime) {
        let host = host_of(runtime);
        fs::write(host.path("config.toml"), "[firewall]\nbackend = \"none\"\n").expect("written");
        let db = isolated(&host, "db", "out").build();
        refused(&host, &db, "isolate \"out\": firewall.backend is \"none\": set it to \"auto\"");
    }

    fn an_interface_that_is_on_no_bridge(runtime) {
        let host = host_of(runtime);
        let db = isolated(&host, "db", "both").build();
        let line = format!(
            "ip link add link br0 name side netns {} type macvlan mode bridge",
            db.netns().name()
        );
        crate::lifecycle::by_hand(&host, &[&line]);
        refused(&host, &db, "isolate \"both\": its interface side leads to no bridge of the host");
    }

    fn no_interface(runtime) {
        let host = host_of(runtime);
        let db = isolated(&host, "db", "in").build();
        db.unplug();
        refused(&host, &db, "isolate \"in\": has no interface yet: give it a network");
    }

    fn the_network_of_the_host(runtime) {
        let host = host_of(runtime);
        let of_host = |config: &mut serde_json::Value| {
            let all = config["linux"]["namespaces"].as_array_mut().expect("a list");
            all.retain(|namespace| namespace["type"] != "network");
        };
        let db = isolated(&host, "db", "in").edit(of_host).build();
        refused(&host, &db, "isolate \"in\": is on the host's network: give it a network");
    }

    /// Which directions it asks for is not known, so it is no container that asks for isolation.
    fn a_wrong_value_alone_is_a_warning(runtime) {
        let host = host_of(runtime);
        for value in ["yes", "IN", "in,out", ""] {
            let db = isolated(&host, "db", value).build();
            db.run().ok();
            let log = fs::read_to_string(host.path("log")).expect("a log");
            assert!(log.contains("want in, out, both or none"), "{log}");
            end(&db);
        }
        host.assert_nothing_left();
    }

    fn a_wrong_value_beside_links_is_an_error(runtime) {
        let host = host_of(runtime);
        let db = host.container("db").annotate("ports", "80").hooks().build();
        db.run().ok();
        let web = isolated(&host, "web", "yes").annotate("links", "db").build();
        assert!(web.prepare().refused(3).contains("isolate \"yes\": want in, out, both or none"));
        assert!(!web.run().succeeded());
        end(&db);
        host.assert_nothing_left();
    }
}

/// `none` is the default.
#[test]
fn none_makes_nothing() {
    let host = open_host(BackendName::Nftables);
    let db = isolated(&host, "db", "none").build();
    db.run().ok();
    assert!(call(&host, "ls").ok().contains("db"));
    let tables = host.run(std::process::Command::new("nft").args(["list", "tables"])).ok();
    assert!(!tables.contains("oci-link"), "{tables}");
    end(&db);
    host.assert_nothing_left();
}
