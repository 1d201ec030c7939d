//! Chains of other programs that drop the packets of links, and such that do not.

use super::{assert_well, config, doctor, paste};
use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    configure::site::Site,
    lifecycle::{by_hand, call, host_of},
    support::{Host, OPEN, Proto, Runtime},
};
use oci_link::testing::BackendName;
use std::{
    io::Write,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Rules that drop, the table they are in, and what is said of it.
const DROPPING: [(&str, &str, &str); 7] = [
    (
        "table inet filter { chain forward {
            type filter hook forward priority 0; policy drop;
        }; }",
        "inet filter",
        "table inet filter, chain forward, hook forward, priority 0: its policy drop applies to",
    ),
    (
        "table inet firewalld { chain filter_FORWARD {
            type filter hook forward priority filter + 10; policy accept;
            ct state { established, related } accept
            ct status dnat accept
            iifname \"lo\" accept
            ct state invalid drop
            ip6 daddr { ::/96, ::ffff:0.0.0.0/96 } reject with icmpv6 addr-unreachable
            jump policies
            reject with icmpx admin-prohibited;
        }
        chain policies { iifname \"eth7\" accept;
        }; }",
        "inet firewalld",
        "chain filter_FORWARD, hook forward, priority 10: it rejects packets of links",
    ),
    (
        "table ip other { chain last { counter drop; }
        chain f { type filter hook forward priority -20; goto last;
        }; }",
        "ip other",
        "table ip other, chain f, hook forward, priority -20: it drops packets of links, in its chain \
         last",
    ),
    (
        "table ip6 mangle { chain FORWARD {
            type filter hook forward priority mangle; iifname \"br*\" ip6 saddr fd77::/64 drop;
        }; }",
        "ip6 mangle",
        "table ip6 mangle, chain FORWARD, hook forward, priority -150: it drops",
    ),
    (
        "table inet mapped { map m { type ifname : verdict; elements = { \"br0\" : drop } }
        chain f { type filter hook forward priority 5; iifname vmap @m;
        }; }",
        "inet mapped",
        "table inet mapped, chain f, hook forward, priority 5: it drops",
    ),
    (
        "table inet states { chain f {
            type filter hook forward priority 1; policy drop;
            ct state vmap { established : accept, related : accept, invalid : drop };
        }; }",
        "inet states",
        "table inet states, chain f, hook forward, priority 1: its policy drop",
    ),
    (
        "table bridge b { chain f {
            type filter hook forward priority 0; ip protocol tcp drop;
        }; }",
        "bridge b",
        "table bridge b, chain f, hook forward, priority 0: it drops packets of links",
    ),
];

/// Rules that drop nothing of links, and the table they are in.
const HARMLESS: [(&str, &str); 5] = [
    (
        "table inet filter { chain forward {
            type filter hook forward priority 0; policy drop;
            iifname \"br0\" oifname \"br0\" accept;
        }; }",
        "inet filter",
    ),
    (
        "table inet some { chain f { type filter hook forward priority 0;
            iifname \"eth9\" drop
            iifname \"lo\" reject
            ct state invalid drop
            ip daddr 192.0.2.0/24 drop
            tcp dport 1 drop
            ip saddr { 192.0.2.1, 192.0.2.2 } drop;
        }; }",
        "inet some",
    ),
    (
        "table inet host { chain input { type filter hook input priority 0; policy drop; }
        chain unused { drop;
        }; }",
        "inet host",
    ),
    (
        "table ip later { chain f { type filter hook forward priority 7; policy drop;
            ct state established,related accept
            jump accepts;
        }
        chain accepts { oif != \"lo\" ip saddr 10.77.0.0/24 accept;
        }; }",
        "ip later",
    ),
    (
        "table inet unknown { chain f { type filter hook forward priority 7; policy accept;
            meta mark 0x77 drop
            limit rate over 100 mbytes/second drop;
        }; }",
        "inet unknown",
    ),
];

fn load(host: &Host, rules: &str) {
    host.feed(Command::new("nft").args(["-f", "-"]), rules.as_bytes()).ok();
}

