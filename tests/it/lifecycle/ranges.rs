//! Sources that expose ranges of ports, from their start to their end.

use super::{by_hand, call, host_with, record};
use crate::{
    backends::each_backend,
    cast::{end, inspect, ls, permissions, recipient, source},
    support::{Host, OPEN, Proto, SHUT},
};
use oci_link::testing::BackendName;
use serde_json::{Value, json};
use std::fs;

const PORTS: &str = "80, 7000-7010, 16384-32768/udp";

fn version(host: &Host, id: &str) -> Value {
    let text = fs::read(record(host, id)).expect("readable");
    serde_json::from_slice::<Value>(&text).expect("JSON")["version"].take()
}

/// Takes away one of the rules for the range of udp.
fn undo_one(host: &Host, backend: BackendName, owner: &str) {
    match backend {
        BackendName::Iptables => {
            let rules = host.rules();
            let rule =
                rules.iter().find(|rule| rule.contains("--sport 16384:32768")).expect("there");
            let family = if rule.contains("/128") { "ip6tables" } else { "iptables" };
            by_hand(host, &[&format!("{family} {}", rule.replacen("-A", "-D", 1))]);
        }
        BackendName::Ipset => {
            let elements = host.set_elements();
            let one = elements.iter().find(|line| line.contains("udp:20000,")).expect("there");
            let words: Vec<&str> = one.split(' ').collect();
            by_hand(host, &[&format!("ipset del {} {}", words[1], words[2])]);
        }
        _ => {
            let list = ["--handle", "list", "chain", "inet", "oci-link", "ranges"];
            let listed = host.run(std::process::Command::new("nft").args(list)).ok();
            let one = listed.lines().find(|line| line.contains("sport 16384-32768"));
            let one = one.expect("there");
            assert!(one.contains(owner), "{one}");
            let handle = one.rsplit(' ').next().expect("a handle");
            by_hand(host, &[&format!("nft delete rule inet oci-link ranges handle {handle}")]);
        }
    }
}

