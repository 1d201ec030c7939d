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

impl ClusterConfig {
    /// The file of the key with which `oci-link-cluster` reaches its store. `None` if another program carries the records.
    pub(crate) fn key_file(&self) -> Option<&Path> {
        self.courier.as_ref().map(|courier| courier.key.as_path())
    }
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
mod tests;
