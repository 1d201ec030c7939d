//! Damaged records: they are put aside, and other containers are not affected.

use crate::{
    backends::each_backend,
    cast::{end, iptables_host, ls, permissions, recipient, source},
    lifecycle::{call, host_with, record},
    support::{Host, OPEN, Proto, Runtime, SHUT},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};

fn names(host: &Host) -> Vec<Value> {
    ls(host).iter().map(|known| known["name"].clone()).collect()
}

#[test]
fn f33_a_record_that_cannot_be_read_is_put_aside_and_the_others_work() {
    let host = iptables_host(Runtime::Runc.turned());
    let db = source(&host, "db", "3306");
    let _bad = source(&host, "bad", "1");
    let path = record(&host, "bad");
    let whole = fs::read(&path).expect("readable");
    let another = String::from_utf8_lossy(&whole).replace("\"bad\"", "\"good\"");
    let hostile = String::from_utf8_lossy(&whole).replace("\"bad\"", "\"../../bad\"");
    for (n, damage) in [
        &b""[..],
        &whole[..whole.len() / 2],
        b"null",
        b"{\"version\":1}",
        b"\xff\xfe\0",
        another.as_bytes(),
        hostile.as_bytes(),
    ]
    .into_iter()
    .enumerate()
    {
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(&path, damage).expect("written");
        assert_eq!(names(&host), ["db"], "damage {n}");
        let aside = fs::read(host.state_dir().join("broken/bad.json")).expect("put aside");
        assert_eq!(aside, damage, "damage {n}");

        let web = recipient(&host, "web", "db");
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN, "damage {n}");
        end(&web);
    }
}

/// Its index entries lead to no record.
#[test]
fn f33_a_container_whose_record_was_put_aside_can_end_and_return() {
    let host = iptables_host(Runtime::Crun.turned());
    let db = source(&host, "db", "3306");
    fs::write(record(&host, "db"), "").expect("written");
    host.container("web").annotate("links", "db").build().prepare().refused(4);
    end(&db);
    drop(db);
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
}

each_backend! {
    /// Containers that run while oci-link is upgraded: their records say neither where the bundle is nor
    /// what bridge anything is on.
    fn f34_records_of_an_earlier_version_are_read(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        for id in ["db", "web"] {
            let path = record(&host, id);
            let text = fs::read(&path).expect("readable");
            let mut old: Value = serde_json::from_slice(&text).expect("JSON");
            let fields = old.as_object_mut().expect("an object");
            for new in ["bundle", "bridges", "place"] {
                assert!(fields.remove(new).is_some(), "no {new}: {fields:?}");
            }
            for flow in fields["flows"].as_array_mut().expect("a list") {
                let bridge = flow.as_object_mut().expect("an object").remove("bridge");
                assert!(bridge.is_some(), "{flow}");
            }
            fs::write(&path, old.to_string()).expect("written");
        }
        assert_eq!(names(&host), ["db", "web"]);
        call(&host, "sync").ok();
        assert_eq!(call(&host, "sync --check").ended(0), "");
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
        let next = recipient(&host, "next", "db");
        assert_eq!(next.reach(&db, Proto::Tcp, 3306), OPEN);
        [&web, &next, &db].into_iter().for_each(end);
        assert_eq!(permissions(&host), [""; 0]);
        host.assert_nothing_left();
    }
}

/// Makes a record one of a newer version, and returns its path and text.
fn newer(host: &Host, id: &str) -> (PathBuf, String) {
    let path = record(host, id);
    let text = fs::read(&path).expect("readable");
    let mut later: Value = serde_json::from_slice(&text).expect("JSON");
    later["version"] = json!(99);
    fs::write(&path, later.to_string()).expect("written");
    (path, later.to_string())
}

each_backend! {
    /// A newer version knows what to do with it; this one must not throw it away, and goes on with all
    /// others.
    fn a_record_of_a_later_version_stops_nothing_and_keeps_its_rules(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let api = recipient(&host, "api", "db");
        let (path, text) = newer(&host, "web");
        let named = "record web: version 99 is newer than this oci-link";
        for words in
            ["ls", "graph", "sync", "sync --check", "gc", "gc --dry-run", "inspect api", "inspect db"]
        {
            let said = call(&host, words).ended(0);
            assert!(said.contains(named), "{words}: {said}");
        }
        assert_eq!(names(&host), ["api", "db"]);
        let complaint = call(&host, "inspect web").refused(7);
        assert!(complaint.contains(named), "{complaint}");
        let complaint = call(&host, "gc --all").refused(7);
        assert!(complaint.contains("nothing was removed: record web"), "{complaint}");

        // Rules that were flushed come back, and orphaned ones go, and its own stay.
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
        fs::remove_file(host.state_dir().join("whole")).expect("there");
        let next = recipient(&host, "next", "db");
        assert_eq!(next.reach(&db, Proto::Tcp, 3306), OPEN);
        api.kill();
        call(&host, "gc").ok();
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(fs::read_to_string(&path).expect("still there"), text);

        // Its end is told to a program that cannot read it.
        end(&web);
        assert_eq!(fs::read_to_string(&path).expect("still there"), text);
        [&next, &db].into_iter().for_each(end);
    }

    /// The source of a link: the link stays, and new ones are refused for a reason.
    fn a_source_of_a_later_version_keeps_its_links(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let (path, text) = newer(&host, "db");
        call(&host, "sync").ok();
        assert_eq!(call(&host, "sync --check").ended(0).matches("record db").count(), 1);
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        let late = host.container("late").annotate("links", "db").build();
        assert!(late.prepare().refused(7).contains("record db: version 99"));
        let other = source(&host, "other", "80");
        // Another container with its address is noticed.
        let successor = host.container("successor").annotate("links", "other").number(db.number()).build();
        let complaint = successor.prepare().said() + &successor.run().said();
        let log = fs::read_to_string(host.path("log")).unwrap_or_default();
        let told = "address \"10.77.0.11\": record db: version 99";
        assert!(complaint.contains(told) || log.contains(told), "{complaint}\n{log}");
        assert_eq!(fs::read_to_string(&path).expect("still there"), text);
        [&web, &other].into_iter().for_each(end);
    }
}

#[test]
fn records_are_for_root_alone() {
    let host = iptables_host(Runtime::Runc);
    let _db = source(&host, "db", "3306");
    let mode = |path: &str| {
        let path = host.state_dir().join(path);
        host.run(Command::new("stat").args(["--format", "%a %u"]).arg(path)).ok()
    };
    let files = host.state_files();
    let record = files.iter().find(|file| file.starts_with("records/")).expect("a record");
    assert_eq!(mode(record), "600 0\n");
    assert_eq!(mode(""), "700 0\n");
}
