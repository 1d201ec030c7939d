//! config.toml and the global flags, as one checked value.

use crate::error::{Error, Kind, Result};
use crate::firewall::Choice;
use crate::link::env::Dialect;
use crate::model::{BackendName, BridgeName};
use crate::sys::file;
use log::LevelFilter;
use serde::Deserialize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Where config.toml is looked for.
pub(crate) const CONFIG_FILE: &str = "/etc/oci-link/config.toml";
/// Where the records are: on tmpfs, like the containers they speak of.
pub(crate) const STATE_DIR: &str = "/run/oci-link";
/// The size of a config.toml that somebody wrote by hand, many times over.
const MAX_CONFIG: u64 = 64 << 10;

/// What was said on the command line; it wins over the file.
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

/// How this host wants its links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// The file that was named on the command line, if one was.
    pub(crate) named: Option<PathBuf>,
    /// Where the records are.
    pub(crate) state_dir: PathBuf,
    /// Who keeps the rules.
    pub(crate) firewall: Choice,
    /// Bridges whose containers reach each other by links only.
    pub(crate) isolate: Vec<BridgeName>,
    /// Which Docker the variables sound like.
    pub(crate) dialect: Dialect,
    /// What the wrapper becomes.
    pub(crate) runtime: PathBuf,
    /// What is logged.
    pub(crate) log_level: LevelFilter,
    /// Where to; else to the system's log.
    pub(crate) log_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ConfigFile {
    state_dir: Option<PathBuf>,
    firewall: FirewallTable,
    env: EnvTable,
    runtime: RuntimeTable,
    log: LogTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FirewallTable {
    backend: Backend,
    isolate: Vec<Spanned<String>>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Backend {
    #[default]
    Auto,
    Ipset,
    Iptables,
    Nftables,
    None,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EnvTable {
    dialect: DialectName,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
enum DialectName {
    #[default]
    #[serde(rename = "28")]
    V28,
    #[serde(rename = "27")]
    V27,
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
            isolate: Vec::new(),
            dialect: Dialect::default(),
            runtime: "runc".into(),
            log_level: LevelFilter::Info,
            log_file: None,
        }
    }
}

impl Config {
    /// Reads the file, which may be absent, and lets the flags win.
    pub(crate) fn load(overrides: Overrides) -> Result<Self> {
        let path = overrides.config.as_deref().unwrap_or(Path::new(CONFIG_FILE));
        let text = file::read_text_if_there(path, MAX_CONFIG, Kind::Input)?.unwrap_or_default();
        let mut config = Self::parse(&file::shown(path), &text)?;
        config.named.clone_from(&overrides.config);
        config.state_dir = overrides.state_dir.unwrap_or(config.state_dir);
        config.log_level = overrides.log_level.unwrap_or(config.log_level);
        config.log_file = overrides.log_file.or(config.log_file);
        Ok(config)
    }

    pub(crate) fn parse(path: &str, text: &str) -> Result<Self> {
        let refuse = |span: Option<Range<usize>>, why: &str| {
            let line = span.map(|span| text[..span.start].matches('\n').count() + 1);
            let line = line.map(|line| format!(" line {line}")).unwrap_or_default();
            Error::new(Kind::Input, format!("{path}{line}: {why}"))
        };
        let file: ConfigFile = toml::from_str(text)
            .map_err(|error| refuse(error.span(), &error.message().replace('\n', ", ")))?;
        let usual = Self::default();
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
        Ok(Self {
            named: None,
            state_dir: file.state_dir.unwrap_or(usual.state_dir),
            firewall: match file.firewall.backend {
                Backend::Auto => Choice::Auto,
                Backend::Ipset => Choice::Fixed(BackendName::Ipset),
                Backend::Nftables => Choice::Fixed(BackendName::Nftables),
                Backend::Iptables => Choice::Fixed(BackendName::Iptables),
                Backend::None => Choice::Fixed(BackendName::None),
            },
            isolate,
            dialect: match file.env.dialect {
                DialectName::V28 => Dialect::V28,
                DialectName::V27 => Dialect::V27,
            },
            runtime: file.runtime.command.unwrap_or(usual.runtime),
            log_level,
            log_file: file.log.file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_means_the_defaults() {
        let config = Config::parse("c", "").unwrap();
        assert_eq!(config.state_dir, Path::new("/run/oci-link"));
        assert_eq!((config.firewall, config.dialect), (Choice::Auto, Dialect::V28));
    }

    #[test]
    fn all_keys() {
        let text = "state_dir = '/s'\n[firewall]\nbackend = 'none'\n[env]\ndialect = '27'\n\
                    [log]\nlevel = 'debug'\nfile = '/l'\n";
        let config = Config::parse("c", text).unwrap();
        assert_eq!(config.firewall, Choice::Fixed(BackendName::None));
        assert_eq!(config.dialect, Dialect::V27);
        assert_eq!((config.log_level, config.log_file), (LevelFilter::Debug, Some("/l".into())));
    }

    #[test]
    fn an_error_names_its_line() {
        let error = |text: &str| Config::parse("c", text).unwrap_err().to_string();
        assert!(error("[env]\n\ndialekt = '27'").starts_with("c line 3: unknown field"));
        assert!(error("[env]\ndialect = '26'").starts_with("c line 2: "));
        assert!(error("x").starts_with("c line 1: "));
        assert!(error("\n[log]\nlevel = 'loud'").starts_with("c line 3: log.level \"loud\": want"));
        let isolate = "[firewall]\nisolate = [\n'br0',\n'a/b']";
        assert!(error(isolate).starts_with("c line 4: firewall.isolate: "), "{}", error(isolate));
    }
}
