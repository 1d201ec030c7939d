//! Registers the runtime with containerd, in config.toml or in a file that it imports.
//!
//! In containerd 1.x an imported file replaces the complete section of a plugin. Configuration
//! version 2, the one of containerd 1.x, therefore gets our section in config.toml itself. From
//! version 3 on containerd merges imported files, and config.toml only needs an import.

mod imports;
mod part;

use super::file::{FileChange, current};
use super::toml_text::{TomlText, why};
use super::{Registering, shown, template};
use crate::error::{Error, Kind, Result};
use std::path::Path;

const CONFIG: &str = "/etc/containerd/config.toml";
const DROP_IN: &str = "/etc/containerd/conf.d/oci-link.toml";

const V2: &str = include_str!("../../hooks/containerd-v2.toml");
const V3: &str = include_str!("../../hooks/containerd-v3.toml");

pub(crate) fn plan(request: &Registering) -> Result<Vec<FileChange>> {
    let (config, drop_in) = (request.at(CONFIG), request.at(DROP_IN));
    let before = current(&config)?;
    let text = before.as_deref().unwrap_or_default();
    // Remove what an earlier call added, so that the result does not depend on it.
    let bare = imports::without(&config, &part::without(text)?)?;
    let document = TomlText::parse(&config, &bare)?;
    let version = version(&document, &config, request)?;
    let (mut after, mut dropped) = (bare.clone(), None);
    if request.remove {
        // The registration is already removed from `bare`.
    } else if version == 2 {
        after = part::with(&document, request)?;
    } else {
        after = imports::with(&document, DROP_IN);
        let text = with_cgroups(template::runtime(V3, request)?, &document, part::CRI_V3);
        dropped = Some(text.replace("version = 3", &format!("version = {version}")));
    }
    check(&config, &after, request, version)?;
    // An empty file has the same meaning as a missing one. A file that was empty before is not ours
    // to remove.
    let gone = request.remove && after.is_empty() && before.as_deref() != Some("");
    let after = if gone { None } else { Some(after) };
    let file = FileChange::whole(drop_in, dropped, &request.meaning())?;
    let meaning = if version == 2 { request.meaning() } else { "imports".to_owned() };
    let config = FileChange { path: config, before, after, meaning, is_link: false };
    // An imported file must exist as long as config.toml imports it.
    Ok(if request.remove { vec![config, file] } else { vec![file, config] })
}

/// The version of the configuration format: 2, 3 or 4. An empty file without a version is taken as
/// version 2, which all supported containerd versions read.
fn version(document: &TomlText<'_>, path: &Path, request: &Registering) -> Result<u8> {
    let said = document.get(&["version"]).map(|(_, span)| document.text[span].trim().to_owned());
    match said.as_deref() {
        Some("2") => Ok(2),
        Some("3") => Ok(3),
        Some("4") => Ok(4),
        None if document.is_empty() || request.remove => Ok(2),
        said => {
            let message = format!(
                "{}: version {} of the format, want 2, 3 or 4; see containerd config migrate",
                shown(path),
                said.unwrap_or("1")
            );
            Err(Error::new(Kind::Input, message))
        }
    }
}

/// Adds `SystemdCgroup` to our runtime's options if runc has it. With the systemd cgroup driver of
/// the kubelet, each runtime needs this option.
fn with_cgroups(text: String, document: &TomlText<'_>, cri: &str) -> String {
    let option = [&part::runtimes(cri)[..], &["runc", "options", "SystemdCgroup"]].concat();
    let systemd = document.get(&option).and_then(|(value, _)| value.as_bool());
    if systemd == Some(true) { text + "SystemdCgroup = true\n" } else { text }
}

/// Checks the text to write: it must be valid TOML, and with version 2 it must define our runtime
/// (and the default, if requested).
fn check(path: &Path, after: &str, request: &Registering, version: u8) -> Result<()> {
    let parsed: toml::Table = toml::from_str(after).map_err(why(path))?;
    if request.remove || version != 2 {
        return Ok(());
    }
    let containerd = |key: &str| {
        let table = parsed.get("plugins")?.get(part::CRI_V2)?.get("containerd")?;
        table.get(key).cloned()
    };
    let named =
        containerd("runtimes").is_some_and(|table| table.get(request.name.as_str()).is_some());
    let default = containerd("default_runtime_name");
    let right =
        !request.default || default.is_some_and(|v| v.as_str() == Some(request.name.as_str()));
    if named && right {
        return Ok(());
    }
    Err(Error::new(
        Kind::Input,
        format!("{}: cannot be edited in this form: add the runtime by hand", shown(path)),
    ))
}
