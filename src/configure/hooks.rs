//! hooks.d: podman and CRI-O run what is described there for every container. A directory of both;
//! what `configure podman --hooks` puts there, CRI-O on the same host reads too.

use super::file::{FileChange, current};
use super::{Registering, Registration, below, shown, template};
use crate::error::{Context, Kind, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// podman's and CRI-O's own default. `/etc/containers/oci/hooks.d` counts only if it is named.
const DIRECTORY: &str = "/usr/share/containers/oci/hooks.d";

/// Of a stage that only podman has: CRI-O does not start where it finds it.
const PRECREATE: &str = "oci-link-precreate.json";

const FILES: [(&str, &str); 3] = [
    (PRECREATE, include_str!("../../hooks/hooks.d/oci-link-precreate.json")),
    (
        "oci-link-createRuntime.json",
        include_str!("../../hooks/hooks.d/oci-link-createRuntime.json"),
    ),
    ("oci-link-poststop.json", include_str!("../../hooks/hooks.d/oci-link-poststop.json")),
];

/// Where an engine says that its hooks are elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// Files, the last that says it counts; what ends in `/` is a directory of them.
    pub(crate) files: &'static [&'static str],
    /// The table of `hooks_dir`.
    pub(crate) table: &'static [&'static str],
}

/// The hooks of all stages that the engine has, each a file of its own.
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

/// Where an engine looks for hooks; in the last of them before all.
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

fn files(root: &Path, setting: Setting) -> Result<Vec<PathBuf>> {
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
