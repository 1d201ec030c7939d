//! Network namespaces, bridges and netlink.

pub mod bridge;
pub mod conntrack;
pub mod netlink;
pub mod netns;
