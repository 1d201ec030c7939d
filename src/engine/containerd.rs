//! containerd's CRI plugin, used by Kubernetes and crictl. Its annotations are
//! `io.kubernetes.cri.…`.
//!
//! It reports no exposed ports; `org.oci-link.ports` declares them. containerd passes pod
//! annotations on only if its configuration allows it (`oci-link configure containerd`).

use super::engine_env::without_added;
use super::{Clues, EngineFiles, Facts, known};
use crate::error::Result;
use crate::model::{ContainerName, Hostname, Variable};
use std::collections::HashSet;

pub(super) struct Containerd;

impl EngineFiles for Containerd {
    fn name(&self) -> &'static str {
        "containerd CRI"
    }

    fn made(&self, clues: &Clues<'_>) -> bool {
        clues.spec.annotations.get("io.kubernetes.cri.container-type").is_some()
    }

    fn facts(&self, clues: &Clues<'_>) -> Result<Facts> {
        let get = |key: &str| clues.spec.annotations.get(&format!("io.kubernetes.cri.{key}"));
        if get("container-type") == Some("sandbox") {
            return Ok(Facts { is_pod_infra: true, ..Facts::default() });
        }
        // In CRI the pod has the host name; its containers get it as a variable.
        let hostname = clues.spec.environment.iter().rfind(|variable| variable.key == "HOSTNAME");
        let hostname = hostname.and_then(|variable| known(Hostname::new(&variable.value)));
        let environment = without_services(&clues.spec.environment);
        let hostnames = [hostname.as_ref(), clues.spec.hostname.as_ref()];
        Ok(Facts {
            name: get("container-name").and_then(|name| known(ContainerName::new(name))),
            environment: Some(without_added(&environment, &[], &hostnames)),
            hostname,
            ..Facts::default()
        })
    }
}

/// Longest name of a Kubernetes service: it is a DNS label.
const LONGEST_SERVICE: usize = 63;

/// Returns `environment` without the variables that the kubelet adds for services.
///
/// For each service in the pod's namespace the kubelet adds `X_SERVICE_HOST`, `X_SERVICE_PORT…` and
/// Docker's link variables `X_PORT…`. They describe links, and links are not transitive.
pub(super) fn without_services(environment: &[Variable]) -> Vec<Variable> {
    let services: HashSet<&str> = environment
        .iter()
        .filter_map(|variable| variable.key.strip_suffix("_SERVICE_HOST"))
        .collect();
    // An image may have many variables with long names. Each key is scanned once, over its first
    // `LONGEST_SERVICE` + 1 bytes.
    let of_service = |key: &str| {
        let ends = key.bytes().take(LONGEST_SERVICE + 1).enumerate();
        ends.filter(|(_, byte)| *byte == b'_')
            .any(|(end, _)| says_of_service(&key[end + 1..]) && services.contains(&key[..end]))
    };
    environment.iter().filter(|variable| !of_service(&variable.key)).cloned().collect()
}

/// Whether `rest` is what follows `X_` in a variable that the kubelet adds for service `X`.
fn says_of_service(rest: &str) -> bool {
    let port = rest.strip_prefix("PORT_").unwrap_or_default();
    ["SERVICE_HOST", "SERVICE_PORT", "PORT"].contains(&rest)
        || rest.starts_with("SERVICE_PORT_")
        || port.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the keys of `environment` that `without_services` keeps.
    fn left(environment: &[String]) -> Vec<String> {
        let variables: Vec<_> = environment.iter().map(|key| Variable::new(key, "1")).collect();
        without_services(&variables).into_iter().map(|variable| variable.key).collect()
    }

    #[test]
    fn what_is_said_of_services_goes() {
        let named = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        let all = named(&[
            "MY_DB_SERVICE_HOST",
            "MY_DB_SERVICE_PORT",
            "MY_DB_SERVICE_PORT_SQL",
            "MY_DB_PORT",
            "MY_DB_PORT_3306_TCP_ADDR",
            "MY_DB_PORTAL",
            "MY_DB_PORT_OF_CALL",
            "DB_PORT",
            "MY_DB",
            "É_PORT",
        ]);
        let own = named(&["MY_DB_PORTAL", "MY_DB_PORT_OF_CALL", "DB_PORT", "MY_DB", "É_PORT"]);
        assert_eq!(left(&all), own);
    }

    #[test]
    fn no_service_has_a_longer_name() {
        for (length, rest) in [(LONGEST_SERVICE, 0), (LONGEST_SERVICE + 1, 2)] {
            let name = "X".repeat(length);
            let both = [format!("{name}_SERVICE_HOST"), format!("{name}_PORT")];
            assert_eq!(left(&both).len(), rest, "{length}");
        }
    }

    /// Comparing every variable with every service would take minutes here.
    #[test]
    fn a_hundred_thousand_services() {
        let host = |number| format!("S{number}_SERVICE_HOST");
        let all: Vec<_> = (0..100_000).flat_map(|n| [host(n), format!("T{n}_PORT_1")]).collect();
        assert_eq!(left(&all).len(), 100_000);
        let long = "PORT_1_".repeat(100_000);
        assert_eq!(left(std::slice::from_ref(&long)), [long]);
    }
}
