//! The command line.

use crate::config::{CONFIG_FILE, SPOOL};
use crate::error::{Error, Kind, Result};
use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Carries the records of linked containers between hosts, over etcd

Usage: oci-link-cluster [OPTIONS] COMMAND

Commands:
  run      Publish this host's records and copy those of other hosts, in the foreground
  status   Show what the running one does
  check    Check configuration, certificate, connection and permissions; changes nothing

Options:
      --config FILE  Configuration, table [cluster] [default: /etc/oci-link/config.toml]
      --spool DIR    Where copies of other hosts' records are [default: /run/oci-link-cluster/peers]
      --offers DIR   Where this host's records are [default: offers in the state directory]
      --json         status: print JSON
  -h, --help         Print help
  -V, --version      Print the version

Exit status: 0; 2 usage; 3 configuration or certificate; 10 cluster
";

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// `run`.
    Run,
    /// `status`.
    Status,
    /// `check`.
    Check,
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

/// The command line, parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Args {
    /// The command.
    pub(crate) command: Command,
    /// `--config`.
    pub(crate) config: PathBuf,
    /// `--spool`.
    pub(crate) spool: PathBuf,
    /// `--offers`.
    pub(crate) offers: Option<PathBuf>,
    /// `--json`.
    pub(crate) json: bool,
}

impl Args {
    /// Parses the arguments after the program's name. Options may stand before or after the command.
    pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let usage = |text: String| Error::new(Kind::Usage, text + "; see --help");
        let mut command = None;
        let mut args = Self {
            command: Command::Help,
            config: CONFIG_FILE.into(),
            spool: SPOOL.into(),
            offers: None,
            json: false,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy().into_owned();
            let (name, inline) = match text.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.into())),
                _ => (text.as_str(), None),
            };
            let mut value = || -> Result<PathBuf> {
                let value: Option<OsString> = inline.clone().or_else(|| words.next());
                value.map(Into::into).ok_or_else(|| usage(format!("{name} lacks a value")))
            };
            let next = match name {
                "run" => Command::Run,
                "status" => Command::Status,
                "check" => Command::Check,
                "-h" | "--help" | "help" => return Ok(Self { command: Command::Help, ..args }),
                "-V" | "--version" => return Ok(Self { command: Command::Version, ..args }),
                "--json" if inline.is_none() => {
                    args.json = true;
                    continue;
                }
                "--config" => {
                    args.config = value()?;
                    continue;
                }
                "--spool" => {
                    args.spool = value()?;
                    continue;
                }
                "--offers" => {
                    args.offers = Some(value()?);
                    continue;
                }
                _ => return Err(usage(format!("unknown argument {text:?}"))),
            };
            if command.replace(next).is_some() {
                return Err(usage(format!("{text:?} is a second command")));
            }
        }
        args.command =
            command.ok_or_else(|| usage("no command: run, status or check".to_owned()))?;
        if args.json && args.command != Command::Status {
            return Err(usage("--json is for status".to_owned()));
        }
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn parse(line: &str) -> Result<Args> {
        Args::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_stand_anywhere() {
        let args = parse("--config /c status --json --spool=/s --offers /o").unwrap();
        assert_eq!(args.command, Command::Status);
        assert!(args.json && args.config == Path::new("/c") && args.spool == Path::new("/s"));
        assert_eq!(args.offers, Some("/o".into()));
        assert_eq!(parse("run").unwrap().config, Path::new(CONFIG_FILE));
        assert_eq!(parse("run --help").unwrap().command, Command::Help);
        assert_eq!(parse("-V").unwrap().command, Command::Version);
    }

    #[test]
    fn anything_else_is_a_usage_error() {
        for line in
            ["", "walk", "run status", "run --config", "run --json", "--json=1 status", "run -x"]
        {
            let error = parse(line).expect_err(line);
            assert_eq!(error.status(), 2, "{line}");
            assert!(error.to_string().ends_with("see --help"), "{error}");
        }
    }
}
