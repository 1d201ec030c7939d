//! Variables that engines add to a container's environment.
//!
//! Recipients do not receive them: Docker's links passed on only what the user and the image
//! configured.

use crate::model::{Hostname, Variable};
use std::collections::HashSet;

/// Returns `environment` without the variables that the engine added, as far as this can be
/// detected.
///
/// A variable that is also in `image` is kept, because the image set it. A user's variable with the
/// value that the engine would add looks the same and is removed. `hostnames` are all values that
/// the engine may have given `HOSTNAME`.
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
    // A set, because an image may have any number of variables.
    let image: HashSet<&Variable> = image.iter().collect();
    let own = |variable: &&Variable| !added(variable) || image.contains(variable);
    environment.iter().filter(own).cloned().collect()
}
