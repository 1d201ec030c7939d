//! Edits config.json for the wrapper, before the runtime reads it.
//!
//! An edit for links stays in the bundle: `runc exec` takes the variables from there. The hooks that `run`
//! gives a container without links are removed again by the first of them.

use crate::error::{Context, Kind, Result};
use crate::host::Host;
use crate::lifecycle::concern::brief;
use crate::lifecycle::inject::{self, Hooks, NewContainer, Starts};
use crate::lifecycle::one_run;
use crate::model::ContainerId;
use crate::oci::annotations::declares_links;
use crate::oci::command_line::Creation;
use crate::oci::one_run::is_wanted;
use crate::sys::file::{self, Followed};
use std::path::Path;

/// Adds link variables and the hook that removes links. A container without links needs neither.
pub(super) fn before_create(host: &Host, creation: &Creation) -> Result<()> {
    let path = creation.config_file();
    let config = one_run::read(&path)?;
    let edited = edited(host, creation, &config, Hooks::Poststop)?;
    if edited == config.bytes {
        return Ok(());
    }
    tolerate(file::replace_followed(&path, &config, &edited, Kind::Input), creation, &config)
}

/// Adds link variables and both hooks. `exists` is asked whether the runtime knows the container: then it
/// refuses to run it again, and the bundle of a container without links is left alone.
pub(super) fn before_run(
    host: &Host,
    creation: &Creation,
    exists: impl FnOnce() -> bool,
) -> Result<()> {
    let path = creation.config_file();
    let config = one_run::read(&path)?;
    let for_one_run = is_wanted(&config.bytes);
    if for_one_run && exists() {
        return Ok(());
    }
    let absolute = std::path::absolute(&path).context(Kind::Input, || file::shown(&path))?;
    let hooks = if for_one_run { Hooks::OneRun(&absolute) } else { Hooks::Both };
    let edited = edited(host, creation, &config, hooks)?;
    if edited == config.bytes {
        return Ok(());
    }
    let replaced = if for_one_run {
        file::kept::replace(&path, &config, &edited, Kind::Input)
    } else {
        file::replace_followed(&path, &config, &edited, Kind::Input)
    };
    tolerate(replaced, creation, &config)
}

fn edited(
    host: &Host,
    creation: &Creation,
    config: &Followed,
    hooks: Hooks<'_>,
) -> Result<Vec<u8>> {
    let id = ContainerId::new(&creation.id.to_string_lossy())?;
    let bundle = std::fs::canonicalize(&creation.bundle)
        .context(Kind::Input, || file::shown(&creation.bundle))?;
    let (bundle, text, starts): (&Path, _, _) = (&bundle, config.bytes.as_slice(), Starts::Now);
    inject::edited(host, NewContainer { id: Some(&id), bundle, text, starts }, hooks)
}

/// Logs a config.json that cannot be replaced. A container without links can start without our hooks.
fn tolerate(replaced: Result<()>, creation: &Creation, config: &Followed) -> Result<()> {
    match replaced {
        Err(error) if !declares_links(&config.bytes) => {
            let id = brief(&creation.id.to_string_lossy());
            log::warn!("{id}: no container can be linked to it: {error}");
            Ok(())
        }
        replaced => replaced,
    }
}
