//! What the start of a container with links reads and runs, and what it does not.

use super::{by_hand, host_with};
use crate::{
    cast::{end, permissions},
    hazards::scene::after,
    support::{Container, Host},
};
use oci_link::testing::BackendName;
use std::fs;

/// The calls of the createRuntime hook of a created container and of what it runs.
fn calls(host: &Host, container: &Container, which: &str) -> String {
    let trace = host.path("calls");
    let strace = format!("strace -f -qq -e trace={which} -o \"$1\" \"${{@:2}}\"; exit $?");
    let hook = host.oci_link(&["hook", "createRuntime"]);
    let state = container.state().to_string();
    host.feed(&mut after(&strace, &[&trace], &hook), state.as_bytes()).ok();
    fs::read_to_string(trace).expect("strace wrote it")
}

/// Of the switches of `br_netfilter`, those of the families that links use are read.
#[test]
fn a_link_of_one_family_reads_one_switch() {
    for (lost, switches) in [
        (None, ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"].as_slice()),
        (Some(1), &["bridge-nf-call-iptables"]),
        (Some(0), &["bridge-nf-call-ip6tables"]),
    ] {
        let host = host_with(BackendName::Ipset);
        let lose = |container: &Container| {
            if let Some(family) = lost {
                let ip = container.addresses()[family];
                let bits = if ip.is_ipv4() { 24 } else { 64 };
                container.ip(&format!("addr del {ip}/{bits} dev eth0"));
            }
        };
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        lose(&db);
        db.run().ok();
        let web = host.container("web").annotate("links", "db").build();
        lose(&web);
        web.create().ok();
        let trace = calls(&host, &web, "openat");
        let read: Vec<&str> = trace
            .lines()
            .filter_map(|line| line.split('"').nth(1)?.strip_prefix("/proc/sys/net/bridge/"))
            .filter(|name| name.starts_with("bridge-nf-call-"))
            .collect();
        assert_eq!(read, switches, "{trace}");
        assert!(!permissions(&host).is_empty(), "{trace}");
        web.kill();
        end(&db);
    }
}

/// Whether all is in place is asked of the kernel, and not of iptables.
#[test]
fn a_start_on_an_isolated_bridge_runs_programs_only_if_rules_are_missing() {
    let host = host_with(BackendName::Ipset);
    let db = host.container("db").annotate("ports", "3306").hooks().build();
    db.run().ok();
    for number in 0..3 {
        if number == 2 {
            by_hand(&host, &["iptables -F OCI-LINK-ISOLATE"]);
        }
        let web = host.container(&format!("web{number}")).annotate("links", "db").build();
        web.create().ok();
        let trace = calls(&host, &web, "execve");
        assert_eq!(trace.contains("tables"), number == 2, "{trace}");
        web.kill();
        web.delete().ok();
    }
    end(&db);
}
