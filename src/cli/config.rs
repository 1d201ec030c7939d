//! The arguments of `config`.

use clap::{Args, ValueEnum};

/// `config`.
#[derive(Debug, Args)]
#[command(override_usage = "oci-link config show [--json]\n       \
                            oci-link config get KEY [--json]\n       \
                            oci-link config set KEY VALUE...\n       \
                            oci-link config set KEY --default")]
pub(crate) struct ConfigCommand {
    /// What to do.
    #[arg(value_enum)]
    pub(crate) action: ConfigAction,
    /// The key, such as firewall.backend; for set also its value.
    #[arg(value_name = "KEY")]
    pub(crate) words: Vec<String>,
    /// Remove the keys, so that their defaults apply.
    #[arg(long)]
    pub(crate) default: bool,
    /// Print JSON.
    #[arg(long, conflicts_with = "default")]
    pub(crate) json: bool,
}

/// What `config` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigAction {
    /// Print all keys with their values.
    Show,
    /// Print the value of a key.
    Get,
    /// Write values into config.toml.
    Set,
}
