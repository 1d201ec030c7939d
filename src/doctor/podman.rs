//! podman's runtime and ours: the wrapper must execute the runtime that podman uses without us.

use super::HostContext;
use super::check::{Check, word};
use crate::configure::{Lacking, Registering, below_wrapper, is_wrapper, podman_entry};
use crate::sys::file::shown;
use crate::sys::process::exec;
use std::path::Path;

const SUBJECT: &str = "podman's runtime";

/// Checks the entry in podman's drop-in. Returns `None` if there is none.
pub(super) fn examine(context: &HostContext, request: &Registering) -> Option<Check> {
    let root = &request.root;
    let entry = podman_entry(request)?;
    // As the default runtime it is every container that fails.
    let again =
        format!("oci-link configure podman{}", if entry.is_default { " --default" } else { "" });
    let theirs = match below_wrapper(request) {
        Ok(below) => below.program,
        Err(lacking) => return Some(lacks(context, lacking, &again)),
    };
    let command = match is_wrapper(&entry.program)? {
        "runtime" => request.command.as_deref(),
        name => Some(Path::new(name)),
    };
    if !entry.program.exists() {
        let cause = format!("{} is missing: podman's containers fail", shown(&entry.program));
        return Some(Check::fault(SUBJECT, cause, again));
    }
    Some(match exec::find_below(root, command) {
        Err(error) => Check::fault(SUBJECT, error.to_string(), again),
        Ok(ours) if ours == theirs || same(&ours, &theirs) => Check::ok(SUBJECT, shown(&ours)),
        Ok(ours) => {
            let cause =
                format!("podman's own is {}, oci-link executes {}", shown(&theirs), shown(&ours));
            Check::warning(SUBJECT, cause, again)
        }
    })
}

fn lacks(context: &HostContext, lacking: Lacking, again: &str) -> Check {
    let fix = match &lacking {
        Lacking::Program(name) => {
            let name = Path::new(name).file_name().unwrap_or_default();
            format!("apt-get install {} && {again}", word(Path::new(name)))
        }
        Lacking::Unknown(path) => {
            let text = path.to_string_lossy();
            format!("{} && {again}", context.set("runtime.command", &text))
        }
        Lacking::Other(_) => {
            let unset = context.unset("runtime.command");
            unset.map_or_else(|| again.to_owned(), |unset| format!("{unset} && {again}"))
        }
    };
    Check::fault(SUBJECT, crate::error::Error::from(lacking).to_string(), fix)
}

fn same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    real(a).is_some() && real(a) == real(b)
}
