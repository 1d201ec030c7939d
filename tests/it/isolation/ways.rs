//! Packets to and from an isolated container: which pass and which are dropped.

use super::{
    Server, asks, both, far, isolated, neighbour, on_second, open_host, outside, publish, reaches,
    settle,
};
use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    support::{Container, Host, Netns},
};
use oci_link::testing::BackendName;
use std::{net::IpAddr, thread};

/// Everything around one isolated container.
struct Scene<'h> {
    host: &'h Host,
    /// A source of the container: port 81 is exposed.
    source: Container<'h>,
    neighbour: Container<'h>,
    far: Container<'h>,
    outside: Netns,
    /// The host as the outside sees it.
    uplink: [IpAddr; 2],
    _servers: Vec<Server>,
}

impl<'h> Scene<'h> {
    fn new(host: &'h Host) -> Self {
        host.lay_second_bridge();
        let source = source(host, "source", "81");
        let (neighbour, far) = (neighbour(host, "neighbour"), far(host, "far"));
        let (outside, uplink) = outside(host);
        publish(host, 8081, &neighbour);
        let all = [source.netns(), neighbour.netns(), far.netns(), &outside, host.netns()];
        let servers = all.map(Server::new).into();
        settle(host);
        Self { host, source, neighbour, far, outside, uplink, _servers: servers }
    }

    /// Which containers and hosts reach port 80 of `db` without a link, besides its own host.
    fn unlinked_reach(&self, db: &Container) -> Vec<bool> {
        let all = [self.neighbour.netns(), self.far.netns(), &self.outside, self.source.netns()];
        at_once(all, |from| reaches(from, db.addresses(), 80))
    }

    /// The containers and hosts that `db` reaches without a link, besides its own host.
    fn others(&self, db: &Container) -> Vec<bool> {
        let targets = [
            (self.neighbour.addresses(), 80),
            (self.source.addresses(), 80),
            (on_second(&self.far), 80),
            (both("10.79.0.9", "fd79::9"), 80),
            // A port that the host publishes is that of another container.
            (both("10.77.0.1", "fd77::1"), 8081),
        ];
        let mut all = at_once(targets, |(to, port)| reaches(db.netns(), to, port));
        all.push(asks(db.netns(), self.neighbour.addresses()));
        all
    }

    fn host_reaches(&self, db: &Container) -> bool {
        reaches(self.host.netns(), db.addresses(), 80)
            && reaches(self.host.netns(), db.addresses(), 81)
    }

    /// Whether the published port leads to `db` from a neighbour, another bridge and outside.
    fn is_published(&self) -> [bool; 3] {
        [
            reaches(self.neighbour.netns(), both("10.77.0.1", "fd77::1"), 8080),
            reaches(self.far.netns(), both("10.78.0.1", "fd78::1"), 8080),
            reaches(&self.outside, self.uplink, 8080),
        ]
    }
}

/// Whether `db` reaches the host: ports of it, and its DNS.
fn reaches_host(db: &Container) -> bool {
    let (from, gateway) = (db.netns(), both("10.77.0.1", "fd77::1"));
    reaches(from, gateway, 80)
        && asks(from, gateway)
        && reaches(from, both("10.78.0.1", "fd78::1"), 81)
}

/// Tries all ways at the same time.
fn at_once<T: Send, const N: usize>(ways: [T; N], try_it: impl Fn(T) -> bool + Sync) -> Vec<bool> {
    let try_it = &try_it;
    thread::scope(|scope| {
        let tries = ways.map(|way| scope.spawn(move || try_it(way)));
        tries.map(|it| it.join().expect("a try does not panic")).to_vec()
    })
}

fn check(backend: BackendName, directions: &str, [limits_in, limits_out]: [bool; 2]) {
    let host = open_host(backend);
    let scene = Scene::new(&host);
    let db = isolated(&host, "db", directions).annotate("links", "source").build();
    publish(&host, 8080, &db);
    let _server = Server::new(db.netns());
    // Nothing else on this host separates the containers.
    assert!(scene.unlinked_reach(&db).into_iter().chain(scene.others(&db)).all(|way| way));
    db.run().ok();
    let web = recipient(&host, "web", "db");

    assert_eq!(scene.unlinked_reach(&db), [!limits_in; 4], "{directions}: to it");
    assert!(reaches(web.netns(), db.addresses(), 80), "{directions}: the link to it");
    assert_eq!(reaches(web.netns(), db.addresses(), 81), !limits_in, "{directions}: another port");
    assert!(scene.host_reaches(&db), "{directions}: the host");
    assert_eq!(scene.is_published(), [true; 3], "{directions}: the published port");

    assert_eq!(scene.others(&db), [!limits_out; 6], "{directions}: from it");
    assert!(reaches(db.netns(), scene.source.addresses(), 81), "{directions}: its own link");
    assert!(reaches_host(&db), "{directions}: to the host, and its DNS");

    // What it is not concerned with goes on.
    assert!(reaches(scene.neighbour.netns(), scene.source.addresses(), 80));
    assert!(reaches(scene.far.netns(), scene.source.addresses(), 80));
    end(&db);
    let next = neighbour(&host, "next");
    let _server = Server::new(next.netns());
    assert!(scene.unlinked_reach(&next).into_iter().chain(scene.others(&next)).all(|way| way));
    end(&web);
    end(&scene.source);
    drop(scene);
    host.assert_nothing_left();
}

each_backend! {
    fn only_links_the_host_and_published_ports_lead_in(backend) {
        check(backend, "in", [true, false]);
    }

    fn only_links_and_the_host_are_reached_from_it(backend) {
        check(backend, "out", [false, true]);
    }

    fn both_is_both(backend) {
        check(backend, "both", [true, true]);
    }

    /// A routed packet from one isolated container to another needs a link, and one is enough.
    fn a_link_between_two_isolated_containers_is_routed(backend) {
        let host = open_host(backend);
        host.lay_second_bridge();
        let db = isolated(&host, "db", "both").build();
        crate::lifecycle::networks::move_to_second(&host, &db);
        db.run().ok();
        let web = isolated(&host, "web", "both").annotate("links", "db").build();
        web.run().ok();
        settle(&host);
        let _servers = [&db, &web].map(|container| Server::new(container.netns()));
        assert!(reaches(web.netns(), on_second(&db), 80));
        assert!(!reaches(web.netns(), on_second(&db), 81));
        assert!(!reaches(db.netns(), web.addresses(), 80));
        end(&web);
        end(&db);
        host.assert_nothing_left();
    }
}
