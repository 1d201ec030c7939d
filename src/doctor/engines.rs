//! Engines: whether they are installed, and whether oci-link is registered with them.

use super::HostContext;
use super::check::{Check, advice};
use super::containerd;
use crate::configure::{self, FileChange, Registering, Registration, RuntimeName};
use crate::error::{Cause, Result};
use crate::sys::process::exec::DIRECTORIES;
use std::fs;
use std::path::Path;

/// An engine, its program and its configuration file.
struct Kind {
    engine: Registration,
    name: &'static str,
    program: &'static str,
    file: &'static str,
    has_hooks: bool,
}

const KINDS: [Kind; 4] = [
    Kind {
        engine: Registration::Docker,
        name: "docker",
        program: "dockerd",
        file: "etc/docker/daemon.json",
        has_hooks: false,
    },
    Kind {
        engine: Registration::Podman,
        name: "podman",
        program: "podman",
        file: "etc/containers/containers.conf",
        has_hooks: true,
    },
    Kind {
        engine: Registration::Containerd,
        name: "containerd",
        program: "containerd",
        file: "etc/containerd/config.toml",
        has_hooks: false,
    },
    Kind {
        engine: Registration::Crio,
        name: "crio",
        program: "crio",
        file: "etc/crio/crio.conf",
        has_hooks: true,
    },
];

/// Whether an engine's files register oci-link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Unknown,
    Outdated(Form),
    Registered,
}

/// The form of a registration, as options of `configure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Runtime,
    Default,
    Hooks,
}

pub(crate) fn examine(context: &HostContext) -> Vec<Check> {
    let root = &context.question.root;
    let found: Vec<(&Kind, Result<Standing>)> = KINDS
        .iter()
        .filter(|kind| is_here(root, kind))
        .map(|kind| (kind, standing(context, kind)))
        .collect();
    // One registered engine is enough: the others may be unused.
    let known = found.iter().any(|(_, standing)| !matches!(standing, Ok(Standing::Unknown)));
    let mut checks: Vec<Check> =
        found.into_iter().map(|(kind, standing)| judge(kind.name, standing, known)).collect();
    checks.extend(super::podman::examine(context, &request(context, Registration::Podman)));
    checks.extend(docker_without_iptables(context));
    checks.extend(containerd::annotations(root));
    checks
}

/// Whether the files of an engine are on this host.
pub(crate) fn is_installed(root: &Path, engine: Registration) -> bool {
    KINDS.iter().any(|kind| kind.engine == engine && is_here(root, kind))
}

fn is_here(root: &Path, kind: &Kind) -> bool {
    let below = |directory: &str| root.join(directory.trim_start_matches('/'));
    let installed = |directory: &&str| below(directory).join(kind.program).is_file();
    root.join(kind.file).exists() || DIRECTORIES.iter().any(installed)
}

/// What `configure ENGINE` is asked for.
pub(super) fn request(context: &HostContext, engine: Registration) -> Registering {
    Registering {
        engine,
        name: RuntimeName::default(),
        default: false,
        hooks: false,
        remove: false,
        root: context.question.root.clone(),
        home: context.question.home.clone(),
        program: context.question.program.clone(),
        command: context.config.runtime.clone(),
        below: None,
    }
}

/// Compares with `configure`: an engine is registered if it would add nothing, and unknown if it
/// would remove nothing.
fn standing(context: &HostContext, kind: &Kind) -> Result<Standing> {
    let own = request(context, kind.engine);
    let found = standing_of(&own, kind)?;
    // podman of a user reads the files of the host's root too.
    if found == Standing::Unknown && kind.engine == Registration::Podman && own.home.is_some() {
        return standing_of(&Registering { home: None, ..own }, kind);
    }
    Ok(found)
}

fn standing_of(request: &Registering, kind: &Kind) -> Result<Standing> {
    let mut best = Standing::Unknown;
    for hooks in [false, true].into_iter().filter(|hooks| kind.has_hooks || !hooks) {
        let request = Registering { hooks, ..request.clone() };
        let removed = configure::plan(&Registering { remove: true, ..request.clone() })?;
        if removed.is_empty() {
            continue;
        }
        let default = !hooks && removed.iter().any(makes_default);
        let form = match (hooks, default) {
            (true, _) => Form::Hooks,
            (_, true) => Form::Default,
            _ => Form::Runtime,
        };
        match configure::plan(&Registering { default, ..request }) {
            Ok(changes) if changes.is_empty() => return Ok(Standing::Registered),
            // Another check reports that the runtime below is missing.
            Err(error) if error.cause == Cause::NotInstalled => return Ok(Standing::Registered),
            changes => drop(changes?),
        }
        best = Standing::Outdated(form);
    }
    Ok(best)
}

/// Whether a file that is to be removed or changed makes oci-link the default runtime.
fn makes_default(change: &FileChange) -> bool {
    let keys = ["runtime", "default_runtime", "default_runtime_name", "\"default-runtime\""];
    let text = change.before.as_deref().unwrap_or_default();
    text.lines().any(|line| {
        let (key, value) = line.split_once(['=', ':']).unwrap_or_default();
        keys.contains(&key.trim()) && value.trim().starts_with("\"oci-link\"")
    })
}

fn judge(name: &str, standing: Result<Standing>, known: bool) -> Check {
    let fix = |option: &str| format!("oci-link configure {name}{option}");
    match standing {
        Ok(Standing::Registered) => Check::ok(name, "oci-link is registered"),
        Ok(Standing::Outdated(form)) => Check::warning(
            name,
            "outdated: the entry of oci-link is not what configure writes now",
            match form {
                Form::Runtime => fix(""),
                Form::Default => fix(" --default"),
                Form::Hooks => fix(" --hooks"),
            },
        ),
        Ok(Standing::Unknown) if known => {
            let detail = format!("installed, but oci-link is not registered with it ({})", fix(""));
            Check::ok(name, detail)
        }
        Ok(Standing::Unknown) => Check::warning(
            name,
            "installed, but oci-link is not registered with any engine",
            fix(""),
        ),
        Err(error) => {
            Check::fault(name, error.to_string(), advice(format!("correct that, then {}", fix(""))))
        }
    }
}

/// With `iptables` false docker does not separate containers, whatever its networks ask for.
fn docker_without_iptables(context: &HostContext) -> Option<Check> {
    let text = fs::read_to_string(context.question.root.join(KINDS[0].file)).ok()?;
    let says: serde_json::Value = serde_json::from_str(&text).ok()?;
    let off = says.get("iptables").and_then(serde_json::Value::as_bool) == Some(false);
    (off && context.config.isolate.is_empty()).then(|| {
        let cause = "iptables is false: docker does not separate containers, even with icc=false";
        let fix = context.set("firewall.isolate", "docker0");
        Check::warning("docker's daemon.json", cause, fix)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn one_registered_engine_is_enough() {
        assert_eq!(judge("docker", Ok(Standing::Unknown), false).verdict, Verdict::Warning);
        assert_eq!(judge("docker", Ok(Standing::Unknown), true).verdict, Verdict::Ok);
        assert_eq!(
            judge("docker", Ok(Standing::Outdated(Form::Runtime)), true).verdict,
            Verdict::Warning
        );
    }
}
