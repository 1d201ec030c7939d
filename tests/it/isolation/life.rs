//! The life of an isolated container: it is restarted, killed, repaired, moved, and shares a pod.

use super::{
    Server, dial, far, isolated, neighbour, on_second, open_host, publish, reaches, settle,
};
use crate::{
    backends::each_backend,
    cast::{end, inspect, ls, recipient, source},
    lifecycle::{by_hand, call, in_pod_of, wipe},
    support::{Container, Host},
};
use oci_link::testing::BackendName;
use std::{fs, io::Read, io::Write, net::TcpStream, process::Command};

/// The elements of the set `ports-in` as nft prints them.
pub(crate) fn ports_in(host: &Host) -> String {
    let mut nft = Command::new("nft");
    host.run(nft.args(["list", "set", "bridge", "oci-link", "ports-in"])).said()
}

pub(crate) fn is_isolated(from: &Container, db: &Container) -> bool {
    !reaches(from.netns(), db.addresses(), 80)
}

/// Removes what the backend and the bridge table have.
pub(crate) fn flush(host: &Host, backend: BackendName, what: &str) {
    match (what, backend) {
        ("table", _) => by_hand(host, &["nft delete table bridge oci-link"]),
        ("elements", _) => by_hand(host, &["nft flush set bridge oci-link ports-in"]),
        ("chain", _) => by_hand(host, &["nft flush chain bridge oci-link isolated"]),
        (_, BackendName::Nftables) => by_hand(host, &["nft flush chain inet oci-link forward"]),
        _ => by_hand(host, &["iptables -F OCI-LINK-ISOLATE", "ip6tables -F OCI-LINK-ISOLATE"]),
    }
}

/// Whether a connection still carries a byte there and back.
fn is_alive(mut stream: &TcpStream) -> bool {
    stream.write_all(b"!").is_ok() && stream.read_exact(&mut [0]).is_ok()
}

