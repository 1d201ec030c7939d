//! The program itself, told by config.toml which backend to use.

use super::each_backend;
use crate::{
    cast::{inspect, prepared, recipient, source},
    support::{Host, OPEN, Proto, Runtime, SHUT},
};
use std::{fs, process::Command};

fn configured(lines: &str) -> Host {
    let host = Host::open(Runtime::Crun);
    let text = format!("[firewall]\nisolate = [\"br0\"]\n{lines}\n");
    fs::write(host.path("config.toml"), text).expect("written");
    host
}

each_backend! {
    fn config_toml_names_the_backend(backend) {
        let host = configured(&format!("backend = \"{backend}\""));
        let db = source(&host, "db", "3306, 53/udp");
        let web = recipient(&host, "web", "db");
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
        let told = inspect(&host, "web");
        assert_eq!(told["backend"], backend.as_str());
        assert_eq!(told["rules"]["verdict"], "as recorded", "{told}");
        for container in [&web, &db] {
            container.kill();
            container.delete().ok();
        }
        host.assert_nothing_left();
    }
}

/// The best comes first. One that the host has and that fails is not passed over.
#[test]
fn auto_takes_the_first_that_the_host_can_do() {
    let host = configured("backend = \"auto\"\n[log]\nlevel = \"debug\"");
    let _db = source(&host, "db", "3306");
    let _web = recipient(&host, "web", "db");
    assert_eq!(inspect(&host, "web")["backend"], "ipset");

    let host = Host::open(Runtime::Crun);
    // A set of that name that is none of ours: not to be touched, and not to be used.
    host.run(Command::new("ipset").args(["create", "oci-link4", "hash:ip"])).ok();
    let _db = source(&host, "db", "3306");
    let web = prepared(&host, "web", "db");
    let _ = web.run().refused(1);
    let log = fs::read_to_string(host.path("log")).expect("a log");
    assert!(log.contains("ipset oci-link4: cannot be created"), "{log}");
    assert!(!host.state_dir().join("backend").exists(), "nothing is remembered");
    host.run(Command::new("ipset").args(["destroy", "oci-link4"])).ok();
    web.run().ok();
    assert_eq!(inspect(&host, "web")["backend"], "ipset");
}

#[test]
fn config_toml_may_name_no_bridge_that_is_none() {
    let host = Host::open(Runtime::Crun);
    let text = "[firewall]\nisolate = [\"br0 -j ACCEPT\"]\n";
    fs::write(host.path("config.toml"), text).expect("written");
    let complaint = host.run(&mut host.oci_link(&["ls"])).refused(3);
    assert!(complaint.contains("firewall.isolate: bridge"), "{complaint}");
}

/// An interface tells all its names at once, and a bridge can have sixty kilobytes of them.
#[test]
fn a_bridge_of_many_names_is_still_known() {
    let host = configured("backend = \"nftables\"");
    let mut named = 0;
    for names in [40, 490] {
        let adds = (named..names).map(|n| format!("link property add dev br0 altname n{n:0119}\n"));
        let adds: String = adds.collect();
        host.feed(Command::new("ip").args(["-batch", "-"]), adds.as_bytes()).ok();
        named = names;
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let mut list = Command::new("nft");
        let there = host.run(list.args(["list", "set", "inet", "oci-link", "ported4"])).ok();
        assert!(there.contains("\"br0\" . "), "{names}: {there}");
        for container in [&web, &db] {
            container.kill();
            container.delete().ok();
        }
    }
}
