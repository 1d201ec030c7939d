//! Containers come and go in any order, change their links while they run, die untold, and find
//! their rules and files as they should be.

mod any_order;
mod connecting;
mod dead;
mod drift;
mod engine_starts;
mod lost_bundle;
mod many_recipients;
mod meaning;
mod moving;
pub(crate) mod networks;
mod ranges;
mod reads;
mod removed;
mod returning;
mod unrecorded;
mod work;

use crate::support::{Bundle, Container, Host, Outcome, Runtime};
use oci_link::testing::BackendName;
use serde_json::json;
use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    process::Command,
};

/// A host that one backend isolates, and opens for links.
pub(crate) fn host_of(backend: BackendName, runtime: Runtime) -> Host {
    let host = Host::open(runtime);
    let config = format!("[firewall]\nbackend = \"{backend}\"\nisolate = [\"br0\"]\n");
    fs::write(host.path("config.toml"), config).expect("written");
    host
}

/// The same with either runtime: what is tried on all backends is tried on both. Which has which can be
/// turned round.
pub(crate) fn host_with(backend: BackendName) -> Host {
    let runtime = if backend == BackendName::Ipset { Runtime::Crun } else { Runtime::Runc };
    host_of(backend, runtime.turned())
}

/// `oci-link` with these words.
pub(crate) fn call(host: &Host, words: &str) -> Outcome {
    host.run(&mut host.oci_link(&words.split(' ').collect::<Vec<_>>()))
}

/// Runs each line inside the host.
pub(crate) fn by_hand(host: &Host, lines: &[&str]) {
    for line in lines {
        let mut words = line.split(' ');
        host.run(Command::new(words.next().expect("a program")).args(words)).ok();
    }
}

/// The state directory is lost.
pub(crate) fn wipe(host: &Host) {
    fs::remove_dir_all(host.state_dir()).expect("wiped");
    DirBuilder::new().mode(0o700).create(host.state_dir()).expect("root may make directories");
}

/// A container without hooks, with the number, and so the addresses, of another.
pub(crate) fn unlinked_at<'h>(host: &'h Host, id: &str, number: u8) -> Container<'h> {
    let container = host.container(id).number(number).build();
    container.run().ok();
    container
}

/// Another container in the network of `first`: they are a pod.
pub(crate) fn in_pod_of<'h>(first: &Container, bundle: Bundle<'h>) -> Container<'h> {
    let container = in_netns_of(first, bundle.hooks());
    container.run().ok();
    container
}

/// Another container in the network of `first`, not started.
pub(crate) fn in_netns_of<'h>(first: &Container, bundle: Bundle<'h>) -> Container<'h> {
    let container = bundle.build();
    let path = container.bundle().join("config.json");
    let text = fs::read_to_string(&path).expect("a bundle");
    let [own, pod] = [&container, first].map(|c| c.netns().path().display().to_string());
    fs::write(&path, text.replace(&own, &pod)).expect("written");
    container
}

/// The file that holds a container's record.
pub(crate) fn record(host: &Host, id: &str) -> PathBuf {
    let files = host.state_files();
    let name = format!("/{id}.json");
    let record = files.iter().find(|file| file.starts_with("records/") && file.ends_with(&name));
    host.state_dir().join(record.expect("it has a record"))
}

/// All that a command could have changed: rules, sets, and the state directory's files.
pub(crate) fn everything(host: &Host) -> (String, Vec<(String, Vec<u8>)>) {
    let rules = host.run(Command::new("nft").args(["list", "ruleset"])).ok();
    let sets = host.run(Command::new("ipset").args(["save", "-sorted"])).ok();
    // Counters count the packets of tests.
    let rules = rules.split(' ').filter(|word| !word.chars().all(|c| c.is_ascii_digit()));
    let rules: Vec<&str> = rules.collect();
    let files = host.state_files().into_iter().map(|file| {
        let content = fs::read(host.state_dir().join(&file)).unwrap_or_default();
        (file, content)
    });
    (rules.join(" ") + &sets, files.collect())
}

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
pub(crate) fn knows(recipient: &Container, alias: &str, source: &Container) -> bool {
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