each_backend! {
    fn n35_a_range_is_kept_from_start_to_end(backend) {
        let host = host_with(backend);
        let pbx = source(&host, "pbx", PORTS);
        let web = recipient(&host, "web", "pbx");
        let listed = ls(&host);
        let pbx_listed = listed.iter().find(|container| container["id"] == "pbx").expect("listed");
        assert_eq!(pbx_listed["ports"], json!(["80/tcp", "7000-7010/tcp", "16384-32768/udp"]));
        let link = inspect(&host, "web")["links"][0].clone();
        assert_eq!(link["ports"], json!(["80/tcp", "7000-7010/tcp", "16384-32768/udp"]));
        assert_eq!(link["state"], "ready");
        let flows = inspect(&host, "web")["flows"].clone();
        assert_eq!((&flows[0]["port"], &flows[1]["port"]), (&json!(80), &json!("7000-7010")));
        assert_eq!((version(&host, "web"), version(&host, "pbx")), (json!(2), json!(2)));
        assert_eq!(call(&host, "sync --check").ended(0), "");
        for (proto, port) in [(Proto::Udp, 16384), (Proto::Udp, 32768), (Proto::Tcp, 7010)] {
            assert_eq!(web.reach(&pbx, proto, port), OPEN, "{port}");
        }
        for (proto, port) in [(Proto::Udp, 16383), (Proto::Udp, 32769), (Proto::Tcp, 7011)] {
            assert_eq!(web.reach(&pbx, proto, port), SHUT, "{port}");
        }
        let told = web.environ();
        for variable in [
            "PBX_PORT=tcp://",
            "PBX_PORT_16384_UDP_START=udp://",
            "PBX_PORT_16384_UDP_PORT_END=32768",
            "PBX_PORT_7000_TCP_PORT_END=7010",
            "PBX_PORT_32768_UDP=udp://",
            "PBX_PORT_7005_TCP_PROTO=tcp",
        ] {
            assert!(told.iter().any(|entry| entry.starts_with(variable)), "{variable}");
        }
        assert_eq!(told.iter().filter(|entry| entry.contains("_PROTO=")).count(), 4096);
        let log = fs::read_to_string(host.path("log")).unwrap_or_default();
        assert!(log.contains("link pbx has variables for 4096 of its 16397 ports"), "{log}");
        end(&pbx);
        assert_eq!(permissions(&host), [""; 0]);
        end(&web);
        host.assert_nothing_left();
    }

    fn a_range_follows_its_source(backend) {
        let host = host_with(backend);
        let pbx = source(&host, "pbx", PORTS);
        let web = recipient(&host, "web", "pbx");
        assert_eq!(web.reach(&pbx, Proto::Udp, 20_000), OPEN);
        end(&pbx);
        drop(pbx);
        let pbx = source(&host, "pbx", "80, 7005-7020");
        assert_eq!(web.reach(&pbx, Proto::Tcp, 7020), OPEN);
        assert_eq!(web.reach(&pbx, Proto::Tcp, 80), OPEN);
        assert_eq!(web.reach(&pbx, Proto::Tcp, 7004), SHUT);
        assert_eq!(web.reach(&pbx, Proto::Udp, 20_000), SHUT);
        assert_eq!(call(&host, "sync --check").ended(0), "");
        call(&host, "disconnect web pbx").ok();
        assert_eq!(permissions(&host), [""; 0]);
        assert_eq!(version(&host, "web"), json!(1), "nothing of it is a range");
        call(&host, "connect web pbx").ok();
        assert_eq!(web.reach(&pbx, Proto::Tcp, 7020), OPEN);
        [&web, &pbx].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn half_of_a_range_that_was_removed_by_hand_is_repaired(backend) {
        let host = host_with(backend);
        let pbx = source(&host, "pbx", PORTS);
        let web = recipient(&host, "web", "pbx");
        let owner = inspect(&host, "web")["owner"].as_str().expect("a tag").to_owned();
        let whole = permissions(&host).len();
        undo_one(&host, backend, &owner);
        assert_eq!(permissions(&host).len(), whole - 1);
        let told = call(&host, "sync --check").ended(13);
        assert!(told.contains("container web (web): its rules differ from its record\n"), "{told}");
        call(&host, "sync").ok();
        assert_eq!(permissions(&host).len(), whole);
        assert_eq!(call(&host, "sync --check").ended(0), "");
        assert_eq!(web.reach(&pbx, Proto::Udp, 20_000), OPEN);
        // Without its record it is found by the tag.
        fs::remove_file(record(&host, "web")).expect("removed");
        web.kill();
        call(&host, "gc").ok();
        assert_eq!(permissions(&host), [""; 0]);
    }

    /// The previous version listed each port of a range, in records and rules.
    fn a_record_with_single_ports_of_a_range_is_read(backend) {
        let host = host_with(backend);
        let pbx = source(&host, "pbx", "7000-7020/tcp");
        let web = recipient(&host, "web", "pbx");
        for id in ["pbx", "web"] {
            let path = record(&host, id);
            let text = fs::read(&path).expect("readable");
            let mut old: Value = serde_json::from_slice(&text).expect("JSON");
            old["version"] = json!(1);
            let single = |flow: &Value| -> Vec<Value> {
                let one = |number: u16| {
                    let mut flow = flow.clone();
                    flow["port"] = format!("{number}/tcp").into();
                    flow
                };
                (7000..=7020).map(one).collect()
            };
            let flows: Vec<Value> =
                old["flows"].as_array().expect("a list").iter().flat_map(single).collect();
            old["flows"] = flows.into();
            if id == "pbx" {
                old["ports"] = (7000..=7020).map(|number| format!("{number}/tcp")).collect();
            }
            fs::write(&path, old.to_string()).expect("written");
        }
        call(&host, "sync").ok();
        assert_eq!(call(&host, "sync --check").ended(0), "");
        assert_eq!(ls(&host)[0]["ports"], json!(["7000-7020/tcp"]));
        assert_eq!(web.reach(&pbx, Proto::Tcp, 7020), OPEN);
        assert_eq!(web.reach(&pbx, Proto::Tcp, 7021), SHUT);
        [&web, &pbx].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// All ports of a protocol. ipset would need an element for each.
    fn all_ports_are_a_range_and_too_many_elements(backend) {
        let host = host_with(backend);
        let pbx = source(&host, "pbx", "1-65535");
        let small = source(&host, "small", "7000-7010, 7005, 7011-7012");
        let web = host.container("web").annotate("links", "pbx small").hooks().build();
        if backend == BackendName::Ipset {
            // The bare runtime refuses what its hook refuses, and shows no status of ours.
            let outcome = web.run();
            assert!(!outcome.succeeded());
            let said = outcome.said();
            let reason = "link to pbx: it exposes 65535 ports, and the firewall backend ipset takes \
                          at most 32768 of one source: set firewall.backend to \"iptables\" or \
                          \"nftables\", or name fewer in org.oci-link.ports";
            let log = fs::read_to_string(host.path("log")).unwrap_or_default();
            assert!(said.contains(reason) || log.contains(reason), "{said}\n{log}");
            assert_eq!(permissions(&host), [""; 0]);
            let other = recipient(&host, "other", "small");
            let said = call(&host, "connect other pbx:big").refused(6);
            assert!(said.contains(reason), "{said}");
            assert_eq!(other.reach(&small, Proto::Tcp, 7012), OPEN);
            end(&other);
        } else {
            web.run().ok();
            for port in [1, 3306, 65_535] {
                assert_eq!(web.reach(&pbx, Proto::Tcp, port), OPEN, "{port}");
            }
            assert_eq!(web.reach(&pbx, Proto::Udp, 3306), SHUT);
            assert_eq!(web.reach(&small, Proto::Tcp, 7012), OPEN);
            end(&web);
        }
        [&pbx, &small].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}
