//! Checked types for values from outside; no I/O.
//!
//! Every value from outside is converted to one of these types where it enters, or refused there.
//! Other code handles no raw strings. The key of a [`ContainerId`] is safe as a file name, an
//! [`Alias`] in a hosts file, and a [`PortRange`] in a firewall rule.

mod address;
mod cluster;
mod digest;
mod engine;
mod engine_links;
mod environment;
mod fingerprint;
mod flow_index;
mod guest;
mod host_name;
mod id;
mod invalid;
mod isolation;
mod known;
mod links;
mod meaning;
mod missing;
mod names;
mod network;
mod network_names;
mod owner;
mod peer;
mod place;
mod pod;
mod ports;
mod record;
mod reference;
mod routing;
#[cfg(test)]
pub(crate) mod sample;
mod share;
mod subnet;
mod tie;

pub(crate) use address::first_of_networks;
pub use address::{Address, Family};
pub(crate) use cluster::Cluster;
pub use engine::Engine;
pub(crate) use engine_links::{
    DeclaredBy, EngineLink, Fault, LeftOut, Owner, RecordedLink, TakesOver, has_bridge_links,
    has_network_links, taken_over, usable,
};
pub(crate) use environment::EnvFilter;
pub use environment::Variable;
pub(crate) use fingerprint::Fingerprint;
pub(crate) use flow_index::FlowIndex;
pub(crate) use guest::GuestRecord;
pub(crate) use host_name::HostName;
pub use id::ContainerId;
pub(crate) use invalid::Invalid;
pub use isolation::Isolation;
pub(crate) use isolation::{BridgePort, Isolate};
pub(crate) use known::KnownRecords;
pub(crate) use links::Link;
pub(crate) use links::{MAX_LINKS, parse_links};
pub(crate) use meaning::{LinkState, Meaning};
pub(crate) use missing::{Missing, parse_wait};
pub(crate) use names::NetworkName;
pub(crate) use names::is_reserved;
pub use names::{Alias, BridgeName, ContainerName, Hostname};
pub use names::{NamespaceName, PodName};
pub use network::Network;
pub(crate) use network::NoBridge;
pub(crate) use network_names::NetworkNames;
pub(crate) use owner::Origin;
pub use owner::{OwnerTag, StateId};
pub(crate) use peer::{Guest, Offer, PeerRun, View, Want};
pub(crate) use place::{Place, ProcessPlace};
pub use pod::{Admitted, Pod, PodKey};
pub use ports::{PortRange, PortSet, Protocol};
pub(crate) use record::filler;
pub use record::{BackendName, Flow, HostsPlace, Inode, Instance, Phase, Record};
pub(crate) use record::{Created, HostsEdit};
pub use reference::Reference;
pub(crate) use routing::{Routes, Routing, SeparatedBridges, Separation};
pub use share::Share;
pub(crate) use subnet::Subnet;
pub(crate) use tie::{Bind, Ties};
pub use tie::{Crossing, OnBridge};
