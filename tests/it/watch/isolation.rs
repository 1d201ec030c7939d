//! Containers that ask for isolation by their annotation.

use super::{Watch, is_well, soon};
use crate::{
    backends::each_backend,
    cast::{end, recipient},
    isolation::{
        Server, far, isolated,
        life::{flush, is_isolated, ports_in},
        neighbour, on_second, open_host, reaches,
    },
};
use std::time::Duration;

each_backend! {
    fn what_isolates_comes_back_after_a_flush(backend) {
        let host = open_host(backend);
        let other = neighbour(&host, "other");
        let db = isolated(&host, "db", "in").build();
        db.run().ok();
        let web = recipient(&host, "web", "db");
        let _server = Server::new(db.netns());
        let watch = Watch::begin(&host);
        for what in ["table", "elements", "chain", "rules"] {
            flush(&host, backend, what);
            soon(what, || is_well(&host));
            assert!(is_isolated(&other, &db), "{what}");
            assert!(reaches(web.netns(), db.addresses(), 80), "{what}: the link");
        }
        watch.sleeps(Duration::from_secs(1));
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn what_protected_a_killed_container_goes(backend) {
        let host = open_host(backend);
        let other = neighbour(&host, "other");
        let db = isolated(&host, "db", "both").build();
        db.run().ok();
        let _servers = [&db, &other].map(|it| Server::new(it.netns()));
        let _watch = Watch::begin(&host);
        assert!(is_isolated(&other, &db) && ports_in(&host).contains("elements"));
        db.kill();
        soon("its ports", || !ports_in(&host).contains("elements"));
        // Its network is still there, and may be given to another container.
        assert!(!is_isolated(&other, &db) && !is_isolated(&db, &other));
        soon("all is well", || is_well(&host));
        db.delete().ok();
        host.assert_nothing_left();
    }

    /// Another address on the same port, and then another port.
    fn the_isolation_follows_addresses_and_networks(backend) {
        let host = open_host(backend);
        host.lay_second_bridge();
        let (other, far) = (neighbour(&host, "other"), far(&host, "far"));
        let mut db = isolated(&host, "db", "in").build();
        db.run().ok();
        let web = recipient(&host, "web", "db");
        let _server = Server::new(db.netns());
        let _watch = Watch::begin(&host);
        let number = host.next_number();
        db.renumber(number);
        soon("the link", || reaches_v4(&web, &db));
        assert!(is_isolated(&other, &db));
        host.plug_into_second(&db);
        soon("the second network", || is_well(&host));
        assert!(!reaches(far.netns(), on_second(&db), 80));
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

fn reaches_v4(from: &crate::support::Container, to: &crate::support::Container) -> bool {
    crate::isolation::dial(from.netns(), to.addresses()[0], 80).is_some()
}
