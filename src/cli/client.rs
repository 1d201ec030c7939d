//! Arguments that are passed on: those of `runtime`, `docker` and `podman`.

use clap::Args;
use std::ffi::OsString;

/// `docker`, `podman`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct ClientCall {
    /// The program's own arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub(crate) arguments: Vec<OsString>,
}

/// `runtime`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Runtime {
    /// The runtime's own arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub(crate) arguments: Vec<OsString>,
}
