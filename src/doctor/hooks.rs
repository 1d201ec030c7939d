//! hooks.d: a file there that podman cannot read keeps every container from starting, and a hook
//! whose program is gone is skipped without a word.

use super::Patient;
use super::check::{Check, word};
use super::programs::is_executable;
use crate::error::Kind;
use crate::sys::file::{read_text, shown};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const DIRECTORIES: [&str; 2] = ["usr/share/containers/oci/hooks.d", "etc/containers/oci/hooks.d"];
/// Nobody's hook is longer.
const MAX: u64 = 1 << 20;

pub fn examine(patient: &Patient) -> Vec<Check> {
    let directories = DIRECTORIES.map(|directory| patient.question.root.join(directory));
    directories
        .iter()
        .filter_map(|directory| files(directory))
        .flatten()
        .filter_map(|file| judge(&file))
        .collect()
}

/// What podman would read.
fn files(directory: &Path) -> Option<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<_> =
        entries.filter(|path| path.extension() == Some("json".as_ref())).collect();
    files.sort();
    Some(files)
}

/// Of others' hooks only trouble is told.
fn judge(file: &Path) -> Option<Check> {
    let subject = format!("hook {}", file.file_name().unwrap_or_default().to_string_lossy());
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let program = match read_text(&target, MAX, Kind::Input)
        .map_err(|e| e.to_string())
        .and_then(|text| program(&text))
    {
        Ok(program) => program,
        Err(why) => {
            let cause = format!("{}: {why}: podman starts no container", shown(file));
            return Some(Check::fault(
                &subject,
                cause,
                format!("correct it, or rm {}", word(file)),
            ));
        }
    };
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    if !name.starts_with("oci-link") {
        return None;
    }
    if is_executable(&program) {
        return Some(Check::ok(&subject, shown(&program)));
    }
    let cause =
        format!("{} is no program: podman skips the hook and says nothing", shown(&program));
    Some(Check::fault(&subject, cause, "oci-link configure podman --hooks"))
}

/// What the hook runs.
fn program(text: &str) -> Result<PathBuf, String> {
    let hook: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let path = hook.get("hook").and_then(|hook| hook.get("path")?.as_str());
    path.map(PathBuf::from).ok_or_else(|| "names no program".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hook_runs() {
        let text = include_str!("../../hooks/hooks.d/oci-link-poststop.json");
        assert_eq!(program(text), Ok("/usr/bin/oci-link".into()));
        assert!(program("{").is_err() && program("{\"version\": \"1.0.0\"}").is_err());
    }
}
