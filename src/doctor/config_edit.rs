//! Fixes that change config.toml: commands for a shell, because a line of TOML alone cannot be pasted
//! into a file that already has its table.

use super::check::word;
use std::fs;
use std::path::Path;

/// A command that sets `key` of `table` to `value`, which is TOML without a single quote.
pub(super) fn set(file: &Path, table: &str, key: &str, value: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let at = word(file);
    let header = format!("[{table}]");
    if has_key(&text, table, key) {
        // A dotted key stays one.
        format!("sed -Ei 's|^( *({table}\\.)?{key} *=).*|\\1 {value}|' {at}")
    } else if text.lines().any(|line| line.trim() == header) {
        format!("sed -i '/^ *\\[{table}\\]/a {key} = {value}' {at}")
    } else {
        let above = file.parent().unwrap_or(Path::new("/"));
        format!("mkdir -p {} && printf '%s\\n' '{header}' '{key} = {value}' >>{at}", word(above))
    }
}

/// A command that removes `key` of `table`, if the file sets it in a line of its own.
pub(super) fn unset(file: &Path, table: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = format!("sed -Ei '/^ *({table}\\.)?{key} *=/d' {}", word(file));
    has_key(&text, table, key).then_some(line)
}

fn has_key(text: &str, table: &str, key: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix(table).and_then(|line| line.strip_prefix('.')).unwrap_or(line);
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    })
}
