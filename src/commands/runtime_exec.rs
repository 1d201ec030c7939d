//! Link variables for a process that `exec --process FILE` starts in a container.
//!
//! Engines write the file, and know nothing of the variables. The runtime gets a copy that has them too.
//! The names of the variables are in the hooks of config.json since `create`, and the values in its
//! environment. The container's processes are not asked: they can change what /proc shows.

use crate::config::Config;
use crate::error::Result;
use crate::lifecycle::starting::remembered;
use crate::logging;
use crate::model::ContainerId;
use crate::oci::command_line::Execution;
use crate::oci::exec::with_link_variables;
use crate::oci::spec::MAX_CONFIG;
use crate::store::glimpse::{self, Glimpse};
use crate::sys::file;
use crate::sys::process::exec::SavedSignals;
use crate::sys::process::inherited::InheritedFile;
use std::env::var_os;
use std::path::{Path, PathBuf};

/// Size limit of the file. The kernel passes at most 6 MiB of arguments and variables to a program.
const MAX_PROCESS: u64 = 16 << 20;
/// The first descriptor behind the standard streams.
const FIRST: u32 = 3;

/// Returns a copy of the process description with the link variables that it lacks. `None` if it needs none
/// or if that fails: the process starts without them, and the log says why.
///
/// `home` is the directory in which the runtime keeps its files about the container.
pub(super) fn edited(
    config: &Config,
    program: &Path,
    execution: &Execution,
    home: impl FnOnce() -> Option<PathBuf>,
) -> Option<InheritedFile> {
    let is_crun = program.file_name().is_some_and(|name| name == "crun");
    if execution.is_in_gos_form && is_crun {
        return None;
    }
    let id = ContainerId::new(execution.id.to_str()?).ok()?;
    let known = glimpse::of_linked(&config.state_dir, &id)?;
    logging::init(config);
    let saved = SavedSignals::for_acting().ok()?;
    let copied = copy(execution, &known, home().as_deref());
    if let Err(error) = &copied {
        log::warn!("{}: exec starts a process without link variables: {error}", id.brief());
    }
    saved.restore();
    copied.ok().flatten()
}

fn copy(
    execution: &Execution,
    known: &Glimpse,
    home: Option<&Path>,
) -> Result<Option<InheritedFile>> {
    let process = file::read_followed(&execution.process, MAX_PROCESS)?;
    for config in configurations(known, home) {
        // A directory without config.json is that of another runtime.
        let Ok(config) = file::read_followed(&config, MAX_CONFIG) else { continue };
        if let Some(edited) = with_link_variables(&process, &config)? {
            return InheritedFile::new(&edited, lowest(execution)).map(Some);
        }
    }
    Ok(None)
}

/// The files that may be the container's config.json: in the bundle that the runtime knows, and the copy that
/// crun keeps. A container of another root can have the same id, so the record's bundle counts last.
fn configurations(known: &Glimpse, home: Option<&Path>) -> Vec<PathBuf> {
    let bundle = home.and_then(remembered).map(|state| state.bundle);
    let bundle = bundle.or_else(|| known.bundle.clone());
    let directories = bundle.into_iter().chain(home.map(Path::to_owned));
    directories.map(|directory| directory.join("config.json")).collect()
}

/// The lowest descriptor that means nothing to the runtime. crun counts those of socket activation too.
fn lowest(execution: &Execution) -> u32 {
    let activated = var_os("LISTEN_FDS").and_then(|number| number.to_str()?.parse::<u16>().ok());
    FIRST + u32::from(execution.preserved) + u32::from(activated.unwrap_or(0))
}
