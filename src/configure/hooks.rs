//! Registers hooks in hooks.d, whose hooks podman and CRI-O run for every container. Both engines
//! read the same directory: hooks of `configure podman --hooks` also run under CRI-O on that host.

use super::file::{FileChange, current};
use super::{Registering, Registration, below, shown, template};
use crate::error::{Context, Error, Kind, Result};
use crate::sys::process::exec;
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

/// Plans one file for each hook stage that the engine has.
pub(crate) fn plan(request: &Registering) -> Result<Vec<FileChange>> {
    let directory = super::hooks_directories(request)?.pop().unwrap_or_default();
    let home = request.home.as_ref().map(|home| exec::below(&request.root, home));
    if home.is_some_and(|home| !directory.starts_with(home)) {
        if request.remove {
            return Ok(Vec::new());
        }
        let directory = shown(&directory);
        let message = format!(
            "{directory}: hooks of all users: as root, or set engine.hooks_dir in \
             ~/.config/containers/containers.conf to a directory of yours"
        );
        return Err(Error::new(Kind::Input, message));
    }
    let changes = FILES.iter().map(|(name, text)| {
        let wanted =
            !request.remove && (request.engine == Registration::Podman || *name != PRECREATE);
        let after = if wanted { Some(template::hook(text, request)?) } else { None };
        let meaning = if wanted { "hook" } else { "no hook" };
        FileChange::whole(directory.join(name), after, meaning)
    });
    changes.collect()
}

/// The directories from which an engine reads hooks. The last one takes precedence. `table` contains
/// `hooks_dir` in the configuration `files`; the last file that sets it wins.
pub(crate) fn directories(root: &Path, files: &[PathBuf], table: &[&str]) -> Result<Vec<PathBuf>> {
    let mut directories = vec![below(root, DIRECTORY)];
    for file in files {
        let Some(text) = current(file)? else { continue };
        let parsed: toml::Table = toml::from_str(&text).map_err(super::toml_text::why(file))?;
        let mut found = Some(&parsed);
        for key in table {
            found = found.and_then(|table| table.get(*key)?.as_table());
        }
        let named = found.and_then(|table| table.get("hooks_dir")?.as_array());
        let named = named.into_iter().flatten().filter_map(toml::Value::as_str);
        let named: Vec<PathBuf> = named.map(|path| below(root, path)).collect();
        if !named.is_empty() {
            directories = named;
        }
    }
    Ok(directories)
}

/// The files of an engine's configuration that may exist, in the order in which it reads them. A path
/// of `all` that ends in `/` is a directory of such files.
pub(super) fn files(root: &Path, all: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in all {
        let place = below(root, path);
        if path.ends_with('/') { files.extend(parts(&place)?) } else { files.push(place) }
    }
    Ok(files)
}

/// The configuration files of a drop-in directory, in the order in which engines read them.
pub(super) fn parts(directory: &Path) -> Result<Vec<PathBuf>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(directory).context(Kind::Input, || shown(directory))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension() == Some("conf".as_ref())).collect();
    paths.sort();
    Ok(paths)
}
