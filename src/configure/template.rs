//! Fills in the files of `hooks/` with the paths and names of this host.

use super::Registering;
use crate::error::{Context, Error, Kind, Result};
use std::path::Path;

/// The paths that the files of `hooks/` contain.
const WRAPPERS: [&str; 2] = ["\"/usr/bin/oci-link-runtime\"", "\"/usr/bin/oci-link-crun\""];
const PROGRAM: &str = "\"/usr/bin/oci-link\"";

/// The path as a quoted string, which is valid JSON and TOML.
pub(crate) fn quoted_path(path: &Path) -> Result<String> {
    quoted(path.to_str().ok_or_else(|| {
        Error::new(Kind::Input, format!("{}: the path is not UTF-8", super::shown(path)))
    })?)
}

/// The text as a quoted string, which is valid JSON and TOML.
pub(crate) fn quoted(text: &str) -> Result<String> {
    let json = serde_json::to_string(text).context(Kind::Internal, || "JSON")?;
    // TOML does not allow this character, which JSON does not escape.
    Ok(json.replace('\u{7f}', "\\u007f"))
}

/// Fills in a runtime's entry. Lines that start with `#` and no space are settings for a default
/// runtime; they are uncommented if it is one.
pub(crate) fn runtime(text: &str, request: &Registering) -> Result<String> {
    let name = request.name.as_str();
    let wrapper = quoted_path(&request.wrapper())?;
    let text = WRAPPERS.iter().fold(text.to_owned(), |text, path| text.replace(path, &wrapper));
    let text = text
        .replace("runtimes.oci-link", &format!("runtimes.{name}"))
        .replace("= \"oci-link\"", &format!("= \"{name}\""))
        .replace("\noci-link = ", &format!("\n{name} = "));
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if request.default && !setting.starts_with(' ') => setting,
        _ => line,
    });
    Ok(lines.fold(String::new(), |text, line| text + line + "\n"))
}

/// Fills in a hook file of hooks.d.
pub(crate) fn hook(text: &str, request: &Registering) -> Result<String> {
    Ok(text.replace(PROGRAM, &quoted_path(&request.program)?))
}
