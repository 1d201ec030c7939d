//! `docker` and `podman`: executes the real program, with links as an annotation.
//!
//! This runs as an ordinary user. It reads no configuration and no records of ours, and writes
//! nothing. Without `--link` it only searches `PATH`.

use crate::error::Result;
use crate::frontend::{Client, Surroundings, rewrite};
use crate::sys::file;
use crate::sys::process::exec::{self, SavedSignals};
use crate::sys::process::{child, path_search};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// How long the program may take to print its help, in milliseconds. docker asks its daemon first.
const PATIENCE: u16 = 30_000;
/// The largest file of docker that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// How many contexts of docker are looked at.
const MAX_CONTEXTS: usize = 1000;

/// Replaces this process by docker or podman. Returns only on an error.
pub(crate) fn run(client: Client, arguments: &[OsString]) -> Result<u8> {
    let program = path_search::find(client.name())?;
    let rewritten = rewrite(client, arguments, &RealSurroundings { program: &program })?;
    let arguments = rewritten.as_deref().unwrap_or(arguments);
    Err(exec::replace_as(OsStr::new(client.name()), &program, arguments))
}

/// The program, the environment and the files of this host.
struct RealSurroundings<'p> {
    program: &'p Path,
}

impl Surroundings for RealSurroundings<'_> {
    fn output(&self, arguments: &[OsString]) -> Option<String> {
        let saved = SavedSignals::for_acting().ok()?;
        let output = child::ask(self.program, arguments, PATIENCE);
        saved.restore();
        output
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name).filter(|value| !value.is_empty())
    }

    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        file::read_followed(path, MAX_FILE).ok()
    }

    fn entries(&self, directory: &Path) -> Vec<PathBuf> {
        let all = fs::read_dir(directory).into_iter().flatten().take(MAX_CONTEXTS);
        all.filter_map(|entry| Some(entry.ok()?.path())).collect()
    }
}
