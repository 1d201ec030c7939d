//! The arguments of commands that run until they are ended: `events` and `watch`.

use clap::{Args, ValueHint};
use std::path::PathBuf;

/// `events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Print JSON: one object for each event, on one line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `watch`.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Write metrics for Prometheus to FILE, for the textfile collector of its node exporter.
    ///
    /// The file is replaced in one step when something has changed, and removed when watch ends. Where
    /// config.toml declares other hosts, it is also written every 30 seconds, for the age of what is known of them.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) metrics: Option<PathBuf>,
}
