//! Links that name a host, and what `[cluster]` costs containers without such links.

use crate::cast::{end, inspect, prepared, recipient, source};
use crate::hazards::scene::after;
use crate::lifecycle::{call, knows};
use crate::support::{Container, Host, OPEN, Proto, Runtime, each_runtime};
use std::collections::BTreeMap;
use std::fs;

/// What config.toml of the host `a` says, which knows `b`.
const TABLE: &str = "[cluster]\nname = \"a\"\n\
                     networks = { a = [\"10.77.0.0/24\"], b = [\"10.78.0.0/24\"] }\n";

/// A host called `a`, which knows `b`.
fn clustered(runtime: Runtime) -> Host {
    let host = Host::isolated(runtime);
    fs::write(host.path("config.toml"), TABLE).expect("written");
    host
}

/// A container with this link is refused by `prepare` and by its hook, and leaves nothing.
#[track_caller]
fn refused(host: &Host, link: &str, status: i32, reason: &str) {
    let web = host.container("web").annotate("links", link).hooks().build();
    let said = web.prepare().refused(status);
    assert!(said.contains(reason), "{said}");
    assert!(!web.run().succeeded(), "it starts");
    let log = fs::read_to_string(host.path("log")).expect("a log");
    assert!(log.contains(reason), "no {reason:?} in\n{log}");
    let _ = web.delete_by_force();
}

