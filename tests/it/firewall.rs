//! What a link opens: exactly the exposed ports of exactly its source, one way.

mod administrator;
mod base_chain;
mod bridges;
mod discovery;
mod faults;
mod lives;
mod repair;
mod reuse;

use crate::{
    cast::{inspect, iptables_host, link_rules, recipient, source},
    support::{Container, OPEN, Proto, Runtime, SHUT, each_runtime},
};
use std::{fs, process::Command, thread};

/// A way that is open, or is shut, in both families.
struct Way<'a> {
    from: &'a Container<'a>,
    to: &'a Container<'a>,
    proto: Proto,
    port: u16,
    open: bool,
}

/// Probes all ways at once: each that is shut takes its second.
fn probe(ways: &[Way]) {
    thread::scope(|scope| {
        for Way { from, to, proto, port, open } in ways {
            scope.spawn(move || {
                let expected = if *open { OPEN } else { SHUT };
                let reach = from.reach(to, *proto, *port);
                assert_eq!(reach, expected, "{proto:?} {port}, {}", from.addresses()[0]);
            });
        }
    });
}

fn open<'a>(from: &'a Container, to: &'a Container, proto: Proto, port: u16) -> Way<'a> {
    Way { from, to, proto, port, open: true }
}

fn shut<'a>(from: &'a Container, to: &'a Container, proto: Proto, port: u16) -> Way<'a> {
    Way { open: false, ..open(from, to, proto, port) }
}

each_runtime! {
    fn every_protocol_and_every_port_of_a_range_is_opened_and_no_other(runtime) {
        let host = iptables_host(runtime);
        let db = source(&host, "db", "3306, 53/udp, 2905/sctp, 7000-7002/tcp");
        let web = recipient(&host, "web", "db");
        probe(&[
            open(&web, &db, Proto::Tcp, 3306),
            open(&web, &db, Proto::Udp, 53),
            open(&web, &db, Proto::Sctp, 2905),
            open(&web, &db, Proto::Tcp, 7000),
            open(&web, &db, Proto::Tcp, 7001),
            open(&web, &db, Proto::Tcp, 7002),
            shut(&web, &db, Proto::Tcp, 6999),
            shut(&web, &db, Proto::Tcp, 7003),
            shut(&web, &db, Proto::Udp, 3306),
            shut(&web, &db, Proto::Sctp, 3306),
            shut(&db, &web, Proto::Tcp, 3307),
        ]);
        for (proto, port) in [(Proto::Tcp, 3306), (Proto::Udp, 53), (Proto::Sctp, 2905)] {
            assert_eq!(db.reach_from(port, &web, proto, 40_000), SHUT, "{proto:?} back from {port}");
        }
    }
}

#[test]
fn sources_are_found_by_name_by_id_and_by_id_prefix() {
    let host = iptables_host(Runtime::Runc);
    let one = source(&host, "0a1b2c3d", "1001");
    let long = "0a2b".repeat(16);
    let two = source(&host, &long, "1002");
    let three = host.container("third").annotate("name", "db-3").annotate("ports", "1003");
    let three = three.hooks().build();
    three.run().ok();
    let web = recipient(&host, "web", "0a1b2c3d:one, 0a2b0a2b0a2b:two db-3:three");
    probe(&[
        open(&web, &one, Proto::Tcp, 1001),
        open(&web, &two, Proto::Tcp, 1002),
        open(&web, &three, Proto::Tcp, 1003),
        shut(&web, &one, Proto::Tcp, 1002),
        shut(&one, &two, Proto::Tcp, 1002),
    ]);
    for (alias, container) in [("one", &one), ("two", &two), ("three", &three)] {
        let line = format!("\n{}\t{alias} ", container.addresses()[0]);
        assert!(web.hosts().contains(&line), "{line}: {}", web.hosts());
    }
}

#[test]
fn several_aliases_are_lines_of_their_own_and_one_set_of_rules() {
    let host = iptables_host(Runtime::Crun);
    let db = source(&host, "db", "3306");
    let single = recipient(&host, "single", "db");
    let rules_of_one = link_rules(&host).len();
    let web = recipient(&host, "web", "db db:mysql /db:/web/store");
    assert_eq!(link_rules(&host).len(), 2 * rules_of_one);
    let [ip, _] = db.addresses();
    for names in ["db db", "mysql db db", "store db db"] {
        assert!(web.hosts().contains(&format!("\n{ip}\t{names}\n")), "{}", web.hosts());
    }
    probe(&[open(&web, &db, Proto::Tcp, 3306), open(&single, &db, Proto::Tcp, 3306)]);
}

#[test]
fn without_a_backend_links_are_names_and_variables_only() {
    let host = iptables_host(Runtime::Crun);
    fs::write(host.path("config.toml"), "[firewall]\nbackend = \"none\"\n").expect("written");
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db:mysql");
    assert_eq!(host.rules(), host.baseline());
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
    assert!(web.hosts().contains(&format!("{}\tmysql db db\n", db.addresses()[0])));
    assert!(web.environ().contains(&"MYSQL_PORT_3306_TCP_PORT=3306".into()));
    assert_eq!(inspect(&host, "web")["backend"], "none");
}

#[test]
fn inspect_tells_recorded_rules_from_others() {
    let host = iptables_host(Runtime::Runc);
    let _db = source(&host, "db", "3306, 53/udp");
    let _web = recipient(&host, "web", "db");
    let rules = &inspect(&host, "web")["rules"];
    assert_eq!(rules["verdict"], "as recorded");
    let (jumps, kernel): (Vec<_>, Vec<_>) = rules["kernel"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|line| line.as_str().expect("a rule").to_owned())
        .partition(|line| line.starts_with("-A OCI-LINKS-TIED -i br0 -o br0 "));
    assert_eq!((jumps.len(), kernel), (2, link_rules(&host)));

    let rule = link_rules(&host)[0].replacen("-A", "-D", 1);
    host.run(Command::new("iptables").args(rule.split(' '))).ok();
    assert_eq!(inspect(&host, "web")["rules"]["verdict"], "differ");

    host.run(&mut host.oci_link(&["sync"])).ok();
    let rules = inspect(&host, "web")["rules"].take();
    assert_eq!(rules["verdict"], "as recorded");
    assert_eq!(rules["ports"].as_array().map(Vec::len), Some(4), "{rules}");
    host.run(Command::new("nft").args(["flush", "set", "bridge", "oci-link", "ends6"])).ok();
    let rules = inspect(&host, "web")["rules"].take();
    assert_eq!(rules["verdict"], "differ");
    assert_eq!(rules["ports"].as_array().map(Vec::len), Some(2), "{rules}");
}
