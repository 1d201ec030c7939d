//! The runtime that a registered wrapper executes. It must be installed: an engine whose runtime is
//! missing starts no container.

use super::{Registering, shown};
use crate::error::{Cause, Error, Kind};
use crate::sys::process::exec;
use std::path::{Path, PathBuf};

/// The runtime below a wrapper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Below {
    /// The name by which the engine knows it.
    pub(crate) name: String,
    /// Its path.
    pub(crate) program: PathBuf,
    /// The part of the wrapper's name after `oci-link-`.
    pub(crate) wrapper: String,
}

/// Why there is no runtime below.
#[derive(Debug)]
pub(crate) enum Lacking {
    /// The program of this name or path is not installed.
    Program(String),
    /// The engine uses this program, which no wrapper executes.
    Unknown(PathBuf),
    /// Another reason.
    Other(Error),
}

impl From<Error> for Lacking {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Lacking> for Error {
    fn from(lacking: Lacking) -> Self {
        let error = match lacking {
            Lacking::Program(name) => {
                let name = shown(Path::new(&name));
                let message =
                    format!("the engine's runtime \"{name}\" is not installed: install it");
                Error::new(Kind::Input, message)
            }
            Lacking::Unknown(path) => {
                let path = shown(&path);
                let message = format!(
                    "the engine's runtime is {path}, which oci-link does not execute: set \
                     runtime.command in config.toml to it"
                );
                Error::new(Kind::Input, message)
            }
            Lacking::Other(error) => return error,
        };
        error.because(Cause::NotInstalled)
    }
}

/// The runtime below `oci-link-runtime`.
pub(crate) fn usual(request: &Registering) -> Result<Below, Lacking> {
    let program = exec::find_below(&request.root, request.command.as_deref())?;
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Below { name, program, wrapper: "runtime".to_owned() })
}

/// The runtime below a wrapper that names it.
pub(super) fn by_name(root: &Path, name: &str) -> Result<PathBuf, Lacking> {
    exec::find_below(root, Some(Path::new(name))).map_err(|_| Lacking::Program(name.to_owned()))
}

/// The path of a file on the host whose root directory is `root`, if it exists.
pub(super) fn file_at(root: &Path, path: &str) -> Option<PathBuf> {
    let path = exec::below(root, Path::new(path));
    path.is_file().then_some(path)
}

/// The part after `oci-link-` of a wrapper's path.
pub(crate) fn is_wrapper(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?.strip_prefix("oci-link-")?;
    (name == "runtime" || exec::RUNTIMES.contains(&name)).then_some(name)
}
