//! The files of `hooks/`, with this host's words in place of those that packages ship.

use super::Registering;
use crate::error::{Context, Error, Kind, Result};
use std::path::Path;

/// The paths that the files of `hooks/` name.
const WRAPPER: &str = "\"/usr/bin/oci-link-runtime\"";
const PROGRAM: &str = "\"/usr/bin/oci-link\"";

/// A path in quotes, as JSON and TOML write it.
pub(crate) fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| {
        Error::new(Kind::Input, format!("{}: the path is not UTF-8", super::shown(path)))
    })?;
    serde_json::to_string(text).context(Kind::Internal, || "JSON")
}

/// A runtime's entry. Settings that only a default runtime needs are comments without a space.
pub(crate) fn runtime(text: &str, request: &Registering) -> Result<String> {
    let name = request.name.as_str();
    let text = text
        .replace(WRAPPER, &quoted(&request.wrapper())?)
        .replace("runtimes.oci-link", &format!("runtimes.{name}"))
        .replace("= \"oci-link\"", &format!("= \"{name}\""))
        .replace("\noci-link = ", &format!("\n{name} = "));
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if request.default && !setting.starts_with(' ') => setting,
        _ => line,
    });
    Ok(lines.fold(String::new(), |text, line| text + line + "\n"))
}

/// A hook of hooks.d.
pub(crate) fn hook(text: &str, request: &Registering) -> Result<String> {
    Ok(text.replace(PROGRAM, &quoted(&request.program)?))
}
