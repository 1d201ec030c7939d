//! Configuration: config.toml merged with the global command-line flags, fully checked.

mod cluster;
pub(crate) mod edit;
pub(crate) mod keys;
pub(crate) mod users;

pub(crate) use self::cluster::ClusterConfig;
use self::cluster::ClusterTable;
use crate::error::{Context, Error, Kind, Result};
use crate::firewall::Choice;
use crate::link::env::Dialect;
use crate::model::{BackendName, Bind, BridgeName, TakesOver, parse_wait};
use crate::sys::file;
use crate::sys::hosts::mount_source;
use crate::sys::private_dir::{PASSABLE, PRIVATE};
use crate::sys::site::{Whose, whose};
use log::LevelFilter;
use serde::Deserialize;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// Default path of config.toml; `--config` overrides it.
pub(crate) const CONFIG_FILE: &str = "/etc/oci-link/config.toml";
/// Default state directory. `/run` is a tmpfs, so records vanish at a reboot, as containers do.
const STATE_DIR: &str = "/run/oci-link";
/// Default of `links.wait`.
const WAIT: Duration = Duration::from_secs(30);
/// Upper bound for the size of config.toml in bytes, far above any file written by hand.
const MAX_CONFIG: u64 = 64 << 10;

/// Global command-line flags; each flag that is set overrides config.toml.
#[derive(Debug, Default, Clone)]
pub(crate) struct Overrides {
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--state-dir`.
    pub(crate) state_dir: Option<PathBuf>,
    /// `--log-level`.
    pub(crate) log_level: Option<LevelFilter>,
    /// `--log-file`.
    pub(crate) log_file: Option<PathBuf>,
}

/// The effective configuration of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// The value of `--config`, if the flag was given.
    pub(crate) named: Option<PathBuf>,
    /// The state directory, which holds the records.
    pub(crate) state_dir: PathBuf,
    /// Which firewall backend is used.
    pub(crate) firewall: Choice,
    /// How links between two containers on one bridge are tied.
    pub(crate) bind: Bind,
    /// Isolated bridges: their containers reach each other only through links.
    pub(crate) isolate: Vec<BridgeName>,
    /// Which Docker release the link variables imitate.
    pub(crate) dialect: Dialect,
    /// How long a start waits for sources, unless its annotation names a time.
    pub(crate) wait: Duration,
    /// Which of Docker's own links are taken over.
    pub(crate) docker_links: TakesOver,
    /// Whether Docker's own links on networks other than the default bridge have variables.
    pub(crate) network_env: bool,
    /// The OCI runtime that the wrapper executes; `None` means the first one that is installed.
    pub(crate) runtime: Option<PathBuf>,
    /// The least severe level that is logged.
    pub(crate) log_level: LevelFilter,
    /// The log file; `None` means syslog.
    pub(crate) log_file: Option<PathBuf>,
    /// Links to containers of other hosts; `None` means that there are none.
    pub(crate) cluster: Option<ClusterConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ConfigFile {
    state_dir: Option<PathBuf>,
    firewall: FirewallTable,
    env: EnvTable,
    links: LinksTable,
    docker: DockerTable,
    runtime: RuntimeTable,
    log: LogTable,
    cluster: Option<ClusterTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FirewallTable {
    backend: Option<Spanned<String>>,
    bind: Option<Spanned<String>>,
    isolate: Vec<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EnvTable {
    dialect: Option<DialectName>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum DialectName {
    #[serde(rename = "28")]
    V28,
    #[serde(rename = "27")]
    V27,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LinksTable {
    wait: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DockerTable {
    links: DockerLinks,
    network_env: bool,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DockerLinks {
    None,
    #[default]
    DefaultBridge,
    All,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RuntimeTable {
    command: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LogTable {
    level: Option<Spanned<String>>,
    file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            named: None,
            state_dir: STATE_DIR.into(),
            firewall: Choice::default(),
            bind: Bind::default(),
            isolate: Vec::new(),
            dialect: Dialect::default(),
            wait: WAIT,
            docker_links: TakesOver::default(),
            network_env: false,
            runtime: None,
            log_level: LevelFilter::Info,
            log_file: None,
            cluster: None,
        }
    }
}

impl Config {
    /// Reads config.toml and applies `overrides`, which take precedence.
    ///
    /// A missing file is not an error. A symlink is followed if root owns the link. Invalid content is an error of kind [`Kind::Input`].
    /// For containers of a user, that user's file is read over some keys of root's.
    pub(crate) fn load(overrides: Overrides) -> Result<Self> {
        let path = overrides.config.as_deref().unwrap_or(Path::new(CONFIG_FILE));
        let mut config = match whose() {
            Whose::Root => Self::parse(&file::shown(path), &read(path)?.unwrap_or_default())?,
            whose => users::load(whose, path)?,
        };
        config.apply(overrides);
        Ok(config)
    }

    /// Reads config.toml like [`Config::load`], and returns what can be used of a bad one together with
    /// the error. Ends and containers without links do not depend on a valid file.
    pub(crate) fn load_or_salvage(overrides: Overrides) -> (Self, Option<Error>) {
        let path = overrides.config.clone().unwrap_or_else(|| CONFIG_FILE.into());
        match Self::load(overrides.clone()) {
            Ok(config) => (config, None),
            Err(error) => {
                let mut config = match whose() {
                    Whose::Root => Self::salvage(&any_text(&path), Self::default()),
                    whose => users::salvage(whose, &path),
                };
                config.apply(overrides);
                (config, Some(error))
            }
        }
    }

    /// The values of a config.toml that can be used on their own. All others are those of `usual`.
    fn salvage(text: &str, usual: Self) -> Self {
        let table: toml::Table = toml::from_str(text).unwrap_or_default();
        let path = |table: Option<&toml::Value>, key: &str| -> Option<PathBuf> {
            Some(table?.get(key)?.as_str()?.into())
        };
        let state_dir = table.get("state_dir").and_then(toml::Value::as_str).map(PathBuf::from);
        let backend = table.get("firewall").and_then(|table| table.get("backend")?.as_str());
        let backend = backend.and_then(|name| BackendName::parse(name).ok());
        let bind = table.get("firewall").and_then(|table| table.get("bind")?.as_str());
        Self {
            state_dir: state_dir.unwrap_or(usual.state_dir),
            firewall: backend.map_or(usual.firewall, Choice::Fixed),
            bind: bind.and_then(Bind::parse).unwrap_or(usual.bind),
            runtime: path(table.get("runtime"), "command").or(usual.runtime),
            log_file: path(table.get("log"), "file").or(usual.log_file),
            cluster: cluster::salvaged(text),
            ..usual
        }
    }

    fn apply(&mut self, overrides: Overrides) {
        self.named.clone_from(&overrides.config);
        self.state_dir = overrides.state_dir.unwrap_or_else(|| std::mem::take(&mut self.state_dir));
        self.log_level = overrides.log_level.unwrap_or(self.log_level);
        self.log_file = overrides.log_file.or_else(|| self.log_file.take());
    }

    /// The mode of the state directory. With `[cluster]` another user may pass to one of its folders.
    pub(crate) fn state_mode(&self) -> u32 {
        if self.cluster.is_some() { PASSABLE } else { PRIVATE }
    }

    /// Parses the text of config.toml. `path` names the file in error messages.
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self> {
        Self::parse_over(path, text, Self::default())
    }

    /// Parses the text of config.toml. What it does not set is that of `usual`.
    fn parse_over(path: &str, text: &str, usual: Self) -> Result<Self> {
        let refuse = |span: Option<Range<usize>>, why: &str| {
            let line = span.map(|span| text[..span.start].matches('\n').count() + 1);
            let line = line.map(|line| format!(" line {line}")).unwrap_or_default();
            Error::new(Kind::Input, format!("{path}{line}: {why}"))
        };
        let file: ConfigFile = toml::from_str(text)
            .map_err(|error| refuse(error.span(), &error.message().replace('\n', ", ")))?;
        let firewall = match &file.firewall.backend {
            Some(name) if name.as_ref() != "auto" => {
                let names = BackendName::ALL.map(BackendName::as_str).join(", ");
                let why = format!("{:?}: want auto, {names} or none", name.as_ref());
                let wrong = |_| refuse(Some(name.span()), &format!("firewall.backend {why}"));
                Choice::Fixed(BackendName::parse(name.as_ref()).map_err(wrong)?)
            }
            Some(_) => Choice::Auto,
            None => usual.firewall,
        };
        let bind = match &file.firewall.bind {
            None => usual.bind,
            Some(name) => Bind::parse(name.as_ref()).ok_or_else(|| {
                let why = format!("{:?}: want auto, port, bridge or none", name.as_ref());
                refuse(Some(name.span()), &format!("firewall.bind {why}"))
            })?,
        };
        let mut isolate: Vec<BridgeName> = Vec::new();
        for name in &file.firewall.isolate {
            let wrong = |why| refuse(Some(name.span()), &format!("firewall.isolate: {why}"));
            let bridge = BridgeName::new(name.as_ref()).map_err(wrong)?;
            if !isolate.contains(&bridge) {
                isolate.push(bridge);
            }
        }
        let log_level = match &file.log.level {
            None => usual.log_level,
            Some(level) => level.as_ref().parse().map_err(|_| {
                let want = "want off, error, warn, info, debug or trace";
                refuse(Some(level.span()), &format!("log.level {:?}: {want}", level.as_ref()))
            })?,
        };
        let wait = match &file.links.wait {
            None => usual.wait,
            Some(time) => parse_wait(time.as_ref()).map_err(|why| {
                refuse(Some(time.span()), &format!("links.wait {:?}: {why}", time.as_ref()))
            })?,
        };
        Ok(Self {
            named: None,
            state_dir: file.state_dir.unwrap_or(usual.state_dir),
            firewall,
            bind,
            isolate,
            dialect: file.env.dialect.map_or(usual.dialect, |name| match name {
                DialectName::V28 => Dialect::V28,
                DialectName::V27 => Dialect::V27,
            }),
            wait,
            docker_links: match file.docker.links {
                DockerLinks::None => TakesOver::None,
                DockerLinks::DefaultBridge => TakesOver::DefaultBridge,
                DockerLinks::All => TakesOver::All,
            },
            network_env: file.docker.network_env,
            runtime: file.runtime.command.or(usual.runtime),
            log_level,
            log_file: file.log.file,
            cluster: file.cluster.map(|table| table.checked(&refuse)).transpose()?,
        })
    }
}

/// The text of a file that may be bad, as far as it can be read.
fn any_text(path: &Path) -> String {
    let bytes = file::read_followed(path, MAX_CONFIG).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads config.toml. A symlink is followed if it and all links behind it are root's.
fn read(path: &Path) -> Result<Option<String>> {
    let refused = match file::read_text_if_there(path, MAX_CONFIG, Kind::Input) {
        Err(refused) => refused,
        read => return read,
    };
    if !std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        return Err(refused);
    }
    let pinned = mount_source::pin(path, &file::shown(path))?;
    let pinned = format!("/proc/self/fd/{}", pinned.as_raw_fd());
    let bytes = file::read_followed(Path::new(&pinned), MAX_CONFIG)?;
    let text = String::from_utf8(bytes).context(Kind::Input, || file::shown(path))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests;
