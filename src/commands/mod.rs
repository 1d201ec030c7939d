//! One file per command: each reads as the command's story.

mod hook;
mod inspect;
mod ls;
mod prepare;
mod table;

use crate::cli::{Cli, Command};
use crate::config::{Config, Overrides};
use crate::error::Result;
use crate::host::Host;
use crate::logging;
use crate::sys::stdin;

/// Runtimes send a hook a few kilobytes, most of it annotations.
pub const MAX_STATE: usize = 1 << 20;

/// Runs what the command line asks for.
pub fn run(cli: Cli) -> Result<()> {
    // Before anything can fail: crun dies when a hook does not take the state that it is given.
    let state = match &cli.command {
        Command::Hook(_) => stdin::read(MAX_STATE)?,
        _ => Vec::new(),
    };
    let global = cli.global;
    let config = Config::load(Overrides {
        config: global.config.clone(),
        state_dir: global.state_dir,
        log_level: global.log_level,
        log_file: global.log_file,
    })?;
    logging::init(&config)?;
    let host = Host::open(config)?;
    match cli.command {
        Command::Hook(arguments) => hook::run(&host, &arguments, &state),
        Command::Prepare(arguments) => prepare::run(&host, &arguments, global.config.as_deref()),
        Command::Ls(arguments) => ls::run(&host, &arguments),
        Command::Inspect(arguments) => inspect::run(&host, &arguments),
    }
}
