//! Reads everything that is known about a starting container. Changes nothing.

use crate::engine::{self, Clues, Listing};
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::lifecycle::absent::Absences;
use crate::lifecycle::{debug_log, home, isolating, remote};
use crate::link::Refusal;
use crate::link::env::name_variable;
use crate::model::{
    Alias, BackendName, ContainerId, ContainerName, Engine, Instance, LinkState, Missing, Network,
    NetworkNames, NoBridge, OwnerTag, Phase, Place, Record, TakesOver, Variable,
};
use crate::oci::annotations::Declared;
use crate::oci::runtime_state::{FILES, RuntimeState};
use crate::oci::spec::{HostsTarget, MAX_CONFIG, Spec};
use crate::oci::state::State;
use crate::sys::hosts::HostsFile;
use crate::sys::net::netns::{Namespace, Process};
use crate::sys::site::whose;
use crate::sys::{file, process};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The largest state file of a runtime, in bytes. runc stores its whole configuration there.
const MAX_STATE: u64 = 64 << 20;

/// A container whose start has not been recorded yet.
pub(crate) struct StartingContainer {
    /// The record, without any effect.
    pub(crate) record: Record,
    /// The first process, pinned by a pidfd.
    pub(crate) process: Process,
    /// The open hosts file, if it has links.
    pub(crate) hosts: Option<HostsFile>,
    /// Whether its loopback interface has an IPv6 address.
    pub(crate) ipv6_loopback: bool,
    /// What happens if a source is not running.
    pub(crate) missing: Missing,
    /// Where its engine lists other containers.
    pub(crate) listing: Listing,
    /// The content of config.json, which has the timeouts of hooks.
    pub(crate) config: Vec<u8>,
    /// What was found out about sources that do not run; nothing before it was asked.
    pub(crate) absences: Absences,
}

impl StartingContainer {
    /// Reads OCI state, config.json and the network namespace of a starting container.
    pub(crate) fn read(host: &Host, state: &State) -> Result<Self> {
        Self::read_here(host, state).map_err(|error| home::explain(host, error))
    }

    fn read_here(host: &Host, state: &State) -> Result<Self> {
        let process = pin(state)?;
        let bundle = state.bundle.as_deref().ok_or_else(|| {
            Error::new(Kind::Input, format!("state of {}: has no bundle", state.id))
        })?;
        let (bundle, config) = configuration(bundle, state)?;
        let bundle = bundle.as_path();
        let spec = Spec::parse(bundle, &config)?;
        if let Some(annotations) = &state.annotations {
            spec.annotations.must_agree(annotations)?;
        }
        let clues = Clues { id: &state.id, bundle, spec: &spec };
        let (facts, listing) = (engine::describe(&clues), engine::listing(&clues));
        // The infra container has the pod's annotations, which are meant for its other containers.
        let declared = if facts.is_pod_infra {
            Declared::default()
        } else {
            remote::declared(host, &spec.annotations)?
        };
        let namespace = Namespace::of(&process)?;
        if !declared.links.is_empty() && declared.missing != Missing::Defer {
            must_have_an_address(&state.id, &namespace)?;
        }
        let isolation = match declared.isolate {
            Some(directions) => Some(isolating::read(&state.id, directions, &process, &namespace)?),
            None => None,
        };
        let links = links(&spec, &declared, facts.is_pod_infra);
        let on_host = namespace.is_ours || namespace.no_bridge.is_some();
        let hosts = if on_host { None } else { open_hosts(host, state, &spec, &links)? };
        let instance = Instance {
            boot: host.boot,
            netns: namespace.cookie,
            pid: process.pid(),
            started: process.started(),
        };
        let without_variables = without_variables(&spec, &links, host.config.network_env);
        let engine_files = listing.of_docker().filter(|_| !links.is_empty()).cloned();
        let (name, engine_name) = names(declared.name, facts.name, &state.id);
        let environment = facts.environment.as_ref().unwrap_or(&spec.environment);
        let shown = |variable: &&Variable| declared.env.allows(&variable.key);
        let record = Record {
            revision: 0,
            phase: Phase::Pending,
            name,
            engine_name,
            former_names: Vec::new(),
            networks: networks(host, facts.networks),
            engine: Engine::parse(facts.engine),
            hostname: facts.hostname.or_else(|| spec.hostname_or(&state.id)),
            owner: OwnerTag::new(host.identity, &state.id, &instance),
            instance,
            network: match namespace.no_bridge {
                Some(on) => Network::NoBridge(on),
                None if namespace.is_ours => Network::Host,
                None => Network::Own(namespace.addresses),
            },
            former: Vec::new(),
            fingerprint: namespace.fingerprint,
            ports: declared.ports.or(facts.ports).unwrap_or_default(),
            environment: environment.iter().filter(shown).cloned().collect(),
            links,
            // A backend is chosen under the host lock, if there are links.
            backend: BackendName::None,
            without_variables,
            flows: Vec::new(),
            hosts: None,
            bundle: Some(bundle.to_owned()),
            place: Some(place(host, namespace.no_bridge)?),
            engine_files,
            by_engine: false,
            pod: spec.annotations.pod(),
            admitted: declared.admitted,
            share: declared.share,
            host: None,
            isolation,
            is_pod_infra: facts.is_pod_infra,
            id: state.id.clone(),
        };
        if record.needs_links() && matches!(record.network, Network::NoBridge(_)) {
            return Err(Refusal::of_network(&record).into());
        }
        debug_log::started(&record, facts.engine, hosts.as_ref().map(HostsFile::place));
        let (missing, ipv6_loopback) = (declared.missing, namespace.ipv6_loopback);
        let absences = Absences::default();
        Ok(Self { record, process, hosts, ipv6_loopback, missing, listing, config, absences })
    }
}

