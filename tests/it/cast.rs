//! The containers of the scenarios: sources, recipients, and what is known of their links.

use crate::support::{Container, Host, Runtime};
use serde_json::Value;
use std::fs;

/// A host on which only links let packets through, and links are rules of iptables, as Docker's
/// were: what is in a chain can be read and counted.
pub(crate) fn iptables_host(runtime: Runtime) -> Host {
    let host = Host::isolated(runtime);
    fs::write(host.path("config.toml"), "[firewall]\nbackend = \"iptables\"\n").expect("written");
    host
}

/// A running container that exposes `ports`.
pub(crate) fn source<'h>(host: &'h Host, id: &str, ports: &str) -> Container<'h> {
    let source = host.container(id).annotate("ports", ports).hooks().build();
    source.run().ok();
    source
}

/// A container with these links that only waits to be run: prepared, so its sources must be there.
pub(crate) fn prepared<'h>(host: &'h Host, id: &str, links: &str) -> Container<'h> {
    let recipient = host.container(id).annotate("links", links).build();
    recipient.prepare().ok();
    recipient
}

/// A running container with these links.
pub(crate) fn recipient<'h>(host: &'h Host, id: &str, links: &str) -> Container<'h> {
    let recipient = prepared(host, id, links);
    recipient.run().ok();
    recipient
}

/// Its whole end, hooks included.
pub(crate) fn end(container: &Container) {
    container.kill();
    container.delete().ok();
}

/// The rules that permit packets: those in the recipients' chains.
pub(crate) fn link_rules(host: &Host) -> Vec<String> {
    let mut rules = host.rules();
    rules.retain(|rule| rule.starts_with("-A OCI-LINK-"));
    rules
}

/// What permits packets, with any backend: rules, and elements of sets.
pub(crate) fn permissions(host: &Host) -> Vec<String> {
    let mut all = link_rules(host);
    all.retain(|rule| !rule.starts_with("-A OCI-LINK-ISOLATE"));
    all.extend(host.set_elements());
    all
}

/// `oci-link inspect --format json`.
pub(crate) fn inspect(host: &Host, container: &str) -> Value {
    let text = host.run(&mut host.oci_link(&["inspect", container, "--format", "json"])).ok();
    serde_json::from_str(&text).expect("inspect prints JSON")
}

/// `oci-link ls --format json`.
pub(crate) fn ls(host: &Host) -> Vec<Value> {
    let text = host.run(&mut host.oci_link(&["ls", "--format", "json"])).ok();
    serde_json::from_str(&text).expect("ls prints a JSON array")
}
