//! Ten thousand containers: what their number costs a command.

use crate::{
    cast::{recipient, source},
    lifecycle::host_of,
    support::{Container, Host, Outcome, Runtime},
};
use oci_link::testing::{
    Address, BackendName, Change, Commit, ContainerId, ContainerName, Directory, Found, HostsPlace,
    Network, OwnerTag, Record, Reference, open_store,
};
use std::{fmt::Write, fs, net::Ipv4Addr, process::Command, time::Duration};

/// Publishes `count` records, each a copy of that of `like` with names and an address of its own, and
/// makes their rules. Each shares the process of `like`, and none its network namespace.
pub(crate) fn publish(host: &Host, like: &str, numbers: std::ops::Range<u32>) {
    let directory = Directory::open(&host.state_dir()).expect("opens");
    let store = open_store(directory.into()).expect("opens");
    let Ok(Found::One(like)) = store.find(&Reference::new(like).expect("a name")) else {
        panic!("{like} has no record");
    };
    let lock = store.lock(Duration::from_secs(10)).expect("free");
    let mut elements = String::new();
    for number in numbers {
        let record = copy(&like, number);
        for flow in &record.flows {
            let _ = writeln!(
                elements,
                "add oci-link4-routed {},tcp:3306,{} comment {}",
                flow.from, flow.to, record.owner
            );
        }
        let done = store.commit(&lock, &Change::Put(&record), 0).expect("written");
        assert!(matches!(done, Commit::Done(_)));
    }
    drop(lock);
    let file = host.path("elements");
    fs::write(&file, elements).expect("written");
    host.run(Command::new("ipset").args(["restore", "-file"]).arg(file)).ok();
}

fn copy(like: &Record, number: u32) -> Record {
    let mut record = like.clone();
    let ip = Ipv4Addr::from(0x0a40_0000 + number);
    record.revision = 0;
    record.id = ContainerId::new(&format!("{number:08x}{}", "5c".repeat(28))).expect("an id");
    record.name = ContainerName::new(&format!("{}-{number}", like.name)).expect("a name");
    record.instance.netns += 1_000_000 + u64::from(number);
    let tag = like.owner.to_string();
    record.owner = OwnerTag::parse(&format!("{}{number:08x}", &tag[..8])).expect("a tag");
    record.network = Network::Own(vec![Address::parse(&format!("{ip}/8")).expect("an address")]);
    record.flows.retain(|flow| flow.from.is_ipv4());
    for flow in &mut record.flows {
        // Nothing says which bridge its address is on.
        (flow.from, flow.bridge) = (ip.into(), None);
    }
    if let Some(edit) = &mut record.hosts {
        let (HostsPlace::Mount { path, inode } | HostsPlace::Rootfs { path, inode, .. }) =
            &mut edit.place;
        *path = format!("/nonexistent/{number}").into();
        inode.number += u64::from(number);
    }
    record
}

/// A source, and `count` containers of which half are linked to it.
pub(crate) fn crowd(host: &Host, count: u32) -> [Container<'_>; 2] {
    let db = source(host, "db", "3306");
    let web = recipient(host, "web", "db");
    publish(host, "web", 0..count / 2);
    publish(host, "db", count / 2..count);
    [db, web]
}

const COMMANDS: [&str; 12] = [
    "ls",
    "ls --format json",
    "inspect db",
    "inspect web --format json",
    "sync --check",
    "gc --dry-run",
    "doctor",
    "doctor --format json",
    "graph --format text",
    "graph --format dot",
    "graph --format mermaid",
    "graph --format svg",
];

fn call(host: &Host, words: &str) -> Outcome {
    host.run(&mut host.oci_link(&words.split(' ').collect::<Vec<_>>()))
}

/// Half of them are linked to one source. Each row is as long as what it says, and not as the longest.
#[test]
fn n74_a_list_of_five_thousand_is_not_padded() {
    let host = host_of(BackendName::Ipset, Runtime::Crun.turned());
    let _all = crowd(&host, 5000);
    let text = call(&host, "ls").ok();
    assert!(text.len() < 5_000_000, "{} bytes", text.len());
    let longest = text.lines().filter(|line| !line.contains("web-1,web-")).map(str::len).max();
    assert!(longest.is_some_and(|longest| longest < 300), "{longest:?}");
    let json = call(&host, "ls --format json").ok();
    assert!(json.len() < 5_000_000, "{} bytes", json.len());
}

/// Four times as many containers take some four times as long, and not sixteen times: nothing is read for
/// each pair. Counted is the time that a command computes, with programs that it runs.
#[test]
fn n73_no_command_compares_all_with_all() {
    let host = host_of(BackendName::Ipset, Runtime::Crun.turned());
    let _all = crowd(&host, 400);
    let times = || COMMANDS.map(|words| call(&host, words).busy());
    let few = times();
    publish(&host, "web", 10_000..10_600);
    publish(&host, "db", 20_000..20_600);
    // A command that is slow by itself is so each time.
    let many = [times(), times()];
    for (at, words) in COMMANDS.iter().enumerate() {
        let many = many[0][at].min(many[1][at]);
        println!("{words}: {:?} for 400, {many:?} for 1,600", few[at]);
        assert!(
            many < 8 * few[at] + Duration::from_millis(100),
            "{words}: {:?}, {many:?}",
            few[at]
        );
    }
}

#[test]
#[ignore = "prints figures: make build, and OCI_LINK_TESTED"]
fn ten_thousand() {
    let host = host_of(BackendName::Ipset, Runtime::Crun);
    let _all = crowd(&host, 10_000);
    for words in COMMANDS {
        let outcome = call(&host, words);
        let (busy, said) = (outcome.busy(), outcome.said());
        println!("{words}: {busy:?}, {} bytes", said.len());
        assert!(words != "sync --check" || said.is_empty(), "{}", &said[..200]);
    }
}
