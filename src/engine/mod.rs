//! Detects which engine created a container and reads what that engine knows about it.
//!
//! The facts are the name, the exposed ports, and the variables that the user and the image
//! configured.
//!
//! An engine is detected without file access, by annotations and paths in config.json. Then the one
//! or two files that it keeps about the container are read. The engine itself is never called:
//! podman deadlocks when a hook calls it, and a daemon may be waiting for the container that
//! starts. Content that is not understood counts as unknown and never as an error, because file
//! formats change and containers must start.
//!
//! A new engine needs one file and one line in [`ENGINES`]. docs/engines.md lists what each engine
//! provides and which versions were tested.

mod bare;
pub(crate) mod cni_networks;
mod containerd;
pub(crate) mod crio;
pub(crate) mod docker;
pub(crate) mod docker_links;
mod docker_networks;
mod docker_running;
pub(crate) mod docker_sources;
mod engine_env;
mod image_config;
pub(crate) mod nerdctl;
pub(crate) mod networks;
pub(crate) mod podman;
mod podman_sources;
mod sources;
pub(crate) mod storage;

pub(crate) use docker_links::{Networks, name_of};
pub(crate) use docker_running::{RunningContainer, Seen, Wanted, running, running_with_id};
pub(crate) use sources::{Listing, Siblings, SourceState};

use crate::error::Result;
use crate::model::{
    ContainerId, ContainerName, Hostname, Invalid, NetworkNames, PortRange, PortSet, RecordedLink,
    Reference, TakesOver, Variable,
};
use crate::oci::spec::Spec;
use std::path::{Path, PathBuf};

/// What an engine is detected by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clues<'a> {
    /// The container's id.
    pub(crate) id: &'a ContainerId,
    /// The directory that holds the container's config.json.
    pub(crate) bundle: &'a Path,
    /// The container's config.json.
    pub(crate) spec: &'a Spec,
}

/// What an engine knows about a container. The container's own annotations take precedence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The engine's name, for `inspect` and the log.
    pub(crate) engine: &'static str,
    /// The container's name in the engine.
    pub(crate) name: Option<ContainerName>,
    /// The exposed ports according to the engine.
    pub(crate) ports: Option<PortSet>,
    /// The variables that the user and the image configured. With `None`, `process.env` is used as
    /// it is.
    pub(crate) environment: Option<Vec<Variable>>,
    /// The container's host name, if config.json has none or a different one.
    pub(crate) hostname: Option<Hostname>,
    /// The networks on which a name server of the engine knows the container, with its aliases there.
    pub(crate) networks: Vec<NetworkNames>,
    /// Whether the container only holds a pod's namespaces.
    ///
    /// No link refers to such a container, and it exposes nothing. The pod's annotations are meant
    /// for the other containers of the pod.
    pub(crate) is_pod_infra: bool,
}

/// Reads what one engine recorded about its containers.
trait EngineFiles: Sync {
    /// The engine's name, as used in documentation and messages.
    fn name(&self) -> &'static str;

    /// Whether this engine created the container. Uses `clues` only and opens no file.
    fn made(&self, clues: &Clues<'_>) -> bool;

    /// Returns what the engine knows about the container. Fails if the engine's files cannot be
    /// read or parsed.
    fn facts(&self, clues: &Clues<'_>) -> Result<Facts>;

    /// Returns where the engine lists all of its containers. Opens no file.
    fn listing(&self, _clues: &Clues<'_>) -> Listing {
        Listing::None
    }

    /// Returns the links that the engine itself has recorded, as far as they are `wanted`. Fails if the
    /// engine's files cannot be read or parsed.
    fn links(&self, _clues: &Clues<'_>, _wanted: TakesOver) -> Result<Vec<RecordedLink>> {
        Ok(Vec::new())
    }
}

/// All engines; the first whose `made` returns true is used.
///
/// Engines that mark their containers with annotations come before Docker, which is detected by
/// paths. `Bare` matches everything and is last.
const ENGINES: [&dyn EngineFiles; 6] = [
    &podman::Podman,
    &crio::Crio,
    &containerd::Containerd,
    &nerdctl::Nerdctl,
    &docker::Docker,
    &bare::Bare,
];

/// Returns the engine that created the container.
fn engine_of(clues: &Clues<'_>) -> Option<&'static dyn EngineFiles> {
    ENGINES.into_iter().find(|engine| engine.made(clues))
}

/// Returns the facts from the engine that created the container. A failure is logged, and the facts
/// then contain only the engine's name.
pub(crate) fn describe(clues: &Clues<'_>) -> Facts {
    let Some(engine) = engine_of(clues) else { return Facts::default() };
    let facts = engine.facts(clues).unwrap_or_else(|error| {
        log::warn!(
            "{}: cannot read name, ports and environment from the files of {}: {error}",
            clues.id.brief(),
            engine.name()
        );
        Facts::default()
    });
    Facts { engine: engine.name(), ..facts }
}

/// Returns where the engine of a container lists its containers. Opens no file.
pub(crate) fn listing(clues: &Clues<'_>) -> Listing {
    engine_of(clues).map_or(Listing::None, |engine| engine.listing(clues))
}

/// Returns the links that the engine of a container has recorded. Files that cannot be read or parsed
/// are logged, and have none.
pub(crate) fn recorded_links(clues: &Clues<'_>, wanted: TakesOver) -> Vec<RecordedLink> {
    if wanted == TakesOver::None {
        return Vec::new();
    }
    let read = engine_of(clues).map(|engine| engine.links(clues, wanted));
    read.unwrap_or_else(|| Ok(Vec::new())).unwrap_or_else(|error| {
        log::warn!(
            "{}: the links that its engine has recorded are left out: {error}",
            clues.id.brief()
        );
        Vec::new()
    })
}

impl Listing {
    /// The directory in which Docker has a directory for each container.
    pub(crate) fn of_docker(&self) -> Option<&PathBuf> {
        match self {
            Self::Docker(containers) => Some(containers),
            Self::None | Self::Podman { .. } => None,
        }
    }

    /// Returns the id that `source` is a prefix of, as Docker reads prefixes of any length.
    pub(crate) fn by_prefix(&self, source: &Reference) -> Option<Reference> {
        docker_links::by_prefix(self.of_docker()?, source)
    }

    /// Reads what the engine lists. `None` if there is no list or it cannot be read; that is
    /// logged.
    pub(crate) fn read(&self) -> Option<Siblings> {
        let read = match self {
            Self::None => return None,
            Self::Docker(containers) => docker_sources::read(containers),
            Self::Podman { directories } => podman_sources::read(directories),
        };
        read.inspect_err(|error| log::warn!("sources that do not run: {error}")).ok()
    }
}

/// Converts a value that is not accepted to `None`, with a warning in the log.
fn known<T>(value: std::result::Result<T, Invalid>) -> Option<T> {
    value.inspect_err(|error| log::warn!("ignored: {error}")).ok()
}

/// Returns the set of exposed ports. What is too much is logged and left out.
fn fitting(ranges: impl IntoIterator<Item = PortRange>) -> PortSet {
    let (ports, left_out) = PortSet::fitting(ranges);
    if left_out > 0 {
        log::warn!(
            "ignored: {left_out} exposed ports and ranges beyond the first 4096; name them as ranges \
             in org.oci-link.ports"
        );
    }
    ports
}

#[cfg(test)]
mod tests;