each_backend! {
    /// The next container with the address has another port, and nothing of ours.
    fn what_a_killed_container_leaves_concerns_no_other(backend) {
        let host = open_host(backend);
        let other = neighbour(&host, "other");
        let db = isolated(&host, "db", "both").build();
        db.run().ok();
        {
            let _server = Server::new(db.netns());
            assert!(is_isolated(&other, &db));
        }
        db.kill();
        db.unplug();
        let next = host.container("next").number(db.number()).build();
        let _servers = [&next, &other].map(|it| Server::new(it.netns()));
        // The neighbour still has the link-layer address of the other container.
        other.ip("neigh flush all");
        assert!(!is_isolated(&other, &next) && !is_isolated(&next, &other));
        let told = call(&host, "gc").ok();
        assert!(told.contains("the container no longer runs"), "{told}");
        assert!(!ports_in(&host).contains("elements"), "{}", ports_in(&host));
        db.delete().ok();
        host.assert_nothing_left();
    }

    fn a_restarted_container_is_isolated_behind_its_new_port(backend) {
        let host = open_host(backend);
        let other = neighbour(&host, "other");
        let db = isolated(&host, "db", "in").build();
        db.run().ok();
        let before = ports_in(&host);
        end(&db);
        db.unplug();
        let again = isolated(&host, "db", "in").number(db.number()).build();
        again.run().ok();
        assert_ne!(ports_in(&host), before);
        let _server = Server::new(again.netns());
        assert!(is_isolated(&other, &again));
        end(&again);
        host.assert_nothing_left();
    }

    fn sync_restores_what_was_flushed(backend) {
        let host = open_host(backend);
        let other = neighbour(&host, "other");
        let db = isolated(&host, "db", "in").build();
        db.run().ok();
        let web = recipient(&host, "web", "db");
        let _server = Server::new(db.netns());
        for what in ["table", "elements", "chain", "rules"] {
            flush(&host, backend, what);
            let ways = [&other, &web].map(|it| dial(it.netns(), db.addresses()[0], 80));
            let [unlinked, linked] = ways.map(|way| way.expect("nothing isolates"));
            assert_eq!(inspect(&host, "db")["isolation"]["verdict"], "differ", "{what}");
            let told = call(&host, "sync --check").ended(13);
            assert!(told.contains("it asks for isolation and is not isolated"), "{told}");
            let doctor = call(&host, "doctor").said();
            assert!(doctor.contains("it asks for isolation and is not isolated"), "{doctor}");
            call(&host, "sync").ok();
            assert!(is_isolated(&other, &db), "{what}");
            assert!(!is_alive(&unlinked), "{what}: a connection that is not permitted");
            assert!(is_alive(&linked), "{what}: that of a link");
            assert_eq!(inspect(&host, "db")["isolation"]["verdict"], "as recorded");
            assert_eq!(call(&host, "sync --check").ended(0), "");
        }
        end(&web);
        end(&db);
        host.assert_nothing_left();
    }

    /// Each packet between bridge ports pays for these rules.
    fn its_rules_come_with_the_first_isolated_container(backend) {
        let host = open_host(backend);
        let has_rules = || {
            let mut nft = Command::new("nft");
            let text = host.run(nft.args(["list", "chain", "bridge", "oci-link", "isolated"])).said();
            text.contains("@ports-in")
        };
        let plain = source(&host, "plain", "80");
        let web = recipient(&host, "web", "plain");
        call(&host, "sync").ok();
        assert!(!has_rules(), "nothing is isolated");
        let db = isolated(&host, "db", "in").build();
        db.run().ok();
        assert!(has_rules());
        // A start of a container without isolation makes them again.
        flush(&host, backend, "chain");
        let late = recipient(&host, "late", "plain");
        assert!(has_rules());
        let _server = Server::new(db.netns());
        assert!(is_isolated(&web, &db));
        [&db, &late, &web, &plain].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn connections_of_a_permitted_kind_stay_when_it_begins(backend) {
        let host = open_host(backend);
        settle(&host);
        let other = neighbour(&host, "other");
        let db = isolated(&host, "db", "both").build();
        publish(&host, 8080, &db);
        let _servers = [&db, &other].map(|it| Server::new(it.netns()));
        let gateway = "10.77.0.1".parse().expect("an address");
        // A rule must look at the state of connections: without one they are not tracked.
        by_hand(&host, &["iptables -I FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            "ip6tables -I FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT"]);
        let open = |from: &Container, to, port| dial(from.netns(), to, port).expect("open");
        let published = open(&other, gateway, 8080);
        let by_host = dial(host.netns(), db.addresses()[0], 80).expect("open");
        let ways = [0, 1].map(|family| {
            (open(&other, db.addresses()[family], 80), open(&db, other.addresses()[family], 80))
        });
        db.run().ok();
        for (comes, goes) in &ways {
            assert!(!is_alive(comes) && !is_alive(goes));
        }
        assert!(is_alive(&published) && is_alive(&by_host));
        end(&db);
    }

    /// All containers of a pod are behind one port.
    fn a_pod_is_isolated_until_the_last_one_ends(backend) {
        let host = open_host(backend);
        let other = neighbour(&host, "other");
        let db = isolated(&host, "db", "in").build();
        db.run().ok();
        let side = in_pod_of(&db, isolated(&host, "side", "both"));
        let _servers = [&db, &other].map(|it| Server::new(it.netns()));
        assert!(is_isolated(&other, &db) && is_isolated(&db, &other));
        end(&side);
        assert!(is_isolated(&other, &db) && !is_isolated(&db, &other));
        let side = in_pod_of(&db, isolated(&host, "side2", "in"));
        end(&side);
        assert!(is_isolated(&other, &db));
        end(&db);
        assert!(!is_isolated(&other, &db));
    }

    /// It is plugged into another bridge while it runs.
    /// The network namespace outlives the container that asked for isolation, and with it the port.
    fn what_a_killed_container_leaves_holds_for_no_later_peer(backend) {
        let host = open_host(backend);
        let other = neighbour(&host, "other");
        let db = isolated(&host, "db", "both").build();
        db.run().ok();
        let _servers = [&db, &other].map(|it| Server::new(it.netns()));
        assert!(is_isolated(&other, &db));
        // Killed, and no hook tells of its end.
        db.kill();
        let next = in_pod_of(&db, host.container("next"));
        assert!(!ports_in(&host).contains("elements"), "{}", ports_in(&host));
        assert!(!is_isolated(&other, &db) && !is_isolated(&db, &other));
        db.delete().ok();
        end(&next);
        host.assert_nothing_left();
    }

    fn a_further_network_is_isolated_too(backend) {
        let host = open_host(backend);
        host.lay_second_bridge();
        let far = far(&host, "far");
        let db = isolated(&host, "db", "in").build();
        db.run().ok();
        host.plug_into_second(&db);
        let _server = Server::new(db.netns());
        let reaches = || reaches(far.netns(), on_second(&db), 80);
        assert!(reaches());
        let told = call(&host, "sync --check").ended(13);
        assert!(told.contains("it asks for isolation and is not isolated"), "{told}");
        call(&host, "sync").ok();
        assert!(!reaches());
        assert_eq!(inspect(&host, "db")["isolation"]["ports"][1]["bridge"], "br1");
        assert_eq!(call(&host, "sync --check").ended(0), "");
        end(&db);
        host.assert_nothing_left();
    }

    /// The state directory is lost: a container that runs stays isolated, and its ports go when they are gone.
    fn ports_without_a_record_stay_isolated_while_they_are_there(backend) {
        let host = open_host(backend);
        let other = neighbour(&host, "other");
        let db = isolated(&host, "db", "in").build();
        db.run().ok();
        let _server = Server::new(db.netns());
        wipe(&host);
        for command in ["gc", "sync"] {
            call(&host, command).ok();
            assert!(is_isolated(&other, &db), "after {command}");
        }
        db.ip("link del dev eth0");
        let told = call(&host, "gc").ok();
        assert!(told.contains("bridge ports: no container has those"), "{told}");
        assert!(!ports_in(&host).contains("elements"), "{}", ports_in(&host));
    }

    fn gc_all_leaves_no_table(backend) {
        let host = open_host(backend);
        let db = isolated(&host, "db", "both").build();
        db.run().ok();
        call(&host, "gc --all").ok();
        let rules = host.run(Command::new("nft").args(["list", "ruleset"])).ok();
        assert!(!rules.contains("oci-link") && !rules.contains("OCI-LINK-ISOLATE"), "{rules}");
        end(&db);
        host.assert_nothing_left();
    }
}

/// The backend is changed while an isolated container runs: the rules that judge move to the new one.
#[test]
fn the_isolation_moves_to_another_backend() {
    let host = open_host(BackendName::Iptables);
    let other = neighbour(&host, "other");
    let db = isolated(&host, "db", "in").build();
    db.run().ok();
    let _server = Server::new(db.netns());
    for backend in ["nftables", "ipset"] {
        let config = format!("[firewall]\nbackend = \"{backend}\"\n");
        fs::write(host.path("config.toml"), config).expect("written");
        let web = recipient(&host, &format!("web-{backend}"), "db");
        assert!(reaches(web.netns(), db.addresses(), 80), "{backend}: the link");
        assert!(is_isolated(&other, &db), "{backend}");
        end(&web);
        assert!(is_isolated(&other, &db), "{backend}");
    }
    end(&db);
    host.assert_nothing_left();
}

#[test]
fn it_is_shown() {
    let host = open_host(BackendName::Ipset);
    let db = isolated(&host, "db", "out").build();
    db.run().ok();
    assert_eq!(ls(&host)[0]["isolate"], "out");
    assert!(call(&host, "ls").ok().contains("db (isolated: out)"));
    let shown = call(&host, "inspect db").ok();
    assert!(shown.contains("isolated") && shown.contains("out, as recorded"), "{shown}");
    assert_eq!(inspect(&host, "db")["isolation"]["ports"][0]["bridge"], "br0");
    for format in ["text", "dot", "mermaid", "svg"] {
        let graph = call(&host, &format!("graph --format {format}")).ok();
        assert!(graph.contains("isolated: out"), "{graph}");
    }
    let plain = host.container("plain").hooks().build();
    plain.run().ok();
    let all = ls(&host);
    let plain = all.iter().find(|it| it["name"] == "plain").expect("listed");
    assert!(plain["isolate"].is_null(), "{plain}");
}
