//! Registers the runtime with Docker: `runtimes` and `default-runtime` of daemon.json. Docker reads
//! no drop-in files.

pub(crate) mod made;
pub(crate) mod version;

use super::file::{FileChange, current};
use super::json_text::{get, set, unset};
use super::{Registering, shown, template};
use crate::error::{Error, Kind, Result};
use made::{Made, containers};
use serde::Deserialize;
use std::path::Path;
use version::Version;

/// The file of the daemon of root. The daemon of a user reads `~/.config/docker/daemon.json`.
const FILE: &str = "/etc/docker/daemon.json";
const DEFAULT: &str = "default-runtime";

pub(crate) fn plan(request: &Registering) -> Result<Vec<FileChange>> {
    let path = request.in_home("docker/daemon.json").unwrap_or_else(|| request.at(FILE));
    let before = current(&path)?;
    let ours = DaemonJson { what: shown(&path), request };
    let text = before.as_deref().unwrap_or_default();
    let after = match (request.remove, text.trim().is_empty()) {
        (false, true) => Some(ours.added("{\n}\n")?),
        (false, false) => Some(ours.added(text)?),
        (true, true) => before.clone(),
        (true, false) => ours.removed(text)?,
    };
    Ok(vec![FileChange { path, before, after, meaning: request.meaning(), is_link: false }])
}

/// What an administrator should know once oci-link is the default runtime, in lines: what docker does for
/// links itself, and which containers keep another runtime until they are created again.
pub(crate) fn advice(request: &Registering, changes: &[FileChange]) -> Vec<String> {
    let path = request.at(FILE);
    let after = match changes.iter().find(|change| change.path == path) {
        Some(change) => change.after.clone(),
        None => current(&path).ok().flatten(),
    };
    let daemon = serde_json::from_str(&after.unwrap_or_default()).unwrap_or_default();
    let (linked, others): (Vec<Made>, Vec<Made>) = containers(&request.root, &daemon)
        .into_iter()
        .filter(|made| !made.is_ours)
        .partition(|made| made.has_docker_links() || made.is_annotated);
    let version = Version::installed(&request.root).map(|version| version.meaning());
    let mut lines: Vec<String> = version.into_iter().collect();
    if !linked.is_empty() {
        let what =
            counted(linked.len(), "container with links keeps", "containers with links keep");
        lines.push(format!("{what} another runtime; create again:"));
        lines.extend(linked.iter().map(|made| {
            let (name, runtime) = (made.name.escape_debug(), made.runtime.escape_debug());
            format!("  {name} ({runtime}): {}", made.again())
        }));
    }
    if !others.is_empty() {
        let what = counted(others.len(), "container", "containers");
        lines.push(format!("{what} without links: another runtime until created again"));
    }
    lines
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

struct DaemonJson<'a> {
    what: String,
    request: &'a Registering,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Runtime {
    path: Option<String>,
    #[serde(default)]
    runtime_args: Vec<String>,
}

impl DaemonJson<'_> {
    fn added(&self, text: &str) -> Result<String> {
        let name = self.request.name.as_str();
        let mut text = text.to_owned();
        if get(&self.what, &text, &["runtimes"])?.is_none_or(|old| old.get() == "null") {
            text = set(&self.what, &text, &["runtimes"], "{\n}")?;
        }
        let (there, right) = self.there(&text)?;
        if !there || !right {
            text = set(&self.what, &text, &["runtimes", name], &self.value()?)?;
        }
        if self.request.default {
            text = set(&self.what, &text, &[DEFAULT], &format!("\"{name}\""))?;
        }
        Ok(text)
    }

    /// The text without our runtime, or `None` if the file contained nothing else.
    fn removed(&self, text: &str) -> Result<Option<String>> {
        let name = self.request.name.as_str();
        let (there, _) = self.there(text)?;
        if !there {
            return Ok(Some(text.to_owned()));
        }
        let mut rest = text.to_owned();
        // dockerd does not start if its default runtime is not defined.
        let default = get(&self.what, &rest, &[DEFAULT])?;
        if default.is_some_and(|default| default.get() == format!("\"{name}\"")) {
            rest = unset(&self.what, &rest, &[DEFAULT])?;
        }
        rest = unset(&self.what, &rest, &["runtimes", name])?;
        let runtimes = get(&self.what, &rest, &["runtimes"])?.map_or("", |raw| raw.get());
        if runtimes.trim_matches(['{', '}']).trim().is_empty() {
            rest = unset(&self.what, &rest, &["runtimes"])?;
        }
        Ok((rest != "{\n}\n").then_some(rest))
    }

    /// Returns whether a runtime of our name exists, and whether it has the wanted settings. A
    /// runtime of that name that is not oci-link is an error.
    fn there(&self, text: &str) -> Result<(bool, bool)> {
        let name = self.request.name.as_str();
        let Some(raw) = get(&self.what, text, &["runtimes", name])? else {
            return Ok((false, false));
        };
        let runtime: Option<Runtime> = serde_json::from_str(raw.get()).ok();
        let path = runtime.as_ref().and_then(|runtime| runtime.path.as_deref()).unwrap_or_default();
        let file = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
        if !file.starts_with("oci-link") {
            let message =
                format!("{}: runtime {name} is {path:?}, which is not oci-link", self.what);
            return Err(Error::new(Kind::Unsafe, message));
        }
        let wanted: Option<Runtime> = serde_json::from_str(&self.value()?).ok();
        let same = |a: &Runtime, b: &Runtime| a.path == b.path && a.runtime_args == b.runtime_args;
        Ok((true, runtime.zip(wanted).is_some_and(|(there, wanted)| same(&there, &wanted))))
    }

    fn value(&self) -> Result<String> {
        let link = self.request.wrapper();
        let (path, arguments) = if link.exists() {
            (link, "")
        } else {
            (self.request.program.clone(), ",\n    \"runtimeArgs\": [\"runtime\"]")
        };
        let path = template::quoted_path(&path)?;
        Ok(format!("{{\n    \"path\": {path}{arguments}\n}}"))
    }
}
