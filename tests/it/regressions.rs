//! What went wrong elsewhere, under the name it has there: each is tried with runc and with crun.
//!
//! | there | what it was | more of it |
//! |---|---|---|
//! | moby#24043 | rules of a source that is missing stay, for the next holder of its address | `firewall::reuse`, `lifecycle::dead` |
//! | CNI | a late delete goes by address, and hits who has the address now | `hazards`: F27, F28 |
//! | CVE-2026-15809 | a newline in an alias becomes a line of the hosts file | `hazards::names`: A21 |
//! | moby#17190 | who reads a hosts file sees a part of it | `tests/crash/readers.rs` |
//! | netavark#848 | rules of one who ends come back with a reload | `lifecycle::drift`, `watch::rules` |
//! | moby#42982 | a source that is made anew is never found again | `lifecycle::returning` |

use crate::{
    cast::{end, inspect, iptables_host, link_rules, recipient, source},
    lifecycle::{by_hand, call, host_of, knows},
    support::{Container, Host, OPEN, Proto, SHUT, each_runtime},
};
use oci_link::testing::BackendName;
use std::{
    collections::HashSet,
    fs,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

/// The rules that name an address of `container`.
fn rules_of(host: &Host, container: &Container) -> Vec<String> {
    let names = container.addresses().map(|address| format!(" {address}/"));
    let mut rules = link_rules(host);
    rules.retain(|rule| names.iter().any(|name| rule.contains(name)));
    rules
}

each_runtime! {
    fn moby_24043_a_missing_source_leaves_no_rule_and_stops_no_clean_up(runtime) {
        let host = iptables_host(runtime);
        let (db, cache) = (source(&host, "db", "3306"), source(&host, "cache", "6379"));
        let web = recipient(&host, "web", "db cache");
        // It dies without a hook, and another container gets its address.
        db.kill();
        db.unplug();
        assert_ne!(rules_of(&host, &db), [""; 0]);
        let successor = host.container("successor").number(db.number()).hooks().build();
        successor.run().ok();
        assert_eq!(rules_of(&host, &successor), [""; 0]);
        assert_eq!(web.reach(&successor, Proto::Tcp, 3306), SHUT);
        assert!(!knows(&web, "db", &successor), "{}", web.hosts());
        // The next dies in the same way: who was linked to both can still end.
        assert_eq!(web.reach(&cache, Proto::Tcp, 6379), OPEN);
        cache.kill();
        cache.unplug();
        end(&web);
        let log = fs::read_to_string(host.path("log")).unwrap_or_default();
        assert_eq!(link_rules(&host), [""; 0], "{log}");
        for dead in [&db, &cache] {
            dead.delete().ok();
        }
        end(&successor);
        host.assert_nothing_left();
    }

    fn cni_a_late_delete_goes_by_container_and_not_by_address(runtime) also youki {
        let host = iptables_host(runtime);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        web.kill();
        web.unplug();
        let successor = host.container("successor").number(web.number()).annotate("links", "db").hooks();
        let successor = successor.build();
        successor.run().ok();
        assert_eq!(successor.addresses(), web.addresses());
        let (rules, hosts) = (link_rules(&host), successor.hosts());
        // Now the poststop hook of the first one runs.
        web.delete().ok();
        assert_eq!(link_rules(&host), rules);
        assert_eq!(successor.hosts(), hosts);
        assert_eq!(successor.reach(&db, Proto::Tcp, 3306), OPEN);
        [&successor, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn cve_2026_15809_a_newline_in_a_name_makes_no_line(runtime) {
        let host = iptables_host(runtime);
        let db = source(&host, "db", "3306");
        // What was refused there, what got past the first fix of it, and what runc hands on and crun
        // cuts off.
        let evil = ["\0x", "\n6.6.6.6 evil", "\r\n6.6.6.6\tevil", "\\n6.6.6.6 evil", "\u{85}evil", "\u{2028}evil"];
        for (at, evil) in evil.into_iter().enumerate() {
            let changes: [(&str, String); 2] = [("links", format!("db:a{evil}")), ("name", format!("web{evil}"))];
            for (key, value) in changes {
                let id = format!("web{at}{key}");
                // Without links the container would start, and its name would be left out.
                let web = host.container(&id).annotate("links", "db").annotate(key, &value);
                let web = web.hooks().build();
                let file = web.bundle().join("rootfs/etc/hosts");
                let before = fs::read(&file).expect("rootfs has one");
                let _ = web.run().refused(1);
                assert_eq!(fs::read(&file).expect("still there"), before, "{key}: {value:?}");
                let _ = web.delete_by_force();
            }
        }
        assert_eq!(link_rules(&host), [""; 0]);
        end(&db);
        host.assert_nothing_left();
    }

    fn moby_17190_a_hosts_file_is_never_seen_in_parts(runtime) {
        let host = iptables_host(runtime);
        let file = host.path("hosts");
        let base = format!("127.0.0.1\tlocalhost\n{}", "# of the engine\n".repeat(200));
        fs::write(&file, &base).expect("written");
        let web = host.container("web").annotate("links", "db:a db:b db:c").annotate("missing", "defer");
        let web = web.bind(&file, "/etc/hosts").hooks().build();
        web.run().ok();
        let done = AtomicBool::new(false);
        let seen = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = HashSet::new();
                while !done.load(Relaxed) {
                    seen.insert(fs::read_to_string(&file).expect("there"));
                    // Others need a processor too.
                    thread::sleep(Duration::from_micros(50));
                }
                seen
            });
            for round in 0..6 {
                let id = format!("db{round}");
                let db = host.container(&id).annotate("name", "db").annotate("ports", "80").hooks().build();
                db.run().ok();
                end(&db);
            }
            done.store(true, Relaxed);
            reader.join().expect("a reader")
        });
        assert!(seen.len() > 2, "the reader saw {} contents", seen.len());
        for content in seen {
            let rest = content.strip_prefix(&base).unwrap_or_else(|| panic!("torn: {content}"));
            let begins = rest.is_empty() || rest.starts_with("# BEGIN oci-link\n");
            let ends = rest.is_empty() || rest.ends_with("\n# END oci-link\n");
            assert!(begins && ends, "torn: {rest}");
        }
        end(&web);
        assert_eq!(fs::read_to_string(&file).expect("there"), base);
        host.assert_nothing_left();
    }

    fn netavark_848_a_reload_does_not_restore_rules_of_a_container_that_ends(runtime) {
        let host = host_of(BackendName::Iptables, runtime);
        let db = source(&host, "db", "3306");
        let stays = recipient(&host, "stays", "db");
        let all: Vec<_> = (0..16).map(|n| recipient(&host, &format!("web{n}"), "db")).collect();
        let done = AtomicBool::new(false);
        let reloads = thread::scope(|scope| {
            let reloads = scope.spawn(|| {
                let mut reloads = 0;
                while !done.load(Relaxed) {
                    by_hand(&host, &["nft flush ruleset"]);
                    let _ = call(&host, "sync").ended(0);
                    reloads += 1;
                }
                reloads
            });
            all.iter().for_each(end);
            done.store(true, Relaxed);
            reloads.join().expect("reloads")
        });
        assert!(reloads > 1, "{reloads} reloads");
        let _ = call(&host, "sync").ended(0);
        for web in &all {
            assert_eq!(rules_of(&host, web), [""; 0]);
        }
        assert_eq!(stays.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(stays.reach(&db, Proto::Tcp, 3307), SHUT);
        [&stays, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn moby_42982_a_source_that_is_made_anew_is_found(runtime) also youki {
        let host = iptables_host(runtime);
        let made = |id: &str| {
            let db = host.container(id).annotate("name", "db").annotate("ports", "3306").hooks();
            let db = db.build();
            db.run().ok();
            db
        };
        let mut db = made("first");
        let web = recipient(&host, "web", "db:mysql");
        for id in ["second", "third"] {
            let old = db.addresses();
            end(&db);
            db = made(id);
            assert_ne!(db.addresses(), old);
            assert!(knows(&web, "mysql", &db), "{}", web.hosts());
            assert_eq!(web.hosts().matches("\tmysql ").count(), 2, "{}", web.hosts());
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
            assert_eq!(inspect(&host, "web")["links"][0]["connected"], id);
        }
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}
