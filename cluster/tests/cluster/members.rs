//! Members of etcd die, and come back.

use crate::cluster::{Cluster, MEMBERS};
use crate::courier::{Host, PATIENCE};
use crate::wait::seconds;
use std::thread::sleep;
use std::time::Duration;

/// Publishes a record every 50 ms while a member is killed: all arrive, and nothing goes.
fn nothing_is_lost_when_dies(choose: impl Fn(&Cluster, &Host) -> u8) {
    let mut cluster = Cluster::new(&["a", "b"]);
    let a = Host::started(&cluster, "a", 11);
    let b = Host::started(&cluster, "b", 12);
    b.offer("0.offer", "0");
    a.eventually("the first", seconds(5), |a| a.copy("b~0.offer").is_some());
    let victim = choose(&cluster, &b);
    for number in 1..=60 {
        if number == 20 {
            cluster.kill(victim);
        }
        b.offer(&format!("{number}.offer"), "x");
        assert!(a.copy("b~0.offer").is_some() && a.copy("b.host").is_some());
        sleep(Duration::from_millis(50));
    }
    let time = a.eventually("all", seconds(10), |a| a.copies().len() == 62);
    println!("all 60 records have arrived {time:?} after the last one, with member {victim} dead");
    for host in [&a, &b] {
        host.eventually("fresh", seconds(10), Host::is_well);
        assert_ne!(host.member(), victim);
    }
    cluster.start(victim);
    a.always("all", seconds(1), |a| a.copies().len() == 62);
}

#[test]
#[ignore = "needs etcd: make test-cluster"]
fn the_leader_dies() {
    nothing_is_lost_when_dies(|cluster, _| cluster.leader());
}

#[test]
#[ignore = "needs etcd: make test-cluster"]
fn the_member_in_use_dies() {
    nothing_is_lost_when_dies(|_, b| b.member());
}

/// Without a majority etcd can say nothing new. Copies stay, and the view ages.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn the_majority_is_lost_and_comes_back() {
    let mut cluster = Cluster::new(&["a", "b"]);
    let a = Host::started(&cluster, "a", 11);
    let b = Host::started(&cluster, "b", 12);
    b.offer("1.offer", "1");
    a.eventually("the first", seconds(5), |a| a.copies().len() == 2);
    let dead: Vec<u8> = MEMBERS.into_iter().filter(|number| *number != a.member()).collect();
    for number in &dead {
        cluster.kill(*number);
    }
    b.offer("2.offer", "2");
    b.end("1.offer");
    a.eventually("the view ages", seconds(15), |a| a.age() > PATIENCE + seconds(3));
    assert!(!a.problem().is_empty());
    assert_eq!(a.copies(), ["b.host", "b~1.offer"], "no copy goes without news");
    let told = a.run(&["status"]);
    assert_eq!(told.status.code(), Some(10));
    for number in &dead {
        cluster.start(*number);
    }
    let time = a.eventually("the news", seconds(20), |a| a.copies() == ["b.host", "b~2.offer"]);
    println!("the majority was back, and the news there after {time:?}");
    a.eventually("fresh", seconds(10), Host::is_well);
    b.eventually("published", seconds(10), |b| b.view()["published"] == true);
}

/// etcd comes back without its data, with lower revisions than the hosts have seen.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn etcd_forgets_everything() {
    let mut cluster = Cluster::new(&["a", "b"]);
    let a = Host::started(&cluster, "a", 11);
    let b = Host::started(&cluster, "b", 12);
    for number in 0..30 {
        b.offer("1.offer", &number.to_string());
        sleep(Duration::from_millis(20));
    }
    a.offer("1.want", "1");
    a.eventually("the last", seconds(5), |a| a.copy("b~1.offer").as_deref() == Some("29"));
    b.eventually("the want", seconds(5), |b| b.copies().len() == 2);
    let before = a.status()["revision"].as_i64();
    cluster.start_anew(&["a", "b"]);
    for host in [&a, &b] {
        host.eventually("published", seconds(15), |host| {
            host.is_well() && host.view()["published"] == true
        });
    }
    a.eventually("the copies", seconds(10), |a| a.copies() == ["b.host", "b~1.offer"]);
    b.eventually("the copies", seconds(10), |b| b.copies() == ["a.host", "a~1.want"]);
    assert!(a.status()["revision"].as_i64() < before, "{}", a.status());
    b.offer("2.offer", "2");
    a.eventually("news", seconds(5), |a| a.copies().len() == 3);
}
