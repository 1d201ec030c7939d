//! Network namespaces, bridges, routes, connection tracking and netlink.

pub(crate) mod address_changes;
pub(crate) mod bridge;
pub(crate) mod conntrack;
pub(crate) mod dial;
pub(crate) mod hardware;
pub(crate) mod listed;
pub(crate) mod netlink;
pub(crate) mod netns;
pub(crate) mod pinned;
pub(crate) mod routes;
