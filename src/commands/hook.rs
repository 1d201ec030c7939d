//! `hook`: an OCI runtime says that a container starts or ends.

use crate::cli::{Hook, Stage};
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::lifecycle::{self, Newcomer};
use crate::model::{
    ContainerName, Instance, Network, OwnerTag, Record, Stage as RecordStage, Variable, Wired,
};
use crate::oci::edit::injected_names;
use crate::oci::spec::{HostsTarget, MAX_CONFIG, Spec};
use crate::oci::state::State;
use crate::sys::hosts_file::HostsFile;
use crate::sys::netns::{Namespace, Process};
use crate::sys::{file, process};
use std::path::Path;

/// Runs the hook on the `state` that the runtime sent.
pub fn run(host: &Host, arguments: &Hook, state: &[u8]) -> Result<()> {
    let state = State::parse(state)?;
    let stage = match arguments.stage {
        Some(stage) => stage,
        None if state.stopped => Stage::Poststop,
        None => Stage::CreateRuntime,
    };
    log::debug!("{stage:?} of {}", state.id);
    match stage {
        Stage::Poststop => lifecycle::stop(host, &state.id),
        _ => lifecycle::start(host, newcomer(host, &state, &arguments.injected)?),
    }
}

/// All that the state, config.json and the container's namespace say about it.
fn newcomer(host: &Host, state: &State, injected: &[String]) -> Result<Newcomer> {
    let process = pin(state)?;
    let bundle = state.bundle.as_deref().ok_or_else(|| {
        Error::new(Kind::Input, format!("state of {}: names no bundle", state.id))
    })?;
    let config = file::read(&bundle.join("config.json"), MAX_CONFIG, Kind::Input)?;
    let spec = Spec::parse(bundle, &config)?;
    if let Some(annotations) = &state.annotations {
        spec.annotations.must_agree(annotations)?;
    }
    let declared = spec.annotations.declared()?;
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
    let own = |variable: &&Variable| {
        let theirs = injected.iter().flat_map(|list| injected_names(list));
        declared.env.allows(&variable.key) && !theirs.into_iter().any(|name| name == variable.key)
    };
    let record = Record {
        revision: 0,
        stage: RecordStage::Pending,
        name: declared.name.unwrap_or_else(|| ContainerName::from(&state.id)),
        hostname: spec.hostname_or(&state.id)?,
        owner: OwnerTag::new(&state.id, &instance),
        instance,
        network: if namespace.is_ours { Network::Host } else { Network::Own(namespace.addresses) },
        ports: declared.ports.unwrap_or_default(),
        environment: spec.environment.iter().filter(own).cloned().collect(),
        links: declared.links.into_iter().map(|link| Wired { link, source: None }).collect(),
        backend: host.firewall.name(),
        flows: Vec::new(),
        hosts: None,
        id: state.id.clone(),
    };
    Ok(Newcomer { record, process, hosts, ipv6_loopback: namespace.ipv6_loopback })
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

fn hosts_file(spec: &Spec, state: &Path) -> Result<HostsFile> {
    match &spec.hosts {
        HostsTarget::Mount(path) => HostsFile::of_mount(path, state),
        HostsTarget::Rootfs => HostsFile::of_rootfs(&spec.root),
        HostsTarget::Hidden => {
            let message = "hosts file /etc/hosts: hidden by a mount over it: mount a file there";
            Err(Error::new(Kind::Hosts, message))
        }
    }
}
