//! Rules of others in our own chains, and tables that are switched off: nothing is open because of them.

use super::{Server, isolated, life::is_isolated, neighbour, open_host, reaches};
use crate::{
    backends::each_backend,
    cast::{end, inspect, recipient, source},
    lifecycle::{by_hand, call, host_with},
    support::{Host, OPEN, Proto, SHUT},
};
use oci_link::testing::BackendName;

const SLEEPING: &str = "nft add table bridge oci-link { flags dormant; }";

/// What lets every packet pass our rules by.
fn hidden(backend: BackendName) -> Vec<Vec<&'static str>> {
    match backend {
        BackendName::Nftables => vec![
            vec!["nft insert rule inet oci-link forward return"],
            vec!["nft insert rule inet oci-link forward counter accept"],
            vec!["nft add table inet oci-link { flags dormant; }"],
        ],
        _ => vec![
            vec!["iptables -I OCI-LINK 1 -j RETURN", "ip6tables -I OCI-LINK 1 -j RETURN"],
            vec!["iptables -I OCI-LINK 2 -j ACCEPT", "ip6tables -I OCI-LINK 2 -j ACCEPT"],
            vec![
                "iptables -D OCI-LINK -j OCI-LINK-ISOLATE",
                "ip6tables -D OCI-LINK -j OCI-LINK-ISOLATE",
            ],
            vec!["iptables -F OCI-LINK-ISOLATE", "ip6tables -F OCI-LINK-ISOLATE"],
            vec![
                "iptables -I OCI-LINK-ISOLATE 1 -j RETURN",
                "ip6tables -I OCI-LINK-ISOLATE 1 -j RETURN",
            ],
        ],
    }
}

/// What lets some packets pass by, and what hides the marks of the bridge table.
fn narrow(backend: BackendName) -> Vec<Vec<&'static str>> {
    let mut all = match backend {
        BackendName::Nftables => vec![
            vec![
                "nft insert rule inet oci-link forward ip saddr 10.77.0.0/24 accept",
                "nft insert rule inet oci-link forward ip6 saddr fd77::/64 accept",
            ],
            vec!["nft insert rule inet oci-link ranges accept"],
            vec!["nft delete chain inet oci-link forward", "nft add chain inet oci-link forward"],
            vec!["nft add chain inet oci-link forward { policy drop; }"],
        ],
        _ => vec![
            vec![
                "iptables -I OCI-LINK 1 -s 10.77.0.0/24 -j RETURN",
                "ip6tables -I OCI-LINK 1 -s fd77::/64 -j RETURN",
            ],
            vec![
                "iptables -A OCI-LINKS -j ACCEPT",
                "ip6tables -A OCI-LINKS -j ACCEPT",
                "iptables -A OCI-LINKS-TIED -j ACCEPT",
                "ip6tables -A OCI-LINKS-TIED -j ACCEPT",
            ],
        ],
    };
    if backend == BackendName::Ipset {
        all.pop();
    }
    all.push(vec![SLEEPING]);
    all.push(vec!["nft add chain bridge oci-link forward { policy drop; }"]);
    all.push(vec![
        "nft insert rule bridge oci-link forward accept",
        "nft insert rule bridge oci-link input accept",
    ]);
    all
}

/// The lines that a rule set has of what was done by hand.
fn leftovers(host: &Host) -> String {
    let mut nft = std::process::Command::new("nft");
    let rules = host.run(nft.args(["list", "ruleset"])).ok();
    let words = ["dormant", "policy drop", "10.77.0.0/24", "fd77::/64"];
    rules.lines().filter(|line| words.iter().any(|word| line.contains(word))).collect()
}

