//! Engines: whether they are here, and whether they know us.

use super::HostContext;
use super::check::Check;
use super::containerd;
use crate::configure::{self, Registering, Registration, RuntimeName};
use crate::error::Result;
use crate::sys::process::exec::DIRECTORIES;
use std::fs;
use std::path::Path;

/// An engine, by its program and by the file that says what it runs.
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

/// What an engine's files say of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Unknown,
    Outdated,
    Registered,
}

pub(crate) fn examine(context: &HostContext) -> Vec<Check> {
    let root = &context.question.root;
    let found: Vec<(&Kind, Result<Standing>)> = KINDS
        .iter()
        .filter(|kind| is_here(root, kind))
        .map(|kind| (kind, standing(context, kind)))
        .collect();
    // Who uses one engine need not be told of the others.
    let known = found.iter().any(|(_, standing)| !matches!(standing, Ok(Standing::Unknown)));
    let mut checks: Vec<Check> =
        found.into_iter().map(|(kind, standing)| judge(kind.name, standing, known)).collect();
    checks.extend(docker_without_iptables(context));
    checks.extend(containerd::annotations(root));
    checks
}

/// Whether an engine is on this host, as far as its files tell.
pub(crate) fn is_installed(root: &Path, engine: Registration) -> bool {
    KINDS.iter().any(|kind| kind.engine == engine && is_here(root, kind))
}

fn is_here(root: &Path, kind: &Kind) -> bool {
    let below = |directory: &str| root.join(directory.trim_start_matches('/'));
    let installed = |directory: &&str| below(directory).join(kind.program).is_file();
    root.join(kind.file).exists() || DIRECTORIES.iter().any(installed)
}

/// What `configure` would change: nothing to add, or nothing to remove.
fn standing(context: &HostContext, kind: &Kind) -> Result<Standing> {
    let request = |default, hooks, remove| -> Result<Registering> {
        Ok(Registering {
            engine: kind.engine,
            name: RuntimeName::new("oci-link")?,
            default,
            hooks,
            remove,
            root: context.question.root.clone(),
            program: context.question.program.clone(),
        })
    };
    let mut best = Standing::Unknown;
    for hooks in [false, true].into_iter().filter(|hooks| kind.has_hooks || !hooks) {
        if configure::plan(&request(false, hooks, true)?)?.is_empty() {
            continue;
        }
        let mut right = configure::plan(&request(false, hooks, false)?)?.is_empty();
        if !right && !hooks {
            right = configure::plan(&request(true, hooks, false)?)?.is_empty();
        }
        if right {
            return Ok(Standing::Registered);
        }
        best = Standing::Outdated;
    }
    Ok(best)
}

fn judge(name: &str, standing: Result<Standing>, known: bool) -> Check {
    let fix = format!("oci-link configure {name}");
    match standing {
        Ok(Standing::Registered) => Check::ok(name, "knows us"),
        Ok(Standing::Outdated) => {
            Check::warning(name, "what it knows of us is not what configure writes now", fix)
        }
        Ok(Standing::Unknown) if known => {
            Check::ok(name, format!("is here, and does not know us ({fix})"))
        }
        Ok(Standing::Unknown) => {
            Check::warning(name, "is here, and no engine knows us by its configuration", fix)
        }
        Err(error) => Check::fault(name, error.to_string(), format!("mend that, then {fix}")),
    }
}

/// docker keeps no containers apart then, whatever its networks say.
fn docker_without_iptables(context: &HostContext) -> Option<Check> {
    let text = fs::read_to_string(context.question.root.join(KINDS[0].file)).ok()?;
    let says: serde_json::Value = serde_json::from_str(&text).ok()?;
    let off = says.get("iptables").and_then(serde_json::Value::as_bool) == Some(false);
    (off && context.config.isolate.is_empty()).then(|| {
        let cause = "iptables is false: docker keeps no containers apart, whatever icc says";
        let fix = context.config_line("[firewall] isolate = [\"docker0\"]");
        Check::warning("docker's daemon.json", cause, fix)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn one_engine_that_knows_us_is_enough() {
        assert_eq!(judge("docker", Ok(Standing::Unknown), false).verdict, Verdict::Warning);
        assert_eq!(judge("docker", Ok(Standing::Unknown), true).verdict, Verdict::Ok);
        assert_eq!(judge("docker", Ok(Standing::Outdated), true).verdict, Verdict::Warning);
    }
}
