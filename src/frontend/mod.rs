//! Command lines of docker and podman in which `--link` works: each link becomes a part of the
//! annotation `org.oci-link.links`, and everything else is passed on.
//!
//! Rewriting is pure. Arguments are bytes, because a client takes bytes. What the arguments do not
//! tell is asked of [`Surroundings`], and only if there is a link: the client's help, the
//! environment and files. `commands/client.rs` executes the result.

mod command;
mod daemon;
mod help;
mod links;
mod network;
mod options;
mod rewrite;
mod words;

pub(crate) use rewrite::rewrite;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A program whose command line is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Docker,
    Podman,
}

impl Client {
    /// The client of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "docker" => Some(Self::Docker),
            "podman" => Some(Self::Podman),
            _ => None,
        }
    }

    /// The name of the program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// What a command line alone does not tell.
pub(crate) trait Surroundings {
    /// The output of the client, called with these arguments; `None` if it fails.
    fn output(&self, arguments: &[OsString]) -> Option<String>;
    /// A variable of the environment. An empty one counts as missing.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// The content of a small file; `None` if it cannot be read.
    fn read(&self, path: &Path) -> Option<Vec<u8>>;
    /// The paths in a directory.
    fn entries(&self, directory: &Path) -> Vec<PathBuf>;
}

#[cfg(test)]
mod table;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
