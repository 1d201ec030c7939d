//! Checked types for values from outside; no I/O.
//!
//! Every value from outside is converted to one of these types where it enters, or refused there.
//! Other code handles no raw strings. The key of a [`ContainerId`] is safe as a file name, an
//! [`Alias`] in a hosts file, and a [`PortRange`] in a firewall rule.

mod address;
mod digest;
mod engine;
mod engine_links;
mod environment;
mod fingerprint;
mod flow_index;
mod id;
mod invalid;
mod links;
mod meaning;
mod missing;
mod names;
mod network;
mod owner;
mod place;
mod ports;
mod record;
mod routing;
#[cfg(test)]
pub(crate) mod sample;

pub(crate) use address::first_of_networks;
pub use address::{Address, Family};
pub use engine::Engine;
pub(crate) use engine_links::{DeclaredBy, EngineLink, Owner, RecordedLink, TakesOver, taken_over};
pub(crate) use environment::EnvFilter;
pub use environment::Variable;
pub(crate) use fingerprint::Fingerprint;
pub(crate) use flow_index::FlowIndex;
pub use id::ContainerId;
pub(crate) use invalid::Invalid;
pub(crate) use links::Link;
pub(crate) use links::{MAX_LINKS, parse_links};
pub(crate) use meaning::{LinkState, Meaning};
pub(crate) use missing::{Missing, parse_wait};
pub(crate) use names::NetworkName;
pub(crate) use names::is_reserved;
pub use names::{Alias, BridgeName, ContainerName, Hostname, Reference};
pub use network::Network;
pub(crate) use network::NoBridge;
pub(crate) use owner::Origin;
pub use owner::{OwnerTag, StateId};
pub(crate) use place::{Place, ProcessPlace};
pub use ports::{PortRange, PortSet, Protocol};
pub(crate) use record::filler;
pub use record::{BackendName, Flow, HostsPlace, Inode, Instance, Phase, Record};
pub(crate) use record::{Created, HostsEdit};
pub(crate) use routing::{Routes, Routing, SeparatedBridges, Separation};