each_backend! {
    /// Tables of our names that are switched off and empty, before the first container starts.
    fn an_empty_table_that_sleeps_is_switched_on(backend) {
        let host = open_host(backend);
        by_hand(&host, &[SLEEPING]);
        if backend == BackendName::Nftables {
            by_hand(&host, &["nft add table inet oci-link { flags dormant; }"]);
        }
        let one = neighbour(&host, "one");
        let db = isolated(&host, "db", "both").build();
        db.run().ok();
        let _server = Server::new(db.netns());
        let web = recipient(&host, "web", "db");
        assert!(reaches(web.netns(), db.addresses(), 80));
        assert!(!reaches(one.netns(), db.addresses(), 80));
        [&web, &db].into_iter().for_each(end);
    }

    fn sync_removes_what_lets_packets_pass_by(backend) {
        let host = open_host(backend);
        let other = neighbour(&host, "other");
        let db = isolated(&host, "db", "in").build();
        db.run().ok();
        let web = recipient(&host, "web", "db");
        let _server = Server::new(db.netns());
        for disorder in hidden(backend).into_iter().chain(narrow(backend)) {
            by_hand(&host, &disorder);
            let told = call(&host, "sync --check").ended(13);
            assert!(told.contains("it asks for isolation and is not isolated"), "{disorder:?}: {told}");
            assert_eq!(inspect(&host, "db")["isolation"]["verdict"], "differ", "{disorder:?}");
            let told = call(&host, "sync").ok();
            assert!(told.contains("repaired: "), "{told}");
            assert!(is_isolated(&other, &db), "{disorder:?}");
            assert!(reaches(web.netns(), db.addresses(), 80), "{disorder:?}: the link");
            assert_eq!(leftovers(&host), "", "{disorder:?}");
            assert_eq!(call(&host, "sync --check").ended(0), "", "{disorder:?}");
        }
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// Also where the isolation was made before, and what another program did is remembered by nothing.
    fn a_start_that_asks_for_isolation_is_not_open(backend) {
        let host = open_host(backend);
        let other = neighbour(&host, "other");
        let first = isolated(&host, "first", "in").build();
        first.run().ok();
        for (number, disorder) in hidden(backend).into_iter().chain(narrow(backend)).enumerate() {
            by_hand(&host, &disorder);
            let db = isolated(&host, &format!("db{number}"), "in").build();
            db.run().ok();
            let _server = Server::new(db.netns());
            assert!(is_isolated(&other, &db), "{disorder:?}");
            assert_eq!(leftovers(&host), "", "{disorder:?}");
            end(&db);
        }
        end(&first);
        host.assert_nothing_left();
    }

    /// What config.toml isolates is so again with the next link.
    fn a_start_with_links_restores_the_isolation_of_bridges(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let other = source(&host, "other", "1");
        for (number, disorder) in hidden(backend).iter().enumerate() {
            by_hand(&host, disorder);
            let web = recipient(&host, &format!("web{number}"), "db");
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN, "{disorder:?}");
            assert_eq!(other.reach(&db, Proto::Tcp, 3306), SHUT, "{disorder:?}");
            assert_eq!(other.reach(&db, Proto::Udp, 3307), SHUT, "{disorder:?}");
            end(&web);
        }
        by_hand(&host, &["nft flush ruleset"]);
        let web = recipient(&host, "web", "db");
        assert_eq!(other.reach(&db, Proto::Tcp, 3307), SHUT);
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(call(&host, "sync --check").ended(0), "");
        [&web, &db, &other].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

/// The whole table of iptables is switched off: that is the administrator's, and nothing of ours works.
#[test]
fn where_no_chain_of_iptables_is_asked_no_isolated_container_starts() {
    for backend in [BackendName::Ipset, BackendName::Iptables] {
        let host = open_host(backend);
        let first = isolated(&host, "first", "in").build();
        first.run().ok();
        by_hand(&host, &["nft add table ip6 filter { flags dormant; }"]);
        let db = isolated(&host, "db", "in").build();
        let _ = db.run().refused(1);
        let told = call(&host, "sync").ended(6);
        assert!(told.contains("table ip6 filter is dormant"), "{told}");
        by_hand(&host, &["nft add table ip6 filter"]);
        call(&host, "sync").ok();
        db.run().ok();
        assert_eq!(call(&host, "sync --check").ended(0), "");
        [&db, &first].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}
