//! hooks.d: a file there that podman cannot parse stops every container from starting, and podman
//! skips a hook whose program is missing without a message.

use super::HostContext;
use super::check::{Check, advice, word};
use super::engines::{is_installed, request};
use super::programs::is_executable;
use crate::configure::{Registration, hooks_directories};
use crate::error::Kind;
use crate::sys::file::{read_text, shown};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Usual directories for hooks, whether an engine reads them or not.
const USUAL: [&str; 2] = ["usr/share/containers/oci/hooks.d", "etc/containers/oci/hooks.d"];
/// Upper bound for the size of a hooks.d file.
const MAX: u64 = 1 << 20;

pub(crate) fn examine(context: &HostContext) -> Vec<Check> {
    let root = &context.question.root;
    let mut engines = vec![Registration::Podman, Registration::Crio];
    if engines.iter().any(|engine| is_installed(root, *engine)) {
        engines.retain(|engine| is_installed(root, *engine));
    }
    // An invalid configuration file is reported by the check of the engine.
    let looked = |engine| hooks_directories(&request(context, engine)).unwrap_or_default();
    let read: Vec<PathBuf> = engines.into_iter().flat_map(looked).collect();
    let usual = USUAL.iter().map(|directory| root.join(directory)).collect();
    let mut all = [read.clone(), usual].concat();
    all.sort();
    all.dedup();
    let files = all.iter().flat_map(|directory| {
        let is_read = read.contains(directory);
        files(directory).into_iter().map(move |file| (file, is_read))
    });
    files.filter_map(|(file, is_read)| judge(&file, is_read)).collect()
}

/// The files of a directory that an engine would read.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<_> =
        paths.filter(|path| path.extension() == Some("json".as_ref())).collect();
    files.sort();
    files
}

/// Checks one hook; hooks of other programs are reported only if there is a problem.
fn judge(file: &Path, is_read: bool) -> Option<Check> {
    let subject = format!("hook {}", file.file_name().unwrap_or_default().to_string_lossy());
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let text = read_text(&target, MAX, Kind::Input).map_err(|error| error.to_string());
    let program = match text.and_then(|text| program(&text)) {
        Ok(program) => program,
        Err(why) => {
            let cause = format!("{}: {why}: podman starts no container", shown(file));
            let fix = advice(format!("correct it, or remove {}", word(file)));
            return Some(Check::trouble(is_read, &subject, &cause, fix));
        }
    };
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    if !name.starts_with("oci-link") {
        return None;
    }
    let fix = "oci-link configure podman --hooks";
    Some(if !is_executable(&program) {
        let what = "is not a program: podman skips the hook without a message";
        Check::fault(&subject, format!("{} {what}", shown(&program)), fix)
    } else if !is_read {
        let cause = format!("{}: no engine reads this directory", shown(file));
        Check::warning(&subject, cause, format!("{fix} && rm {}", word(file)))
    } else {
        Check::ok(&subject, shown(&program))
    })
}

/// The program that the hook runs.
fn program(text: &str) -> Result<PathBuf, String> {
    let hook: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let path = hook.get("hook").and_then(|hook| hook.get("path")?.as_str());
    path.map(PathBuf::from).ok_or_else(|| "has no program path".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_of_a_hook() {
        let text = include_str!("../../hooks/hooks.d/oci-link-poststop.json");
        assert_eq!(program(text), Ok("/usr/bin/oci-link".into()));
        assert!(program("{").is_err() && program("{\"version\": \"1.0.0\"}").is_err());
    }
}
