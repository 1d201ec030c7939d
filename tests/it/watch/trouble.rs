//! What may go wrong for it, and that it goes on.

use super::{Watch, is_known, is_well, soon};
use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    lifecycle::{by_hand, call, host_of, record, wipe},
    support::{OPEN, Proto, Runtime, SHUT},
};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP},
};
use oci_link::testing::BackendName;
use std::{
    fmt::Write,
    fs::{self, File},
    process::Command,
    thread,
    time::Duration,
};

each_backend! {
    /// Killed at any moment, also during a repair.
    fn killed_it_leaves_nothing_that_hurts(backend) {
        let host = host_of(backend, Runtime::Runc);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        for moment in [0, 90, 105, 110, 115, 120, 130, 150] {
            let mut watch = Watch::begin(&host);
            by_hand(&host, &["nft flush ruleset"]);
            thread::sleep(Duration::from_millis(moment));
            watch.end(SIGKILL);
        }
        call(&host, "sync").ok();
        assert!(is_well(&host));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

#[test]
fn f35_it_waits_for_a_lock_that_is_held() {
    let host = host_of(BackendName::Ipset, Runtime::Runc.turned());
    let db = source(&host, "db", "3306");
    let watch = Watch::begin(&host);
    watch.hears("STATUS=watched containers: 1");
    let file = File::open(host.state_dir().join("lock")).expect("there");
    let lock = Flock::lock(file, FlockArg::LockExclusive).expect("free");
    db.kill();
    // An end goes through and leaves a note; the daemon has to come again.
    let mut poststop = host.oci_link(&["hook", "poststop"]);
    let over = br#"{"id":"db","status":"stopped"}"#;
    assert_eq!(host.feed(&mut poststop, over).within(Duration::from_secs(5)).ok(), "");
    assert!(
        watch.log().contains("its links are removed later: the lock is held for more than 200ms")
    );
    let given_up = "the container ended, and its links could not be removed: the lock is held";
    soon("the daemon's", || watch.log().contains(given_up));
    assert!(is_known(&host, "db"));
    drop(lock);
    soon("cleared away", || !is_known(&host, "db"));
}

/// The daemon records what was noted, without another command.
#[test]
fn h15_a_start_is_recorded_when_the_lock_is_free() {
    let host = host_of(BackendName::Ipset, Runtime::Runc.turned());
    let first = source(&host, "first", "80");
    let lock_file = || File::open(host.state_dir().join("lock")).expect("there");
    let start = |name| {
        let lock = Flock::lock(lock_file(), FlockArg::LockExclusive).expect("free");
        let container = source(&host, name, "3306");
        assert!(!is_known(&host, name));
        drop(lock);
        container
    };
    let second = start("second");
    for command in ["sync --check", "doctor", "sync"] {
        let said = call(&host, command).said();
        assert!(said.contains("container second: its start is not recorded yet"), "{said}");
    }
    assert!(is_known(&host, "second"));
    call(&host, "sync --check").ok();

    let watch = Watch::begin(&host);
    watch.hears("STATUS=watched containers: 2");
    let third = start("third");
    watch.hears("STATUS=watched containers: 3");
    assert!(is_known(&host, "third"));
    drop(watch);
    [&first, &second, &third].into_iter().for_each(end);
    host.assert_nothing_left();
}

/// Written by a newer version: it is left alone, and so is what it may mean; others are followed.
#[test]
fn an_unreadable_record_does_not_stop_the_others() {
    let host = host_of(BackendName::Nftables, Runtime::Crun);
    let _strange = source(&host, "strange", "80");
    let path = record(&host, "strange");
    let text = fs::read_to_string(&path).expect("readable");
    fs::write(&path, text.replace("\"version\":1", "\"version\":99")).expect("written");
    let watch = Watch::begin(&host);
    watch.hears("STATUS=watched containers: 0");
    let db = source(&host, "db", "3306");
    watch.hears("STATUS=watched containers: 1");
    db.kill();
    soon("cleared away", || !is_known(&host, "db"));
    assert_eq!(
        watch.log().matches("strange: the end of this container will not be noticed: ").count(),
        1,
        "{}",
        watch.log()
    );
    let new = host.state_dir().join("records/new");
    fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).expect("written");
    watch.hears("STATUS=watched containers: 1");
}

/// One whose file cannot be opened costs the others nothing, and itself ever fewer tries.
#[test]
fn failed_repairs_are_tried_less_and_less_often() {
    let host = host_of(BackendName::Iptables, Runtime::Runc);
    let db = source(&host, "db", "3306");
    let (bad, good) = (recipient(&host, "bad", "db"), recipient(&host, "good", "db"));
    let _ = bad.exec(&["sh", "-c", "rm /etc/hosts; mkfifo /etc/hosts"]).ok();
    let watch = Watch::begin(&host);
    watch.hears("STATUS=watched containers: 3; some problems could not be repaired, see the log");
    thread::sleep(Duration::from_secs(4));
    // At once, and after 250, 500, 1000 and 2000 ms.
    assert!((2..=5).contains(&watch.looks()), "{}", watch.log());
    let said = watch.log().matches("some problems could not be repaired: ").count();
    assert!((1..=2).contains(&said), "{}", watch.log());
    by_hand(&host, &["iptables -F", "ip6tables -F"]);
    soon("the rules of others", || good.reach(&db, Proto::Tcp, 3307) == SHUT);
    assert_eq!(good.reach(&db, Proto::Tcp, 3306), OPEN);
    bad.exec(&["sh", "-c", "rm /etc/hosts"]).ok();
    watch.signal(nix::sys::signal::SIGHUP);
    watch.hears("STATUS=watched containers: 3");
}

/// The kernel keeps only so much for one who does not listen.
#[test]
fn more_changes_than_can_be_kept_are_a_change() {
    let host = host_of(BackendName::Nftables, Runtime::Runc);
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    by_hand(&host, &["nft add table ip noise", "nft add chain ip noise c"]);
    let watch = Watch::begin(&host);
    watch.sleeps(Duration::from_secs(1));
    watch.signal(SIGSTOP);
    let mut noise = String::new();
    for n in 0..8000 {
        writeln!(noise, "add rule ip noise c tcp dport {} accept", n + 1).expect("a string");
    }
    host.feed(Command::new("nft").args(["-f", "-"]), noise.as_bytes()).ok();
    by_hand(&host, &["nft delete table inet oci-link"]);
    watch.signal(SIGCONT);
    soon("all is well", || is_well(&host));
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
}

#[test]
fn more_records_than_can_be_told_of_are_listed() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let watch = Watch::begin(&host);
    watch.hears("STATUS=watched containers: 0");
    watch.signal(SIGSTOP);
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("readable");
    for n in 0..=most.trim().parse::<u32>().expect("a number") {
        let noise = host.state_dir().join(format!("records/{n}"));
        fs::write(&noise, "").and_then(|()| fs::remove_file(&noise)).expect("root may");
    }
    let db = source(&host, "db", "3306");
    watch.signal(SIGCONT);
    watch.hears("STATUS=watched containers: 1");
    assert!(
        watch.log().contains("some changes were missed; reading all records"),
        "{}",
        watch.log()
    );
    db.kill();
    soon("cleared away", || !is_known(&host, "db"));
}

/// It goes on in the one that is made instead.
#[test]
fn a_state_directory_that_is_lost_is_made_anew() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    let mut watch = Watch::begin(&host);
    watch.hears("STATUS=watched containers: 2");
    wipe(&host);
    watch.hears("READY=1");
    watch.hears("STATUS=watched containers: 0");
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT, "the owner of these rules is not known");
    let _ = call(&host, "watch").refused(7);
    let other = source(&host, "other", "3306");
    watch.hears("STATUS=watched containers: 1");
    other.kill();
    soon("cleared away", || !is_known(&host, "other"));
    assert!(watch.end(nix::sys::signal::SIGTERM).success());
}
