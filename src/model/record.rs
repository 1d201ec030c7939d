//! The record of one container: what it published, and what oci-link changed for it.
//!
//! Teardown and repair use only the record. It holds the exact rules and hosts lines, the backend
//! that holds the rules, and the container's identity. None of these is computed again.

use super::{
    Admitted, Alias, ContainerId, ContainerName, Crossing, Engine, Family, Fingerprint, HostName,
    Hostname, Invalid, Isolation, LinkState, Network, NetworkNames, OnBridge, OwnerTag, Place, Pod,
    PortRange, PortSet, Reference, Share, Variable,
};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// The phase of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The changes for this container are being made or removed, so only some of them may exist.
    Pending,
    /// All changes for this container have been made.
    Ready,
}

/// Identifies one run of one container.
///
/// Ids, addresses, process ids and namespace inodes are reused. The cookie of a network namespace
/// is unique within one boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The kernel's boot id.
    pub boot: u128,
    /// `SO_NETNS_COOKIE` of the container's network namespace.
    pub netns: u64,
    /// The container's first process, in the host's pid namespace.
    pub pid: i32,
    /// When that process started, in clock ticks since boot.
    pub started: u64,
}

impl Instance {
    /// Whether both are in one network namespace of one boot.
    pub(crate) fn shares_namespace(&self, other: &Self) -> bool {
        self.boot == other.boot && self.netns == other.netns
    }
}

/// One permitted flow: connections from one address to one port, or one range of ports, of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The recipient's address.
    pub from: IpAddr,
    /// The source's address.
    pub to: IpAddr,
    /// The source's exposed ports.
    pub ports: PortRange,
    /// The bridge that both containers are attached to, if there is one and it is known. Of a flow to or from
    /// another host, the bridge of the end on this host.
    ///
    /// Only packets that enter and leave through it are permitted, so an address spoofed elsewhere
    /// is useless. If the flow is also tied to ports, one on the same bridge is. With `None` the rule checks
    /// addresses only.
    pub bridge: Option<OnBridge>,
}

impl Flow {
    /// Returns the flow without its bridge, because connection tracking entries contain none.
    #[must_use]
    pub fn anywhere(self) -> Self {
        Self { bridge: None, ..self }
    }

    /// Whether the flow is to or from another host. This host holds one half of the permission then.
    #[must_use]
    pub fn crosses(&self) -> bool {
        self.bridge.is_some_and(|on| on.crossing != Crossing::Within)
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} {}", self.from, self.to, self.ports)?;
        let Some(bridge) = self.bridge else { return Ok(()) };
        match bridge.crossing {
            Crossing::Within => write!(f, " on {bridge}"),
            Crossing::Leaves => write!(f, " out of {bridge}"),
            Crossing::Enters => write!(f, " into {bridge}"),
        }
    }
}

/// The firewall backend that holds the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendName {
    /// No rules; the host does not filter between containers.
    None,
    /// Static rules that match sets. The elements are added and removed by netlink.
    Ipset,
    /// Rules written by `iptables-restore` and `ip6tables-restore`.
    Iptables,
    /// A table of oci-link's own, changed by netlink.
    Nftables,
}

impl BackendName {
    /// All backends that make rules. `every_backend_is_in_all` names one that is missing.
    pub(crate) const ALL: [Self; 3] = [Self::Ipset, Self::Iptables, Self::Nftables];

    /// Returns the name as in config.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ipset => "ipset",
            Self::Iptables => "iptables",
            Self::Nftables => "nftables",
        }
    }

    /// Whether its rules are in chains of iptables. Backends with the same chains are neighbours in
    /// [`ALL`](Self::ALL).
    pub(crate) fn is_in_iptables(self) -> bool {
        match self {
            Self::Ipset | Self::Iptables => true,
            Self::None | Self::Nftables => false,
        }
    }

    /// Parses the name.
    pub(crate) fn parse(value: &str) -> Result<Self, Invalid> {
        [Self::None, Self::Ipset, Self::Iptables, Self::Nftables]
            .into_iter()
            .find(|name| name.as_str() == value)
            .ok_or_else(|| {
                Invalid::new("firewall backend", value, "want ipset, iptables, nftables or none")
            })
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Identifies a file or directory independently of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Inode {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub number: u64,
}

/// Which file is the container's `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostsPlace {
    /// A bind-mounted file of the engine. It is edited in place, because the container would not
    /// see a replaced file.
    Mount {
        /// The source of the mount.
        path: PathBuf,
        /// The inode of `path` when it was checked.
        inode: Inode,
    },
    /// `/etc/hosts` below a root filesystem, replaced by rename.
    Rootfs {
        /// The root filesystem.
        path: PathBuf,
        /// The inode of `path` when it was checked.
        inode: Inode,
        /// What oci-link created, to be removed again.
        created: Created,
    },
}

impl HostsPlace {
    /// Whether both are one file, perhaps under two paths.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mount { inode, .. }, Self::Mount { inode: other, .. })
            | (Self::Rootfs { inode, .. }, Self::Rootfs { inode: other, .. }) => inode == other,
            (Self::Mount { .. }, Self::Rootfs { .. })
            | (Self::Rootfs { .. }, Self::Mount { .. }) => false,
        }
    }
}

/// What oci-link created because the root filesystem had no hosts file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// Nothing; the hosts file existed.
    Nothing,
    /// The file.
    File,
    /// The file and `/etc`.
    FileAndDirectory,
}

