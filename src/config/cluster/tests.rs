//! Every check of the table, with the line in its message.

use super::*;
use crate::config::Config;
use crate::error::Result;

const HOSTS: &str = "[cluster]\nname = 'a'\n\
    networks = { a = ['10.10.1.0/24'], b = ['10.10.2.0/24', 'fd00::/64'] }\n";

fn parse(more: &str) -> Result<ClusterConfig> {
    Config::parse("c", &format!("{HOSTS}{more}")).map(|config| config.cluster.unwrap())
}

fn refused(text: &str) -> String {
    Config::parse("c", text).unwrap_err().to_string()
}

#[test]
fn without_the_table_there_is_one_host() {
    assert_eq!(Config::parse("c", "[log]\nlevel = 'info'").unwrap().cluster, None);
}

#[test]
fn hosts_and_networks() {
    let ClusterConfig { hosts, courier } = parse("").unwrap();
    assert_eq!((hosts.name.as_str(), courier), ("a", None));
    assert_eq!(hosts.patience, Duration::from_secs(600));
    assert_eq!(hosts.networks.len(), 2);
    let b = hosts.networks[&HostName::new("b").unwrap()].iter().map(ToString::to_string);
    assert_eq!(b.collect::<Vec<_>>(), ["10.10.2.0/24", "fd00::/64"]);
    let own_table = "[cluster]\nname = 'a'\n[cluster.networks]\na = ['10.0.0.0/8']";
    assert!(Config::parse("c", own_table).is_ok());
    let overlapping = HOSTS.replace("10.10.2.0/24", "10.10.0.0/16");
    assert!(Config::parse("c", &overlapping).is_ok(), "one pool of both");
}

#[test]
fn a_file_that_is_bad_elsewhere_still_declares_hosts() {
    let bad = format!("nonsense = 1\n{HOSTS}[log]\nfile = 3\n");
    assert!(Config::parse("c", &bad).is_err());
    assert_eq!(Config::salvage(&bad, Config::default()).cluster, parse("").ok());
    for worse in [HOSTS.replace("/24", "/0"), format!("{HOSTS}node = 1"), "[".to_owned()] {
        assert_eq!(Config::salvage(&worse, Config::default()).cluster, None);
    }
    let modes =
        [parse("").is_ok().then(|| Config::parse("c", HOSTS).unwrap()), Some(Config::default())];
    assert_eq!(modes.map(|config| config.unwrap().state_mode()), [0o711, 0o700]);
}

#[test]
fn patience_has_bounds() {
    for (text, seconds) in [("5s", 5), ("90s", 90), ("10m", 600), ("24h", 86400), ("1440m", 86400)]
    {
        let patience = parse(&format!("patience = '{text}'")).unwrap().hosts.patience;
        assert_eq!(patience, Duration::from_secs(seconds), "{text}");
    }
    for text in [
        "4s",
        "0s",
        "25h",
        "86401s",
        "",
        "10",
        "m",
        "-5s",
        "5 s",
        "5.5s",
        "1d",
        "500ms",
        "99999999999999999999h",
    ] {
        let error = parse(&format!("\npatience = '{text}'")).unwrap_err().to_string();
        assert!(error.starts_with("c line 5: cluster.patience "), "{error}");
    }
}

#[test]
fn the_courier_has_all_its_keys_or_none() {
    let all = "endpoints = ['https://10.99.0.1:2379', 'https://[fd00::1]:2379', \
               'https://etcd-1.example.org:2379']\nca = '/ca.pem'\ncert = '/h.pem'\nkey = '/h.key'";
    let courier = parse(all).unwrap().courier.unwrap();
    assert_eq!(courier.endpoints.len(), 3);
    assert_eq!((courier.ca, courier.key), ("/ca.pem".into(), "/h.key".into()));
    for line in all.lines() {
        let error = parse(&all.replace(line, "")).unwrap_err().to_string();
        assert!(error.contains("cluster: want endpoints, ca, cert and key"), "{error}");
        assert!(error.starts_with("c line "), "{error}");
        assert!(parse(line).is_err(), "{line} alone");
    }
    let none = all.lines().skip(1).collect::<Vec<_>>().join("\n");
    assert!(parse(&format!("endpoints = []\n{none}")).is_err());
    for path in ["ca.pem", "./ca.pem", "../ca.pem", ""] {
        let error = parse(&all.replace("/ca.pem", path)).unwrap_err().to_string();
        assert!(error.starts_with("c line 5: cluster.ca "), "{error}");
    }
    for endpoint in [
        "http://10.99.0.1:2379",
        "10.99.0.1:2379",
        "https://",
        "https://:2379",
        "https://h",
        "https://h:0",
        "https://h:65536",
        "https://h:",
        "https://u@h:1",
        "https://h:1/x",
        "https://fd00::1:2379",
        "https://[x]:1",
        "https://h:+1",
        "https://h h:1",
        "HTTPS://h:1",
    ] {
        let text = all.replace("https://[fd00::1]:2379", endpoint);
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.starts_with("c line 4: cluster.endpoints "), "{error}");
    }
}

#[test]
fn an_error_names_its_line() {
    let name = |name: &str| refused(&HOSTS.replace("'a'\n", &format!("'{name}'\n")));
    for bad in ["", "A", "-a", "a.", "a_b"] {
        assert!(name(bad).starts_with("c line 2: cluster.name: host "), "{}", name(bad));
    }
    let other = name("c");
    assert_eq!(other, "c line 3: cluster.networks: has no networks of this host, c");
    for bad in [
        "10.0.0.0/7",
        "127.0.0.0/8",
        "0.0.0.0/0",
        "169.254.0.0/16",
        "224.0.0.0/8",
        "::/0",
        "fe80::/64",
        "fd00::/31",
        "10.10.2.1/24",
        "x",
    ] {
        let error = refused(&HOSTS.replace("10.10.2.0/24", bad));
        assert!(error.starts_with("c line 3: cluster.networks: network "), "{error}");
    }
    let error = refused(&HOSTS.replace("b =", "'B' ="));
    assert!(error.starts_with("c line 3: cluster.networks: host "), "{error}");
    let error = refused(&HOSTS.replace("['10.10.1.0/24']", "[]"));
    assert_eq!(error, "c line 3: cluster.networks: a has none");
    let own_lines =
        "[cluster]\nname = 'a'\n[cluster.networks]\na = [\n'10.0.0.0/8',\n'10.0.0.0/4']";
    assert!(
        refused(own_lines).starts_with("c line 6: cluster.networks: "),
        "{}",
        refused(own_lines)
    );
    for (text, line) in [
        ("[cluster]\nname = 'a'\n", 1),
        ("[cluster]\nnetworks = { a = ['10.0.0.0/8'] }\n", 1),
        ("[cluster]\nname = 'a'\nnetworks = ['10.0.0.0/8']\n", 3),
        ("[cluster]\nname = 'a'\nnetworks = { a = '10.0.0.0/8' }\n", 3),
        ("[cluster]\nname = 'a'\nnetworks = { a = ['10.0.0.0/8'] }\nnode = 3\n", 4),
        ("[cluster]\nname = 3\nnetworks = { a = ['10.0.0.0/8'] }\n", 2),
    ] {
        let error = refused(text);
        assert!(error.starts_with(&format!("c line {line}: ")), "{error}");
    }
}
