//! The JSON format of a record, with a version number.
//!
//! Decoding checks every value: a record may come from another version of oci-link or may be
//! damaged.

mod isolated;
pub(super) mod parts;

use self::parts::{StoredFlow, StoredHosts, StoredLink, StoredPlace};
use crate::error::{Cause, Context, Error, Kind, Result};
use crate::model::{
    Address, Admitted, Alias, BackendName, BridgeName, ContainerId, ContainerName, Engine,
    Fingerprint, Flow, Hostname, HostsEdit, Instance, Invalid, LinkState, NamespaceName, Network,
    NoBridge, OwnerTag, Phase, Place, Pod, PodName, PortSet, Record, Share, Variable,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// The newest record version. Records of this version and older ones can be read. Only records with flows
/// between hosts have it: an older program would permit them on this host alone, and without an end.
const VERSION: u32 = 3;
/// The version of records with something that the version before would take for something else.
const SECOND: u32 = 2;
/// The version of a record that the first version of oci-link reads too. From a range of ports it would
/// make one rule for each, it would route links that Docker keeps within one network, and it would look for
/// flows that are tied to ports among those that are not.
const FIRST: u32 = 1;

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// What a record of a newer version still says to this program.
#[derive(Deserialize)]
struct Glimpse {
    #[serde(default)]
    owner: Option<serde_json::Value>,
}

/// A record that a newer oci-link wrote. It is left as it is, and so are its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewerRecord {
    /// The owner tag of its rules. Without one, any rule may be its own.
    pub(crate) owner: Option<OwnerTag>,
    /// Why the record is not read. The text names it.
    pub(crate) reason: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    revision: u64,
    ready: bool,
    id: String,
    /// What tells the container from a running one with the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namesake: Option<u64>,
    name: String,
    /// Missing if the engine has no other name for it. Records of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    engine_name: Option<String>,
    /// Missing if there are none. Records of earlier versions have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former_names: Vec<String>,
    /// The aliases on each network. Missing if none are known, and in records of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<String, Vec<String>>,
    /// Missing if the networks of the engine are not known. Records of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    engine: Option<String>,
    /// Missing if it cannot be written into a hosts file. Earlier versions refused such names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    boot: String,
    netns: u64,
    pid: i32,
    started: u64,
    /// Missing for a container in the host's network namespace.
    addresses: Option<Vec<String>>,
    /// What a container of a rootless engine has in place of a bridge. Missing for all others; records of
    /// earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    no_bridge: Option<String>,
    /// The bridge of each address that is on one. Records of earlier versions have no bridges.
    #[serde(default)]
    bridges: BTreeMap<IpAddr, String>,
    /// The index of the bridge port of each address that is behind one. Missing if there are none, and in
    /// records of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    bridge_ports: BTreeMap<IpAddr, u32>,
    /// Missing if there are none. Records of earlier versions have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<IpAddr>,
    /// Missing in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    ports: Vec<String>,
    env: Vec<String>,
    links: Vec<StoredLink>,
    /// Missing if there are none. Records of earlier versions have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    without_variables: Vec<String>,
    owner: String,
    backend: String,
    flows: Vec<StoredFlow>,
    hosts: Option<StoredHosts>,
    /// Missing in records of earlier versions.
    #[serde(default)]
    bundle: Option<PathBuf>,
    /// Missing in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<StoredPlace>,
    /// Missing in records of earlier versions, and of containers without links and of other engines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    engine_files: Option<PathBuf>,
    /// Missing in records of earlier versions, and of containers that oci-link started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    by_engine: bool,
    /// Namespace, pod and container. Missing outside Kubernetes, and in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<[String; 3]>,
    /// The other namespaces that may link to it. Missing for none, and in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    admitted: Option<String>,
    /// The other hosts that may link to it. Missing for none, and in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    share: Option<String>,
    /// Missing if the container is not isolated, and in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    isolation: Option<isolated::StoredIsolation>,
    /// Missing in records of earlier versions, and of containers that are linked to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pod_infra: bool,
}