/// The namespaces that a record names. A container without a bridge has no rules in any network namespace.
fn place(host: &Host, no_bridge: Option<NoBridge>) -> Result<Place> {
    let here = host.place()?;
    Ok(if no_bridge.is_some() { Place { network: 0, ..here } } else { here })
}

/// Returns the links of a starting container: those of its annotation, or else those of its engine that
/// were taken over when it was created.
fn links(spec: &Spec, declared: &Declared, is_pod_infra: bool) -> Vec<LinkState> {
    if spec.annotations.name_links() || is_pod_infra {
        return declared.links.iter().cloned().map(LinkState::waiting).collect();
    }
    spec.engine_links.iter().cloned().map(LinkState::from).collect()
}

/// Opens the hosts file of a container whose links have lines there. If only its engine declares them,
/// a file that cannot be used is logged.
fn open_hosts(
    host: &Host,
    state: &State,
    spec: &Spec,
    links: &[LinkState],
) -> Result<Option<HostsFile>> {
    if !links.iter().any(|it| it.declared_by.has_hosts_line()) {
        return Ok(None);
    }
    match hosts_file(spec, &host.config.state_dir) {
        Err(error) if links.iter().all(|it| it.declared_by.is_engine()) => {
            let id = &state.id;
            log::warn!(
                "{}: the links of its engine have no lines in its hosts file: {error}",
                id.brief()
            );
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

/// Returns the aliases of links that want variables which config.json lacks.
fn without_variables(spec: &Spec, links: &[LinkState], network_env: bool) -> Vec<Alias> {
    let wants = |it: &&LinkState| it.declared_by.has_hosts_line() || network_env;
    let lacking = |it: &&LinkState| !spec.has_variable(&name_variable(&it.link.alias));
    links.iter().filter(wants).filter(lacking).map(|it| it.link.alias.clone()).collect()
}

/// Returns the name of a container, and the name that its engine gave it if that is another one.
pub(crate) fn names(
    declared: Option<ContainerName>,
    of_engine: Option<ContainerName>,
    id: &ContainerId,
) -> (ContainerName, Option<ContainerName>) {
    match (declared, of_engine) {
        (Some(declared), of_engine) => {
            let other = of_engine.filter(|name| *name != declared);
            (declared, other)
        }
        (None, of_engine) => (of_engine.unwrap_or_else(|| ContainerName::from(id)), None),
    }
}

/// The networks that a record has: none if no link can be limited to one of them.
pub(crate) fn networks(host: &Host, networks: Vec<NetworkNames>) -> Vec<NetworkNames> {
    if host.config.docker_links == TakesOver::All { networks } else { Vec::new() }
}

/// Reads config.json, and returns the directory of its relative paths.
///
/// With user namespaces crun may pass `/` as the bundle to its hooks (crun#2025), and crun accepts
/// a config.json from elsewhere. crun keeps a copy in its state directory. If the bundle is
/// unknown, relative paths are resolved below that copy, where they find nothing.
fn configuration(bundle: &Path, state: &State) -> Result<(PathBuf, Vec<u8>)> {
    let read = |directory: &Path| {
        let path = directory.join("config.json");
        file::follow(&path, MAX_CONFIG, Kind::Input).map(|file| file.bytes)
    };
    let copied = || {
        let kept = whose().runtimes().join("crun").join(state.id.as_str());
        // A container of this id may exist below another root of crun. The file does not exist
        // before a container is created.
        let pid = remembered(&kept).map(|known| known.pid);
        if pid.is_some() && pid != state.pid { None } else { Some((read(&kept).ok()?, kept)) }
    };
    // A config.json in `/` is not the container's.
    if bundle == Path::new("/") {
        if let Some((config, kept)) = copied() {
            return Ok((kept, config));
        }
    }
    let there = read(bundle);
    let is_missing = || {
        let found = std::fs::metadata(bundle.join("config.json"));
        found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    let config = match &there {
        Err(_) if is_missing() => copied().map(|(config, _)| config),
        _ => None,
    };
    Ok((bundle.to_owned(), config.map_or(there, Ok)?))
}

/// Reads the state file that a runtime keeps in `directory`.
pub(crate) fn remembered(directory: &Path) -> Option<RuntimeState> {
    FILES.iter().find_map(|file| {
        let text = file::read(&directory.join(file), MAX_STATE, Kind::Namespace).ok()?;
        RuntimeState::parse(&text).ok()
    })
}

/// Pins the container's process by a pidfd. Refuses a process of this host: in a hook that runs
/// inside the container's namespaces, pids and paths have other meanings.
fn pin(state: &State) -> Result<Process> {
    let Some(pid) = state.pid else {
        let message = format!("state of {}: has no pid", state.id);
        return Err(Error::new(Kind::Namespace, message));
    };
    let refuse = |why: &str| Err(Error::new(Kind::Unsafe, format!("pid \"{pid}\": {why}")));
    if pid == 1 || pid == process::own_pid()? {
        return refuse("is not a container's process on this host");
    }
    let pinned = Process::pin(pid)?;
    if process::is_inside(pid)? {
        return refuse(
            "is in the hook's own mount namespace: run the hook on the host side, as createRuntime",
        );
    }
    Ok(pinned)
}

/// Refuses a container with links that has no address. On the host's network the plan refuses it.
fn must_have_an_address(id: &ContainerId, namespace: &Namespace) -> Result<()> {
    if namespace.is_ours || namespace.no_bridge.is_some() || !namespace.addresses.is_empty() {
        return Ok(());
    }
    Err(match &namespace.left_out {
        Some(reason) => {
            let message = format!("{reason}: links need another address");
            Error::new(Kind::Unsafe, message)
        }
        None => {
            let message = format!(
                "{id}: has no address, and links need one: connect it to a network, or set \
                 org.oci-link.missing=defer"
            );
            Error::new(Kind::Namespace, message)
        }
    })
}

/// Opens the hosts file that config.json names.
pub(crate) fn hosts_file(spec: &Spec, state: &Path) -> Result<HostsFile> {
    match &spec.hosts {
        HostsTarget::Mount(path) => HostsFile::of_mount(path, state),
        HostsTarget::Rootfs => HostsFile::of_rootfs(spec.root()?),
        HostsTarget::Hidden => {
            let message = "hosts file /etc/hosts: hidden by another mount: mount a file on it";
            Err(Error::new(Kind::Hosts, message))
        }
    }
}
