//! Engines: whether they are installed, and whether oci-link is registered with them.

use super::HostContext;
use super::check::Check;
use super::containerd;
use crate::configure::{self, Registering, Registration, RuntimeName};
use crate::error::Result;
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
    // One registered engine is enough: the others may be unused.
    let known = found.iter().any(|(_, standing)| !matches!(standing, Ok(Standing::Unknown)));
    let mut checks: Vec<Check> =
        found.into_iter().map(|(kind, standing)| judge(kind.name, standing, known)).collect();
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

/// Compares with `configure`: an engine is registered if it would add nothing, and unknown if it
/// would remove nothing.
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
        Ok(Standing::Registered) => Check::ok(name, "oci-link is registered"),
        Ok(Standing::Outdated) => Check::warning(
            name,
            "outdated: the entry of oci-link is not what configure writes now",
            fix,
        ),
        Ok(Standing::Unknown) if known => {
            Check::ok(name, format!("installed, but oci-link is not registered with it ({fix})"))
        }
        Ok(Standing::Unknown) => {
            Check::warning(name, "installed, but oci-link is not registered with any engine", fix)
        }
        Err(error) => Check::fault(name, error.to_string(), format!("correct that, then {fix}")),
    }
}

/// With `iptables` false docker does not separate containers, whatever its networks ask for.
fn docker_without_iptables(context: &HostContext) -> Option<Check> {
    let text = fs::read_to_string(context.question.root.join(KINDS[0].file)).ok()?;
    let says: serde_json::Value = serde_json::from_str(&text).ok()?;
    let off = says.get("iptables").and_then(serde_json::Value::as_bool) == Some(false);
    (off && context.config.isolate.is_empty()).then(|| {
        let cause = "iptables is false: docker does not separate containers, even with icc=false";
        let fix = context.config_line("[firewall] isolate = [\"docker0\"]");
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
        assert_eq!(judge("docker", Ok(Standing::Outdated), true).verdict, Verdict::Warning);
    }
}
