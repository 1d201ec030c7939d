//! Hosts are cut off, for less and for more than a lease lives, and stopped.

use crate::cluster::{Cluster, MEMBERS};
use crate::courier::{Host, PATIENCE};
use crate::wait::seconds;
use std::thread::sleep;

const COPIES: [&str; 2] = ["b.host", "b~1.offer"];

/// Two hosts, each with a record that the other has.
fn pair(cluster: &Cluster) -> (Host, Host) {
    let a = Host::started(cluster, "a", 11);
    let b = Host::started(cluster, "b", 12);
    a.offer("1.want", "of a");
    b.offer("1.offer", "of b");
    a.eventually("the offer of b", seconds(5), |a| a.copies() == COPIES);
    b.eventually("the want of a", seconds(5), |b| b.copies().len() == 2);
    (a, b)
}

#[test]
#[ignore = "needs etcd: make test-cluster"]
fn a_short_cut_is_not_seen_by_other_hosts() {
    let cluster = Cluster::new(&["a", "b"]);
    let (a, b) = pair(&cluster);
    cluster.switch.cut(a.number);
    b.always("a's records stay", seconds(2), |b| b.copies().len() == 2);
    cluster.switch.heal(a.number);
    b.always("a's records stay", PATIENCE + seconds(2), |b| b.copies().len() == 2);
    a.eventually("fresh", seconds(5), Host::is_well);
    assert_eq!(a.copies(), COPIES);
}

/// `cut` cuts `a` off, `heal` undoes it.
fn a_long_cut(cut: impl Fn(&Cluster, &Host), heal: impl Fn(&Cluster, &Host)) {
    let cluster = Cluster::new(&["a", "b"]);
    let (a, b) = pair(&cluster);
    cut(&cluster, &a);
    let time = b.eventually("a's records go", PATIENCE + seconds(6), |b| b.copies().is_empty());
    println!("the others saw the cut after {time:?}");
    a.eventually("it is noticed", seconds(10), |a| !a.problem().is_empty());
    a.eventually("not published", seconds(10), |a| a.view()["published"] == false);
    b.offer("2.offer", "new");
    b.end("1.offer");
    a.eventually("the view ages", seconds(12), |a| a.age() > PATIENCE);
    assert_eq!(a.copies(), COPIES, "a knows nothing new, and forgets nothing");
    heal(&cluster, &a);
    let time = b.eventually("a's records", seconds(10), |b| b.copies().len() == 2);
    println!("healed after {time:?}");
    a.eventually("the news", seconds(5), |a| a.copies() == ["b.host", "b~2.offer"]);
    a.eventually("fresh", seconds(5), Host::is_well);
}

#[test]
#[ignore = "needs etcd: make test-cluster"]
fn a_long_cut_ends_the_records_and_heals() {
    a_long_cut(
        |cluster, a| cluster.switch.cut(a.number),
        |cluster, a| cluster.switch.heal(a.number),
    );
}

/// Packets leave and none comes back.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn a_cut_one_way_is_a_cut() {
    a_long_cut(
        |_, a| {
            a.sh("iptables -I INPUT -i eth0 -j DROP");
        },
        |_, a| {
            a.sh("iptables -D INPUT -i eth0 -j DROP");
        },
    );
}

/// The member in use is cut off from the others: it still answers, and knows nothing new.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn a_member_that_is_cut_off_is_left() {
    let cluster = Cluster::new(&["a", "b"]);
    let (a, b) = pair(&cluster);
    let alone = a.member();
    for other in MEMBERS.into_iter().filter(|number| *number != alone) {
        for chain in ["INPUT -s", "OUTPUT -d"] {
            cluster.on_member(alone, &format!("iptables -I {chain} 10.99.0.{other} -j DROP"));
        }
    }
    // A view that claims to be fresh must have the record that was published before.
    b.eventually("another member", seconds(20), |b| b.member() != alone && b.problem().is_empty());
    b.offer("2.offer", "new");
    a.eventually("the news", seconds(20), |a| a.copies().len() == 3);
    a.eventually("fresh elsewhere", seconds(5), |a| a.member() != alone && a.is_well());
}

/// The records of a stopped courier go. While it is stopped the store is compacted. It wakes up, writes
/// nothing under its old lease, and catches up.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn a_stopped_courier_catches_up() {
    let cluster = Cluster::new(&["a", "b"]);
    let (a, b) = pair(&cluster);
    let lease = a.status()["lease"].clone();
    a.signal("STOP");
    a.offer("2.want", "while stopped");
    b.eventually("a's records go", PATIENCE + seconds(6), |b| b.copies().is_empty());
    for number in 2..=300 {
        b.offer(&format!("{number}.offer"), "x");
    }
    b.end("1.offer");
    sleep(seconds(2));
    cluster.compact();
    assert!(a.age() > PATIENCE);
    assert_eq!(a.copies(), COPIES);
    a.signal("CONT");
    let time = a.eventually("the news", seconds(10), |a| {
        a.copies().len() == 300 && a.copy("b~1.offer").is_none()
    });
    println!("a courier that woke up had the news after {time:?}");
    b.eventually("a's records", seconds(10), |b| b.copies().len() == 3);
    a.eventually("fresh", seconds(5), Host::is_well);
    assert_ne!(a.status()["lease"], lease);
}

/// The revision that a courier has seen is compacted before it can read on.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn compaction_while_cut_off_closes_nothing() {
    let cluster = Cluster::new(&["a", "b"]);
    let (a, b) = pair(&cluster);
    cluster.switch.cut(a.number);
    for number in 2..=50 {
        b.offer(&format!("{number}.offer"), "x");
        b.end(&format!("{number}.offer"));
    }
    b.offer("51.offer", "x");
    sleep(seconds(1));
    cluster.compact();
    cluster.switch.heal(a.number);
    a.always("the copy stays", seconds(2), |a| a.copy("b~1.offer").is_some());
    let expected = ["b.host", "b~1.offer", "b~51.offer"];
    a.eventually("the news", seconds(10), |a| a.copies() == expected);
    a.eventually("fresh", seconds(5), Host::is_well);
}
