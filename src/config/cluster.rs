//! `[cluster]` of config.toml: this host, the others, and how records get from host to host.

use crate::model::{Cluster, HostName, Subnet};
use crate::sys::file::shown;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// Default of `cluster.patience`.
const PATIENCE: Duration = Duration::from_secs(600);
/// Shortest patience, in seconds.
const SHORTEST: u64 = 5;
/// Longest patience, in seconds.
const LONGEST: u64 = 24 * 60 * 60;

/// The networks of each host, as config.toml has them.
type NetworkTable = BTreeMap<Spanned<String>, Spanned<Vec<Spanned<String>>>>;

/// The checked table `[cluster]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterConfig {
    /// The hosts.
    pub(crate) hosts: Cluster,
    /// The store of `oci-link-cluster`. `None` if another program carries the records.
    pub(super) courier: Option<Courier>,
}

/// What `oci-link-cluster` needs to reach its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Courier {
    /// The addresses of the store, each `https://HOST:PORT`.
    pub(crate) endpoints: Vec<String>,
    /// The certificates of the authority.
    pub(crate) ca: PathBuf,
    /// The certificate of this host.
    pub(crate) cert: PathBuf,
    /// Its key. Root never reads it.
    pub(crate) key: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterTable {
    name: Spanned<String>,
    networks: Spanned<NetworkTable>,
    patience: Option<Spanned<String>>,
    endpoints: Option<Spanned<Vec<Spanned<String>>>>,
    ca: Option<Spanned<PathBuf>>,
    cert: Option<Spanned<PathBuf>>,
    key: Option<Spanned<PathBuf>>,
}

/// A config.toml of which only this table is read.
#[derive(Deserialize)]
struct Salvaged {
    cluster: Option<ClusterTable>,
}

impl ClusterTable {
    /// Checks every value. `refuse` makes the error that names the line of a value.
    pub(super) fn checked<E>(
        self,
        refuse: &impl Fn(Option<Range<usize>>, &str) -> E,
    ) -> Result<ClusterConfig, E> {
        let name = HostName::new(self.name.as_ref())
            .map_err(|why| refuse(Some(self.name.span()), &format!("cluster.name: {why}")))?;
        let networks = networks(self.networks.as_ref(), refuse)?;
        if !networks.contains_key(&name) {
            return Err(refuse(
                Some(self.networks.span()),
                &format!("cluster.networks: has no networks of this host, {name}"),
            ));
        }
        let patience = match &self.patience {
            None => PATIENCE,
            Some(time) => parse_patience(time.as_ref()).ok_or_else(|| {
                refuse(
                    Some(time.span()),
                    &format!("cluster.patience {:?}: want a time from 5s to 24h", time.as_ref()),
                )
            })?,
        };
        let courier = self.courier(refuse)?;
        Ok(ClusterConfig { hosts: Cluster { name, networks, patience }, courier })
    }

    /// Checks the keys of the courier. All are there, or none.
    fn courier<E>(
        &self,
        refuse: &impl Fn(Option<Range<usize>>, &str) -> E,
    ) -> Result<Option<Courier>, E> {
        let paths = [("ca", &self.ca), ("cert", &self.cert), ("key", &self.key)];
        for (key, path) in paths {
            let Some(path) = path else { continue };
            if !path.as_ref().is_absolute() {
                return Err(refuse(
                    Some(path.span()),
                    &format!("cluster.{key} \"{}\": not an absolute path", shown(path.as_ref())),
                ));
            }
        }
        for endpoint in self.endpoints.iter().flat_map(AsRef::as_ref) {
            if !is_endpoint(endpoint.as_ref()) {
                return Err(refuse(
                    Some(endpoint.span()),
                    &format!("cluster.endpoints {:?}: want https://HOST:PORT", endpoint.as_ref()),
                ));
            }
        }
        let spans = [
            self.endpoints.as_ref().map(Spanned::span),
            self.ca.as_ref().map(Spanned::span),
            self.cert.as_ref().map(Spanned::span),
            self.key.as_ref().map(Spanned::span),
        ];
        let path = |path: &Spanned<PathBuf>| -> PathBuf { Path::to_owned(path.as_ref()) };
        match (&self.endpoints, &self.ca, &self.cert, &self.key) {
            (Some(all), Some(ca), Some(cert), Some(key)) if !all.as_ref().is_empty() => {
                let endpoints = all.as_ref().iter().map(|it| it.as_ref().clone()).collect();
                let [ca, cert, key] = [ca, cert, key].map(path);
                Ok(Some(Courier { endpoints, ca, cert, key }))
            }
            (None, None, None, None) => Ok(None),
            _ => Err(refuse(
                spans.into_iter().flatten().next(),
                "cluster: want endpoints, ca, cert and key together, or none of them",
            )),
        }
    }
}

/// Returns the table of a config.toml that is bad elsewhere.
pub(super) fn salvaged(text: &str) -> Option<ClusterConfig> {
    let Salvaged { cluster } = toml::from_str(text).ok()?;
    cluster?.checked(&|_, _| ()).ok()
}

/// Checks the networks of all hosts.
fn networks<E>(
    table: &NetworkTable,
    refuse: &impl Fn(Option<Range<usize>>, &str) -> E,
) -> Result<BTreeMap<HostName, Vec<Subnet>>, E> {
    let mut networks = BTreeMap::new();
    for (host, all) in table {
        let wrong = |span, why| refuse(Some(span), &format!("cluster.networks: {why}"));
        let name = HostName::new(host.as_ref()).map_err(|why| wrong(host.span(), why))?;
        if all.as_ref().is_empty() {
            return Err(refuse(Some(all.span()), &format!("cluster.networks: {name} has none")));
        }
        let subnet = |text: &Spanned<String>| {
            Subnet::parse(text.as_ref()).map_err(|why| wrong(text.span(), why))
        };
        networks.insert(name, all.as_ref().iter().map(subnet).collect::<Result<_, E>>()?);
    }
    Ok(networks)
}

/// Parses a time in s, m or h, from 5s to 24h.
fn parse_patience(time: &str) -> Option<Duration> {
    let unit = time.trim_start_matches(|c: char| c.is_ascii_digit());
    let scale = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        _ => return None,
    };
    let number: u64 = time[..time.len() - unit.len()].parse().ok()?;
    let seconds = number.checked_mul(scale)?;
    (SHORTEST..=LONGEST).contains(&seconds).then(|| Duration::from_secs(seconds))
}

/// Whether `text` is `https://HOST:PORT`. An IPv6 address is in brackets.
fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.strip_prefix("https://").and_then(|rest| rest.rsplit_once(':'))
    else {
        return false;
    };
    let is_name = |host: &str| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_host && is_number && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
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
        let modes = [
            parse("").is_ok().then(|| Config::parse("c", HOSTS).unwrap()),
            Some(Config::default()),
        ];
        assert_eq!(modes.map(|config| config.unwrap().state_mode()), [0o711, 0o700]);
    }

    #[test]
    fn patience_has_bounds() {
        for (text, seconds) in
            [("5s", 5), ("90s", 90), ("10m", 600), ("24h", 86400), ("1440m", 86400)]
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
}