/// Encodes a record as JSON.
pub(crate) fn encode(record: &Record) -> Result<Vec<u8>> {
    let stored = Stored {
        version: version_of(record),
        revision: record.revision,
        ready: record.phase == Phase::Ready,
        id: record.id.as_str().to_owned(),
        namesake: record.id.tag(),
        name: record.name.to_string(),
        engine_name: record.engine_name.as_ref().map(ToString::to_string),
        former_names: record.former_names.iter().map(ToString::to_string).collect(),
        networks: record.networks.iter().map(parts::aliases).collect(),
        engine: record.engine.map(|engine| engine.as_str().to_owned()),
        hostname: record.hostname.as_ref().map(ToString::to_string),
        boot: format!("{:032x}", record.instance.boot),
        netns: record.instance.netns,
        pid: record.instance.pid,
        started: record.instance.started,
        addresses: match &record.network {
            Network::Own(addresses) => Some(addresses.iter().map(ToString::to_string).collect()),
            Network::Host | Network::NoBridge(_) => None,
        },
        no_bridge: match &record.network {
            Network::NoBridge(on) => Some(on.as_str().to_owned()),
            Network::Own(_) | Network::Host => None,
        },
        bridges: bridges(record.network.addresses()),
        bridge_ports: bridge_ports(record.network.addresses()),
        ports: record.ports.iter().map(|port| port.to_string()).collect(),
        env: record.environment.iter().map(ToString::to_string).collect(),
        links: record.links.iter().map(StoredLink::from).collect(),
        former: record.former.clone(),
        fingerprint: record.fingerprint.map(|fingerprint| fingerprint.to_string()),
        without_variables: record.without_variables.iter().map(ToString::to_string).collect(),
        owner: record.owner.to_string(),
        backend: record.backend.to_string(),
        flows: record.flows.iter().map(StoredFlow::from).collect(),
        hosts: record.hosts.as_ref().map(StoredHosts::from),
        bundle: record.bundle.clone(),
        place: record.place.as_ref().map(StoredPlace::from),
        engine_files: record.engine_files.clone(),
        by_engine: record.by_engine,
        pod: record.pod.as_ref().map(|pod| {
            [pod.namespace.to_string(), pod.name.to_string(), pod.container.to_string()]
        }),
        admitted: (record.admitted != Admitted::None).then(|| record.admitted.to_string()),
        share: (record.share != Share::None).then(|| record.share.to_string()),
        isolation: record.isolation.as_ref().map(isolated::StoredIsolation::from),
        pod_infra: record.is_pod_infra,
    };
    serde_json::to_vec(&stored).context(Kind::Internal, || "cannot write a record")
}

/// The oldest version that means by the record what this one does.
fn version_of(record: &Record) -> u32 {
    match () {
        () if record.flows.iter().any(Flow::crosses) || record.is_linked_elsewhere() => VERSION,
        () if is_new(record) => SECOND,
        () => FIRST,
    }
}

/// Whether the record has something that the first version would take for something else.
fn is_new(record: &Record) -> bool {
    let mut ranges = record.ports.iter().chain(record.flows.iter().map(|flow| flow.ports));
    let mut links = record.links.iter();
    let mut tied = record.flows.iter().filter_map(|flow| flow.bridge);
    ranges.any(|range| !range.is_single())
        || links.any(|link| link.declared_by.is_engine())
        || tied.any(|on| on.by_port)
        || record.isolation.is_some()
}