/// What was written into the hosts file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsEdit {
    /// The file.
    pub place: HostsPlace,
    /// The hosts block, byte for byte. Empty if the file has none.
    pub block: String,
    /// While pending: earlier blocks that the file may still contain instead.
    pub previous: Vec<String>,
}

impl HostsEdit {
    /// Returns every block of this container that the file may contain.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.block).chain(&self.previous).map(String::as_str)
    }
}

/// Returns a comment of `length` bytes. It ends with a newline if `length` is at least 2.
///
/// While a hosts file gets shorter, the comment covers the bytes at its end until they are
/// truncated.
pub(crate) fn filler(length: usize) -> Vec<u8> {
    let mut filler = vec![b'#'; length];
    if let [.., _, last] = &mut filler[..] {
        *last = b'\n';
    }
    filler
}

/// The record of one container in the state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Number of changes. 0 means that the record was never written.
    pub revision: u64,
    /// Whether the changes below are complete.
    pub phase: Phase,
    /// The OCI container id.
    pub id: ContainerId,
    /// The container's name.
    pub name: ContainerName,
    /// The name that its engine gave it, if that is another one.
    pub engine_name: Option<ContainerName>,
    /// Names that its engine gave it earlier in this run. Only links that are connected know it by them.
    pub former_names: Vec<ContainerName>,
    /// Its networks with its aliases there. Records of containers of Docker have them if links on all of
    /// Docker's networks are taken over.
    pub networks: Vec<NetworkNames>,
    /// The engine that created it, if its networks are known. Records of an earlier version have none.
    pub engine: Option<Engine>,
    /// The container's own host name; `None` if it is not a name that a hosts file can contain.
    pub hostname: Option<Hostname>,
    /// Which run of the container this is.
    pub instance: Instance,
    /// The container's network and addresses.
    pub network: Network,
    /// Addresses that the container no longer has, and that rules may still name.
    pub former: Vec<IpAddr>,
    /// What its network namespace listed when `network` was read; none if that is not known.
    pub fingerprint: Option<Fingerprint>,
    /// The ports that the container exposes.
    pub ports: PortSet,
    /// The variables that recipients receive, already filtered.
    pub environment: Vec<Variable>,
    /// The container's own links.
    pub links: Vec<LinkState>,
    /// The aliases of links whose variables the container lacks: it started before their sources.
    pub without_variables: Vec<Alias>,
    /// The tag of the container's rules.
    pub owner: OwnerTag,
    /// The backend that holds the container's rules.
    pub backend: BackendName,
    /// The flows that the rules permit. While pending, all flows that they may permit.
    pub flows: Vec<Flow>,
    /// What was written into the container's hosts file.
    pub hosts: Option<HostsEdit>,
    /// The directory of config.json; records of an earlier version have none.
    pub bundle: Option<PathBuf>,
    /// Where the record was made; records of an earlier version have none, and count as made here.
    pub place: Option<Place>,
    /// The directory with a directory of Docker's files for each container. Only a container of Docker
    /// with links has it.
    pub engine_files: Option<PathBuf>,
    /// Whether it runs without oci-link. The record was made from its engine's files.
    pub by_engine: bool,
    /// Its pod, if Kubernetes created it.
    pub pod: Option<Pod>,
    /// Which other namespaces of Kubernetes may link to it.
    pub admitted: Admitted,
    /// Which other hosts may link to it.
    pub share: Share,
    /// What isolates it, if its annotation asks for that.
    pub isolation: Option<Isolation>,
    /// Whether it only holds a pod's namespaces. No link refers to it, and no command lists it.
    pub is_pod_infra: bool,
    /// The other host that it runs on. A stored record has none: only an offer of that host says so, and the
    /// owner tag is that of its run there.
    pub host: Option<HostName>,
}

impl Record {
    /// Whether the container must not start without its links. Links that only its engine declares do
    /// not count.
    pub(crate) fn needs_links(&self) -> bool {
        self.links.iter().any(|link_state| !link_state.declared_by.is_engine())
    }

    /// Whether the container must not start without us: it needs its links or its isolation.
    pub(crate) fn needs_us(&self) -> bool {
        self.needs_links() || self.isolation.is_some()
    }

    /// Returns the families of its addresses.
    pub(crate) fn families(&self) -> Vec<Family> {
        let has = |family: &Family| {
            self.network.addresses().iter().any(|address| Family::of(address.ip()) == *family)
        };
        Family::BOTH.into_iter().filter(has).collect()
    }

    /// Returns the alias of the first link that is connected to `source`.
    pub(crate) fn alias_of(&self, source: &ContainerId) -> Option<&Alias> {
        self.links
            .iter()
            .find(|link_state| link_state.source.as_ref() == Some(source))
            .map(|link_state| &link_state.link.alias)
    }

    /// Whether the container started without the variables of this link, because its source did not run.
    pub(crate) fn lacks_variables(&self, alias: &Alias) -> bool {
        self.without_variables.contains(alias)
    }

    /// Returns the references by which links of other containers may name this container.
    pub(crate) fn answers_to(&self) -> impl Iterator<Item = Reference> + '_ {
        let in_pod = self.pod.as_ref().and_then(Pod::reference);
        let names = self.names().map(ContainerName::reference);
        let names = names.chain([self.id.reference(), in_pod]).flatten();
        names.chain(self.aliases().map(|(_, alias)| alias.clone()))
    }
}

#[cfg(test)]
mod tests;
