//! The names of the wrapper, and the runtime that it executes.

use super::HostContext;
use super::check::{Check, word};
use crate::config::Config;
use crate::sys::file::shown;
use crate::sys::process::exec;
use std::fs::{Metadata, metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const NAMES: [&str; 4] = ["oci-link-runtime", "oci-link-runc", "oci-link-crun", "oci-link-youki"];

pub(crate) fn examine(context: &HostContext) -> Vec<Check> {
    let program = &context.question.program;
    let mut checks: Vec<Check> = NAMES.iter().map(|name| link(program, name)).collect();
    checks.push(runtime(context));
    checks
}

/// Checks a symbolic link beside the program: engines take a path and no arguments. `configure`
/// writes only the first name.
fn link(program: &Path, name: &str) -> Check {
    let path = program.with_file_name(name);
    match (metadata(&path), metadata(program)) {
        (Ok(there), Ok(us)) if is_same(&there, &us) => Check::ok(name, shown(&path)),
        (Ok(_), _) => {
            let cause = format!("{} is another program", shown(&path));
            Check::warning(name, cause, format!("ln -sf {} {}", word(program), word(&path)))
        }
        (Err(_), _) if path.is_symlink() || name == NAMES[0] => {
            let cause = format!("{} is missing: engines cannot call the wrapper", shown(&path));
            Check::warning(name, cause, format!("ln -sf {} {}", word(program), word(&path)))
        }
        (Err(_), _) => Check::ok(name, "not installed (optional)"),
    }
}

fn runtime(context: &HostContext) -> Check {
    const SUBJECT: &str = "wrapped runtime";
    let command = &context.config.runtime;
    // A missing runc is fine if runtime.command is unset and another wrapper name is used.
    let named = *command != Config::default().runtime;
    let fix = context.config_line("[runtime] command = \"/usr/bin/crun\"");
    let us = metadata(&context.question.program);
    if us.is_ok_and(|us| metadata(command).is_ok_and(|there| is_same(&there, &us))) {
        return Check::fault(SUBJECT, format!("{} is oci-link itself", shown(command)), fix);
    }
    match exec::find(command).map(|path| (is_executable(&path), path)) {
        Ok((true, path)) => Check::ok(SUBJECT, shown(&path)),
        Ok((false, path)) => {
            let cause = format!("{} is not executable", shown(&path));
            Check::fault(SUBJECT, cause, format!("chmod 755 {}", word(&path)))
        }
        Err(error) => Check::trouble(named, SUBJECT, &error.to_string(), &fix),
    }
}

fn is_same(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Whether root may execute it.
pub(crate) fn is_executable(path: &PathBuf) -> bool {
    metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
}
