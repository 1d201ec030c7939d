//! `org.oci-link.missing`: what becomes of a container whose source does not run when it starts.

use super::{created, deferred, knows, unprepared};
use crate::{
    cast::{end, inspect, iptables_host, link_rules, source},
    support::{Container, Host, OPEN, Proto, Runtime, SHUT, each_runtime},
};
use serde_json::{Value, json};
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// Long enough that what does not wait is seen not to have waited.
const A_MOMENT: Duration = Duration::from_millis(300);

fn log(host: &Host) -> String {
    fs::read_to_string(host.path("log")).expect("a log")
}

fn connected(host: &Host, container: &str) -> Value {
    inspect(host, container)["links"][0]["connected"].clone()
}

each_runtime! {
    fn a_deferred_link_is_wired_the_moment_its_source_appears(runtime) {
        let host = iptables_host(runtime);
        let web = deferred(&host, "web", "db:mysql", 80);
        assert_eq!(link_rules(&host), [""; 0]);
        assert_eq!(connected(&host, "web"), Value::Null);
        let db = source(&host, "db", "3306");
        assert!(knows(&web, "mysql", &db), "{}", web.hosts());
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
        assert_eq!(connected(&host, "web"), "db");
        end(&web);
        end(&db);
        host.assert_nothing_left();
    }

    fn containers_may_be_linked_to_each_other(runtime) {
        let host = iptables_host(runtime);
        let a = deferred(&host, "a", "b", 1001);
        let b = deferred(&host, "b", "a", 1002);
        assert!(knows(&a, "b", &b) && knows(&b, "a", &a));
        assert_eq!(a.reach(&b, Proto::Tcp, 1002), OPEN);
        assert_eq!(b.reach(&a, Proto::Tcp, 1001), OPEN);
        assert_eq!(a.reach(&b, Proto::Tcp, 1001), SHUT);
        end(&a);
        assert!(!knows(&b, "a", &a));
        end(&b);
        host.assert_nothing_left();
    }

    fn containers_may_be_linked_in_a_circle(runtime) {
        let host = iptables_host(runtime);
        let a = deferred(&host, "a", "b", 1001);
        let b = deferred(&host, "b", "c", 1002);
        let c = deferred(&host, "c", "a", 1003);
        for (from, to, port) in [(&a, &b, 1002), (&b, &c, 1003), (&c, &a, 1001)] {
            assert_eq!(from.reach(to, Proto::Tcp, port), OPEN);
            assert_eq!(to.reach(from, Proto::Tcp, port), SHUT, "a link has one direction");
        }
        [&b, &a, &c].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn a_wait_ends_when_its_source_starts_and_delays_no_other_start(runtime) {
        let host = iptables_host(runtime);
        let web = unprepared(&host, "web", "db", "wait=30s").build();
        thread::scope(|scope| {
            let started = scope.spawn(|| web.run().ok());
            thread::sleep(A_MOMENT);
            assert!(!started.is_finished());
            // Another that starts meanwhile is linked, which takes the lock.
            let cache = source(&host, "cache", "6379");
            let other = unprepared(&host, "other", "cache", "fail").build();
            other.run().ok();
            assert_eq!(other.reach(&cache, Proto::Tcp, 6379), OPEN);
            assert!(!started.is_finished());
            let db = source(&host, "db", "3306");
            started.join().expect("web starts");
            assert!(knows(&web, "db", &db));
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        });
    }

    fn a_wait_in_vain_is_a_refusal_that_leaves_nothing(runtime) {
        let host = iptables_host(runtime);
        let web = unprepared(&host, "web", "db", "wait=700ms").build();
        let begun = Instant::now();
        let _ = web.run().refused(1);
        assert!(begun.elapsed() >= Duration::from_millis(700));
        assert!(log(&host).contains("No such container: db: waited 700 ms"), "{}", log(&host));
        host.assert_nothing_left();
    }
}

/// Without an engine no program starts the source: waiting has no use.
#[test]
fn without_an_engine_auto_is_a_refusal_at_once() {
    let host = iptables_host(Runtime::Runc);
    for missing in [None, Some("auto")] {
        let web = host.container("web").annotate("links", "db").hooks();
        let web = missing.into_iter().fold(web, |web, value| web.annotate("missing", value));
        let web = web.build();
        let begun = Instant::now();
        let _ = web.run().refused(1);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(log(&host).contains("No such container: db\n"), "{}", log(&host));
    }
    host.assert_nothing_left();
}

/// `wait` without a time is `[links] wait` of config.toml.
#[test]
fn a_bare_wait_is_that_of_the_configuration() {
    let host = iptables_host(Runtime::Runc);
    let config = fs::read_to_string(host.path("config.toml")).expect("readable");
    fs::write(host.path("config.toml"), config + "[links]\nwait = \"700ms\"\n").expect("written");
    let web = unprepared(&host, "web", "db", "wait").build();
    let begun = Instant::now();
    let _ = web.run().refused(1);
    assert!(begun.elapsed() >= Duration::from_millis(700));
    assert!(log(&host).contains("No such container: db: waited 700 ms"), "{}", log(&host));
    host.assert_nothing_left();
}

/// A runtime kills its hook at the timeout, and prints no reason.
#[test]
fn a_wait_ends_before_the_timeout_of_the_hook() {
    let host = iptables_host(Runtime::Runc);
    let web = unprepared(&host, "web", "db", "wait=10m");
    let timeout = |config: &mut Value| config["hooks"]["createRuntime"][0]["timeout"] = 2.into();
    let complaint = web.edit(timeout).build().run().refused(1);
    let reason = "waited 1 s of 600 s, because the timeout of this hook in config.json is 2 s";
    assert!(complaint.contains(reason), "{complaint}");
    host.assert_nothing_left();
}

#[test]
fn a_wait_ends_with_the_container() {
    let host = iptables_host(Runtime::Runc);
    let web = host.container("web").annotate("links", "db").annotate("missing", "wait=1m").build();
    web.create().ok();
    let state = created(&web, "web");
    thread::scope(|scope| {
        let hook = scope.spawn(|| {
            let mut hook = host.oci_link(&["hook", "createRuntime"]);
            host.feed(&mut hook, state.as_bytes()).refused(9)
        });
        thread::sleep(A_MOMENT);
        assert!(!hook.is_finished());
        web.kill();
        let complaint = hook.join().expect("the hook ends");
        assert!(complaint.contains("web: ended while it waited for its sources"), "{complaint}");
    });
    host.assert_nothing_left();
}

/// By name, by id, and by a prefix of the id.
#[test]
fn no_container_is_linked_to_itself_in_any_mode() {
    let host = iptables_host(Runtime::Runc);
    for missing in ["auto", "fail", "defer", "wait=1m"] {
        let id = "0123abcd".repeat(8);
        for link in ["me:other", &format!("{id}:other"), "0123abcd0123:other"] {
            let begun = Instant::now();
            let me = unprepared(&host, &id, link, missing).annotate("name", "me").build();
            let complaint = me.run().refused(1);
            let reason = "a container cannot be linked to itself";
            assert!(complaint.contains(reason), "{missing} {link}: {complaint}");
            assert!(begun.elapsed() < Duration::from_secs(30), "nothing to wait for");
            let complaint = me.prepare().refused(4);
            assert!(complaint.contains(reason), "{missing} {link}: {complaint}");
        }
    }
    host.assert_nothing_left();
}

#[test]
fn an_ambiguous_source_is_refused_in_any_mode() {
    let host = iptables_host(Runtime::Runc);
    let [one, two, own] = ["1", "2", "3"].map(|end| format!("abcabcabcabc{}", end.repeat(52)));
    let (_one, _two) = (source(&host, &one, "1"), source(&host, &two, "2"));
    for missing in ["auto", "fail", "defer", "wait=1m"] {
        let web = unprepared(&host, "web", "abcabcabcabc:x", missing).build();
        let complaint = web.run().refused(1);
        let reason = "multiple IDs found with provided prefix: abcabcabcabc";
        assert!(complaint.contains(reason), "{missing}: {complaint}");
    }
    // So is a prefix that the container itself would share.
    let links = format!("{one}:x,abcabcabcabc:y");
    let web = unprepared(&host, &own, &links, "defer").build();
    let _ = web.run().refused(1);
    assert_eq!(link_rules(&host), [""; 0]);
}

#[test]
fn a_deferred_link_by_prefix_is_wired_too_and_again() {
    let host = iptables_host(Runtime::Crun);
    let web = deferred(&host, "web", "0a1b0a1b0a1b:db", 80);
    let (id, other) = ("0a1b".repeat(16), format!("0a1b0a1b0a1b{}", "f".repeat(52)));
    let db = source(&host, &id, "3306");
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    end(&db);
    drop(db);
    // Another id of that prefix takes nothing away, neither while the source is gone nor later.
    let other = source(&host, &other, "3306");
    assert_eq!(web.reach(&other, Proto::Tcp, 3306), SHUT);
    let db = source(&host, &id, "3306");
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    let _third = deferred(&host, "third", "web", 81);
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    assert_eq!(web.reach(&other, Proto::Tcp, 3306), SHUT);
    [&web, &db, &other].into_iter().for_each(end);
}

#[test]
fn what_is_no_answer_to_a_missing_source_is_bad_input() {
    let host = iptables_host(Runtime::Runc);
    for missing in ["", "wait=", "wait=0s", "wait=11m", "wait=1h", "later"] {
        let web = unprepared(&host, "web", "db", missing).build();
        let complaint = web.prepare().refused(3);
        assert!(complaint.contains("missing"), "{complaint}");
    }
}

/// Variables are of sources that run when config.json is edited.
#[test]
fn a_prepared_bundle_without_its_source_is_told_so_and_has_no_variables() {
    let host = iptables_host(Runtime::Runc);
    for missing in ["defer", "wait=45s"] {
        let web = unprepared(&host, "web", "db:mysql", missing).build();
        let note = web.prepare().ended(0);
        assert_eq!(note, "oci-link: db does not run: the variables for mysql are missing\n");
    }
    let web = unprepared(&host, "web", "db:mysql", "wait=45s").build();
    web.prepare().ok();
    let config = fs::read(web.bundle().join("config.json")).expect("a bundle");
    let config: Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!(config["process"]["env"], json!(["PATH=/bin"]));
    let timeout = config["hooks"]["createRuntime"][0]["timeout"].as_i64();
    assert!(timeout.is_some_and(|timeout| timeout > 45), "the wait fits: {timeout:?}");
}

fn environ(web: &Container) -> bool {
    web.environ().contains(&"MYSQL_PORT_3306_TCP_PORT=3306".to_owned())
}

#[test]
fn the_wrapper_defers_and_waits_as_hooks_do() {
    let host = iptables_host(Runtime::Runc).wrapped();
    let config = fs::read_to_string(host.path("config.toml")).expect("readable");
    fs::write(host.path("config.toml"), config + "[firewall]\nbackend = \"iptables\"\n")
        .expect("written");
    let plain = |id: &str, links: &str, missing: &str| {
        host.container(id).annotate("links", links).annotate("missing", missing).build()
    };
    let db = || host.container("db").annotate("ports", "3306").build();
    let early = plain("early", "db:mysql", "defer");
    early.run().ok();
    let waits = plain("waits", "db:mysql", "wait=30s");
    let _ = plain("vain", "db", "wait=300ms").create().refused(4);
    thread::scope(|scope| {
        let started = scope.spawn(|| {
            waits.create().ok();
            waits.start().ok()
        });
        thread::sleep(A_MOMENT);
        assert!(!started.is_finished());
        let db = db();
        db.create().ok();
        db.start().ok();
        started.join().expect("it starts");
        assert!(environ(&waits), "{:?}", waits.environ());
        assert!(!environ(&early), "it started without");
        for web in [&early, &waits] {
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        }
    });
}

/// Engines read config.json from our standard output: nothing else may come there.
#[test]
fn precreate_defers_and_waits() {
    let host = iptables_host(Runtime::Runc);
    let config = |missing: &str| {
        let annotations = json!({ "org.oci-link.links": "db:mysql", "org.oci-link.missing": missing,
                    "org.oci-link.name": "web" });
        json!({ "ociVersion": "1.0.2", "root": { "path": "rootfs" }, "annotations": annotations,
                "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": ["sh"],
                             "env": ["PATH=/bin"] } })
        .to_string()
    };
    let precreate =
        |missing: &str| host.feed(&mut host.oci_link(&["precreate"]), config(missing).as_bytes());
    let edited: Value = serde_json::from_str(&precreate("defer").ok()).expect("JSON alone");
    assert_eq!(edited["process"]["env"], json!(["PATH=/bin"]));
    let complaint = precreate("wait=200ms").refused(4);
    assert!(complaint.contains("waited 200 ms"), "{complaint}");
    thread::scope(|scope| {
        let edited = scope.spawn(|| precreate("wait=30s").ok());
        thread::sleep(A_MOMENT);
        let _db = source(&host, "db", "3306");
        let edited = edited.join().expect("precreate ends");
        assert!(edited.contains("MYSQL_PORT_3306_TCP_PORT=3306"), "{edited}");
    });
}

/// Where no engine's id is in the path, the directory has the container's name, as for `prepare`.
#[test]
fn precreate_takes_the_name_of_its_directory() {
    let host = iptables_host(Runtime::Runc);
    let config = json!({ "ociVersion": "1.0.2", "root": { "path": "rootfs" },
        "annotations": { "org.oci-link.links": "db", "org.oci-link.missing": "defer" },
        "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": ["sh"] } });
    let _db = source(&host, "db", "3306");
    let precreate = |directory: &str| {
        let mut call = host.oci_link(&["precreate"]);
        host.feed(call.current_dir(directory), config.to_string().as_bytes())
    };
    for directory in ["bundles/web", "bundles/web/userdata"] {
        let directory = host.path(directory);
        std::fs::create_dir_all(&directory).expect("made");
        let edited = precreate(&directory.display().to_string()).ok();
        assert!(edited.contains("DB_NAME=/web/db"), "{edited}");
    }
    let complaint = precreate("/").refused(3);
    assert!(complaint.contains("the container has no name"), "{complaint}");
}
