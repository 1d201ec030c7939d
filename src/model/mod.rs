//! Checked nouns, no I/O.
//!
//! Every value that comes from outside becomes one of these types at the door, or is refused
//! there. Past the door there are no raw strings: a [`ContainerId`] is safe as a file name, an
//! [`Alias`] is safe in a hosts file, a [`Port`] is safe in a rule.

mod address;
mod environment;
mod invalid;
mod links;
mod missing;
mod names;
mod ports;
mod record;
#[cfg(test)]
pub mod sample;

pub use address::{Address, Family, Network};
pub use environment::{EnvFilter, Variable};
pub use invalid::Invalid;
pub use links::{Link, MAX_LINKS, parse_links};
pub use missing::Missing;
pub use names::{Alias, BridgeName, ContainerId, ContainerName, Hostname, Reference, is_reserved};
pub use ports::{Port, PortSet, Protocol};
pub use record::{
    BackendName, Created, Flow, HostsEdit, HostsPlace, Inode, Instance, LinkState, OwnerTag, Phase,
    Record, filler,
};
