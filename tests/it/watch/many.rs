//! One that watches ten thousand containers.

use super::{Watch, is_known, soon};
use crate::{
    cast::recipient,
    lifecycle::host_of,
    state::scale::crowd,
    support::{Host, Runtime},
};
use oci_link::testing::BackendName;
use std::{fs, thread, time::Duration};

/// What the daemon has computed, in clock ticks.
fn ticks(watch: &Watch) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", watch.child.id())).expect("it runs");
    let rest = text.rsplit(')').next().expect("a name");
    rest.split_whitespace()
        .skip(11)
        .take(2)
        .map(|word| word.parse::<u64>().expect("a number"))
        .sum()
}

fn status(watch: &Watch, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", watch.child.id())).expect("it runs");
    let line = text.lines().find(|line| line.starts_with(field)).expect(field);
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number")
}

/// Watches `count` containers while one of them dies. Returns the daemon's memory in KiB, and what it
/// computes in `idle`.
fn watches(host: &Host, count: u32, idle: Duration) -> (u64, u64) {
    let _all = crowd(host, count);
    let watch = Watch::begin(host);
    watch.hears(&format!("STATUS=watched containers: {}", count + 2));
    let api = recipient(host, "api", "db");
    watch.hears(&format!("STATUS=watched containers: {}", count + 3));
    api.kill();
    soon("the record of api", || !is_known(host, "api"));
    watch.hears(&format!("STATUS=watched containers: {}", count + 2));
    thread::sleep(Duration::from_secs(2));
    let before = ticks(&watch);
    thread::sleep(idle);
    let computed = ticks(&watch) - before;
    let (memory, peak) = (status(&watch, "VmRSS"), status(&watch, "VmHWM"));
    println!(
        "{count}: {computed} ticks in {idle:?}, {memory} KiB, at most {peak} KiB at the first check"
    );
    (memory, computed)
}

#[test]
fn a_crowd_is_watched_and_a_death_among_it_is_seen() {
    let host = host_of(BackendName::Ipset, Runtime::Crun.turned());
    watches(&host, 500, Duration::ZERO);
}

#[test]
#[ignore = "prints figures: make build, and OCI_LINK_TESTED"]
fn ten_thousand() {
    let host = host_of(BackendName::Ipset, Runtime::Crun);
    let (memory, computed) = watches(&host, 10_000, Duration::from_secs(60));
    assert!(memory <= 32 << 10, "{memory} KiB");
    assert!(computed < 60, "{computed} ticks of a hundredth of a second in a minute");
}
