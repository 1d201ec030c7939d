//! Links that cannot carry, and `--probe`, which tries them.

use super::{assert_well, command, report};
use crate::{
    cast::{end, recipient, source},
    configure::site::Site,
    lifecycle::by_hand,
    support::{Container, Host, Listener, Proto, Runtime},
};
use oci_link::testing::BackendName;
use std::process::Command;

fn site() -> (Host, Site) {
    (crate::lifecycle::host_of(BackendName::Iptables, Runtime::Runc), Site::new())
}

fn waiting(host: &Host) -> Container<'_> {
    let web = host.container("web").annotate("links", "db").annotate("missing", "defer");
    let web = web.hooks().build();
    web.run().ok();
    web
}

#[test]
fn a_link_without_a_common_network_is_a_fault_with_the_fix() {
    let (host, site) = site();
    let db = host.container("db").annotate("ports", "3306").hooks().build();
    let flush = ["-netns", db.netns().name(), "addr", "flush", "dev", "eth0"];
    host.run(Command::new("ip").args(flush)).ok();
    db.run().ok();
    let web = waiting(&host);
    let found = report(host.run(&mut command(&host, &site, &["--json"])), 12);
    let said = found.of("link of web");
    said.is("fault", "db waits: db has no address")
        .is("fault", "; connect db to a network, then call oci-link ");
    // The host is on no network of the container, so nothing is routed.
    let add = ["-netns", db.netns().name(), "addr", "add", "10.99.0.2/24", "dev", "eth0"];
    host.run(Command::new("ip").args(add)).ok();
    end(&db);
    db.run().ok();
    let found = report(host.run(&mut command(&host, &site, &["--json"])), 12);
    let cause = "db waits: web is on 10.77.0.0/24 and fd77::/64, db on 10.99.0.0/24";
    found
        .of("link of web")
        .is("fault", cause)
        .is("fault", "; connect both to one network, then call");
    [&web, &db].into_iter().for_each(end);
}

#[test]
fn a_probe_says_what_answers() {
    let (host, site) = site();
    let probe =
        |status| report(host.run(&mut command(&host, &site, &["--json", "--probe"])), status);
    assert!(probe(0).of("probe").is("ok", "no link opens a TCP port").fix().is_empty());
    let db = source(&host, "db", "3306, 3307, 53/udp");
    let web = recipient(&host, "web", "db");
    let found = probe(11);
    found.of("web -> db 3306/tcp").is("warning", "refused");
    assert!(!found.text.contains("53/udp"), "only TCP can be tried: {}", found.text);
    let listener = Listener::new(&db, Proto::Tcp, 3306);
    let found = probe(11);
    found.of("web -> db 3306/tcp").is("ok", "answers");
    found.of("web -> db 3307/tcp").is("warning", "refused");
    assert_well(&host, &site);
    // A rule before ours drops the packets: only a probe sees what a rule of iptables-legacy does.
    for family in ["iptables", "ip6tables"] {
        by_hand(&host, &[&format!("{family} -I FORWARD -p tcp --dport 3306 -j DROP")]);
    }
    let found = report(host.run(&mut command(&host, &site, &["--json", "--probe"])), 12);
    found.of("web -> db 3306/tcp").is("fault", "no answer");
    found.of("web -> db 3307/tcp").is("warning", "refused");
    drop(listener);
    [&web, &db].into_iter().for_each(end);
}
