//! What one container published, and everything that was done for it.
//!
//! Teardown and repair work from the record alone, so it holds the exact rules and lines, the
//! backend that keeps the rules, and who the container was; nothing of that is ever computed again.

use super::{
    Alias, BridgeName, ContainerId, ContainerName, Hostname, Invalid, Link, Network, Port, PortSet,
    Reference, Variable,
};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::PathBuf;

/// Where a record is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its effects are being made or unmade: they may be there in part.
    Pending,
    /// Its effects are all there.
    Ready,
}

/// Which run of which container this is. Ids and addresses are reused, process ids and namespace
/// inodes too; the cookie of a network namespace is not, within one boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The kernel's boot id.
    pub boot: u128,
    /// `SO_NETNS_COOKIE` of the container's network namespace.
    pub netns: u64,
    /// The container's first process, in the host's numbering.
    pub pid: i32,
    /// When that process started, in clock ticks since boot.
    pub started: u64,
}

/// The short name that all rules of one recipient instance carry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerTag(String);

impl OwnerTag {
    /// Computed once, then recorded: 64 bits over boot, namespace and id.
    pub fn new(id: &ContainerId, instance: &Instance) -> Self {
        let mut hasher = DefaultHasher::new();
        (instance.boot, instance.netns, id).hash(&mut hasher);
        Self(format!("{:016x}", hasher.finish()))
    }

    /// Reads a tag back from a record or a rule.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        if value.len() == 16 && value.bytes().all(|b| b"0123456789abcdef".contains(&b)) {
            Ok(Self(value.to_owned()))
        } else {
            Err(Invalid::new("owner tag", value, "want 16 hexadecimal digits"))
        }
    }

    /// Sixteen hexadecimal digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OwnerTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One permission: connections from one address to one port of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The recipient.
    pub from: IpAddr,
    /// The source.
    pub to: IpAddr,
    /// The source's exposed port.
    pub port: Port,
    /// The bridge that both sit on: then only packets that come in and go out by it are permitted,
    /// and who borrows an address elsewhere gains nothing. None where there is no such bridge, or
    /// none is known: then the addresses alone count.
    pub bridge: Option<BridgeName>,
}

impl Flow {
    /// The same wherever it passes: connections do not know of bridges.
    #[must_use]
    pub fn anywhere(self) -> Self {
        Self { bridge: None, ..self }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} {}", self.from, self.to, self.port)?;
        self.bridge.map_or(Ok(()), |bridge| write!(f, " on {bridge}"))
    }
}

/// Who keeps the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendName {
    /// Nobody: the host does not filter between containers.
    None,
    /// Rules that ask sets, whose elements come and go by netlink.
    Ipset,
    /// `iptables-restore` and `ip6tables-restore`.
    Iptables,
    /// A table of our own, by netlink.
    Nftables,
}

impl BackendName {
    /// All that make rules.
    pub(crate) const ALL: [Self; 3] = [Self::Ipset, Self::Iptables, Self::Nftables];

    /// As in config.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ipset => "ipset",
            Self::Iptables => "iptables",
            Self::Nftables => "nftables",
        }
    }

    /// Reads the name back.
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

/// A file or directory as the kernel knows it, whatever its path says by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub number: u64,
}

/// Which file is the container's `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostsPlace {
    /// A file of the engine's, bind-mounted: edited in place, or the container would not see it.
    Mount {
        /// The source of the mount.
        path: PathBuf,
        /// What `path` was when it was checked.
        inode: Inode,
    },
    /// `/etc/hosts` below a root filesystem, replaced by rename.
    Rootfs {
        /// The root filesystem.
        path: PathBuf,
        /// What `path` was when it was checked.
        inode: Inode,
        /// What was missing: it is ours to remove.
        created: Created,
    },
}

/// What had to be made so that a root filesystem has a hosts file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It had one.
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
    /// Our block, byte for byte; empty when there is nothing of ours in it.
    pub block: String,
    /// While pending: blocks that may still stand there instead.
    pub previous: Vec<String>,
}

impl HostsEdit {
    /// Every block of ours that the file may hold.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.block).chain(&self.previous).map(String::as_str)
    }
}

/// What stands for `length` bytes that are to be cut off the end of a hosts file, until they are: to
/// a reader, a comment.
pub(crate) fn filler(length: usize) -> Vec<u8> {
    let mut filler = vec![b'#'; length];
    if let [.., _, last] = &mut filler[..] {
        *last = b'\n';
    }
    filler
}

/// A declared link, and which container it is connected to now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkState {
    /// As declared.
    pub link: Link,
    /// The source, while it runs.
    pub source: Option<ContainerId>,
}

impl LinkState {
    /// A link that is not connected.
    pub(crate) fn waiting(link: Link) -> Self {
        Self { link, source: None }
    }
}

/// One container's entry in the state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Counts the changes; 0 has never been written.
    pub revision: u64,
    /// Where it is in its life.
    pub phase: Phase,
    /// The OCI container id.
    pub id: ContainerId,
    /// What people call it.
    pub name: ContainerName,
    /// Its own host name.
    pub hostname: Hostname,
    /// Which run of it this is.
    pub instance: Instance,
    /// Where it can be reached.
    pub network: Network,
    /// What it exposes.
    pub ports: PortSet,
    /// What recipients may see of its environment: already filtered.
    pub environment: Vec<Variable>,
    /// Its own links.
    pub links: Vec<LinkState>,
    /// The name its rules carry.
    pub owner: OwnerTag,
    /// Who keeps its rules.
    pub backend: BackendName,
    /// What its rules permit; while pending, all that they may permit.
    pub flows: Vec<Flow>,
    /// What its hosts file holds of ours.
    pub hosts: Option<HostsEdit>,
    /// Where its config.json is; none in records of an earlier version.
    pub bundle: Option<PathBuf>,
}

impl Record {
    /// The alias under which this container is connected to `source`, if it is.
    pub(crate) fn alias_of(&self, source: &ContainerId) -> Option<&Alias> {
        self.links
            .iter()
            .find(|link_state| link_state.source.as_ref() == Some(source))
            .map(|link_state| &link_state.link.alias)
    }

    /// All names by which other containers' links may want this one.
    pub(crate) fn answers_to(&self) -> [Reference; 2] {
        [Reference::from(&self.name), Reference::from(&self.id)]
    }
}

#[cfg(test)]
mod tests;
