//! containerd's CRI plugin, for Kubernetes and crictl: annotations `io.kubernetes.cri.…`. It tells
//! no ports; `org.oci-link.ports` does. Annotations of pods come through only where containerd's
//! configuration lets them (`oci-link configure containerd`).

use super::added::without_added;
use super::{Clues, Engine, Facts, known};
use crate::error::Result;
use crate::model::{ContainerName, Hostname, Variable};

pub(super) struct Containerd;

impl Engine for Containerd {
    fn name(&self) -> &'static str {
        "containerd CRI"
    }

    fn made(&self, clues: &Clues<'_>) -> bool {
        clues.spec.annotations.get("io.kubernetes.cri.container-type").is_some()
    }

    fn facts(&self, clues: &Clues<'_>) -> Result<Facts> {
        let get = |key: &str| clues.spec.annotations.get(&format!("io.kubernetes.cri.{key}"));
        if get("container-type") == Some("sandbox") {
            return Ok(Facts { is_sandbox: true, ..Facts::default() });
        }
        // The pod has the host name, its containers get it as a variable.
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

/// `environment` without what the kubelet says of the services in the pod's namespace: for each of
/// them `X_SERVICE_HOST`, `X_SERVICE_PORT…`, and Docker's link variables `X_PORT…`. These are links
/// of a kind, and links are not transitive.
pub(super) fn without_services(environment: &[Variable]) -> Vec<Variable> {
    let services: Vec<&str> = environment
        .iter()
        .filter_map(|variable| variable.key.strip_suffix("_SERVICE_HOST"))
        .collect();
    let of_service = |key: &str| {
        services.iter().any(|service| {
            let rest = key.strip_prefix(service).and_then(|rest| rest.strip_prefix('_'));
            rest.is_some_and(|rest| {
                let port = rest.strip_prefix("PORT_").unwrap_or_default();
                ["SERVICE_HOST", "SERVICE_PORT", "PORT"].contains(&rest)
                    || rest.starts_with("SERVICE_PORT_")
                    || port.starts_with(|first: char| first.is_ascii_digit())
            })
        })
    };
    environment.iter().filter(|variable| !of_service(&variable.key)).cloned().collect()
}