/// Decodes a record and checks every value.
///
/// A record of a newer version is an error of kind [`Kind::State`]. Invalid content is an error of
/// kind [`Kind::Input`].
pub(crate) fn decode(bytes: &[u8]) -> Result<Record> {
    let Versioned { version } = serde_json::from_slice(bytes).context(Kind::Input, || "record")?;
    if version > VERSION {
        let message = format!(
            "version {version} is newer than this oci-link, which reads versions up to {VERSION}"
        );
        return Err(Error::new(Kind::State, message).because(Cause::NewerRecord));
    }
    let stored: Stored = serde_json::from_slice(bytes).context(Kind::Input, || "record")?;
    let id = ContainerId::new(&stored.id)?.tagged(stored.namesake);
    Ok(Record {
        revision: stored.revision,
        phase: if stored.ready { Phase::Ready } else { Phase::Pending },
        name: ContainerName::of_record(&stored.name, &id)?,
        engine_name: stored.engine_name.as_deref().map(ContainerName::new).transpose()?,
        former_names: all(&stored.former_names, |name| ContainerName::new(name))?,
        networks: stored
            .networks
            .iter()
            .map(parts::network)
            .collect::<std::result::Result<_, _>>()?,
        engine: stored.engine.as_deref().and_then(Engine::parse),
        id,
        hostname: stored.hostname.as_deref().map(Hostname::new).transpose()?,
        instance: Instance {
            boot: u128::from_str_radix(&stored.boot, 16).context(Kind::Input, || "boot id")?,
            netns: stored.netns,
            pid: stored.pid,
            started: stored.started,
        },
        network: match &stored.addresses {
            Some(addresses) => Network::Own(all(addresses, |text| {
                let address = Address::parse(text)?;
                let bridge = stored.bridges.get(&address.ip());
                let bridge = bridge.map(|name| BridgeName::new(name)).transpose()?;
                Ok(address.on(bridge).behind(stored.bridge_ports.get(&address.ip()).copied()))
            })?),
            None => {
                let on = stored.no_bridge.as_deref().and_then(NoBridge::parse);
                on.map_or(Network::Host, Network::NoBridge)
            }
        },
        ports: PortSet::parse(&stored.ports.join(","))?,
        environment: stored.env.iter().filter_map(|entry| Variable::parse(entry)).collect(),
        links: all(&stored.links, LinkState::try_from)?,
        former: stored.former,
        fingerprint: stored.fingerprint.as_deref().map(Fingerprint::parse).transpose()?,
        without_variables: all(&stored.without_variables, |alias| Alias::new(alias))?,
        owner: OwnerTag::parse(&stored.owner)?,
        backend: BackendName::parse(&stored.backend)?,
        flows: all(&stored.flows, Flow::try_from)?,
        hosts: stored.hosts.map(HostsEdit::try_from).transpose()?,
        bundle: stored.bundle,
        place: stored.place.map(Place::from),
        engine_files: stored.engine_files,
        by_engine: stored.by_engine,
        pod: stored.pod.map(|pod| pod_of(&pod)).transpose()?,
        admitted: stored.admitted.as_deref().map(Admitted::parse).transpose()?.unwrap_or_default(),
        share: stored.share.as_deref().map(Share::parse).transpose()?.unwrap_or_default(),
        isolation: stored.isolation.as_ref().map(TryInto::try_into).transpose()?,
        is_pod_infra: stored.pod_infra,
        host: None,
    })
}

/// The owner tag in a record of a newer version, if it is where this version has it.
pub(crate) fn owner_of(bytes: &[u8]) -> Option<OwnerTag> {
    let Glimpse { owner } = serde_json::from_slice(bytes).ok()?;
    OwnerTag::parse(owner?.as_str()?).ok()
}

fn pod_of([namespace, name, container]: &[String; 3]) -> std::result::Result<Pod, Invalid> {
    Ok(Pod {
        namespace: NamespaceName::new(namespace)?,
        name: PodName::new(name)?,
        container: ContainerName::new(container)?,
    })
}

fn bridges(addresses: &[Address]) -> BTreeMap<IpAddr, String> {
    let known = addresses.iter().filter_map(|at| Some((at.ip(), at.bridge()?.to_string())));
    known.collect()
}

fn bridge_ports(addresses: &[Address]) -> BTreeMap<IpAddr, u32> {
    addresses.iter().filter_map(|at| Some((at.ip(), at.port()?))).collect()
}

fn all<'a, S, T>(
    stored: &'a [S],
    check: impl Fn(&'a S) -> std::result::Result<T, Invalid>,
) -> std::result::Result<Vec<T>, Invalid> {
    stored.iter().map(check).collect()
}

#[cfg(test)]
mod tests;
