//! A program or kernel without a match that the rules for neighbor discovery ask for.

use super::faults::{run, script, where_sbin};
use crate::{
    cast::{end, prepared},
    lifecycle::{call, host_of},
    support::{Container, Host, OPEN, Proto, Runtime},
};
use oci_link::testing::BackendName;
use std::process::Command;

/// What iptables says that does not know a match.
const UNKNOWN: &str = "Extension hl revision 0 not supported, missing kernel module?";
/// What an old iptables-legacy says where the kernel does not know a match.
const OLD: &str = "ip6tables-restore: line 3 failed";

/// A program that refuses transactions with one of these words and passes the others on.
fn refuses(words: &[&str], complaint: &str) -> String {
    let case = |word: &&str| format!("*{word}*) echo \"{complaint}\" >&2; exit 2;; ");
    let cases = words.iter().map(case).collect::<Vec<_>>().concat();
    let body = format!(
        "text=$(cat); case \"$text\" in {cases} esac; echo \"$text\" | \
         exec /usr/sbin/real/ip6tables-restore \"$@\""
    );
    script("ip6tables-restore", &body)
}

/// A source and its recipient, which start where `change` has changed the programs.
fn start<'h>(host: &'h Host, change: &str) -> [Container<'h>; 2] {
    let db = host.container("db").annotate("ports", "3306").hooks().build();
    host.run(&mut where_sbin(host, change, &run(host, &db))).ok();
    let web = prepared(host, "web", "db");
    host.run(&mut where_sbin(host, change, &run(host, &web))).ok();
    [web, db]
}

/// The rules for neighbor discovery.
fn rules(host: &Host) -> Vec<String> {
    let text = host.run(Command::new("ip6tables").args(["-S", "OCI-LINK"])).ok();
    text.lines().filter(|line| line.contains("icmpv6-type")).map(str::to_owned).collect()
}

#[test]
fn a_host_without_the_hop_limit_asks_for_bridged_packets() {
    for backend in [BackendName::Iptables, BackendName::Ipset] {
        for complaint in [UNKNOWN, OLD] {
            let host = host_of(backend, Runtime::Runc.turned());
            let [web, db] = start(&host, &refuses(&["hl-eq"], complaint));
            let found = rules(&host);
            assert_eq!(found.len(), 2, "{found:?}");
            assert!(found.iter().all(|rule| rule.contains("--physdev-is-bridged")), "{found:?}");
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN, "{backend}");
            assert_eq!(call(&host, "sync --check").ended(0), "");
            [&web, &db].into_iter().for_each(end);
            host.assert_nothing_left();
        }
    }
}

#[test]
fn a_host_without_both_accepts_none() {
    for backend in [BackendName::Iptables, BackendName::Ipset] {
        let host = host_of(backend, Runtime::Runc.turned());
        let [web, db] = start(&host, &refuses(&["hl-eq", "physdev"], UNKNOWN));
        assert_eq!(rules(&host), [""; 0]);
        assert_eq!(call(&host, "sync --check").ended(0), "");
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}
