//! containerd: part of config.toml, or a file that it imports.
//!
//! containerd 1.x lets an imported file replace the whole section of a plugin: with version 2, which
//! is 1.x's, our part goes into config.toml itself. From version 3 on files are merged, and all that
//! config.toml needs is an import.

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
    // What an earlier call put in is taken out first, so that any call ends the same way.
    let bare = imports::without(&config, &part::without(text)?)?;
    let document = TomlText::parse(&config, &bare)?;
    let version = version(&document, &config, request)?;
    let (mut after, mut dropped) = (bare.clone(), None);
    if request.remove {
        // Nothing to add.
    } else if version == 2 {
        after = part::with(&document, request)?;
    } else {
        after = imports::with(&document, DROP_IN);
        let text = with_cgroups(template::runtime(V3, request)?, &document, part::CRI_V3);
        dropped = Some(text.replace("version = 3", &format!("version = {version}")));
    }
    check(&config, &after, request, version)?;
    // An empty file says what no file says; one that somebody else made is his.
    let gone = request.remove && after.is_empty() && before.as_deref() != Some("");
    let after = if gone { None } else { Some(after) };
    let file = FileChange::whole(drop_in, dropped, &request.meaning())?;
    let meaning = if version == 2 { request.meaning() } else { "imports".to_owned() };
    let config = FileChange { path: config, before, after, meaning, is_link: false };
    // What is imported must be there as long as it is imported.
    Ok(if request.remove { vec![config, file] } else { vec![file, config] })
}

/// The version of the format; an empty file may have any, and 2 is read by all.
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

/// A runtime must be told if the kubelet keeps cgroups by systemd, as runc is.
fn with_cgroups(text: String, document: &TomlText<'_>, cri: &str) -> String {
    let option = [&part::runtimes(cri)[..], &["runc", "options", "SystemdCgroup"]].concat();
    let systemd = document.get(&option).and_then(|(value, _)| value.as_bool());
    if systemd == Some(true) { text + "SystemdCgroup = true\n" } else { text }
}

/// What is written must be what containerd can read, and must name us exactly once.
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
