//! The variables of both dialects, and what is left out.

use super::*;
use crate::model::sample::{alias, record};

fn described(name: &str, ports: &str, dialect: Dialect) -> Vec<String> {
    let source = record("s", ports, &["10.88.0.7/16"]);
    let web = ContainerName::new("web").unwrap();
    describe(&web, &alias(name), &source, dialect).iter().map(ToString::to_string).collect()
}

fn has(variables: &[String], start: &str) -> bool {
    variables.iter().any(|variable| variable.starts_with(start))
}

#[test]
fn one_port() {
    let source =
        record("s", "5432", &["10.88.0.7/16"]).showing(&["PGUSER=app", "HOME=/", "PATH=/bin"]);
    let web = ContainerName::new("web").unwrap();
    let variables = describe(&web, &alias("pg-main"), &source, Dialect::V28);
    let variables: Vec<_> = variables.iter().map(ToString::to_string).collect();
    assert_eq!(
        variables,
        [
            "PG_MAIN_PORT=tcp://10.88.0.7:5432",
            "PG_MAIN_PORT_5432_TCP_ADDR=10.88.0.7",
            "PG_MAIN_PORT_5432_TCP_PORT=5432",
            "PG_MAIN_PORT_5432_TCP_PROTO=tcp",
            "PG_MAIN_PORT_5432_TCP=tcp://10.88.0.7:5432",
            "PG_MAIN_NAME=/web/pg-main",
            "PG_MAIN_ENV_PGUSER=app",
        ]
    );
}

#[test]
fn a_range_of_two_is_one_since_28() {
    let new = described("q", "7000-7001", Dialect::V28);
    assert!(new.contains(&"Q_PORT_7000_TCP_START=tcp://10.88.0.7:7000".to_owned()));
    assert!(new.contains(&"Q_PORT_7000_TCP_PORT_START=7000".to_owned()));
    assert!(new.contains(&"Q_PORT_7000_TCP_END=tcp://10.88.0.7:7001".to_owned()));
    assert!(new.contains(&"Q_PORT_7000_TCP_PORT_END=7001".to_owned()));
    let old = described("q", "7000-7001", Dialect::V27);
    assert!(!old.iter().any(|variable| variable.contains("_START")), "{old:?}");
    let three = described("q", "7000-7002", Dialect::V27);
    assert!(three.contains(&"Q_PORT_7000_TCP_END=tcp://10.88.0.7:7002".to_owned()));
}

#[test]
fn old_ranges_do_not_look_at_protocols() {
    let ports = "53/tcp 53/udp 54/udp";
    let new = described("dns", ports, Dialect::V28);
    assert!(has(&new, "DNS_PORT_53_UDP_START=") && !has(&new, "DNS_PORT_53_TCP_START="));
    let old = described("dns", ports, Dialect::V27);
    assert!(has(&old, "DNS_PORT_53_TCP_START=tcp://10.88.0.7:53"), "{old:?}");
    assert!(has(&old, "DNS_PORT_53_UDP_END=udp://10.88.0.7:54"), "{old:?}");
    assert!(has(&old, "DNS_PORT_53_UDP_PORT_END=54"), "{old:?}");
}

#[test]
fn default_ports() {
    let default = |ports, dialect| described("x", ports, dialect).swap_remove(0);
    assert_eq!(default("2905/sctp 161/udp", Dialect::V28), "X_PORT=sctp://10.88.0.7:2905");
    assert_eq!(default("2905/sctp 161/udp", Dialect::V27), "X_PORT=udp://10.88.0.7:161");
    assert_eq!(default("80/udp 9000", Dialect::V28), "X_PORT=tcp://10.88.0.7:9000");
    assert_eq!(default("80/udp 9000", Dialect::V27), "X_PORT=udp://10.88.0.7:80");
}

#[test]
fn the_last_port_ends_its_range() {
    let variables = described("x", "1-3,65534-65535", Dialect::V28);
    assert!(variables.contains(&"X_PORT_1_TCP_PORT_END=3".to_owned()));
    assert!(variables.contains(&"X_PORT_65534_TCP_PORT_END=65535".to_owned()));
}

#[test]
fn without_ports_or_addresses_there_is_little_to_say() {
    assert_eq!(described("x", "none", Dialect::V28), ["X_NAME=/web/x"]);
    let source = record("s", "80", &[]);
    let web = ContainerName::new("web").unwrap();
    assert_eq!(describe(&web, &alias("x"), &source, Dialect::V28).len(), 1);
}

#[test]
fn a_source_with_only_ipv6_is_described_by_it() {
    let source = record("s", "80", &["fd00::2/64"]);
    let web = ContainerName::new("web").unwrap();
    let variables = describe(&web, &alias("x"), &source, Dialect::V28);
    assert_eq!(variables[0].to_string(), "X_PORT=tcp://[fd00::2]:80");
}

#[test]
fn own_variables_win() {
    let source = record("s", "80", &["10.0.0.2/24"]);
    let (web, db) = (ContainerName::new("web").unwrap(), alias("db"));
    let own = [Variable::new("DB_NAME", "mine")];
    let found = link_variables(&web, [(&db, &source)], &own, Dialect::V28);
    assert!(found.variables.iter().all(|variable| variable.key != "DB_NAME"));
    assert_eq!((found.variables.len(), found.left_out.len()), (5, 0));
}

/// All variables of `links`, and what was left out, as text.
fn of_all(links: &[(&str, &Record)]) -> (Vec<String>, Vec<String>) {
    let aliases: Vec<Alias> = links.iter().map(|(name, _)| alias(name)).collect();
    let pairs = aliases.iter().zip(links.iter().map(|(_, source)| *source));
    let web = ContainerName::new("web").unwrap();
    let found = link_variables(&web, pairs, &[], Dialect::V28);
    let left_out = found.left_out.iter().map(ToString::to_string).collect();
    (found.variables.iter().map(ToString::to_string).collect(), left_out)
}

