//! `oci-link-cluster` carries the records of linked containers between hosts, over etcd.
//!
//! It copies bytes and interprets none: from the directory `offers`, which `oci-link watch` fills, into
//! etcd, and from etcd into a spool, which `oci-link watch` reads and checks. It needs no privilege. No
//! crate that speaks to the network is in `oci-link`. docs/cluster.md describes both directories.

mod args;
mod certificate;
mod check;
mod clock;
mod config;
mod error;
mod etcd;
mod incarnation;
mod log;
mod names;
mod notify;
mod offers;
mod run;
mod spool;
mod status;

#[cfg(any(test, fuzzing))]
pub mod fuzz;

use args::{Args, Command, HELP};
use config::Config;
use error::Result;
use std::io::Write;
use std::process::ExitCode;

/// Runs the program with the arguments of this process, and returns its exit status.
pub fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::say(&error.to_string());
            ExitCode::from(error.status())
        }
    }
}

fn dispatch() -> Result<()> {
    let args = Args::parse(std::env::args_os().skip(1))?;
    let offers =
        |config: &Config| args.offers.clone().unwrap_or_else(|| config.state_dir.join("offers"));
    match args.command {
        Command::Help => print(HELP),
        Command::Version => print(concat!("oci-link-cluster ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Status => status::run(&args.spool, args.json)?,
        Command::Check => {
            let config = Config::load(&args.config)?;
            check::run(&config, &args.spool, &offers(&config))?;
        }
        Command::Run => {
            let config = Config::load(&args.config)?;
            let offers = offers(&config);
            run::run(config, &args.spool, &offers)?;
        }
    }
    Ok(())
}

/// Writes to standard output. A closed one is not an error.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
