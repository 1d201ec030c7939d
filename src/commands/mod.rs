//! The commands of the program, one file each.

mod client;
mod completions;
mod compose;
mod config;
mod configure;
mod connect;
mod doctor;
mod events;
mod fast_path;
mod gc;
mod graph;
mod hook;
mod inspect;
mod link_word;
mod ls;
mod man;
mod output;
mod peers;
mod precreate;
mod prepare;
mod runtime;
mod runtime_edit;
mod runtime_exec;
mod runtime_log;
mod runtime_memory;
mod sync;
mod users;
mod watch;

use crate::cli::{Cli, Command, Global, help};
use crate::config::{Config, Overrides};
use crate::error::{Context, Error, Kind, Result};
use crate::host::Host;
use crate::lifecycle::home::{at_home, open_at_home};
use crate::lifecycle::privileges::AfterHook;
use crate::logging;
use crate::oci::spec::MAX_CONFIG;
use crate::store::NewerRecord;
use crate::sys::process::{self, stdin};
use clap::FromArgMatches;
use std::ffi::OsString;
use std::io::{Write, stderr, stdout};

/// The largest OCI state that a hook reads, in bytes. Usual states have a few kilobytes, most of it
/// annotations.
pub(crate) const MAX_STATE: usize = 64 << 20;

/// The exit status of `sync --check` and `gc --dry-run` if there is something to do. It is no error.
const FOUND: u8 = 13;

/// Runs the program and returns its exit status. `arguments` begin with the program's name. An
/// error is printed on standard error and logged.
pub fn run(arguments: &[OsString]) -> u8 {
    let status = fast_path::run(arguments).unwrap_or_else(|| parse(arguments));
    status.unwrap_or_else(|error| {
        logging::init_by_flags(&fast_path::log_flags(arguments));
        logging::report(&error);
        error.kind as u8
    })
}

fn parse(arguments: &[OsString]) -> Result<u8> {
    process::normalise()?;
    if arguments.len() <= 1 {
        return print_help(None);
    }
    let parsed = help::command().try_get_matches_from(arguments);
    match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => dispatch(cli),
        Err(help) if !help.use_stderr() => {
            let _ = help.print();
            Ok(0)
        }
        Err(usage) => {
            // crun is killed by SIGPIPE if a hook does not read the state.
            if arguments.iter().any(|word| word == "hook") {
                let _ = stdin::read(MAX_STATE);
            }
            Err(Error::new(Kind::Usage, one_line(&usage)))
        }
    }
}

/// Prints the help of a command, or of the program.
fn print_help(command: Option<&str>) -> Result<u8> {
    let text = help::of(command).ok_or_else(|| {
        let name = command.unwrap_or_default();
        Error::new(Kind::Usage, format!("no command {name:?}; see oci-link help"))
    })?;
    say(&text).map(|()| 0)
}

/// Runs the command of a parsed command line and returns the exit status.
fn dispatch(cli: Cli) -> Result<u8> {
    let overrides = overrides(cli.global);
    if users::arrange(&cli.command, &overrides)? == users::Records::Absent {
        if let Some(answered) = users::answer_without_records(&cli.command) {
            return answered.map(|()| 0);
        }
    }
    let open = || {
        let config = Config::load(overrides.clone())?;
        logging::init(&config);
        Host::open(config)
    };
    // Where the records were made.
    let there = |act: &dyn Fn(Host) -> Result<u8>| at_home(AfterHook::Exit, || act(open()?));
    let done = match &cli.command {
        // A hook and precreate decide what a bad config.toml means for their container. Standard input
        // is read before anything can fail: crun is killed by SIGPIPE if a hook does not read the state.
        Command::Hook(arguments) => hook::run(overrides, arguments, stdin::read(MAX_STATE)),
        Command::Precreate => {
            let input = stdin::read(usize::try_from(MAX_CONFIG).unwrap_or(usize::MAX))?;
            precreate::run(overrides, &input)
        }
        // These commands do not open the host: they also run before the first container, for example
        // in a package build.
        Command::Configure(arguments) => configure::run(overrides, arguments),
        Command::Compose(arguments) => compose::run(arguments),
        Command::Config(arguments) => config::run(&overrides, arguments),
        Command::Completions(arguments) => completions::run(arguments),
        Command::Man(arguments) => man::run(arguments),
        Command::Help(arguments) => return print_help(arguments.command.as_deref()),
        // doctor reports problems of config.toml, the log and the state directory by itself.
        Command::Doctor(arguments) => return doctor::run(overrides, arguments),
        Command::Prepare(arguments) => prepare::run(&open()?, arguments),
        Command::Ls(arguments) => ls::run(&open()?, arguments),
        Command::Inspect(arguments) => inspect::run(&open_at_home(open)?, arguments),
        Command::Graph(arguments) => graph::run(&open()?, arguments),
        Command::Connect(arguments) => {
            return there(&|host| connect::run(&host, arguments).map(|()| 0));
        }
        Command::Disconnect(arguments) => {
            return there(&|host| connect::end(&host, arguments).map(|()| 0));
        }
        Command::Sync(arguments) => return there(&|host| sync::run(&host, arguments)),
        Command::Gc(arguments) => return there(&|host| gc::run(&host, arguments)),
        Command::Events(arguments) => events::run(open, arguments),
        Command::Watch(arguments) => {
            return there(&|host| watch::run(host, &overrides, arguments).map(|()| 0));
        }
        // The fast path runs them, before clap sees the command line.
        Command::Runtime(_) | Command::Docker(_) | Command::Podman(_) => {
            Err(Error::new(Kind::Internal, "not dispatched"))
        }
    };
    done.map(|()| 0)
}

fn overrides(global: Global) -> Overrides {
    Overrides {
        config: global.config,
        state_dir: global.state_dir,
        log_level: global.log_level,
        log_file: global.log_file,
    }
}

/// Names the records of a newer version, which a command skips, on standard error.
fn warn_of_newer(records: &[NewerRecord]) {
    for newer in records {
        // Without a standard error the log has it.
        let _ = writeln!(stderr(), "oci-link: {}: skipped; it and its rules stay", newer.reason);
    }
}

/// Writes text to standard output.
fn say(text: &str) -> Result<()> {
    stdout().write_all(text.as_bytes()).context(Kind::Internal, || "standard output")
}

/// Writes a JSON value to standard output.
fn say_json(value: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).context(Kind::Internal, || "JSON")?;
    say(&format!("{text}\n"))
}

/// clap's error message in one line, with its usage line at the end.
fn one_line(usage: &clap::Error) -> String {
    let text = usage.to_string();
    let mut lines = text.lines().map(str::trim);
    let message: Vec<&str> = lines
        .by_ref()
        .take_while(|line| !line.starts_with("Usage:"))
        .filter(|line| !line.is_empty())
        .collect();
    let message = message.join(" ").trim_start_matches("error: ").to_owned();
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    match usage {
        Some(usage) => format!("{message}; usage: {usage}"),
        None => message,
    }
}