#[test]
fn no_key_has_two_values() {
    let a = record("a", "80", &["10.0.0.2/24"]);
    let b = record("b", "none", &["10.0.0.3/24"]).showing(&["PORT=5", "NAME=n", "X=1", "X=2"]);
    let (variables, left_out) = of_all(&[("db", &b), ("db-env", &a)]);
    let mut keys: Vec<&str> = variables.iter().filter_map(|v| v.split('=').next()).collect();
    keys.sort_unstable();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "{keys:?}");
    assert!(variables.contains(&"DB_ENV_PORT=5".to_owned()), "the first link's: {variables:?}");
    assert!(variables.contains(&"DB_ENV_X=1".to_owned()), "{variables:?}");
    let taken = |key: &str, alias: &str| {
        format!("variable {key} of link {alias} is left out: link db gives it another value")
    };
    let expected = ["DB_ENV_X", "DB_ENV_PORT", "DB_ENV_NAME"];
    let aliases = ["db", "db-env", "db-env"];
    let expected: Vec<String> =
        expected.iter().zip(aliases).map(|(key, alias)| taken(key, alias)).collect();
    assert_eq!(left_out, expected);
}

#[test]
fn one_prefix_for_two_links_gives_the_first_links_variables() {
    let a = record("a", "80", &["10.0.0.2/24"]);
    let (alone, _) = of_all(&[("my-db", &a)]);
    let b = record("b", "80", &["10.0.0.3/24"]);
    let (both, left_out) = of_all(&[("my-db", &a), ("my_db", &b)]);
    assert_eq!(both, alone);
    assert_eq!(left_out.len(), 4, "the number and the protocol are the same: {left_out:?}");
    assert!(left_out.iter().all(|line| line.contains("link my_db") && line.contains("link my-db")));
}

#[test]
fn an_entry_that_no_program_can_have_is_left_out() {
    let of_length = |length: usize| {
        let value = "x".repeat(length - "DB_ENV_BIG=".len());
        let source = record("s", "none", &[]).showing(&[&format!("BIG={value}"), "SMALL=1"]);
        of_all(&[("db", &source)])
    };
    let (variables, left_out) = of_length(MAX_ENTRY - 1);
    assert_eq!((variables.len(), left_out.len()), (3, 0));
    let (variables, left_out) = of_length(MAX_ENTRY);
    assert_eq!(variables, ["DB_NAME=/web/db", "DB_ENV_SMALL=1"]);
    let reason =
        "variable DB_ENV_BIG is left out: it has 131073 bytes, and the kernel accepts 131072";
    assert_eq!(left_out, [reason]);
}

#[test]
fn a_range_is_described_port_by_port() {
    let range = described("q", "7000-7010/udp", Dialect::V28);
    let list = (7000..=7010).map(|number| format!("{number}/udp")).collect::<Vec<_>>().join(",");
    for dialect in [Dialect::V28, Dialect::V27] {
        assert_eq!(described("q", "7000-7010/udp", dialect), described("q", &list, dialect));
    }
    assert_eq!(range.iter().filter(|variable| variable.contains("_UDP_ADDR=")).count(), 11);
    let all = described("q", "1-4096", Dialect::V28);
    assert_eq!(all.iter().filter(|variable| variable.contains("_TCP_ADDR=")).count(), 4096);
}

/// The bounds of every range are described, whatever comes first.
#[test]
fn more_ports_than_fit_into_an_environment() {
    let ports = "1-65535, 5060/udp, 16384-32768/udp";
    for dialect in [Dialect::V28, Dialect::V27] {
        let all = described("pbx", ports, dialect);
        let count = |end: &str| all.iter().filter(|variable| variable.contains(end)).count();
        assert_eq!(count("_ADDR="), MAX_DESCRIBED, "{dialect:?}");
        for start in ["PBX_PORT=tcp://10.88.0.7:1", "PBX_PORT_1_TCP=", "PBX_PORT_65535_TCP="] {
            assert!(has(&all, start), "{dialect:?}: {start}");
        }
        for number in [5060, 16384, 32768] {
            assert!(has(&all, &format!("PBX_PORT_{number}_UDP=udp://10.88.0.7:{number}")));
        }
        assert!(!has(&all, "PBX_PORT_20000_UDP="), "{dialect:?}");
    }
    let all = described("pbx", ports, Dialect::V28);
    for variable in [
        "PBX_PORT_1_TCP_START=tcp://10.88.0.7:1",
        "PBX_PORT_1_TCP_PORT_END=65535",
        "PBX_PORT_16384_UDP_START=udp://10.88.0.7:16384",
        "PBX_PORT_16384_UDP_PORT_START=16384",
        "PBX_PORT_16384_UDP_END=udp://10.88.0.7:32768",
        "PBX_PORT_16384_UDP_PORT_END=32768",
    ] {
        assert!(all.iter().any(|have| have == variable), "{variable}");
    }
}

#[test]
fn what_is_left_out_of_many_ports_is_told() {
    let source = record("pbx", "16384-32768/udp", &["10.88.0.7/16"]);
    let (_, left_out) = of_all(&[("pbx", &source)]);
    let expected = "link pbx has variables for 4096 of its 16385 ports: more would not fit into an \
                    environment";
    assert_eq!(left_out, [expected]);
    assert!(of_all(&[("db", &record("db", "1-4096", &["10.88.0.7/16"]))]).1.is_empty());
}
