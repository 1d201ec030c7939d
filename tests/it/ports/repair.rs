//! The bridge table is lost, or names what is gone.

use super::{PORT, PORTS, assert_well, gives_back, host_bound, neighbour, passing, seats, takes};
use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    lifecycle::{by_hand, call, wipe},
    support::{OPEN, Proto, SHUT},
};
use std::fs;

/// A number that no container of a test has.
const NEW: u8 = 200;

each_backend! {
    fn what_another_program_removed_is_made_again(backend) {
        let host = host_bound(backend, "auto");
        let db = source(&host, "db", PORTS);
        let web = recipient(&host, "web", "db");
        let whole = seats(&host);
        for (loss, is_shut) in [
            ("nft delete table bridge oci-link", true),
            ("nft flush chain bridge oci-link forward", true),
            ("nft flush chain bridge oci-link input", false),
            ("nft flush set bridge oci-link ends4", true),
            ("nft flush chain bridge oci-link tagged", false),
        ] {
            by_hand(&host, &[loss]);
            if is_shut {
                assert_ne!(web.reach(&db, Proto::Tcp, PORT), OPEN, "{loss}");
            }
            assert!(!call(&host, "sync --check").ended(13).is_empty(), "{loss}");
            call(&host, "sync").ended(0);
            assert_well(&host);
            assert_eq!(seats(&host), whole, "{loss}");
            assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN, "{loss}");
        }
        // A start needs no repair before it.
        by_hand(&host, &["nft delete table bridge oci-link"]);
        let late = recipient(&host, "late", "db");
        assert_eq!(late.reach(&db, Proto::Tcp, PORT), OPEN);
        call(&host, "sync").ended(0);
        assert_well(&host);
        [&late, &web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn a_table_that_another_state_directory_made_is_noted(backend) {
        let host = host_bound(backend, "auto");
        let db = source(&host, "db", PORTS);
        let web = recipient(&host, "web", "db");
        // Without it each start asks the kernel whether it could make the table, which takes milliseconds.
        let note = host.state_dir().join("bridge-table");
        fs::remove_file(&note).expect("the first link made the table");
        let late = recipient(&host, "late", "db");
        assert!(note.exists());
        assert_well(&host);
        [&late, &web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn an_address_moves_from_one_port_to_another(backend) {
        let host = host_bound(backend, "auto");
        let mut db = source(&host, "db", PORTS);
        let web = recipient(&host, "web", "db");
        let number = db.number();
        db.renumber(NEW);
        let successor = host.container("successor").number(number).annotate("ports", PORTS).hooks().build();
        successor.run().ok();
        call(&host, "sync").ended(0);
        assert_well(&host);
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
        assert_eq!(web.reach(&successor, Proto::Tcp, PORT), SHUT);
        let old = successor.addresses()[0].to_string();
        assert!(!seats(&host).contains(&format!(". {old} ")), "{}", seats(&host));
        takes(&successor, &web);
        assert_eq!(passing(&successor, (&web, 42_000), (&db, PORT)), []);
        gives_back(&successor, &web, &[&successor, &db]);
        // The same container with its address behind another port.
        db.unplug();
        let name = db.netns().name();
        by_hand(&host, &[&format!("ip link add master br0 up type veth peer name eth0 netns {name}")]);
        db.ip("link set eth0 up");
        db.renumber(NEW);
        web.ip("neigh flush all");
        call(&host, "sync").ended(0);
        assert_well(&host);
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
        [&successor, &web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// Killed with their runtime: no hook says so.
    fn nothing_is_left_of_the_killed(backend) {
        let host = host_bound(backend, "port");
        let db = source(&host, "db", PORTS);
        let web = recipient(&host, "web", "db");
        web.kill();
        call(&host, "gc").ended(0);
        assert_eq!(seats(&host), "", "the source has no recipient");
        db.kill();
        call(&host, "gc").ended(0);
        host.assert_nothing_left();
        // Without records, by the tags.
        let db = source(&host, "db2", PORTS);
        let web = recipient(&host, "web2", "db2");
        wipe(&host);
        [&web, &db].into_iter().for_each(end);
        assert!(!seats(&host).is_empty());
        call(&host, "gc").ended(0);
        host.assert_nothing_left();
    }

    fn gc_all_removes_the_table(backend) {
        let host = host_bound(backend, "port");
        let db = source(&host, "db", PORTS);
        let web = recipient(&host, "web", "db");
        let said = call(&host, "gc --all").ended(0);
        assert!(said.contains("removed: firewall: the table of oci-link for bridge ports"), "{said}");
        let tables = host.run(std::process::Command::new("nft").args(["list", "tables"])).ok();
        assert!(!tables.contains("bridge oci-link"), "{tables}");
        assert!(!call(&host, "gc --all").ended(0).contains("bridge ports"));
        call(&host, "sync").ended(0);
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// A record of an earlier version has neither ports nor ties.
    fn an_earlier_version_left_links(backend) {
        let host = host_bound(backend, "bridge");
        let db = source(&host, "db", PORTS);
        let web = recipient(&host, "web", "db");
        for name in ["db", "web"] {
            let path = crate::lifecycle::record(&host, name);
            let text = fs::read_to_string(&path).expect("a record");
            let (start, rest) = text.split_once("\"bridge_ports\":{").expect("ports");
            let (_, rest) = rest.split_once("},").expect("an object");
            fs::write(&path, format!("{start}{rest}")).expect("written");
        }
        crate::ports::set(&host, "auto");
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
        let thief = neighbour(&host, "thief");
        takes(&thief, &web);
        assert!(!passing(&thief, (&web, 42_000), (&db, PORT)).is_empty(), "as before");
        let forget = || gives_back(&thief, &web, &[&thief, &db]);
        forget();
        call(&host, "sync").ended(0);
        assert_well(&host);
        takes(&thief, &web);
        assert_eq!(passing(&thief, (&web, 43_000), (&db, PORT)), []);
        forget();
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
        [&web, &db, &thief].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}
