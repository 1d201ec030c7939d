//! Containers come back and go, in any order and many at once: rules and hosts lines follow.

use crate::{
    backends::each_backend,
    cast::{end, iptables_host, link_rules, permissions, prepared, recipient, source},
    lifecycle::host_with,
    support::{Container, Flow, Host, OPEN, Proto, Runtime, SHUT},
};
use std::{fs, thread};

/// Whether some rule or element lets packets to or from `container` through.
fn has_rules(host: &Host, container: &Container) -> bool {
    let addresses = container.addresses().map(|address| address.to_string());
    let words = |rule: &str| {
        let cut = |c: char| !c.is_ascii_hexdigit() && c != '.' && c != ':';
        rule.split(cut).map(String::from).collect::<Vec<_>>()
    };
    let all = permissions(host);
    all.iter().any(|rule| words(rule).iter().any(|word| addresses.contains(word)))
}

/// Whether some line of its hosts file gives a name to `source`.
fn names(recipient: &Container, source: &Container) -> [bool; 2] {
    let hosts = recipient.hosts();
    source.addresses().map(|ip| hosts.lines().any(|line| line.starts_with(&format!("{ip}\t"))))
}

each_backend! {
    fn f31_a_source_that_returns_elsewhere_is_followed(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let (old, old_ips) = (db.number(), db.addresses());
        let web = recipient(&host, "web", "db:mysql");
        end(&db);
        drop(db);

        let db = source(&host, "db", "3306");
        let ips = db.addresses();
        assert_ne!(ips, old_ips);
        let lines = format!("\n{}\tmysql db db\n{}\tmysql db db\n", ips[0], ips[1]);
        assert!(web.hosts().contains(&lines), "{}", web.hosts());
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);

        // The next holder of the old address is not a source.
        let successor = host.container("successor").number(old).hooks().build();
        successor.run().ok();
        assert_eq!(successor.addresses(), old_ips);
        assert!(!has_rules(&host, &successor));
        assert_eq!(names(&web, &successor), [false, false]);
        assert_eq!(web.reach(&successor, Proto::Tcp, 3306), SHUT);

        for container in [&web, &db, &successor] {
            end(container);
        }
        host.assert_nothing_left();
    }

    fn f26_a_recipient_that_ends_first_takes_its_rules_along(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = prepared(&host, "web", "db");
        let file = web.bundle().join("rootfs/etc/hosts");
        let hosts = fs::read(&file).expect("rootfs has one");
        web.run().ok();
        let other = recipient(&host, "other", "db");
        assert_ne!(fs::read(&file).expect("still there"), hosts);
        end(&web);
        assert_eq!(fs::read(&file).expect("still there"), hosts);
        assert!(!has_rules(&host, &web));
        assert_eq!(other.reach(&db, Proto::Tcp, 3306), OPEN);
        end(&other);
        end(&db);
        host.assert_nothing_left();
    }

    fn f26_a_source_that_ends_first_loses_its_rules_and_its_lines(backend) {
        let host = host_with(backend);
        let (db, cache) = (source(&host, "db", "3306"), source(&host, "cache", "6379"));
        let web = recipient(&host, "web", "db cache");
        let mut flow = Flow::open(&web, &db, 3306);
        assert!(flow.is_alive());
        end(&db);
        assert!(!flow.is_alive());
        assert!(!has_rules(&host, &db));
        assert_eq!(names(&web, &db), [false, false]);

        assert_eq!(names(&web, &cache), [true, true]);
        assert_eq!(web.reach(&cache, Proto::Tcp, 6379), OPEN);
        end(&web);
        end(&cache);
        host.assert_nothing_left();
    }

    fn f30_recipients_that_start_at_once_all_get_their_rules(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let all: Vec<_> = (0..8).map(|n| prepared(&host, &format!("web{n}"), "db")).collect();
        thread::scope(|scope| all.iter().for_each(|web| drop(scope.spawn(|| web.run().ok()))));
        for web in &all {
            assert_eq!(names(web, &db), [true, true]);
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        }
        thread::scope(|scope| all.iter().for_each(|web| drop(scope.spawn(|| end(web)))));
        end(&db);
        host.assert_nothing_left();
    }
}

/// A recipient that makes its hosts file unfit to be opened does not keep its way to whoever gets
/// the source's address next.
#[test]
fn a_hosts_file_turned_into_a_fifo_keeps_no_rule_alive() {
    let host = iptables_host(Runtime::Runc);
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    assert!(!link_rules(&host).is_empty());
    let _ = web.exec(&["sh", "-c", "rm /etc/hosts; mkfifo /etc/hosts"]).ok();
    end(&db);
    assert_eq!(link_rules(&host), [""; 0]);
    end(&web);
    host.assert_nothing_left();
}
