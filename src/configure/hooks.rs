//! Registers hooks in hooks.d, whose hooks podman and CRI-O run for every container. Both engines
//! read the same directory: hooks of `configure podman --hooks` also run under CRI-O on that host.

use super::file::{FileChange, current};
use super::{Registering, Registration, below, shown, template};
use crate::error::{Context, Kind, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The default directory of podman and CRI-O. They read `/etc/containers/oci/hooks.d` only if their
/// configuration names it.
const DIRECTORY: &str = "/usr/share/containers/oci/hooks.d";

/// The hook of a stage that only podman has. CRI-O does not start if it finds this file.
const PRECREATE: &str = "oci-link-precreate.json";

const FILES: [(&str, &str); 3] = [
    (PRECREATE, include_str!("../../hooks/hooks.d/oci-link-precreate.json")),
    (
        "oci-link-createRuntime.json",
        include_str!("../../hooks/hooks.d/oci-link-createRuntime.json"),
    ),
    ("oci-link-poststop.json", include_str!("../../hooks/hooks.d/oci-link-poststop.json")),
];

/// Where the configuration of an engine sets `hooks_dir`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// The configuration files; the last one that sets it wins. A path that ends in `/` is a
    /// directory of such files.
    pub(crate) files: &'static [&'static str],
    /// The table that contains `hooks_dir`.
    pub(crate) table: &'static [&'static str],
}

/// Plans one file for each hook stage that the engine has.
pub(crate) fn plan(request: &Registering, setting: Setting) -> Result<Vec<FileChange>> {
    let directory = directories(&request.root, setting)?.pop().unwrap_or_default();
    let changes = FILES.iter().map(|(name, text)| {
        let wanted =
            !request.remove && (request.engine == Registration::Podman || *name != PRECREATE);
        let after = if wanted { Some(template::hook(text, request)?) } else { None };
        let meaning = if wanted { "hook" } else { "no hook" };
        FileChange::whole(directory.join(name), after, meaning)
    });
    changes.collect()
}

/// The directories from which an engine reads hooks. The last one takes precedence.
pub(crate) fn directories(root: &Path, setting: Setting) -> Result<Vec<PathBuf>> {
    let mut directories = vec![below(root, DIRECTORY)];
    for file in files(root, setting)? {
        let Some(text) = current(&file)? else { continue };
        let parsed: toml::Table = toml::from_str(&text).map_err(super::toml_text::why(&file))?;
        let mut table = Some(&parsed);
        for key in setting.table {
            table = table.and_then(|table| table.get(*key)?.as_table());
        }
        let named = table.and_then(|table| table.get("hooks_dir")?.as_array());
        let named = named.into_iter().flatten().filter_map(toml::Value::as_str);
        let named: Vec<PathBuf> = named.map(|path| below(root, path)).collect();
        if !named.is_empty() {
            directories = named;
        }
    }
    Ok(directories)
}

/// The files of an engine's configuration that may exist, in the order in which it reads them.
pub(super) fn files(root: &Path, setting: Setting) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in setting.files {
        let place = below(root, path);
        if !path.ends_with('/') {
            files.push(place);
        } else if place.is_dir() {
            let entries = fs::read_dir(&place).context(Kind::Input, || shown(&place))?;
            let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
            let mut paths: Vec<PathBuf> =
                paths.filter(|path| path.extension() == Some("conf".as_ref())).collect();
            paths.sort();
            files.extend(paths);
        }
    }
    Ok(files)
}
