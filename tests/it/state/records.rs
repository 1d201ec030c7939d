//! Records that somebody damaged: put aside, and nobody else suffers.

use crate::{
    backends::each_backend,
    cast::{end, iptables_host, ls, permissions, recipient, source},
    lifecycle::{call, host_with, record},
    support::{Host, OPEN, Proto, Runtime, SHUT},
};
use serde_json::{Value, json};
use std::{fs, process::Command};

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

/// A newer version knows what to do with it; this one must not throw it away.
#[test]
fn a_record_of_a_later_version_is_left_alone() {
    let host = iptables_host(Runtime::Runc);
    let _db = source(&host, "db", "3306");
    let path = record(&host, "db");
    let mut later: Value =
        serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
    later["version"] = json!(99);
    fs::write(&path, later.to_string()).expect("written");
    let complaint = host.run(&mut host.oci_link(&["inspect", "db"])).refused(7);
    assert!(complaint.contains("version 99"), "{complaint}");
    assert_eq!(fs::read_to_string(&path).expect("still there"), later.to_string());
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
