//! Who made this container, and what that engine knows of it: name, exposed ports, and what its
//! user and image put into its environment.
//!
//! An engine is told by clues that cost nothing (annotations, the paths in config.json), and then
//! asked by reading the one or two files it keeps on the container. It is never called: podman
//! deadlocks when a hook calls it, and a daemon may be waiting for the very container that starts.
//! What is not understood is unknown, never an error: formats change, containers must start.
//!
//! A new engine is one file and one line in [`ENGINES`]. docs/engines.md says what each of them
//! tells, and what was tried on which version.

mod bare;
mod containerd;
pub(crate) mod crio;
pub(crate) mod docker;
mod engine_env;
mod image_config;
pub(crate) mod nerdctl;
pub(crate) mod podman;
pub(crate) mod storage;

use crate::error::Result;
use crate::model::{ContainerId, ContainerName, Hostname, Invalid, PortSet, Variable};
use crate::oci::spec::Spec;
use std::path::Path;

/// What there is to tell an engine by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clues<'a> {
    /// The container's id.
    pub(crate) id: &'a ContainerId,
    /// The directory that holds its config.json.
    pub(crate) bundle: &'a Path,
    /// Its config.json.
    pub(crate) spec: &'a Spec,
}

/// What an engine knows. The container's own annotations say more than any of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The engine's name, for `inspect` and the log.
    pub(crate) engine: &'static str,
    /// What the container is called there.
    pub(crate) name: Option<ContainerName>,
    /// What it exposes there.
    pub(crate) ports: Option<PortSet>,
    /// What its user and its image configured; none: its `process.env`, as it is.
    pub(crate) environment: Option<Vec<Variable>>,
    /// Its host name, where config.json has none or another.
    pub(crate) hostname: Option<Hostname>,
    /// Whether it only holds a pod's namespaces. Nobody means it by a link: it exposes nothing,
    /// and a pod's annotations are there for the containers of the pod.
    pub(crate) is_pod_infra: bool,
}

/// One engine.
trait EngineFiles: Sync {
    /// As in docs and messages.
    fn name(&self) -> &'static str;

    /// Whether it made this container. Looks at clues only, opens no file.
    fn made(&self, clues: &Clues<'_>) -> bool;

    /// What it knows of the container.
    fn facts(&self, clues: &Clues<'_>) -> Result<Facts>;
}

/// The first that says that it made a container did: those that sign what they make come before
/// the one that is told by its paths.
const ENGINES: [&dyn EngineFiles; 6] = [
    &podman::Podman,
    &crio::Crio,
    &containerd::Containerd,
    &nerdctl::Nerdctl,
    &docker::Docker,
    &bare::Bare,
];

/// Asks the engine that made the container.
pub(crate) fn describe(clues: &Clues<'_>) -> Facts {
    let Some(engine) = ENGINES.iter().find(|engine| engine.made(clues)) else {
        return Facts::default();
    };
    let facts = engine.facts(clues).unwrap_or_else(|error| {
        log::warn!(
            "{}: cannot read name, ports and environment from the files of {}: {error}",
            clues.id,
            engine.name()
        );
        Facts::default()
    });
    Facts { engine: engine.name(), ..facts }
}

/// A value in a form that we do not take is as good as none.
fn known<T>(value: std::result::Result<T, Invalid>) -> Option<T> {
    value.inspect_err(|error| log::warn!("ignored: {error}")).ok()
}

#[cfg(test)]
mod tests;