each_backend! {
    fn a_chain_that_drops_the_packets_of_links_is_named(backend) {
        let (host, site) = (host_of(backend, Runtime::Runc), Site::new());
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        for (rules, table, named) in DROPPING {
            load(&host, rules);
            assert_ne!(web.reach(&db, Proto::Tcp, 3306), OPEN, "{table}");
            let report = doctor(&host, &site, 12);
            assert_eq!(report.troubles(), ["fault forwarded packets"], "{table}");
            let said = report.of("forwarded packets");
            let fix = said.is("fault", named).fix().to_owned();
            let told = call(&host, "sync --check").ended(13);
            assert!(told.contains(named) && told.contains("1 problem found; run oci-link doctor"), "{told}");
            if fix.starts_with("nft insert ") {
                said.is("fault", "add it to the file that makes the table");
                paste(&host, &site, &fix);
                assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN, "{fix}");
                assert_well(&host, &site);
            }
            by_hand(&host, &[&format!("nft delete table {table}")]);
        }
        assert_well(&host, &site);
    }

    fn a_chain_that_drops_nothing_of_ours_is_none(backend) {
        let (host, site) = (host_of(backend, Runtime::Crun), Site::new());
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        for (rules, table) in HARMLESS {
            load(&host, rules);
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN, "{table}");
            assert_well(&host, &site);
            assert_eq!(call(&host, "sync --check").ended(0), "", "{table}");
            by_hand(&host, &[&format!("nft delete table {table}")]);
        }
    }
}

/// Before the first link the packets on the bridge of an engine are judged.
#[test]
fn a_fresh_host_is_looked_at_too() {
    let (host, site) = (Host::open(Runtime::Runc), Site::new());
    for (rules, table, named) in &DROPPING[..2] {
        load(&host, rules);
        let report = doctor(&host, &site, 12);
        assert_eq!(report.troubles(), ["fault forwarded packets"], "{table}");
        report.of("forwarded packets").is("fault", named);
        assert_eq!(call(&host, "sync --check").ended(0), "", "no link needs anything");
        by_hand(&host, &[&format!("nft delete table {table}")]);
    }
    assert_well(&host, &site);
}

/// iptables refuses a FORWARD that is not its own, and says so in its second line.
#[test]
fn a_forward_that_iptables_cannot_use() {
    let (host, site) = (Host::open(Runtime::Runc), Site::new());
    config(&host, "[firewall]\nbackend = \"iptables\"\n");
    let db = source(&host, "db", "3306");
    for (chain, why) in [
        ("type filter hook forward priority 10; policy accept;", "want type filter and priority 0"),
        ("", "is no base chain"),
        ("type filter hook input priority 0; policy accept;", "is at another hook"),
    ] {
        by_hand(&host, &["nft flush ruleset"]);
        load(&host, &format!("table ip filter {{ chain FORWARD {{ {chain} }}; }}"));
        let report = doctor(&host, &site, 12);
        let named = "table ip filter, chain FORWARD";
        report.of("forwarded packets").is("fault", named).is("fault", why);
    }
    load(&host, "table ip filter { chain OCI-LINK { }; }");
    let web = host.container("web").annotate("links", "db").build();
    web.prepare().ok();
    let log = || std::fs::read_to_string(host.path("log")).unwrap_or_default();
    let _ = web.run().said();
    assert!(log().contains("(nf_tables): "), "{}", log());
    assert!(!log().contains("(nf_tables): \n") && !log().contains("(nf_tables):\n"), "{}", log());
    by_hand(&host, &["nft flush ruleset"]);
    end(&db);
    assert_well(&host, &site);
}

/// `flags owner`: the table is there for as long as the process that made it.
#[test]
fn a_table_that_belongs_to_another_process_is_named_with_it() {
    let (host, site) = (host_of(BackendName::Nftables, Runtime::Runc), Site::new());
    by_hand(&host, &["nft flush ruleset"]);
    let mut nft = Command::new("nft");
    nft.arg("-i").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut nft = host.spawn(&mut nft).expect("nft starts");
    let mut words = nft.stdin.take().expect("a pipe");
    words.write_all(b"add table inet oci-link { flags owner; }\n").expect("written");
    let listed = || host.run(Command::new("nft").args(["list", "tables"])).said();
    for _ in 0..200 {
        if listed().contains("inet oci-link") {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let owner = format!("process {} (nft)", nft.id());
    let report = doctor(&host, &site, 12);
    let said = report.of("forwarded packets");
    said.is("fault", &format!("table inet oci-link: belongs to {owner}"));
    let complaint = call(&host, "sync").said();
    let db = host.container("db").annotate("ports", "3306").hooks().build();
    let _ = db.run().said();
    let log = std::fs::read_to_string(host.path("log")).unwrap_or_default();
    let named =
        format!("nftables: table inet oci-link belongs to {owner}: Operation not permitted");
    assert!(complaint.contains(&named) || log.contains(&named), "{complaint}\n{log}");
    drop(words);
    nft.kill().and_then(|()| nft.wait()).expect("ended");
    // The container started without the isolation that could not be made.
    call(&host, "sync").ok();
    assert_well(&host, &site);
}
