//! Parses the command line, dispatches, and says how it ended.

use clap::Parser;
use oci_link::cli::Cli;
use oci_link::error::{Error, Kind, Result};
use oci_link::{commands, logging, sys};
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let status = commands::early::run(&words).unwrap_or_else(|| run(&words).map(|()| 0));
    match status {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            logging::report(&error);
            ExitCode::from(error.kind as u8)
        }
    }
}

fn run(words: &[OsString]) -> Result<()> {
    sys::process::normalise()?;
    match Cli::try_parse_from(words) {
        Ok(cli) => commands::run(cli),
        Err(help) if !help.use_stderr() => {
            let _ = help.print();
            Ok(())
        }
        Err(usage) => {
            // crun dies when a hook does not take the state that it is given.
            if words.iter().any(|word| word == "hook") {
                let _ = sys::stdin::read(commands::MAX_STATE);
            }
            Err(Error::new(Kind::Usage, commands::one_line(&usage)))
        }
    }
}
