//! The parts of a stored record: where it was made, links, flows and the edit of a hosts file.

use crate::model::{
    Address, Alias, BridgeName, ContainerId, Created, Crossing, DeclaredBy, Flow, HostName,
    HostsEdit, HostsPlace, Inode, Invalid, Link, LinkState, Meaning, NetworkName, NetworkNames,
    OnBridge, OwnerTag, PeerRun, Place, PortRange, ProcessPlace, Reference,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// Cookie of the network namespace, and device and inode of the pid and time namespaces.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredPlace {
    network: u64,
    pid: Option<(u64, u64)>,
    time: Option<(u64, u64)>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredLink {
    source: String,
    alias: String,
    connected: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namesake: Option<u64>,
    /// The source on another host. Missing for one on this host, and before version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    there: Option<StoredRun>,
    /// Missing in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    means: Option<StoredMeaning>,
    /// Missing for a link of an annotation, and in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    declared_by: Option<String>,
    /// Missing if the link is not limited to one network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    on: Vec<StoredAddress>,
}

/// One run of a container of another host.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredRun {
    host: String,
    id: String,
    run: String,
}

/// An address such as `10.0.0.2/24`, and its bridge.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredAddress {
    address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bridge: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum StoredMeaning {
    Name,
    Id(String),
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredFlow {
    from: IpAddr,
    to: IpAddr,
    /// `80/tcp`, or `7000-7010/udp` since version 2.
    port: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bridge: Option<String>,
    /// Whether the flow is tied to ports of the bridge. Missing if not, and in records of earlier versions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    by_port: bool,
    /// The ports of both ends. Missing if they are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bridge_ports: Option<[u32; 2]>,
    /// `leaves` or `enters`, of a flow between hosts, since version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crossing: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredHosts {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// Missing for a bind-mounted file, which oci-link never removes.
    created: Option<String>,
    block: String,
    previous: Vec<String>,
}

/// The name of a network, with the aliases there.
pub(super) fn aliases(names: &NetworkNames) -> (String, Vec<String>) {
    (names.network.to_string(), names.aliases.iter().map(ToString::to_string).collect())
}

/// Checks what [`aliases`] returned.
pub(super) fn network(
    (network, aliases): (&String, &Vec<String>),
) -> std::result::Result<NetworkNames, Invalid> {
    let aliases = aliases.iter().map(|alias| Reference::new(alias)).collect::<Result<_, _>>()?;
    Ok(NetworkNames { network: NetworkName::new(network)?, aliases })
}

impl From<&Place> for StoredPlace {
    fn from(place: &Place) -> Self {
        let pair = |inode: Inode| (inode.device, inode.number);
        let ProcessPlace { pid, time } = place.processes;
        Self { network: place.network, pid: pid.map(pair), time: time.map(pair) }
    }
}

impl From<StoredPlace> for Place {
    fn from(stored: StoredPlace) -> Self {
        let inode = |(device, number)| Inode { device, number };
        let processes = ProcessPlace { pid: stored.pid.map(inode), time: stored.time.map(inode) };
        Self { network: stored.network, processes }
    }
}

impl From<&LinkState> for StoredLink {
    fn from(link_state: &LinkState) -> Self {
        Self {
            source: link_state.link.source.to_string(),
            alias: link_state.link.alias.to_string(),
            connected: link_state.source.as_ref().map(|id| id.as_str().to_owned()),
            namesake: link_state.source.as_ref().and_then(ContainerId::tag),
            there: link_state.there.as_ref().map(StoredRun::from),
            means: link_state.meaning.as_ref().map(|meaning| match meaning {
                Meaning::Name => StoredMeaning::Name,
                Meaning::Id(id) => StoredMeaning::Id(id.as_str().to_owned()),
            }),
            declared_by: (link_state.declared_by != DeclaredBy::Annotation)
                .then(|| link_state.declared_by.to_string()),
            on: link_state.on.iter().map(StoredAddress::from).collect(),
        }
    }
}

impl From<&Address> for StoredAddress {
    fn from(address: &Address) -> Self {
        let bridge = address.bridge().map(|bridge| bridge.to_string());
        Self { address: address.to_string(), bridge }
    }
}

impl TryFrom<&StoredAddress> for Address {
    type Error = Invalid;

    fn try_from(stored: &StoredAddress) -> std::result::Result<Self, Invalid> {
        let bridge = stored.bridge.as_deref().map(BridgeName::new).transpose()?;
        Ok(Self::parse(&stored.address)?.on(bridge))
    }
}

impl TryFrom<&StoredLink> for LinkState {
    type Error = Invalid;

    fn try_from(stored: &StoredLink) -> std::result::Result<Self, Invalid> {
        let source = Reference::of_link(&stored.source)?;
        let link = Link { source, alias: Alias::new(&stored.alias)? };
        let source = stored.connected.as_deref().map(ContainerId::new).transpose()?;
        let source = source.map(|id| id.tagged(stored.namesake));
        let declared_by = stored.declared_by.as_deref().map(DeclaredBy::parse).transpose()?;
        let meaning = match &stored.means {
            Some(StoredMeaning::Name) => Some(Meaning::Name),
            Some(StoredMeaning::Id(id)) => Some(Meaning::Id(ContainerId::new(id)?)),
            // An alias on a network is no name.
            None if matches!(declared_by, Some(DeclaredBy::DockerNetwork(_))) => None,
            None => source.as_ref().and_then(|id| Meaning::inferred(&link.source, id)),
        };
        let on = stored.on.iter().map(Address::try_from).collect::<std::result::Result<_, _>>()?;
        let there = stored.there.as_ref().map(PeerRun::try_from).transpose()?;
        let declared_by = declared_by.unwrap_or_default();
        Ok(Self { link, source, there, meaning, declared_by, on })
    }
}

impl From<&PeerRun> for StoredRun {
    fn from(PeerRun { host, id, run }: &PeerRun) -> Self {
        Self { host: host.to_string(), id: id.as_str().to_owned(), run: run.to_string() }
    }
}

impl TryFrom<&StoredRun> for PeerRun {
    type Error = Invalid;

    fn try_from(stored: &StoredRun) -> std::result::Result<Self, Invalid> {
        Ok(Self {
            host: HostName::new(&stored.host)?,
            id: ContainerId::new(&stored.id)?,
            run: OwnerTag::parse(&stored.run)?,
        })
    }
}

impl From<&Flow> for StoredFlow {
    fn from(flow: &Flow) -> Self {
        let Flow { from, to, ports, bridge } = *flow;
        Self {
            from,
            to,
            port: ports.to_string(),
            bridge: bridge.map(|on| on.name.to_string()),
            by_port: bridge.is_some_and(|on| on.by_port),
            bridge_ports: bridge.and_then(|on| on.ports),
            crossing: bridge.filter(|_| flow.crosses()).map(|on| on.crossing.as_str().to_owned()),
        }
    }
}

impl TryFrom<&StoredFlow> for Flow {
    type Error = Invalid;

    fn try_from(stored: &StoredFlow) -> std::result::Result<Self, Invalid> {
        let ports = PortRange::parse(&stored.port)?;
        let bridge = stored.bridge.as_deref().map(BridgeName::new).transpose()?;
        let crossing = stored.crossing.as_deref().map(Crossing::parse).transpose()?;
        let bridge = bridge.map(|name| OnBridge {
            name,
            by_port: stored.by_port,
            ports: stored.bridge_ports,
            crossing: crossing.unwrap_or_default(),
        });
        Ok(Self { from: stored.from, to: stored.to, ports, bridge })
    }
}

impl From<&HostsEdit> for StoredHosts {
    fn from(edit: &HostsEdit) -> Self {
        let (path, inode, created) = match &edit.place {
            HostsPlace::Mount { path, inode } => (path, inode, None),
            HostsPlace::Rootfs { path, inode, created } => (path, inode, Some(created)),
        };
        Self {
            path: path.clone(),
            device: inode.device,
            inode: inode.number,
            created: created.map(|created| created_name(*created).to_owned()),
            block: edit.block.clone(),
            previous: edit.previous.clone(),
        }
    }
}

impl TryFrom<StoredHosts> for HostsEdit {
    type Error = Invalid;

    fn try_from(stored: StoredHosts) -> std::result::Result<Self, Invalid> {
        let inode = Inode { device: stored.device, number: stored.inode };
        let path = stored.path;
        let place = match stored.created.as_deref() {
            None => HostsPlace::Mount { path, inode },
            Some(name) => {
                let all = [Created::Nothing, Created::File, Created::FileAndDirectory];
                let created = all.into_iter().find(|created| created_name(*created) == name);
                let created = created.ok_or_else(|| Invalid::new("created", name, "unknown"))?;
                HostsPlace::Rootfs { path, inode, created }
            }
        };
        Ok(Self { place, block: stored.block, previous: stored.previous })
    }
}

fn created_name(created: Created) -> &'static str {
    match created {
        Created::Nothing => "nothing",
        Created::File => "file",
        Created::FileAndDirectory => "file and directory",
    }
}
