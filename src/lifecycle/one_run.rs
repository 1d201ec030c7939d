//! Puts config.json back after the runtime has read hooks for one run.

use crate::error::{Kind, Result};
use crate::oci::one_run::{adds_hooks, may_be_left, without_hooks};
use crate::oci::spec::MAX_CONFIG;
use crate::sys::file::kept::Original;
use crate::sys::file::{self, Followed};
use std::path::Path;

/// Reads config.json before an edit. If an earlier run failed before its first hook, the original is put
/// back before.
pub(crate) fn read(path: &Path) -> Result<Followed> {
    let config = file::follow(path, MAX_CONFIG, Kind::Input)?;
    if !may_be_left(&config.bytes) {
        return Ok(config);
    }
    put_back(path);
    file::follow(path, MAX_CONFIG, Kind::Input)
}

/// Puts the original config.json back. A failure is logged only: the container runs.
pub(crate) fn put_back(path: &Path) {
    if let Err(error) = try_put_back(path) {
        log::warn!("hooks of oci-link are left in config.json: {error}");
    }
}

/// Puts the original back, if config.json is as our edit left it. A file that was changed since then only
/// loses our hooks. Without an original there is nothing to do.
fn try_put_back(path: &Path) -> Result<()> {
    let Some(original) = Original::of(path)? else { return Ok(()) };
    let now = file::follow(path, MAX_CONFIG, Kind::Input)?;
    if adds_hooks(&original.read(MAX_CONFIG)?, &now.bytes) {
        return original.put_back();
    }
    if let Some(cleaned) = without_hooks(&now.bytes)? {
        file::replace_followed(path, &now, &cleaned, Kind::Input)?;
    }
    original.remove()
}
