//! Parses the command line, dispatches, and says how it ended.

#![no_main] // See sys/process/entry.rs.

use clap::Parser;
use oci_link::cli::Cli;
use oci_link::error::{Error, Kind, Result};
use oci_link::{commands, logging, sys};
use std::ffi::OsString;

/// musl's own maps and unmaps every larger piece: ARCHITECTURE.md.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

sys::process::entry::main!(begin);

fn begin(words: &[OsString]) -> u8 {
    let status = commands::fast_path::run(words).unwrap_or_else(|| run(words));
    status.unwrap_or_else(|error| {
        logging::init_by_flags(&commands::fast_path::log_flags(words));
        logging::report(&error);
        error.kind as u8
    })
}

fn run(words: &[OsString]) -> Result<u8> {
    sys::process::normalise()?;
    match Cli::try_parse_from(words) {
        Ok(cli) => commands::run(cli),
        Err(help) if !help.use_stderr() => {
            let _ = help.print();
            Ok(0)
        }
        Err(usage) => {
            // crun dies when a hook does not take the state that it is given.
            if words.iter().any(|word| word == "hook") {
                let _ = sys::process::stdin::read(commands::MAX_STATE);
            }
            Err(Error::new(Kind::Usage, commands::one_line(&usage)))
        }
    }
}
