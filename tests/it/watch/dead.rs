//! Containers that die without a poststop hook.

use super::{Watch, is_known, is_well, soon};
use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    lifecycle::{by_hand, host_of, host_with, knows, unlinked_at},
    support::{Container, Flow, OPEN, Proto, Runtime, SHUT, each_runtime},
};
use oci_link::testing::BackendName;
use std::{thread, time::Duration};

each_runtime! {
    /// Killed, and no runtime calls a poststop hook.
    fn rules_connections_lines_and_records_of_the_dead_go(runtime) also youki {
        let host = host_of(BackendName::Iptables, runtime);
        let (db, cache) = (source(&host, "db", "3306"), source(&host, "cache", "6379"));
        let watch = Watch::begin(&host);
        let web = recipient(&host, "web", "db cache");
        let mut flow = Flow::open(&web, &db, 3306);
        assert!(flow.is_alive());
        watch.hears("STATUS=watched containers: 3");
        db.kill();
        soon("the record of db", || !is_known(&host, "db"));
        assert!(!flow.is_alive());
        drop(flow);
        assert!(!knows(&web, "db", &db) && knows(&web, "cache", &cache), "{}", web.hosts());
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        assert_eq!(web.reach(&cache, Proto::Tcp, 6379), OPEN);
        [&web, &cache].into_iter().for_each(Container::kill);
        soon("the others'", || !is_known(&host, "web") && !is_known(&host, "cache"));
        watch.hears("STATUS=watched containers: 0");
        watch.sleeps(Duration::from_secs(1));
        host.assert_nothing_left();
    }

    fn starts_and_ends_are_followed(runtime) {
        let host = host_of(BackendName::Nftables, runtime);
        let watch = Watch::begin(&host);
        watch.hears("STATUS=watched containers: 0");
        for _ in 0..2 {
            let db = source(&host, "db", "3306");
            watch.hears("STATUS=watched containers: 1");
            let web = recipient(&host, "web", "db");
            watch.hears("STATUS=watched containers: 2");
            end(&web);
            watch.hears("STATUS=watched containers: 1");
            end(&db);
            watch.hears("STATUS=watched containers: 0");
        }
        host.assert_nothing_left();
        // Each end was reported by a hook, or the watch did the same.
        watch.sleeps(Duration::from_secs(1));
    }

    /// The same id, in less time than the dead are given.
    fn a_container_that_starts_again_at_once_is_followed_again(runtime) {
        let host = host_of(BackendName::Ipset, runtime);
        let watch = Watch::begin(&host);
        let db = source(&host, "db", "3306");
        watch.hears("STATUS=watched containers: 1");
        let web = recipient(&host, "web", "db");
        watch.hears("STATUS=watched containers: 2");
        db.kill();
        db.delete().ok();
        db.run().ok();
        thread::sleep(Duration::from_millis(600));
        assert!(is_known(&host, "db") && knows(&web, "db", &db), "{}", watch.log());
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        db.kill();
        soon("the record of db", || !is_known(&host, "db"));
        assert!(!knows(&web, "db", &db), "{}", web.hosts());
    }
}

each_backend! {
    /// After a flush all rules are restored but those of the dead.
    fn f16_rules_of_the_dead_do_not_come_back(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let (web, dead) = (recipient(&host, "web", "db"), recipient(&host, "dead", "db"));
        let _watch = Watch::begin(&host);
        dead.kill();
        by_hand(&host, &["nft flush ruleset"]);
        dead.unplug();
        let successor = unlinked_at(&host, "successor", dead.number());
        soon("all is well", || !is_known(&host, "dead") && is_well(&host));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(successor.reach(&db, Proto::Tcp, 3306), SHUT);
    }
}

#[test]
fn containers_that_died_before_the_watch_are_removed() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    db.kill();
    let watch = Watch::begin(&host);
    watch.hears("STATUS=watched containers: 1");
    assert!(!is_known(&host, "db") && !knows(&web, "db", &db), "{}", watch.log());
}
