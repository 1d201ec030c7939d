//! Rules, records and names that others change while links are in use.

use crate::{
    backends::each_backend,
    cast::{end, inspect, link_rules, permissions, prepared, recipient, source},
    lifecycle::{by_hand, call, host_with, knows, record},
    support::{Host, OPEN, Proto, SHUT, each_runtime},
};
use oci_link::testing::BackendName;
use std::{fs, path::Path, process::Command, thread};

/// Every file below these places gets the time `when`.
fn touch(host: &Host, places: &[&Path], when: &str) {
    let mut find = Command::new("find");
    find.args(places).args(["-exec", "touch", "--no-dereference", "--date", when, "{}", "+"]);
    host.run(&mut find).ok();
}

each_backend! {
    /// firewalld reloads, and `sync` repairs at once.
    fn f16_a_reload_while_a_container_ends_brings_nothing_back(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        for _ in 0..3 {
            let web = recipient(&host, "web", "db");
            thread::scope(|scope| {
                scope.spawn(|| end(&web));
                for _ in 0..4 {
                    by_hand(&host, &["nft flush ruleset"]);
                    call(&host, "sync").ok();
                }
            });
            assert_eq!(permissions(&host), [""; 0]);
        }
        end(&db);
        assert_eq!(call(&host, "gc").ended(0), "");
        host.assert_nothing_left();
    }

    /// The second one starts, but the name means the first one; after its end, it means no container.
    fn f29_the_second_of_a_name_goes_by_its_id(backend) {
        let host = host_with(backend);
        let container = |id: &str| {
            let container = host.container(id).annotate("name", "db").annotate("ports", "3306");
            let container = container.hooks().build();
            container.run().ok();
            container
        };
        let (first, second) = (container("first"), container("second"));
        let web = recipient(&host, "web", "db:one second:two");
        assert!(knows(&web, "one", &first) && knows(&web, "two", &second), "{}", web.hosts());
        end(&first);
        assert!(knows(&web, "two", &second) && !knows(&web, "one", &first), "{}", web.hosts());
        assert_eq!(web.reach(&second, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&first, Proto::Tcp, 3306), SHUT);
        [&web, &second].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// All from which it could be computed again is changed.
    fn i1_what_was_recorded_is_what_is_removed(backend) {
        let host = host_with(backend);
        let (db, cache) = (source(&host, "db", "3306"), source(&host, "cache", "6379"));
        let web = recipient(&host, "web", "db");
        let config = web.bundle().join("config.json");
        let text = fs::read_to_string(&config).expect("a bundle");
        fs::write(&config, text.replace("\"db\"", "\"cache\"")).expect("written");
        let ports = fs::read_to_string(record(&host, "db")).expect("a record");
        assert!(ports.contains("3306"), "{ports}");
        fs::write(record(&host, "db"), ports.replace("3306", "3307")).expect("written");
        let other = match backend {
            BackendName::Nftables => "iptables",
            _ => "nftables",
        };
        let other = format!("[firewall]\nbackend = \"{other}\"\n");
        fs::write(host.path("config.toml"), other).expect("written");
        end(&web);
        assert_eq!(permissions(&host), [""; 0]);
        [&db, &cache].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// No record can be written: nothing else is done either.
    fn i1_nothing_is_done_that_is_not_recorded(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = host.container("web").annotate("links", "db").build();
        web.create().ok();
        let hosts = web.bundle().join("rootfs/etc/hosts");
        let before = fs::read(&hosts).expect("readable");
        let records = host.state_dir().join("records");
        let change = |how: &str| host.run(Command::new("chattr").arg(how).arg(&records)).ok();
        change("+i");
        let mut hook = host.oci_link(&["hook", "createRuntime"]);
        let refused = host.feed(&mut hook, web.state().to_string().as_bytes());
        change("-i");
        let _ = refused.refused(7);
        assert_eq!(permissions(&host), [""; 0]);
        assert_eq!(fs::read(&hosts).expect("readable"), before);
        end(&db);
    }

    /// One id, one name, one address, and another instance.
    fn i2_no_two_instances_have_one_tag(backend) {
        let host = host_with(backend);
        let _db = source(&host, "db", "3306");
        let tag = || {
            let web = recipient(&host, "web", "db");
            let tag = inspect(&host, "web")["owner"].as_str().expect("a tag").to_owned();
            assert!(permissions(&host).iter().any(|rule| rule.contains(&tag)), "{tag}");
            end(&web);
            tag
        };
        assert_ne!(tag(), tag());
    }
}

each_runtime! {
    /// A clock that jumped changes the times of files, and nothing else depends on the clock.
    fn f32_times_that_are_years_away_mean_nothing(runtime) {
        let host = crate::cast::iptables_host(runtime);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let rules = link_rules(&host);
        for when in ["1971-01-01", "2105-01-01"] {
            touch(&host, &[&host.state_dir(), db.bundle(), web.bundle()], when);
            assert_eq!(call(&host, "sync --check").ended(0), "", "{when}");
            assert_eq!(call(&host, "gc").ended(0), "", "{when}");
            assert_eq!(link_rules(&host), rules, "{when}");
            let next = prepared(&host, "next", "db");
            next.run().ok();
            assert_eq!(next.reach(&db, Proto::Tcp, 3306), OPEN, "{when}");
            end(&next);
        }
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

/// A log says when something was; nothing that is decided depends on it.
#[test]
fn f32_only_logs_ask_the_clock() {
    const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    const CLOCKS: [&str; 6] = [
        "SystemTime",
        "UNIX_EPOCH",
        "clock_gettime",
        "CLOCK_REALTIME",
        "gettimeofday",
        "libc::time",
    ];
    fn look(directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            if path.is_dir() {
                look(&path, found);
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source file");
            if CLOCKS.iter().any(|clock| text.contains(clock)) {
                let place = path.strip_prefix(SOURCES).expect("a place in src");
                found.push(place.display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    look(Path::new(SOURCES), &mut found);
    found.sort();
    // Events have a time like the lines of a log. The end of a certificate is a date, and doctor changes nothing.
    let logs = ["commands/events.rs", "commands/runtime_log.rs", "logging.rs"];
    found.retain(|file| !logs.contains(&file.as_str()));
    assert_eq!(found, ["doctor/cluster.rs"]);
}
