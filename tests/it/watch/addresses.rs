//! Containers that move while it runs.

use super::{Watch, is_well, soon};
use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    lifecycle::{host_with, knows},
    support::{OPEN, Proto},
};

each_backend! {
    fn n27_links_follow_a_container_that_moves(backend) {
        let host = host_with(backend);
        let mut db = source(&host, "db", "3306");
        let mut web = recipient(&host, "web", "db");
        let watch = Watch::begin(&host);
        db.renumber(200);
        soon("the source", || knows(&web, "db", &db));
        web.renumber(201);
        soon("the recipient", || is_well(&host));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN, "{}", watch.log());
        [&web, &db].into_iter().for_each(end);
        drop(watch);
        host.assert_nothing_left();
    }
}
