//! The names of the wrapper, and the runtime that it executes.

use super::HostContext;
use super::check::{Check, word};
use crate::sys::file::shown;
use crate::sys::process::exec::{self, RUNTIMES};
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
/// writes the names that it registers.
fn link(program: &Path, name: &str) -> Check {
    let path = program.with_file_name(name);
    match (metadata(&path), metadata(program)) {
        (Ok(there), Ok(us)) if is_same(&there, &us) => Check::ok(name, shown(&path)),
        (Ok(_), _) => {
            let cause = format!("{} is another program", shown(&path));
            Check::warning(name, cause, format!("ln -sf {} {}", word(program), word(&path)))
        }
        (Err(_), _) if path.is_symlink() || is_only(program, name) => {
            let cause = format!("{} is missing: engines cannot call the wrapper", shown(&path));
            Check::warning(name, cause, format!("ln -sf {} {}", word(program), word(&path)))
        }
        (Err(_), _) => Check::ok(name, "not installed (optional)"),
    }
}

/// Whether the wrapper needs this name because it has no other one.
fn is_only(program: &Path, name: &str) -> bool {
    let is_link = |other: &&str| {
        let there = metadata(program.with_file_name(other))
            .and_then(|there| Ok((there, metadata(program)?)));
        there.is_ok_and(|(there, us)| is_same(&there, &us))
    };
    name == NAMES[0] && !NAMES[1..].iter().any(is_link)
}

fn runtime(context: &HostContext) -> Check {
    const SUBJECT: &str = "wrapped runtime";
    let command = context.config.runtime.as_deref();
    let us = metadata(&context.question.program);
    let is_us = |path: &&Path| {
        metadata(path).is_ok_and(|there| us.as_ref().is_ok_and(|us| is_same(&there, us)))
    };
    if let Some(command) = command.filter(is_us) {
        let cause = format!("{} is oci-link itself", shown(command));
        return Check::fault(SUBJECT, cause, runtime_fix(context));
    }
    match exec::find(command).map(|path| (is_executable(&path), path)) {
        Ok((true, path)) => Check::ok(SUBJECT, shown(&path)),
        Ok((false, path)) => {
            let cause = format!("{} is not executable", shown(&path));
            Check::fault(SUBJECT, cause, format!("chmod 755 {}", word(&path)))
        }
        Err(error) => Check::fault(SUBJECT, error.to_string(), runtime_fix(context)),
    }
}

/// Lets `oci-link-runtime` execute an installed runtime.
fn runtime_fix(context: &HostContext) -> String {
    let command = context.config.runtime.as_deref();
    // Without the setting the first installed runtime is executed.
    let unset = context.unset("runtime.command");
    match (exec::find(None), unset, command.and_then(Path::to_str)) {
        (Ok(_), Some(unset), _) => unset,
        (Err(_), _, Some(name)) if RUNTIMES.contains(&name) => format!("apt-get install {name}"),
        (Err(_), Some(unset), Some(_)) => format!("apt-get install runc && {unset}"),
        _ => "apt-get install runc".to_owned(),
    }
}

fn is_same(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Whether root may execute it.
pub(crate) fn is_executable(path: &PathBuf) -> bool {
    metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
}
