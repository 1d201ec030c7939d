//! Containers come and go in any order, change their links while they run, die untold, and find
//! their rules and files as they should be.

mod any_order;
mod connecting;
mod returning;

use crate::support::{Bundle, Container, Host};
use serde_json::json;

/// A container with these links that says what becomes of it when a source does not run.
fn unprepared<'h>(host: &'h Host, id: &str, links: &str, missing: &str) -> Bundle<'h> {
    host.container(id).annotate("links", links).annotate("missing", missing).hooks()
}

/// A running container that exposes `port` and is linked to others, who may not be there yet.
fn deferred<'h>(host: &'h Host, id: &str, links: &str, port: u16) -> Container<'h> {
    let container = unprepared(host, id, links, "defer").annotate("ports", &port.to_string());
    let container = container.build();
    container.run().ok();
    container
}

/// Whether its hosts file gives `alias` to the source's addresses, both.
fn knows(recipient: &Container, alias: &str, source: &Container) -> bool {
    let hosts = recipient.hosts();
    let line = |ip| format!("{ip}\t{alias}");
    source.addresses().iter().all(|ip| {
        hosts.lines().any(|other| {
            other
                .strip_prefix(&line(ip))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        })
    })
}

/// What a runtime sends to the hooks of a container that waits for its start.
fn created(container: &Container, id: &str) -> String {
    let pid = container.state()["pid"].clone();
    let bundle = container.bundle();
    json!({ "id": id, "status": "creating", "pid": pid, "bundle": bundle }).to_string()
}
