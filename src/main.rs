//! Parses the command line, dispatches, and says how it ended.

use clap::Parser;
use clap::error::ErrorKind;
use oci_link::cli::Cli;
use oci_link::error::{Error, Kind, Result};
use oci_link::{commands, logging, sys};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::report(&error);
            ExitCode::from(error.kind as u8)
        }
    }
}

fn run() -> Result<()> {
    sys::process::normalise()?;
    match Cli::try_parse() {
        Ok(cli) => commands::run(cli),
        Err(help) if !help.use_stderr() => {
            let _ = help.print();
            Ok(())
        }
        Err(usage) => {
            // crun dies when a hook does not take the state that it is given.
            if std::env::args().any(|argument| argument == "hook") {
                let _ = sys::stdin::read(commands::MAX_STATE);
            }
            Err(Error::new(Kind::Usage, one_line(&usage)))
        }
    }
}

/// What clap says in a paragraph.
fn one_line(usage: &clap::Error) -> String {
    if usage.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command given; see oci-link --help".to_owned();
    }
    let text = usage.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}
