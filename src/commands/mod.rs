//! One file per command: each reads as the command's story.

mod configure;
mod connect;
pub mod early;
mod gc;
mod hook;
mod inspect;
mod ls;
mod precreate;
mod prepare;
mod runtime;
mod runtime_log;
mod sync;
mod table;

use crate::cli::{Cli, Command, Global};
use crate::config::{Config, Overrides};
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::logging;
use crate::oci::spec::MAX_CONFIG;
use crate::sys::stdin;

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
    // Engines are told of us where no container ran yet: this needs no host.
    if let Command::Configure(arguments) = &cli.command {
        return configure::run(arguments);
    }
    let config = Config::load(overrides(cli.global))?;
    logging::init(&config)?;
    let host = Host::open(config)?;
    match cli.command {
        Command::Hook(arguments) => hook::run(&host, &arguments, &input),
        Command::Prepare(arguments) => prepare::run(&host, &arguments),
        Command::Precreate => precreate::run(&host, &input),
        Command::Ls(arguments) => ls::run(&host, &arguments),
        Command::Inspect(arguments) => inspect::run(&host, &arguments),
        Command::Connect(arguments) => connect::run(&host, &arguments),
        Command::Disconnect(arguments) => connect::end(&host, &arguments),
        Command::Sync(arguments) => sync::run(&host, &arguments),
        Command::Gc(arguments) => gc::run(&host, &arguments),
        Command::Runtime(_) | Command::Configure(_) => {
            Err(Error::new(Kind::Internal, "not dispatched"))
        }
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
