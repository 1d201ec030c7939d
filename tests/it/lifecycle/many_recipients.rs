//! The end of a source with many recipients: a constant cost for each, and one look at the connections.

use super::host_with;
use crate::{
    backends::each_backend,
    cast::{end, permissions, recipient, source},
    hazards::scene::after,
    support::{Container, Flow, Host},
};
use oci_link::testing::BackendName;
use serde_json::json;
use std::{fs, path::Path, process::Command};

/// Half of them have a hosts file that an engine mounts.
const RECIPIENTS: usize = 12;
/// The bound of an end with so many recipients, children of the hook included.
const MOST_CALLS: usize = 250 + 150 * RECIPIENTS;

/// Which the source exposes.
const PORTS: [u16; 3] = [3306, 3308, 3310];

/// Runs `command` with this input, and returns how many system calls it and its children make.
fn calls(host: &Host, command: &Command, input: &[u8]) -> usize {
    let trace = host.path("calls");
    let strace = "exec strace -f -qq -c -o \"$1\" \"${@:2}\"";
    host.feed(&mut after(strace, &[&trace], command), input).ok();
    let text = fs::read_to_string(&trace).expect("strace wrote it");
    let total = text.lines().find(|line| line.ends_with(" total")).expect("a sum");
    // % time, seconds, usecs/call, calls, errors.
    total.split_whitespace().nth(3).and_then(|calls| calls.parse().ok()).expect("a number")
}

/// A hook of this container, which is dead.
fn poststop(container: &Container, id: &str) -> Vec<u8> {
    let bundle = container.bundle();
    json!({ "ociVersion": "1.0.2", "id": id, "status": "stopped", "bundle": bundle })
        .to_string()
        .into_bytes()
}

fn mounted<'h>(host: &'h Host, id: &str, links: &str) -> Container<'h> {
    let hosts = host.path(&format!("{id}.hosts"));
    fs::write(&hosts, "127.0.0.1\tlocalhost\n").expect("written");
    let container = host.container(id).annotate("links", links).bind(&hosts, "/etc/hosts");
    let container = container.hooks().build();
    container.run().ok();
    container
}

fn recipients<'h>(host: &'h Host, links: &str) -> Vec<Container<'h>> {
    let name = |number| format!("web{number}");
    let one = |number| match number % 2 {
        0 => recipient(host, &name(number), links),
        _ => mounted(host, &name(number), links),
    };
    (0..RECIPIENTS).map(one).collect()
}

/// The hosts file, as the host has it.
fn hosts(container: &Container, host: &Host, number: usize) -> String {
    let mounted = host.path(&format!("web{number}.hosts"));
    let inside = container.bundle().join("rootfs/etc/hosts");
    let path: &Path = if mounted.exists() { &mounted } else { &inside };
    fs::read_to_string(path).expect("a hosts file")
}

/// The tracked connections to the source.
fn tracked(host: &Host) -> usize {
    let count = |port: &u16| {
        let port = port.to_string();
        let mut list = Command::new("conntrack");
        let list = list.args(["-L", "-f", "ipv4", "-p", "tcp", "--dport", &port]);
        host.run(list).ok().lines().count()
    };
    PORTS.iter().map(count).sum()
}

each_backend! {
    fn an_end_costs_little_for_each_recipient(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306, 3308, 3310");
        let all = recipients(&host, "db");
        let open = |(web, port): (&Container, &u16)| Flow::open(web, &db, *port);
        let open: Vec<Flow> = all.iter().zip(&PORTS).map(open).collect();
        assert_eq!(tracked(&host), open.len());
        db.kill();
        let calls = calls(&host, &host.oci_link(&["hook", "poststop"]), &poststop(&db, "db"));
        assert!(calls <= MOST_CALLS, "{calls} system calls, bound {MOST_CALLS}");
        assert_eq!(permissions(&host), [""; 0]);
        assert_eq!(tracked(&host), 0);
        for (number, web) in all.iter().enumerate() {
            assert!(!hosts(web, &host, number).contains("\tdb"), "web{number}");
        }
        host.run(&mut host.oci_link(&["sync", "--check"])).ok();
        all.iter().for_each(end);
        db.delete().ok();
        host.assert_nothing_left();
    }

    /// The source comes last, and all recipients wait for it.
    fn a_start_costs_little_for_each_recipient_that_waits(backend) {
        let host = host_with(backend);
        let all: Vec<_> = (0..RECIPIENTS)
            .map(|number| {
                let web = host.container(&format!("web{number}")).annotate("links", "db");
                let web = web.annotate("missing", "defer").hooks().build();
                web.run().ok();
                web
            })
            .collect();
        let db = host.container("db").annotate("ports", "3306").build();
        db.create().ok();
        let state = db.state();
        let state = json!({
            "ociVersion": "1.0.2", "id": "db", "status": "creating", "pid": state["pid"],
            "bundle": db.bundle(),
        });
        let hook = host.oci_link(&["hook", "createRuntime"]);
        let calls = calls(&host, &hook, state.to_string().as_bytes());
        // The addresses of each recipient are read in its namespace.
        let most = MOST_CALLS + 100 * RECIPIENTS;
        assert!(calls <= most, "{calls} system calls, bound {most}");
        for web in &all {
            let inside = fs::read_to_string(web.bundle().join("rootfs/etc/hosts")).expect("there");
            assert!(inside.contains("\tdb"), "{inside}");
        }
        all.iter().chain([&db]).for_each(end);
        host.run(&mut host.oci_link(&["gc"])).ok();
        host.assert_nothing_left();
    }
}

/// A file without a lease is changed all the same. How long all of them are waited for is a test of the lease.
#[test]
fn recipients_that_keep_their_hosts_files_open_lose_their_lines_too() {
    let host = host_with(BackendName::Ipset);
    let db = source(&host, "db", "3306");
    let all = recipients(&host, "db");
    let mounted = |number| host.path(&format!("web{number}.hosts"));
    let open = |number| fs::File::open(mounted(number));
    let held: Vec<_> = (0..RECIPIENTS).filter_map(|number| open(number).ok()).collect();
    assert_eq!(held.len(), RECIPIENTS / 2);
    db.kill();
    let mut hook = host.oci_link(&["hook", "poststop"]);
    host.feed(&mut hook, &poststop(&db, "db")).ok();
    for (number, web) in all.iter().enumerate() {
        assert!(!hosts(web, &host, number).contains("\tdb"), "web{number}");
    }
    host.run(&mut host.oci_link(&["sync", "--check"])).ok();
    drop(held);
    all.iter().for_each(end);
    db.delete().ok();
    host.assert_nothing_left();
}
