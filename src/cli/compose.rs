//! The arguments of `compose`.

use clap::{Args, ValueHint};
use std::path::PathBuf;

/// `compose`.
#[derive(Debug, Args)]
pub(crate) struct Compose {
    /// The Compose file [default: standard input].
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Write to this file.
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Replace FILE.
    #[arg(long, conflicts_with = "output", requires = "file")]
    pub(crate) in_place: bool,
    /// Set this runtime for both ends of each link [default: oci-link].
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true,
          default_missing_value = "oci-link", hide_default_value = true)]
    pub(crate) runtime: Option<String>,
    /// Write expose and ports of linked services into annotations, because podman does not pass
    /// them on. They replace the ports of the image.
    #[arg(long)]
    pub(crate) ports: bool,
}
