//! `prepare`: adds link variables and hooks to a bundle that a runtime starts without an engine.

use crate::cli::Prepare;
use crate::error::{Context, Kind, Result};
use crate::host::Host;
use crate::lifecycle::inject::{self, Hooks, NewContainer, Starts};
use crate::lifecycle::one_run;
use crate::model::ContainerId;
use crate::sys::file;

/// Edits the bundle's config.json, which is replaced in one step.
pub(crate) fn run(host: &Host, arguments: &Prepare) -> Result<()> {
    let bundle = std::fs::canonicalize(&arguments.bundle)
        .context(Kind::Input, || file::shown(&arguments.bundle))?;
    // By convention the bundle directory is named after the container.
    let id = match (&arguments.id, bundle.file_name()) {
        (Some(id), _) => Some(ContainerId::new(id)?),
        (None, Some(name)) => name.to_str().and_then(|name| ContainerId::new(name).ok()),
        (None, None) => None,
    };
    let path = bundle.join("config.json");
    let config = one_run::read(&path)?;
    let text = config.bytes.as_slice();
    let starts = Starts::Later;
    let container = NewContainer { id: id.as_ref(), bundle: &bundle, text, starts };
    let edited = inject::edited(host, container, Hooks::Both)?;
    if edited == text {
        return Ok(());
    }
    file::replace_followed(&path, &config, &edited, Kind::Input)
}
