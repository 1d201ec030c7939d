//! The namespaces in which a record was made.

use super::Inode;

/// The namespaces in which a record was made. In others its rules, its process id and its start time
/// mean something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// `SO_NETNS_COOKIE` of the network namespace that has the rules, or 0 before Linux 5.14.
    pub network: u64,
    /// The pid and time namespaces.
    pub processes: ProcessPlace,
}

/// The namespaces that give a process its id and its start time. `None` if the kernel has none of
/// that kind, or if /proc does not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessPlace {
    /// The pid namespace.
    pub pid: Option<Inode>,
    /// The time namespace.
    pub time: Option<Inode>,
}