each_runtime! {
    fn the_name_of_this_host_is_a_local_name(runtime) {
        let host = clustered(runtime);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db@a:mysql db@a");
        assert!(knows(&web, "mysql", &db) && knows(&web, "db", &db));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        let all = web.environ();
        assert!(all.iter().any(|one| one.starts_with("MYSQL_PORT_3306_TCP=")), "{all:?}");
        assert!(all.contains(&"DB_NAME=/web/db".to_owned()), "{all:?}");
        assert_eq!(inspect(&host, "db@a")["id"], "db");
        assert_eq!(inspect(&host, "web")["links"][0]["source"], "db");
        call(&host, "disconnect web@a db").ok();
        call(&host, "connect web@a db@a:other").ok();
        assert!(knows(&web, "other", &db));
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn another_host_is_refused_and_the_line_says_why(runtime) {
        let host = clustered(runtime);
        let db = source(&host, "db", "3306");
        refused(&host, "db@c", 10, "db@c: cluster.networks of config.toml has no host c: add it");
        refused(&host, "db db@b:other", 4, "db@b: nothing heard of other hosts since the boot (patience 10m)");
        let _ = call(&host, "inspect db@b").refused(4);
        let web = prepared(&host, "web", "db");
        web.run().ok();
        let _ = call(&host, "connect web db@b:other").refused(4);
        fs::write(host.path("config.toml"), "").expect("written");
        let said = call(&host, "inspect db@a").refused(10);
        assert!(said.contains("has no [cluster], so this host knows no host a"), "{said}");
        [&web, &db].into_iter().for_each(end);
        refused(&host, "db@a", 10, "has no [cluster]");
        host.assert_nothing_left();
    }

    fn a_bad_share_stops_no_container_without_links(runtime) {
        let host = clustered(runtime);
        let db = host.container("db").annotate("share", "B C").annotate("ports", "80").hooks().build();
        db.run().ok();
        let log = fs::read_to_string(host.path("log")).expect("a log");
        assert!(log.contains("share \"B C\": want none, all, or hosts between commas"), "{log}");
        let web = host.container("web").annotate("links", "db").annotate("share", "B C").build();
        let _ = web.prepare().refused(3);
        end(&db);
        host.assert_nothing_left();
    }
}

/// Every check of the table, in the words of the program.
#[test]
fn a_bad_table_names_its_line() {
    let host = Host::open(Runtime::Runc);
    let hosts = "[cluster]\nname = \"a\"\nnetworks = { a = [\"10.77.0.0/24\"] }\n";
    for (config, said) in [
        (hosts.replace("\"a\"", "\"A\""), "line 2: cluster.name: host \"A\": want lower-case"),
        (
            hosts.replace("name = \"a\"", "name = \"b\""),
            "line 3: cluster.networks: has no networks of this host, b",
        ),
        (
            hosts.replace("/24", "/0"),
            "line 3: cluster.networks: network \"10.77.0.0/0\": want at least /8",
        ),
        (
            format!("{hosts}patience = \"1s\"\n"),
            "line 4: cluster.patience \"1s\": want a time from 5s to 24h",
        ),
        (format!("{hosts}key = \"k\"\n"), "line 4: cluster.key \"k\": not an absolute path"),
        (
            format!("{hosts}key = \"/k\"\n"),
            "line 4: cluster: want endpoints, ca, cert and key together",
        ),
        (
            format!("{hosts}endpoints = [\"http://h:1\"]\n"),
            "line 4: cluster.endpoints \"http://h:1\": want https",
        ),
        (format!("{hosts}node = 1\n"), "line 4: unknown field"),
    ] {
        fs::write(host.path("config.toml"), config).expect("written");
        let error = call(&host, "ls").refused(3);
        assert!(error.contains(said), "{said}: {error}");
    }
}

/// A state directory of before `[cluster]` is still read, and doctor says what is in the way of the courier.
#[test]
fn doctor_names_what_keeps_records_from_other_hosts() {
    let host = Host::open(Runtime::Runc);
    fs::write(host.path("config.toml"), "").expect("written");
    let db = source(&host, "db", "3306");
    fs::write(host.path("config.toml"), TABLE).expect("written");
    let report = host.run(&mut host.oci_link(&["doctor", "--json"])).ended(12);
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let all = report.as_array().or(report["checks"].as_array()).expect("checks");
    let said = |text: &str| {
        let has = |check: &serde_json::Value| {
            check["detail"].as_str().is_some_and(|it| it.contains(text))
        };
        assert!(all.iter().any(has), "no {text:?} in {report:#}");
    };
    said("has mode 700, want 711: no other program can read the offers in it");
    said("watch does not run: it publishes this host's containers");
    said("1 container");
    end(&db);
}

/// How often a hook of `container` makes each system call. Calls for memory depend on the size of config.toml,
/// and those that wait on the machine.
fn calls(host: &Host, stage: &str, container: &Container) -> BTreeMap<String, usize> {
    let trace = host.path("trace");
    let strace = "strace -qq -o \"$1\" \"${@:2}\"; exit $?";
    let mut command = after(strace, &[&trace], &host.oci_link(&["hook", stage]));
    host.feed(&mut command, container.state().to_string().as_bytes()).ok();
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(trace).expect("strace wrote it").lines() {
        let name = line.split('(').next().unwrap_or_default();
        let varies = ["brk", "mmap", "munmap", "mremap", "madvise", "nanosleep", "clock_nanosleep"];
        if !varies.contains(&name) && !name.starts_with("---") && !name.starts_with("+++") {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// A start makes the same system calls with the table, and with a thousand records of other hosts.
#[test]
fn a_start_costs_the_same_with_other_hosts() {
    let host = Host::isolated(Runtime::Runc);
    fs::write(host.path("config.toml"), "[log]\nlevel = \"info\"\n").expect("written");
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    // The first one after a change may find something to repair.
    let measured = || {
        [&web, &db].map(|container| {
            calls(&host, "createRuntime", container);
            calls(&host, "createRuntime", container)
        })
    };
    let alone = measured();
    assert!(alone[0].values().sum::<usize>() > 50, "{alone:?}");
    let config = "[cluster]\nname = \"a\"\n\
                  networks = { a = [\"10.77.0.0/24\"], b = [\"10.78.0.0/16\"] }\n";
    fs::write(host.path("config.toml"), config).expect("written");
    assert_eq!(measured(), alone);
    let records = host.state_dir().join("peers/records");
    fs::create_dir_all(&records).expect("made");
    for n in 0..1000 {
        fs::write(records.join(format!("b~{n}.offer")), "{}").expect("written");
    }
    assert_eq!(measured(), alone);
    [&web, &db].into_iter().for_each(end);
}
