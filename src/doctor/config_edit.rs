//! Fixes that call this program for the configuration that was examined.

use super::check::word;
use crate::config::Overrides;
use crate::config::edit::is_set;
use std::path::Path;

/// The command line of `oci-link` with these words.
pub(super) fn call(overrides: &Overrides, words: &str) -> String {
    let options = [("--config", &overrides.config), ("--state-dir", &overrides.state_dir)];
    let mut call = "oci-link ".to_owned();
    for (name, path) in options {
        if let Some(path) = path {
            call.extend([name, " ", &word(path), " "]);
        }
    }
    call + words
}

/// A command that sets a key of config.toml.
pub(super) fn set(overrides: &Overrides, key: &str, value: &str) -> String {
    change(overrides, &format!("{key} {}", word(Path::new(value))))
}

/// A command that removes a key of config.toml, if `file` has it.
pub(super) fn unset(overrides: &Overrides, file: &Path, key: &str) -> Option<String> {
    is_set(file, key).then(|| change(overrides, &format!("{key} --default")))
}

/// The state directory does not matter for a change of the file.
fn change(overrides: &Overrides, words: &str) -> String {
    let overrides = Overrides { state_dir: None, ..overrides.clone() };
    call(&overrides, &format!("config set {words}"))
}
