//! One file per command: each reads as the command's story.

mod hook;
mod inspect;
mod ls;
mod precreate;
mod prepare;
mod runtime;
mod runtime_log;
mod table;

use crate::cli::{BeforeRuntime, Cli, Command, Global};
use crate::config::{Config, Overrides};
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::logging;
use crate::oci::spec::MAX_CONFIG;
use crate::sys::stdin;
use clap::Parser;
use std::ffi::OsString;
use std::path::Path;

/// Runtimes send a hook a few kilobytes, most of it annotations.
pub const MAX_STATE: usize = 1 << 20;

/// Runs what the command line asks for.
pub fn run(cli: Cli) -> Result<()> {
    // Before anything can fail: crun dies when a hook does not take the state that it is given.
    let input = match &cli.command {
        Command::Hook(_) => stdin::read(MAX_STATE)?,
        Command::Precreate => stdin::read(usize::try_from(MAX_CONFIG).unwrap_or(usize::MAX))?,
        _ => Vec::new(),
    };
    let config = Config::load(overrides(cli.global))?;
    logging::init(&config)?;
    let host = Host::open(config)?;
    match cli.command {
        Command::Hook(arguments) => hook::run(&host, &arguments, &input),
        Command::Prepare(arguments) => prepare::run(&host, &arguments),
        Command::Precreate => precreate::run(&host, &input),
        Command::Ls(arguments) => ls::run(&host, &arguments),
        Command::Inspect(arguments) => inspect::run(&host, &arguments),
        Command::Runtime(_) => Err(Error::new(Kind::Internal, "runtime: not dispatched")),
    }
}

fn overrides(global: Global) -> Overrides {
    Overrides {
        config: global.config,
        state_dir: global.state_dir,
        log_level: global.log_level,
        log_file: global.log_file,
    }
}

/// If this is a call of the wrapper, by name (`oci-link-runc …`) or by command
/// (`oci-link [options] runtime …`), runs it; the number is its exit status. The command line is the
/// runtime's, so clap must not look at it.
pub fn wrapper(words: &[OsString]) -> Option<Result<u8>> {
    let (program, rest) = words.split_first()?;
    let called = Path::new(program).file_name()?.to_str()?;
    match called.strip_prefix("oci-link-") {
        Some("runtime") => return Some(runtime::run(Overrides::default(), None, rest)),
        Some(name @ ("runc" | "crun" | "youki")) => {
            return Some(runtime::run(Overrides::default(), Some(name), rest));
        }
        _ => {}
    }
    let mut at = 0;
    loop {
        match rest.get(at)?.to_str()? {
            "runtime" => break,
            "--config" | "--state-dir" | "--log-level" | "--log-file" => at += 2,
            option if option.starts_with("--") && option.contains('=') => at += 1,
            _ => return None,
        }
    }
    let before = BeforeRuntime::try_parse_from(&rest[..at]);
    let before = before.map_err(|usage| Error::new(Kind::Usage, one_line(&usage)));
    let rest = &rest[at + 1..];
    Some(before.and_then(|before| runtime::run(overrides(before.global), None, rest)))
}

/// What clap says in a paragraph.
pub fn one_line(usage: &clap::Error) -> String {
    if usage.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command given; see oci-link --help".to_owned();
    }
    let text = usage.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}
