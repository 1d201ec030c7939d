//! Remembers which runtime a container was created with, for `oci-link-runtime` only. Later commands use
//! it although config.toml has changed since or cannot be read.
//!
//! One symlink for each container in the folder `runtimes` of the state directory, whose target is the
//! program. Nothing here fails a command.

use crate::config::Config;
use crate::model::ContainerId;
use crate::sys::private_dir::Directory;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const FOLDER: &str = "runtimes";

/// Remembers that the container `id` was created with `program`.
pub(crate) fn remember(config: &Config, id: &OsStr, program: &Path) {
    let (Some(name), Some(program)) = (name(id), program.to_str()) else { return };
    let written =
        Directory::open_as(&config.state_dir, config.state_mode()).and_then(|directory| {
            directory.remove(&name)?;
            directory.link(program, &name)
        });
    if let Err(error) = written {
        log::debug!("the runtime of a container is not remembered: {error}");
    }
}

/// The program that the container `id` was created with, if it still exists.
pub(crate) fn recall(state_dir: &Path, id: &OsStr) -> Option<PathBuf> {
    let (directory, _) = Directory::look(state_dir).ok()??;
    let program = PathBuf::from(directory.read_link(&name(id)?).ok()??);
    program.is_file().then_some(program)
}

/// Forgets the runtime of a deleted container.
pub(crate) fn forget(state_dir: &Path, id: &OsStr) {
    if let (Ok(Some((directory, _))), Some(name)) = (Directory::look(state_dir), name(id)) {
        let _ = directory.remove(&name);
    }
}

fn name(id: &OsStr) -> Option<String> {
    let id = ContainerId::new(id.to_str()?).ok()?;
    Some(format!("{FOLDER}/{}", id.key()))
}
