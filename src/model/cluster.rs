//! The hosts whose containers may link to each other.

use super::{HostName, Subnet};
use std::collections::BTreeMap;
use std::time::Duration;

/// What `[cluster]` of config.toml declares about all hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// This host. `networks` contains it.
    pub(crate) name: HostName,
    /// The networks of the containers of each host. Networks of two hosts may overlap.
    pub(crate) networks: BTreeMap<HostName, Vec<Subnet>>,
    /// How long what is known of other hosts is believed without news.
    pub(crate) patience: Duration,
}
