//! A neighbour that may send raw frames and knows both ends of a flow gets nothing into a flow of a link, and
//! receives nothing of it.

use super::{around::hears, neighbour, open_host};
use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    support::{
        Container, Forged, Host,
        frames::{datagram, eth0, frame, kind_of, send},
    },
};
use oci_link::testing::BackendName;
use std::{fs, net::SocketAddr};

const PORT: u16 = 3306;
const CLIENT: u16 = 41_000;

/// Recipient and source of a link, with their ports.
type Ends = [SocketAddr; 2];

fn ends(web: &Container, db: &Container) -> [Ends; 2] {
    [0, 1].map(|family| {
        let at = |container: &Container, port| (container.addresses()[family], port).into();
        [at(web, CLIENT), at(db, PORT)]
    })
}

/// Sends a datagram each way, so that the connection is established.
#[track_caller]
fn talk(web: &Container, db: &Container) {
    for [client, server] in ends(web, db) {
        let there = Forged::Datagram.passes((web.netns(), client), (db.netns(), server));
        let back = Forged::Datagram.passes((db.netns(), server), (web.netns(), client));
        assert!(there && back, "{client} {server}");
    }
}

/// Whether a frame that `sender` makes up gets to `receiver`.
fn passes(host: &Host, sender: &Container, ends: Ends, receiver: &Container) -> bool {
    let macs = [receiver, sender].map(|it| eth0(host, it.netns()).0);
    hears(receiver.netns(), |content| {
        let packet = datagram(ends[0], ends[1], content);
        send(host, sender.netns(), &frame(macs, &[], kind_of(ends[0].ip()), &packet));
    })
}

fn isolated<'h>(host: &'h Host, id: &str, directions: &str) -> Container<'h> {
    let db = host.container(id).annotate("ports", "3306/udp").annotate("isolate", directions);
    let db = db.hooks().build();
    db.run().ok();
    db
}

each_backend! {
    /// The state of a connection does not say which port a packet comes by.
    fn no_frame_gets_into_a_flow_to_an_isolated_container(backend) {
        let host = open_host(backend);
        let thief = neighbour(&host, "thief");
        for directions in ["in", "both"] {
            let db = isolated(&host, "db", directions);
            let web = recipient(&host, "web", "db");
            talk(&web, &db);
            for [client, server] in ends(&web, &db) {
                assert!(!passes(&host, &thief, [client, server], &db), "{directions}");
                assert!(passes(&host, &web, [client, server], &db), "{directions}: a right one");
                assert!(passes(&host, &db, [server, client], &web), "{directions}: an answer");
            }
            talk(&web, &db);
            [&web, &db].into_iter().for_each(end);
        }
        host.assert_nothing_left();
    }

    fn what_an_isolated_recipient_sends_gets_to_its_source_only(backend) {
        let host = open_host(backend);
        let thief = neighbour(&host, "thief");
        let db = source(&host, "db", "3306/udp");
        let web = host.container("web").annotate("links", "db").annotate("isolate", "both");
        let web = web.hooks().build();
        web.run().ok();
        talk(&web, &db);
        for [client, server] in ends(&web, &db) {
            // The thief has put its link-layer address in the place of the source's.
            assert!(!passes(&host, &web, [client, server], &thief), "{server}");
            assert!(!passes(&host, &thief, [server, client], &web), "{client}");
            assert!(passes(&host, &web, [client, server], &db), "a right one");
        }
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// A container that may go nowhere does not get into a flow of two others.
    fn an_isolated_container_forges_nothing(backend) {
        let host = open_host(backend);
        let db = source(&host, "db", "3306/udp");
        let web = recipient(&host, "web", "db");
        let inside = isolated(&host, "inside", "out");
        talk(&web, &db);
        for [client, server] in ends(&web, &db) {
            assert!(!passes(&host, &inside, [client, server], &db), "{client}");
            assert!(!passes(&host, &inside, [server, client], &web), "{server}");
        }
        [&inside, &web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// Without ports there is nothing to compare: the limit that docs/security.md names.
    fn a_flow_that_is_tied_to_the_bridge_takes_them(backend) {
        let host = open_host(backend);
        let config = format!("[firewall]\nbackend = \"{backend}\"\nbind = \"bridge\"\n");
        fs::write(host.path("config.toml"), config).expect("written");
        let thief = neighbour(&host, "thief");
        let db = isolated(&host, "db", "in");
        let web = recipient(&host, "web", "db");
        talk(&web, &db);
        for [client, server] in ends(&web, &db) {
            assert!(passes(&host, &thief, [client, server], &db));
        }
        [&web, &db].into_iter().for_each(end);
    }
}

/// Not tied to ports, only the rules of the links know the ends.
#[test]
fn an_open_bridge_without_isolation_takes_frames_as_before() {
    let host = open_host(BackendName::Ipset);
    let thief = neighbour(&host, "thief");
    let db = source(&host, "db", "3306/udp");
    let web = recipient(&host, "web", "db");
    talk(&web, &db);
    for [client, server] in ends(&web, &db) {
        assert!(passes(&host, &thief, [client, server], &db));
    }
    [&web, &db].into_iter().for_each(end);
    host.assert_nothing_left();
}
