//! What `sync` repairs once and for all, and what another program keeps it from removing.

use super::faults::{script, where_sbin};
use crate::{
    backends::each_backend,
    cast::{end, inspect, iptables_host, link_rules, permissions, recipient, source},
    isolation::{Server, isolated, life::is_isolated, neighbour, open_host},
    lifecycle::{by_hand, call, host_of, host_with, knows},
    support::{Host, OPEN, Proto, Runtime, SHUT},
};
use nix::fcntl::{Flock, FlockArg};
use oci_link::testing::BackendName;
use std::{
    fs::{self, File},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Rules of iptables that begin so, in both families.
fn rules(host: &Host, start: &str) -> Vec<String> {
    host.rules().into_iter().filter(|rule| rule.starts_with(start)).collect()
}

/// Adds each of these rules once more, in both families.
fn double(host: &Host, of_v4: &str) {
    by_hand(host, &[of_v4, &format!("ip6{}", &of_v4[2..])]);
}

#[test]
fn a_jump_that_is_there_twice_becomes_one_and_stays_so() {
    let host = host_of(BackendName::Iptables, Runtime::Crun.turned());
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    let jumps = rules(&host, "-A OCI-LINKS-TIED ");
    let jump = jumps.first().and_then(|rule| rule.strip_prefix("-A ")).expect("a jump").to_owned();
    let chain = jump.rsplit(' ').next().expect("a chain").to_owned();
    let before = host.rules();
    for doubled in [
        "iptables -A FORWARD -j OCI-LINK".to_owned(),
        "iptables -I FORWARD 1 -j OCI-LINK".to_owned(),
        "iptables -A OCI-LINK -j OCI-LINKS".to_owned(),
        "iptables -A OCI-LINK -m mark --mark 0x10000000/0x10000000 -j OCI-LINKS-TIED".to_owned(),
        "iptables -I OCI-LINK 2 -j OCI-LINK-USER".to_owned(),
        "iptables -I OCI-LINK 2 -j OCI-LINK-ISOLATE".to_owned(),
        format!("iptables -A {jump}"),
        format!("iptables -I OCI-LINKS 1 -j {chain}"),
        format!("iptables -I OCI-LINKS-TIED 1 -j {chain}"),
    ] {
        double(&host, &doubled);
        let told = call(&host, "sync --check").ended(13);
        assert!(!told.is_empty(), "{doubled}");
        call(&host, "sync").ok();
        assert_eq!(host.rules(), before, "{doubled}");
        assert_eq!(call(&host, "sync --check").ended(0), "", "{doubled}");
        assert_eq!(call(&host, "sync").ok(), "", "{doubled}: once is enough");
    }
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    [&web, &db].into_iter().for_each(end);
    host.assert_nothing_left();
}

/// The kernel deletes no chain to which a rule leads. What the chain permits goes all the same.
#[test]
fn no_rule_of_an_ended_container_stays_in_a_chain_that_another_rule_holds() {
    for way in ["-j", "-g"] {
        let host = iptables_host(Runtime::Runc.turned());
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let chain = format!("OCI-LINK-{}", inspect(&host, "web")["owner"].as_str().expect("a tag"));
        double(&host, &format!("iptables -A FORWARD -i eth9 {way} {chain}"));
        end(&web);
        assert_eq!(link_rules(&host), [""; 0]);
        assert_eq!(rules(&host, "-A OCI-LINKS"), [""; 0]);
        for command in ["sync --check", "sync", "gc"] {
            let told = call(&host, command).ok();
            let why = format!(
                "iptables: chain {chain} is empty and stays until this rule is deleted: -A FORWARD"
            );
            assert!(told.contains(&why), "{command}: {told}");
        }
        // Others start and end as ever.
        let next = recipient(&host, "next", "db");
        assert_eq!(next.reach(&db, Proto::Tcp, 3306), OPEN);
        end(&next);
        assert_eq!(link_rules(&host), [""; 0]);
        let free = format!("iptables -D FORWARD -i eth9 {way} {chain}");
        double(&host, &free);
        call(&host, "gc").ok();
        assert!(!host.rules().iter().any(|rule| rule.contains(&chain)), "{:?}", host.rules());
        end(&db);
    }
}

/// Everything of ours is to go while another program's rule leads to a chain.
#[test]
fn gc_all_empties_what_it_cannot_delete_and_says_why() {
    let host = iptables_host(Runtime::Crun.turned());
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    let chain = format!("OCI-LINK-{}", inspect(&host, "web")["owner"].as_str().expect("a tag"));
    double(&host, &format!("iptables -A FORWARD -i eth9 -j {chain}"));
    let said = call(&host, "gc --all").ended(6);
    assert!(said.contains(&format!("chain {chain} is empty and stays")), "{said}");
    assert_eq!(rules(&host, "-N "), [format!("-N {chain}"), format!("-N {chain}")]);
    assert_eq!(link_rules(&host), [""; 0]);
    double(&host, &format!("iptables -D FORWARD -i eth9 -j {chain}"));
    call(&host, "gc --all").ok();
    assert_eq!(rules(&host, "-N "), [""; 0]);
    drop((web, db));
}

/// Killed, or forgotten by its state directory: `sync` and `gc` empty the chain.
#[test]
fn a_held_chain_of_a_killed_container_is_emptied() {
    let host = iptables_host(Runtime::Crun.turned());
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    let chain = format!("OCI-LINK-{}", inspect(&host, "web")["owner"].as_str().expect("a tag"));
    double(&host, &format!("iptables -A FORWARD -i eth9 -j {chain}"));
    web.kill();
    let told = call(&host, "gc").ok();
    assert!(told.contains("no longer runs") && told.contains("is empty and stays"), "{told}");
    assert_eq!(link_rules(&host), [""; 0]);
    web.delete().ok();
    let other = recipient(&host, "other", "db");
    let chain = format!("OCI-LINK-{}", inspect(&host, "other")["owner"].as_str().expect("a tag"));
    double(&host, &format!("iptables -A FORWARD -i eth9 -j {chain}"));
    crate::lifecycle::wipe(&host);
    call(&host, "sync").ok();
    assert_eq!(link_rules(&host), [""; 0]);
    assert!(!call(&host, "sync").ok().contains("orphaned"), "once is enough");
    drop((other, db));
}

/// Another program refers to the chain that isolates: isolation can end all the same.
#[test]
fn a_held_chain_of_the_isolation_is_emptied() {
    let host = host_of(BackendName::Ipset, Runtime::Crun.turned());
    let (a, b) = (source(&host, "a", "80"), source(&host, "b", "80"));
    double(&host, "iptables -A FORWARD -i eth9 -j OCI-LINK-ISOLATE");
    fs::write(host.path("config.toml"), "[firewall]\nbackend = \"ipset\"\n").expect("written");
    call(&host, "sync").ok();
    assert_eq!(a.reach(&b, Proto::Tcp, 81), OPEN);
    assert_eq!(call(&host, "sync --check").ended(0), "");
    let said = call(&host, "gc --all").ended(6);
    assert!(said.contains("chain OCI-LINK-ISOLATE is empty and stays"), "{said}");
    assert_eq!(rules(&host, "-N OCI-LINK"), ["-N OCI-LINK-ISOLATE"; 2]);
}

/// An element of ours has no timeout: with one, its link would end while both containers run.
#[test]
fn an_element_with_a_timeout_is_made_again() {
    let host = host_of(BackendName::Nftables, Runtime::Runc.turned());
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    let listed = || host.run(Command::new("nft").args(["list", "ruleset"])).ok();
    let element = |set: &str| {
        let mut nft = Command::new("nft");
        let text = host.run(nft.args(["list", "set", "inet", "oci-link", set])).ok();
        let (_, rest) = text.split_once("elements = { ").expect("an element");
        let words = rest.split(" comment").next().expect("a key");
        words.split(" }").next().expect("a key").trim().to_owned()
    };
    let set = if listed().contains("set ported4") && !elements_of(&host, "ported4").is_empty() {
        ["ported4", "ported6"]
    } else {
        ["bridged4", "bridged6"]
    };
    let time = |timeout: &str| {
        for set in set {
            let key = element(set);
            by_hand(
                &host,
                &[
                    &format!("nft delete element inet oci-link {set} {{ {key} }}"),
                    &format!("nft add element inet oci-link {set} {{ {key} timeout {timeout} }}"),
                ],
            );
        }
    };
    time("1h");
    let told = call(&host, "sync --check").ended(13);
    assert!(told.contains("container web (web): its rules differ from its record"), "{told}");
    call(&host, "sync").ok();
    assert!(!listed().contains("expires"), "{}", listed());
    assert_eq!(call(&host, "sync --check").ended(0), "");
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    // Neither does it outlive its container.
    let owner = inspect(&host, "web")["owner"].as_str().expect("a tag").to_owned();
    for set in set {
        let key = element(set);
        by_hand(
            &host,
            &[
                &format!("nft delete element inet oci-link {set} {{ {key} }}"),
                &format!(
                    "nft add element inet oci-link {set} {{ {key} timeout 1h comment \"{owner}\" }}"
                ),
            ],
        );
    }
    end(&web);
    assert_eq!(permissions(&host), [""; 0]);
    end(&db);
    host.assert_nothing_left();
}

fn elements_of(host: &Host, set: &str) -> String {
    let mut nft = Command::new("nft");
    let text = host.run(nft.args(["list", "set", "inet", "oci-link", set])).ok();
    text.split_once("elements").map(|(_, rest)| rest.to_owned()).unwrap_or_default()
}

each_backend! {
    /// An element of the table for bridge ports with a timeout would end the isolation of a running container.
    fn an_isolated_port_with_a_timeout_is_made_again(backend) {
        let host = open_host(backend);
        let other = neighbour(&host, "other");
        let db = isolated(&host, "db", "both").build();
        db.run().ok();
        let web = recipient(&host, "web", "db");
        let _server = Server::new(db.netns());
        let listed = |set: &str| {
            let mut nft = Command::new("nft");
            host.run(nft.args(["list", "set", "bridge", "oci-link", set])).ok()
        };
        for set in ["ports-in", "ports-out", "ends4", "ends6"] {
            let text = listed(set);
            let (_, rest) = text.split_once("elements = { ").expect("an element");
            let key = rest.split(" comment").next().expect("a key").trim().to_owned();
            by_hand(&host, &[
                &format!("nft delete element bridge oci-link {set} {{ {key} }}"),
                &format!("nft add element bridge oci-link {set} {{ {key} timeout 1h }}"),
            ]);
            let _ = call(&host, "sync --check").refused(13);
            call(&host, "sync").ok();
            assert!(!listed(set).contains("expires"), "{}", listed(set));
            assert_eq!(call(&host, "sync --check").ended(0), "", "{set}");
            assert!(is_isolated(&other, &db), "{set}");
        }
        [&web, &db].into_iter().for_each(end);
        for set in ["ports-in", "ports-out", "ends4", "ends6"] {
            assert!(!listed(set).contains("elements"), "{}", listed(set));
        }
        host.assert_nothing_left();
    }

}

/// A start that had to leave a note while `sync` held the lock is recorded before the lock is released.
#[test]
fn the_holder_of_the_lock_works_off_what_was_noted_meanwhile() {
    for backend in [BackendName::Ipset, BackendName::Iptables] {
        let host = host_with(backend);
        let first = source(&host, "first", "80");
        let web = host.container("web").annotate("links", "db first").annotate("missing", "defer");
        let web = web.hooks().build();
        web.run().ok();
        assert_eq!(web.reach(&first, Proto::Tcp, 80), OPEN);
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        let slow = script("iptables ip6tables", "sleep 0.4; exec /usr/sbin/real/${0##*/} \"$@\"");
        let sync = where_sbin(&host, &slow, &host.oci_link(&["sync"]));
        thread::scope(|scope| {
            let mut sync = sync;
            let host = &host;
            let holder = scope.spawn(move || host.run(&mut sync).ok());
            let held = || {
                let file = File::open(host.state_dir().join("lock")).expect("there");
                Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err()
            };
            let deadline = Instant::now() + Duration::from_secs(10);
            while !held() {
                assert!(Instant::now() < deadline, "sync does not take the lock");
                thread::sleep(Duration::from_millis(1));
            }
            db.run().ok();
            assert_eq!(db.reach(&first, Proto::Tcp, 81), SHUT);
            holder.join().expect("it ends");
            let log = fs::read_to_string(host.path("log")).expect("a log");
            assert!(log.contains("db: recorded later"), "{log}");
            assert!(knows(&web, "db", &db), "{}", web.hosts());
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        });
    }
}
