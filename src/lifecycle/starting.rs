//! A container that is about to start, and all that is known of it.

use crate::engine::{self, Clues};
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::lifecycle::debug_log;
use crate::lifecycle::wait::Patience;
use crate::model::{
    BackendName, ContainerName, Instance, LinkState, Missing, Network, OwnerTag, Phase, Record,
    Variable,
};
use crate::oci::annotations::Declared;
use crate::oci::hooks::start_timeout;
use crate::oci::runtime_state::{FILES, RuntimeState};
use crate::oci::spec::{HostsTarget, MAX_CONFIG, Spec};
use crate::oci::state::State;
use crate::sys::hosts::HostsFile;
use crate::sys::net::netns::{Namespace, Process};
use crate::sys::{file, process};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The largest state file of a runtime: runc keeps its whole configuration there.
const MAX_STATE: u64 = 4 << 20;
/// Where crun keeps what it knows of its containers, unless it is told otherwise.
const CRUN: &str = "/run/crun";

/// Nothing has been done for it yet.
pub(crate) struct StartingContainer {
    /// Its record, without any effect.
    pub(crate) record: Record,
    /// Its first process.
    pub(crate) process: Process,
    /// Its hosts file, if it has links.
    pub(crate) hosts: Option<HostsFile>,
    /// Whether its loopback speaks IPv6.
    pub ipv6_loopback: bool,
    /// What becomes of it if a source does not run.
    pub(crate) missing: Missing,
    /// How long it waits for its sources, if it does.
    pub(crate) patience: Option<Patience>,
}

impl StartingContainer {
    /// Looks at all that the runtime's word, config.json and the container's namespace say.
    pub(crate) fn read(host: &Host, state: &State) -> Result<Self> {
        let process = pin(state)?;
        let bundle = state.bundle.as_deref().ok_or_else(|| {
            Error::new(Kind::Input, format!("state of {}: names no bundle", state.id))
        })?;
        let (bundle, config) = configuration(bundle, state)?;
        let bundle = bundle.as_path();
        let spec = Spec::parse(bundle, &config)?;
        if let Some(annotations) = &state.annotations {
            spec.annotations.must_agree(annotations)?;
        }
        let declared = spec.annotations.declared()?;
        let timeout = match declared.missing {
            Missing::Wait(_) => start_timeout(&config)?,
            _ => None,
        };
        let patience = Patience::of(declared.missing, timeout);
        let facts = engine::describe(&Clues { id: &state.id, bundle, spec: &spec });
        // A pod's pause container has the pod's annotations; they are meant for the others.
        let declared = if facts.is_pod_infra { Declared::default() } else { declared };
        let namespace = Namespace::of(&process)?;
        let hosts = if declared.links.is_empty() || namespace.is_ours {
            None
        } else {
            Some(hosts_file(&spec, &host.config.state_dir)?)
        };
        let instance = Instance {
            boot: host.boot,
            netns: namespace.cookie,
            pid: process.pid(),
            started: process.started(),
        };
        let environment = facts.environment.as_ref().unwrap_or(&spec.environment);
        let shown = |variable: &&Variable| declared.env.allows(&variable.key);
        let record = Record {
            revision: 0,
            phase: Phase::Pending,
            name: declared.name.or(facts.name).unwrap_or_else(|| ContainerName::from(&state.id)),
            hostname: facts.hostname.map_or_else(|| spec.hostname_or(&state.id), Ok)?,
            owner: OwnerTag::new(&state.id, &instance),
            instance,
            network: if namespace.is_ours {
                Network::Host
            } else {
                Network::Own(namespace.addresses)
            },
            ports: declared.ports.or(facts.ports).unwrap_or_default(),
            environment: environment.iter().filter(shown).cloned().collect(),
            links: declared.links.into_iter().map(LinkState::waiting).collect(),
            // Chosen under the lock, if there are links to make rules for.
            backend: BackendName::None,
            flows: Vec::new(),
            hosts: None,
            bundle: Some(bundle.to_owned()),
            id: state.id.clone(),
        };
        debug_log::started(&record, facts.engine, hosts.as_ref().map(HostsFile::place));
        let (missing, ipv6_loopback) = (declared.missing, namespace.ipv6_loopback);
        Ok(StartingContainer { record, process, hosts, ipv6_loopback, missing, patience })
    }
}

/// What config.json says, and the directory from which its relative paths lead.
///
/// With user namespaces crun may tell its hooks that the bundle is `/` (crun#2025), and it can be
/// given a config.json from elsewhere. It keeps a copy beside what it knows of the container. Where
/// the bundle is not known, relative paths lead below that copy, and so nowhere.
fn configuration(bundle: &Path, state: &State) -> Result<(PathBuf, Vec<u8>)> {
    let read =
        |directory: &Path| file::read(&directory.join("config.json"), MAX_CONFIG, Kind::Input);
    let copied = || {
        let kept = Path::new(CRUN).join(state.id.as_str());
        // Another root of crun's may have a container of this id. Before a container is created
        // there is no such file.
        let pid = remembered(&kept).map(|known| known.pid);
        if pid.is_some() && pid != state.pid { None } else { Some((read(&kept).ok()?, kept)) }
    };
    // What may lie in `/` is not the container's.
    if bundle == Path::new("/") {
        if let Some((config, kept)) = copied() {
            return Ok((kept, config));
        }
    }
    let there = read(bundle);
    let is_missing = || {
        let found = std::fs::symlink_metadata(bundle.join("config.json"));
        found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    let config = match &there {
        Err(_) if is_missing() => copied().map(|(config, _)| config),
        _ => None,
    };
    Ok((bundle.to_owned(), config.map_or(there, Ok)?))
}

/// What the runtime's files in `directory` say of a container.
pub(crate) fn remembered(directory: &Path) -> Option<RuntimeState> {
    FILES.iter().find_map(|file| {
        let text = file::read(&directory.join(file), MAX_STATE, Kind::Namespace).ok()?;
        RuntimeState::parse(&text).ok()
    })
}

/// Takes hold of the container's process, after making sure that it is one: in hooks that run in
/// the container's own namespaces, the numbers and paths mean other things.
fn pin(state: &State) -> Result<Process> {
    let Some(pid) = state.pid else {
        let message = format!("state of {}: names no process", state.id);
        return Err(Error::new(Kind::Namespace, message));
    };
    let refuse = |why: &str| Err(Error::new(Kind::Unsafe, format!("pid \"{pid}\": {why}")));
    if pid == 1 || pid == process::own_pid()? {
        return refuse("is not a container's process on this host");
    }
    let pinned = Process::pin(pid)?;
    if process::is_inside(pid)? {
        return refuse("is in this hook's own mount namespace: this is a hook of the host's side");
    }
    Ok(pinned)
}

/// The hosts file of a container, as its config.json says.
pub(crate) fn hosts_file(spec: &Spec, state: &Path) -> Result<HostsFile> {
    match &spec.hosts {
        HostsTarget::Mount(path) => HostsFile::of_mount(path, state),
        HostsTarget::Rootfs => HostsFile::of_rootfs(&spec.root),
        HostsTarget::Hidden => {
            let message = "hosts file /etc/hosts: hidden by a mount over it: mount a file there";
            Err(Error::new(Kind::Hosts, message))
        }
    }
}
