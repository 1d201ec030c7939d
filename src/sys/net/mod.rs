//! Network namespaces, bridges, connection tracking and netlink.

pub(crate) mod bridge;
pub(crate) mod conntrack;
pub(crate) mod netlink;
pub(crate) mod netns;
