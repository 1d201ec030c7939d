//! Records come, change and go, and what is no record does not come.

use crate::cluster::Cluster;
use crate::courier::{Host, USER};
use crate::wait::seconds;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

#[test]
#[ignore = "needs etcd: make test-cluster"]
fn a_record_appears_on_the_other_host_changes_and_goes() {
    let cluster = Cluster::new(&["a", "b"]);
    let a = Host::started(&cluster, "a", 11);
    let b = Host::started(&cluster, "b", 12);
    b.offer("6f00.offer", r#"{"v":1,"host":"b","id":"6f00"}"#);
    let time = a.eventually("the offer of b", seconds(2), |a| a.copy("b~6f00.offer").is_some());
    println!("an offer reached the other host in {time:?}");
    assert_eq!(a.copy("b~6f00.offer").as_deref(), Some(r#"{"v":1,"host":"b","id":"6f00"}"#));
    let about = fs::metadata(a.path("spool/b~6f00.offer")).expect("the copy");
    assert_eq!((about.mode() & 0o7777, about.uid()), (0o640, USER));
    let presence: serde_json::Value =
        serde_json::from_str(&a.copy("b.host").expect("presence")).expect("JSON");
    assert_eq!((&presence["v"], &presence["host"]), (&1.into(), &"b".into()));

    a.offer("03.want", "{}");
    b.offer("6f00.offer", "changed");
    a.eventually("the change", seconds(2), |a| {
        a.copy("b~6f00.offer").as_deref() == Some("changed")
    });
    b.eventually("the want of a", seconds(2), |b| b.copies() == ["a.host", "a~03.want"]);
    b.end("6f00.offer");
    a.eventually("the end", seconds(2), |a| a.copies() == ["b.host"]);

    // All keys of a host hang on one lease.
    for name in ["1.offer", "2.offer", "3.want"] {
        b.offer(name, name);
    }
    a.eventually("three more", seconds(2), |a| a.copies().len() == 4);
    let leases = cluster.admin(&["lease", "list"]);
    assert_eq!(leases.lines().count(), 1 + 2, "one for each host: {leases}");
    let before = cluster.revision();
    a.always("fresh", seconds(4), |a| a.age() < seconds(4) && a.problem().is_empty());
    assert_eq!(cluster.revision(), before, "hosts without news write nothing");
    assert_is_well(&a);
}

/// `status` and `check` find nothing wrong.
fn assert_is_well(host: &Host) {
    let status = host.run(&["status", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(status.status.code(), Some(0), "{shown}");
    assert_eq!(shown["host"], host.name.as_str());
    assert_eq!((&shown["running"], &shown["published"]), (&true.into(), &true.into()));
    assert_eq!((&shown["own"], &shown["records"]), (&1.into(), &4.into()));
    assert!(
        shown["version"].as_str().is_some_and(|version| version.starts_with("3.5.")),
        "{shown}"
    );
    let table = String::from_utf8(host.run(&["status"]).stdout).expect("UTF-8");
    assert!(table.contains("problem    none\n"), "{table}");
    let before = host.status()["revision"].clone();
    let check = host.run(&["check"]);
    let text = String::from_utf8(check.stdout).expect("UTF-8");
    assert_eq!(check.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&check.stderr));
    for part in ["CN a, ends in 29 days", "may read", "may write /oci-link/v1/a/", "this machine"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("fault") && !text.contains("warning"), "{text}");
    assert_eq!(host.status()["revision"], before, "check changed something");
}

#[test]
#[ignore = "needs etcd: make test-cluster"]
fn what_is_no_record_is_not_carried() {
    let cluster = Cluster::new(&["a", "b"]);
    let b = Host::new(&cluster, "b", 12);
    let offers = b.path("offers");
    fs::create_dir(offers.join("directory.offer")).expect("a directory");
    symlink("/etc/passwd", offers.join("link.offer")).expect("a link");
    b.sh(&format!("mkfifo {}/fifo.want", offers.display()));
    for (name, content) in [("x.json", "x"), (".hidden.offer", "x"), ("good.offer", "good")] {
        fs::write(offers.join(name), content).expect("a file");
    }
    fs::write(offers.join("large.offer"), vec![b'x'; (64 << 10) + 1]).expect("a file");
    let mut b = b;
    b.start();
    let a = Host::started(&cluster, "a", 11);
    a.eventually("the good one", seconds(10), |a| a.copies() == ["b.host", "b~good.offer"]);

    // Keys and values that no courier of ours would write.
    for key in
        ["B/offer/x", "../offer/x", "c/offer/../../x", "c/other/x", "c/offer/a\nb", "c~d/self"]
    {
        cluster.put(&format!("/oci-link/v1/{key}"), b"junk");
    }
    cluster.put("/oci-link/v1/c/offer/1", b"of another tool");
    cluster.put("/oci-link/v1/c/offer/large", &vec![b'x'; (64 << 10) + 1]);
    let expected = ["b.host", "b~good.offer", "c~1.offer"];
    a.eventually("c's record", seconds(5), |a| a.copies() == expected);
    a.eventually("a count", seconds(5), |a| a.status()["dropped"] == 7);
    cluster.put("/oci-link/v1/c/offer/1", &vec![b'x'; 70_000]);
    a.eventually("a record that grew too large", seconds(5), |a| a.copies().len() == 2);
    assert!(a.problem().is_empty(), "{}", a.problem());
    assert!(!a.path("x").exists() && !a.path("spool/../x").exists());
}

/// Others' values can be larger than an answer that is read, in pages and on the watch.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn huge_values_of_others_stop_nothing() {
    let cluster = Cluster::new(&["a", "b"]);
    let mut a = Host::started(&cluster, "a", 11);
    for number in 0..10 {
        cluster.put(&format!("/oci-link/v1/c/offer/{number}"), &vec![b'x'; 1 << 20]);
    }
    let b = Host::started(&cluster, "b", 12);
    b.offer("good.offer", "good");
    a.eventually("the good one", seconds(10), |a| a.copies() == ["b.host", "b~good.offer"]);
    // The whole again, in smaller pages.
    a.kill();
    a.start();
    a.eventually("fresh again", seconds(10), |a| a.status()["resyncs"] == 1 && a.is_well());
    assert_eq!(a.copies(), ["b.host", "b~good.offer"]);
    assert_eq!(a.status()["dropped"], 10);
}

#[test]
#[ignore = "needs etcd: make test-cluster"]
fn a_restart_keeps_the_copies_and_the_lease() {
    let cluster = Cluster::new(&["a", "b"]);
    let mut a = Host::started(&cluster, "a", 11);
    let b = Host::started(&cluster, "b", 12);
    for name in ["stays.offer", "goes.offer", "changes.offer"] {
        b.offer(name, name);
    }
    a.offer("own.want", "own");
    a.eventually("three copies", seconds(5), |a| a.copies().len() == 4);
    b.eventually("the want of a", seconds(5), |b| b.copy("a~own.want").is_some());
    let inode = |name: &str| fs::metadata(a.path("spool").join(name)).expect("a copy").ino();
    let before = inode("b~stays.offer");
    let (lease, fresh) = (a.status()["lease"].clone(), a.view()["fresh_ms"].clone());
    a.kill();
    let stopped = a.run(&["status"]);
    assert_eq!(stopped.status.code(), Some(10));
    let said = String::from_utf8(stopped.stderr).expect("UTF-8");
    assert!(said.starts_with("oci-link-cluster: no courier runs") && said.lines().count() == 1);
    b.end("goes.offer");
    b.offer("changes.offer", "changed");
    b.offer("comes.offer", "comes");
    a.end("own.want");
    a.offer("other.want", "other");
    b.always("the records of a", seconds(1), |b| b.copy("a~own.want").is_some());
    a.start();
    a.always("copies stay", seconds(2), |a| {
        a.copy("b~stays.offer").is_some() && a.view()["fresh_ms"].as_u64() >= fresh.as_u64()
    });
    let expected = ["b.host", "b~changes.offer", "b~comes.offer", "b~stays.offer"];
    a.eventually("the difference", seconds(5), |a| a.copies() == expected);
    assert_eq!(a.copy("b~changes.offer").as_deref(), Some("changed"));
    assert_eq!(fs::metadata(a.path("spool/b~stays.offer")).expect("a copy").ino(), before);
    b.eventually("the difference of a", seconds(5), |b| b.copies() == ["a.host", "a~other.want"]);
    assert_eq!(a.status()["lease"], lease, "the lease is taken over");

    // SIGTERM is no reason to end a link either.
    a.signal("TERM");
    b.always("the records of a", seconds(2), |b| b.copies().len() == 2);
}

/// An administrator removes a host's records; the host is alive and puts them back.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn records_that_were_removed_by_others_come_back() {
    let cluster = Cluster::new(&["a", "b"]);
    let a = Host::started(&cluster, "a", 11);
    let b = Host::started(&cluster, "b", 12);
    b.offer("1.offer", "one");
    b.offer("2.offer", "two");
    a.eventually("both", seconds(5), |a| a.copies().len() == 3);
    cluster.admin(&["del", "/oci-link/v1/b/offer/1"]);
    a.eventually("back", seconds(5), |a| {
        a.status()["revision"].as_i64() > Some(5) && a.copies().len() == 3
    });
    cluster.admin(&["del", "--prefix", "/oci-link/v1/b/"]);
    a.eventually("gone", seconds(2), |a| a.copies().is_empty());
    a.eventually("all back", seconds(5), |a| a.copies().len() == 3);
    b.eventually("published", seconds(5), |b| b.view()["published"] == true);
}
