//! The `imports` of containerd's config.toml.

use super::DROP_IN;
use crate::configure::toml_text::{TomlText, line_of};
use crate::error::Result;
use std::path::{Path, PathBuf};

/// Returns the text with an import of `file`, unless an existing import includes it.
pub(crate) fn with(document: &TomlText<'_>, file: &str) -> String {
    let mut text = document.text.to_owned();
    let Some((imports, span)) = document.get(&["imports"]) else {
        // The new line goes before `version`, which is a top-level key: no table header can precede
        // it.
        let version = document.get(&["version"]).map_or(0, |(_, span)| span.start);
        text.insert_str(line_of(&text, version).start, &line(file));
        return text;
    };
    let entries = imports.as_array().into_iter().flat_map(|array| array.iter());
    let entries: Vec<&str> = entries.filter_map(|entry| entry.get_ref().as_str()).collect();
    if !entries.iter().any(|entry| takes_in(entry, Path::new(file))) {
        let comma = if entries.is_empty() { "" } else { ", " };
        text.insert_str(span.start + 1, &format!("\"{file}\"{comma}"));
    }
    text
}

/// Returns `text` without the import that [`with`] added.
pub(crate) fn without(path: &Path, text: &str) -> Result<String> {
    let document = TomlText::parse(path, text)?;
    let Some((_, span)) = document.get(&["imports"]) else { return Ok(text.to_owned()) };
    let entry = format!("\"{DROP_IN}\"");
    let array = &text[span.clone()];
    let whole = line_of(text, span.start);
    if text[whole.clone()] == line(DROP_IN) {
        return Ok(text[..whole.start].to_owned() + &text[whole.end..]);
    }
    let rest = array.replacen(&format!("{entry}, "), "", 1).replacen(&entry, "", 1);
    Ok(text[..span.start].to_owned() + &rest + &text[span.end..])
}

/// Whether the pattern `import` is one of the usual patterns that match `file`. For other patterns
/// the file is imported twice, which is harmless: containerd reads it once.
fn takes_in(import: &str, file: &Path) -> bool {
    let import = Path::new("/etc/containerd").join(import);
    let all: [PathBuf; 3] =
        [file.to_path_buf(), file.with_file_name("*.toml"), file.with_file_name("*")];
    all.contains(&import)
}

fn line(file: &str) -> String {
    format!("imports = [\"{file}\"]\n")
}
