//! The table `[cluster]` of config.toml, as far as it concerns the courier, fully checked.

pub(crate) mod endpoint;

use crate::error::{Error, Result};
use crate::names::is_host_name;
use endpoint::Endpoint;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Default path of config.toml; `--config` overrides it.
pub(crate) const CONFIG_FILE: &str = "/etc/oci-link/config.toml";
/// Default directory of the copies of other hosts' records; `--spool` overrides it.
pub(crate) const SPOOL: &str = "/run/oci-link-cluster/peers";
/// Default of `state_dir`.
const STATE_DIR: &str = "/run/oci-link";
/// Upper bound for the size of config.toml in bytes, as in `oci-link`.
const MAX_CONFIG: u64 = 64 << 10;
/// Default of `patience`.
const PATIENCE: Duration = Duration::from_secs(600);
const SHORTEST_PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// A lease lives at most so long without news of this host.
const LONGEST_TTL: Duration = Duration::from_secs(15);
/// A proof of freshness is due at least so often.
const LONGEST_PROOF: Duration = Duration::from_secs(5);

/// What the courier needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// The file that it was read from.
    pub(crate) file: PathBuf,
    /// The state directory of `oci-link`; `offers` is in it.
    pub(crate) state_dir: PathBuf,
    /// The name of this host.
    pub(crate) name: String,
    /// How long a view that gets no news is believed.
    pub(crate) patience: Duration,
    /// The members of etcd, at least one.
    pub(crate) endpoints: Vec<Endpoint>,
    /// Certificates that sign those of the members.
    pub(crate) ca: PathBuf,
    /// The certificate of this host.
    pub(crate) cert: PathBuf,
    /// The key of the certificate.
    pub(crate) key: PathBuf,
}

/// Other tables are `oci-link`'s.
#[derive(Deserialize)]
struct ConfigFile {
    state_dir: Option<PathBuf>,
    cluster: Option<ClusterTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterTable {
    name: String,
    networks: toml::Table,
    patience: Option<String>,
    endpoints: Option<Vec<String>>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Config {
    /// Reads and checks config.toml. A missing file is an error: without it there is no cluster.
    pub(crate) fn load(file: &Path) -> Result<Self> {
        let refuse = |why: &str| Error::config(format!("{}: {why}", file.display()));
        let mut text = String::new();
        let opened = File::open(file).map_err(|cause| refuse(&cause.to_string()))?;
        let length = opened.take(MAX_CONFIG + 1).read_to_string(&mut text);
        match length {
            Err(cause) => Err(refuse(&cause.to_string())),
            Ok(length) if length as u64 > MAX_CONFIG => Err(refuse("is larger than 64 KiB")),
            Ok(_) => Self::parse(file, &text),
        }
    }

    /// Checks the text of config.toml. `file` is named in errors.
    fn parse(file: &Path, text: &str) -> Result<Self> {
        let refuse = |why: String| Error::config(format!("{}: {why}", file.display()));
        let parsed: ConfigFile = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            refuse(format!("line {line}: {}", error.message()))
        })?;
        let Some(cluster) = parsed.cluster else {
            return Err(refuse("has no table [cluster]: this host is not in a cluster".to_owned()));
        };
        let state_dir = parsed.state_dir.unwrap_or_else(|| STATE_DIR.into());
        absolute("state_dir", &state_dir).map_err(refuse)?;
        cluster.checked(file, state_dir).map_err(refuse)
    }

    /// How long the records of this host live without news of it.
    pub(crate) fn ttl(&self) -> Duration {
        self.patience.min(LONGEST_TTL)
    }

    /// How often the freshness of the copies is proved.
    pub(crate) fn proof_interval(&self) -> Duration {
        (self.patience / 5).min(LONGEST_PROOF)
    }
}

impl ClusterTable {
    fn checked(self, file: &Path, state_dir: PathBuf) -> std::result::Result<Config, String> {
        if !is_host_name(&self.name) {
            return Err(format!(
                "cluster.name: {:?} is no host name: want a-z, 0-9, . and -, at most 63",
                self.name
            ));
        }
        if !self.networks.contains_key(&self.name) {
            return Err(format!("cluster.networks: lacks this host, {}", self.name));
        }
        let patience = self.patience.as_deref().map_or(Ok(PATIENCE), parse_patience)?;
        let (Some(endpoints), Some(ca), Some(cert), Some(key)) =
            (self.endpoints, self.ca, self.cert, self.key)
        else {
            return Err("cluster: endpoints, ca, cert and key are needed by this program; \
                        without them another one fills the directory of records"
                .to_owned());
        };
        for (name, path) in [("cluster.ca", &ca), ("cluster.cert", &cert), ("cluster.key", &key)] {
            absolute(name, path)?;
        }
        let endpoints: std::result::Result<Vec<_>, _> =
            endpoints.iter().map(|text| Endpoint::parse(text)).collect();
        let endpoints = endpoints.map_err(|why| format!("cluster.endpoints: {why}"))?;
        if endpoints.is_empty() {
            return Err("cluster.endpoints: names no endpoint".to_owned());
        }
        let file = file.to_owned();
        Ok(Config { file, state_dir, name: self.name, patience, endpoints, ca, cert, key })
    }
}

fn absolute(name: &str, path: &Path) -> std::result::Result<(), String> {
    if path.is_absolute() {
        Ok(())
    } else {
        Err(format!("{name}: {} is not an absolute path", path.display()))
    }
}

/// Parses a time in ms, s, m or h, from 5s to 24h.
fn parse_patience(time: &str) -> std::result::Result<Duration, String> {
    let wrong = || format!("cluster.patience: {time:?} is no time from 5s to 24h");
    let unit = time.trim_start_matches(|c: char| c.is_ascii_digit());
    let scale: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let number: u64 = time[..time.len() - unit.len()].parse().map_err(|_| wrong())?;
    let patience = number.checked_mul(scale).map(Duration::from_millis).ok_or_else(wrong)?;
    let is_fine = (SHORTEST_PATIENCE..=LONGEST_PATIENCE).contains(&patience);
    if is_fine { Ok(patience) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests;
