//! Rules that another program flushed.

use super::{Watch, is_well, soon};
use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    lifecycle::{by_hand, host_of, host_with},
    support::{Host, OPEN, Proto, Runtime, SHUT},
};
use oci_link::testing::BackendName;
use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

/// What the kernel tells of. Of `ipset flush` alone it does not.
fn partial_losses(backend: BackendName) -> &'static [&'static [&'static str]] {
    match backend {
        BackendName::Nftables => &[
            &["nft flush ruleset"],
            &["nft delete table inet oci-link"],
            &["nft flush chain inet oci-link forward"],
            &["nft flush set inet oci-link links4"],
        ],
        BackendName::None => panic!("no rules can be lost"),
        BackendName::Ipset | BackendName::Iptables => &[
            &["nft flush ruleset"],
            &["iptables -F", "ip6tables -F"],
            &["iptables -F OCI-LINK"],
            &["iptables -I FORWARD -i br0 -o br0 -j DROP"],
            &["nft delete table ip filter", "nft delete table ip6 filter"],
        ],
    }
}

each_backend! {
    fn f15_what_is_flushed_comes_back_and_then_it_sleeps(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let watch = Watch::begin(&host);
        for disaster in partial_losses(backend) {
            by_hand(&host, disaster);
            soon(&format!("{disaster:?}"), || is_well(&host));
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN, "{disaster:?}");
            assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT, "{disaster:?}");
        }
        // Rules and chains at once: between -F and -X they would be in use again.
        for program in ["iptables-restore", "ip6tables-restore"] {
            host.feed(&mut Command::new(program), b"*filter\nCOMMIT\n").ok();
        }
        soon("an empty table", || is_well(&host));
        watch.sleeps(Duration::from_secs(2));
        by_hand(&host, &["nft flush ruleset"]);
        soon("after a sleep", || is_well(&host));
        // Looking is not changing: nothing of it is heard.
        watch.sleeps(Duration::from_secs(1));
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

/// The kernel reports no change of ipset's sets. They are repaired together with rules that it reports.
#[test]
fn sets_that_are_lost_with_the_rules_come_back() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    let _watch = Watch::begin(&host);
    let lost = "iptables -F; ip6tables -F; ipset destroy || ipset flush";
    host.run(Command::new("sh").args(["-c", lost])).ok();
    by_hand(&host, &["iptables -F OCI-LINK"]);
    soon("rules and sets", || is_well(&host));
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
}

/// `count` changes of a table, one after the other.
fn storm(host: &Host, table: &str, count: usize) {
    let lines: Vec<_> = (0..count)
        .map(|n| format!("add chain ip {table} c{n}\ndelete chain ip {table} c{n}\n"))
        .collect();
    for some in lines.chunks(50) {
        host.feed(Command::new("nft").args(["-f", "-"]), some.concat().as_bytes()).ok();
    }
}

#[test]
fn a_storm_is_answered_once_and_others_tables_never() {
    let host = host_of(BackendName::Iptables, Runtime::Crun);
    let _db = source(&host, "db", "3306");
    let _web = recipient(&host, "web", "db");
    by_hand(&host, &["nft add table ip other"]);
    let watch = Watch::begin(&host);
    watch.sleeps(Duration::from_secs(1));
    let before = watch.looks();
    storm(&host, "other", 1000);
    watch.sleeps(Duration::from_secs(1));
    assert_eq!(watch.looks() - before, 0, "{}", watch.log());
    let begun = Instant::now();
    storm(&host, "filter", 1000);
    let most = 2 + begun.elapsed().as_millis() / 500;
    watch.sleeps(Duration::from_secs(1));
    let looks = watch.looks() - before;
    println!("{looks} looks at {:?} of changes", begun.elapsed());
    assert!((1..=most).contains(&(looks as u128)), "{looks} of {most}\n{}", watch.log());
}

/// At SIGHUP config.toml is read again.
#[test]
fn isolation_follows_config_toml() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let (a, b) = (source(&host, "a", "80"), source(&host, "b", "80"));
    let watch = Watch::begin(&host);
    assert_eq!(a.reach(&b, Proto::Tcp, 80), SHUT);
    fs::write(host.path("config.toml"), "[firewall]\nbackend = \"ipset\"\n").expect("written");
    watch.signal(nix::sys::signal::SIGHUP);
    watch.hears("READY=1");
    assert_eq!(a.reach(&b, Proto::Tcp, 80), OPEN);
    fs::write(host.path("config.toml"), "no such thing").expect("written");
    watch.signal(nix::sys::signal::SIGHUP);
    watch.hears("READY=1");
    assert!(
        watch.log().contains("config.toml is not used, the previous settings stay"),
        "{}",
        watch.log()
    );
}
