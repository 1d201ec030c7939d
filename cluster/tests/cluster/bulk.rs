//! Ten thousand records, a full store, and what that costs.

use crate::cluster::Cluster;
use crate::courier::{Host, PATIENCE};
use crate::wait::seconds;
use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

const HOSTS: usize = 20;
const RECORDS: usize = 10_000;
/// Changes of one transaction of etcd.
const BATCH: usize = 125;

/// A record of 0.85 KB, as a source with two addresses and a few recipients has.
fn record(number: usize) -> String {
    let names = "shop-db-1.".repeat(70);
    format!(r#"{{"v":1,"host":"h{}","id":"{number:064x}","names":["{names}"]}}"#, number % HOSTS)
}

/// Puts all records under one lease. The administrator does it, because etcd checks every key of the lease for
/// each put of another user (etcd#15993). Returns the lease.
fn publish(cluster: &Cluster) -> String {
    let granted = cluster.admin(&["lease", "grant", "3600"]);
    let lease = granted.split(' ').nth(1).expect("a lease").to_owned();
    let numbers: Vec<usize> = (0..RECORDS).collect();
    for batch in numbers.chunks(BATCH) {
        // No comparison; the changes; nothing for the other case.
        let mut script = String::from("\n");
        for number in batch {
            let (host, value) = (number % HOSTS, record(*number));
            let key = format!("/oci-link/v1/h{host}/offer/{number:064x}");
            let _ = writeln!(script, "put --lease={lease} {key} '{value}'");
        }
        script += "\n\n";
        cluster.script(&["txn"], &script);
    }
    lease
}

#[test]
#[ignore = "needs etcd: make test-cluster"]
fn ten_thousand_records() {
    let cluster = Cluster::new(&["a"]);
    let mut a = Host::started(&cluster, "a", 11);
    let lease = publish(&cluster);
    let time = a.eventually("all records", seconds(30), |a| a.copies().len() == RECORDS);
    println!("all records were there {time:?} after the last one was published");

    // Everything again, by difference and from nothing.
    let restarted = |a: &mut Host, what: &str| {
        let started = Instant::now();
        a.start();
        // Without its spool it is another machine, and publishes only after a lease; copies do not wait.
        a.eventually(what, seconds(15), |a| {
            let status = a.status();
            status["pid"] == a.pid() && status["resyncs"] == 1 && status["records"] == RECORDS
        });
        println!("{what}: {:?}", started.elapsed());
    };
    a.kill();
    restarted(&mut a, "compared with what was there");
    a.kill();
    fs::remove_dir_all(a.path("spool")).expect("removed");
    a.sh(&format!("install -d -o 65534 -g 65534 -m 750 {}", a.path("spool").display()));
    restarted(&mut a, "written from nothing");
    assert_eq!(a.copies().len(), RECORDS);
    assert_eq!(a.copy(&format!("h17~{:064x}.offer", 77)), Some(record(77)));

    let status = fs::read_to_string(format!("/proc/{}/status", a.pid())).expect("status");
    let kib = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    // The program that is tested here is not optimised, and its text counts.
    let (own, all) = (kib("RssAnon:"), kib("VmRSS:"));
    println!("memory: {own} KiB of its own, {all} KiB with the program's text");
    assert!(own < 16 << 10 && all < 32 << 10, "{status}");

    cluster.admin(&["lease", "revoke", &lease]);
    let time = a.eventually("all gone", seconds(15), |a| a.copies().is_empty());
    println!("all records of dead hosts were gone {time:?} after their lease");
    // Without its old spool it waited for its own lease.
    a.eventually("fresh", PATIENCE * 3, Host::is_well);
}

/// One host with many containers: its records come in batches that leave etcd time for others.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn a_host_with_many_records_stops_no_other() {
    let cluster = Cluster::new(&["a", "b"]);
    let a = Host::started(&cluster, "a", 11);
    let mut b = Host::new(&cluster, "b", 12);
    for number in 0..500 {
        b.offer(&format!("{number}.offer"), &record(number));
    }
    b.start();
    let time = a.eventually("all", seconds(60), |a| {
        assert!(a.age() < PATIENCE, "{}", a.view());
        a.copies().len() == 501
    });
    println!("500 records of one host were there after {time:?}");
    a.eventually("fresh", seconds(5), Host::is_well);
    b.eventually("published", seconds(5), |b| b.view()["published"] == true);
}

/// A full store refuses writes. Reading goes on, and the problem is named.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn a_full_store() {
    let cluster = Cluster::with(&["a", "b"], &["--quota-backend-bytes", "8388608"]);
    let a = Host::started(&cluster, "a", 11);
    let b = Host::started(&cluster, "b", 12);
    a.offer("1.offer", "1");
    b.eventually("the first", seconds(5), |b| b.copies().len() == 2);
    let file = a.path("megabyte");
    fs::write(&file, vec![b'x'; 1 << 20]).expect("a file");
    for _ in 0..12 {
        let mut put = cluster.etcdctl(&["put", "/elsewhere"]);
        put.stdin(fs::File::open(&file).expect("a file"));
        if !put.output().expect("etcdctl").status.success() {
            break;
        }
    }
    a.offer("2.offer", "2");
    a.eventually("the problem", seconds(15), |a| a.problem().contains("database space exceeded"));
    a.always("fresh", seconds(2), |a| a.age() < seconds(3));
    b.always("the first stays", PATIENCE + seconds(1), |b| b.copy("a~1.offer").is_some());
    let check = a.run(&["check"]);
    assert_eq!(check.status.code(), Some(10));
    let text = String::from_utf8(check.stdout).expect("UTF-8");
    assert!(text.contains("alarm:"), "{text}");

    cluster.admin(&["del", "/elsewhere"]);
    cluster.compact();
    cluster.admin(&["defrag"]);
    cluster.admin(&["alarm", "disarm"]);
    b.eventually("the second", seconds(15), |b| b.copy("a~2.offer").is_some());
    a.eventually("well", seconds(5), |a| a.problem().is_empty());
}
