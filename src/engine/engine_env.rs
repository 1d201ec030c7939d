//! What engines add to a container's environment on their own. It is not the container's to show:
//! Docker's links passed on what user and image configured.

use crate::model::{Hostname, Variable};
use std::collections::HashSet;

/// `environment` without what an engine put there, as far as that can be told: an entry that the
/// image has too is the image's, and the user may have asked for the very value that an engine
/// would have added. `hostnames` are all values that the engine may have given `HOSTNAME`.
pub(super) fn without_added(
    environment: &[Variable],
    image: &[Variable],
    hostnames: &[Option<&Hostname>],
) -> Vec<Variable> {
    let is_hostname = |value: &str| hostnames.iter().flatten().any(|name| name.as_str() == value);
    let added = |variable: &Variable| match variable.key.as_str() {
        "HOSTNAME" => is_hostname(&variable.value),
        "TERM" => variable.value == "xterm",
        "container" => ["podman", "oci"].contains(&variable.value.as_str()),
        "HOME" => true,
        _ => false,
    };
    // An image may have as many as it likes.
    let image: HashSet<&Variable> = image.iter().collect();
    let own = |variable: &&Variable| !added(variable) || image.contains(variable);
    environment.iter().filter(own).cloned().collect()
}
