//! `gc`: containers that died without a poststop hook, or without a record.

use super::{call, everything, host_of, host_with, knows, record, unlinked_at, wipe};
use crate::{
    backends::each_backend,
    cast::{end, inspect, ls, permissions, recipient, source},
    support::{Container, Flow, Host, OPEN, Proto, Runtime, SHUT},
};
use oci_link::testing::BackendName;
use std::{fs, os::unix::fs::symlink};

/// What gc prints for a container that no longer runs.
fn is_over(id: &str) -> String {
    format!("removed: links of container {id} ({id}): the container no longer runs\n")
}

each_backend! {
    fn f27_what_the_dead_left_goes_and_their_addresses_open_nothing(backend) {
        let host = host_with(backend);
        // A link that is tied to ports opens nothing to an successor behind another one, with or without gc.
        let path = host.path("config.toml");
        let text = fs::read_to_string(&path).expect("a file") + "bind = \"bridge\"\n";
        fs::write(path, text).expect("written");
        let db = source(&host, "db", "3306");
        let (web, other) = (recipient(&host, "web", "db"), recipient(&host, "other", "db"));
        web.kill();
        web.unplug();
        let successor = unlinked_at(&host, "successor", web.number());
        assert_eq!(successor.reach(&db, Proto::Tcp, 3306), OPEN, "the rules of the dead stand");
        assert_eq!(call(&host, "gc").ended(0), is_over("web"));
        assert_eq!(successor.reach(&db, Proto::Tcp, 3306), SHUT);
        assert_eq!(other.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(call(&host, "gc").ended(0), "", "that was all");
        web.delete().ok();
        [&other, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn a_dead_source_is_taken_from_its_recipients(backend) {
        let host = host_with(backend);
        let (db, cache) = (source(&host, "db", "3306"), source(&host, "cache", "6379"));
        let web = recipient(&host, "web", "db cache");
        db.kill();
        db.unplug();
        let successor = unlinked_at(&host, "successor", db.number());
        assert_eq!(call(&host, "gc").ended(0), is_over("db"));
        assert_eq!(web.reach(&successor, Proto::Tcp, 3306), SHUT);
        assert_eq!(web.reach(&cache, Proto::Tcp, 6379), OPEN);
        assert!(!knows(&web, "db", &db) && knows(&web, "cache", &cache), "{}", web.hosts());
        db.delete().ok();
        [&web, &cache].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn a_dry_run_changes_nothing(backend) {
        let host = host_with(backend);
        let _db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        web.kill();
        fs::write(host.state_dir().join("records/new"), "half a rec").expect("written");
        let before = everything(&host);
        let leftover = "removed: leftover in the state directory: records/new\n";
        let found = (is_over("web") + leftover).replace("removed: ", "");
        let expected = found + "2 problems found; run oci-link gc\n";
        assert_eq!(call(&host, "gc --dry-run").ended(13), expected);
        assert_eq!(everything(&host), before);
        assert_eq!(call(&host, "gc").ended(0), leftover.to_owned() + &is_over("web"));
        assert_eq!(call(&host, "gc --dry-run").ended(0), "");
    }

    /// All records are lost; the rules name their owner, and no container of that name is known.
    fn f20_rules_that_no_record_names_go_with_their_connections(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306, 53/udp");
        let web = recipient(&host, "web", "db");
        let mut flow = Flow::open(&web, &db, 3306);
        let owner = inspect(&host, "web")["owner"].as_str().expect("a tag").to_owned();
        wipe(&host);
        assert!(flow.is_alive());
        let told = call(&host, "gc").ended(0);
        let expected =
            format!("removed: orphaned rules in {backend}: no record has the owner tag {owner}\n");
        assert_eq!(told, expected);
        assert!(!flow.is_alive());
        drop(flow);
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        assert_eq!(call(&host, "gc").ended(0), "");
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// Records on a disk, and rules that a service restored at boot.
    fn f19_another_boot_means_that_all_are_dead(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("readable");
        let boot = boot.trim().replace('-', "");
        let notes = ["backend", "iptables", "ip6tables", "isolation", "nftables-isolation"];
        let notes = notes.iter().map(|note| host.state_dir().join(note));
        for file in [record(&host, "web"), record(&host, "db")].into_iter().chain(notes) {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            fs::write(&file, text.replace(&boot, &"0".repeat(32))).expect("written");
        }
        let told = call(&host, "gc").ended(0);
        assert_eq!(told, is_over("db") + &is_over("web"));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        assert_eq!(host.state_files(), [""; 0]);
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// It runs, but has no record any more: no hook could remove its rules later.
    fn f33_rules_of_a_record_that_was_put_aside_go(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let owner = inspect(&host, "web")["owner"].as_str().expect("a tag").to_owned();
        fs::write(record(&host, "web"), "{").expect("written");
        let told = call(&host, "gc").ended(0);
        let expected =
            format!("removed: orphaned rules in {backend}: no record has the owner tag {owner}\n");
        assert!(told.contains(&expected), "{told}");
        assert_eq!(permissions(&host), [""; 0]);
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        assert!(host.state_dir().join("broken/web.json").exists());
    }
}

/// Linked to each other, they die together.
#[test]
fn a_circle_of_the_dead_goes() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let a = super::deferred(&host, "a", "b", 1001);
    let b = super::deferred(&host, "b", "c", 1002);
    let c = super::deferred(&host, "c", "a", 1003);
    [&a, &b, &c].into_iter().for_each(Container::kill);
    let told = call(&host, "gc").ended(0);
    assert_eq!(told, is_over("a") + &is_over("b") + &is_over("c"));
    host.assert_nothing_left();
}

#[test]
fn what_killed_writers_left_goes() {
    let host = host_of(BackendName::Iptables, Runtime::Runc);
    let _db = source(&host, "db", "3306");
    let _web = recipient(&host, "web", "db");
    let state = host.state_dir();
    let before = host.state_files();
    for file in ["new", "records/new"] {
        fs::write(state.join(file), "half").expect("written");
    }
    for entry in ["addresses/10.77.0.99/gone", "addresses/10.77.0.98/db", "wanted/db/db"] {
        let entry = state.join(entry);
        fs::create_dir_all(entry.parent().expect("has one")).expect("made");
        symlink(entry.file_name().expect("has one"), &entry).expect("made");
    }
    symlink("gone", state.join("names/ghost")).expect("made");
    fs::create_dir(state.join("wanted/nobody")).expect("made");
    let told = call(&host, "gc").ended(0);
    let mut lines: Vec<_> = told.lines().collect();
    lines.sort_unstable();
    let expected = [
        "addresses/10.77.0.98/db",
        "addresses/10.77.0.99/gone",
        "names/ghost",
        "new",
        "records/new",
        "wanted/db/db",
        "wanted/nobody/",
    ];
    assert_eq!(
        lines,
        expected.map(|name| format!("removed: leftover in the state directory: {name}"))
    );
    assert_eq!(host.state_files(), before);
    assert!(!state.join("wanted/nobody").exists() && !state.join("addresses/10.77.0.99").exists());
    assert_eq!(inspect(&host, "web")["links"][0]["connected"], "db");
    assert_eq!(call(&host, "gc").ended(0), "");
}

fn gc_of_many(host: &Host) {
    let _db = source(host, "db", "3306");
    let all: Vec<_> = (0..6).map(|n| recipient(host, &format!("web{n}"), "db")).collect();
    all.iter().for_each(Container::kill);
    call(host, "gc").ok();
}

/// A container that starts meanwhile is not mistaken for a dead one.
#[test]
fn containers_start_while_others_are_cleared_away() {
    let host = host_of(BackendName::Iptables, Runtime::Crun);
    let cache = source(&host, "cache", "6379");
    std::thread::scope(|scope| {
        let clearing = scope.spawn(|| gc_of_many(&host));
        for n in 0..4 {
            let web = recipient(&host, &format!("new{n}"), "cache");
            assert_eq!(web.reach(&cache, Proto::Tcp, 6379), OPEN);
            call(&host, "gc").ok();
            assert_eq!(web.reach(&cache, Proto::Tcp, 6379), OPEN);
        }
        clearing.join().expect("gc goes through");
    });
    call(&host, "gc").ok();
    let dead: Vec<_> = ls(&host).into_iter().filter(|known| known["state"] == "dead").collect();
    assert!(dead.is_empty(), "{dead:?}");
}
