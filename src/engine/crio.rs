//! CRI-O. Its annotations are `io.kubernetes.cri-o.…` (cri-o pkg/annotations).
//!
//! Its images are in containers/storage, like those of podman.

use super::containerd::without_services;
use super::engine_env::without_added;
use super::storage::{GraphRoot, ImageId};
use super::{Clues, EngineFiles, Facts, known};
use crate::error::Result;
use crate::model::{ContainerName, Hostname};
use crate::oci::json;
use serde::Deserialize;
use std::borrow::Cow;

pub(super) struct Crio;

impl EngineFiles for Crio {
    fn name(&self) -> &'static str {
        "CRI-O"
    }

    fn made(&self, clues: &Clues<'_>) -> bool {
        // podman writes some of these annotations too; `ENGINES` asks podman first.
        clues.spec.annotations.get("io.kubernetes.cri-o.ContainerType").is_some()
    }

    fn facts(&self, clues: &Clues<'_>) -> Result<Facts> {
        let get = |key: &str| clues.spec.annotations.get(&format!("io.kubernetes.cri-o.{key}"));
        if get("ContainerType") == Some("sandbox") {
            return Ok(Facts { is_pod_infra: true, ..Facts::default() });
        }
        let image = get("ImageRef").and_then(ImageId::new).and_then(|id| {
            let image = GraphRoot::of_rootfs(clues.spec.root().ok()?)?.image(&id);
            image
                .inspect_err(|error| {
                    log::warn!(
                        "{}: cannot read the exposed ports from the files of CRI-O: {error}",
                        clues.id.brief()
                    );
                })
                .ok()
        });
        let named = image.as_ref().map(|image| image.environment.as_slice()).unwrap_or_default();
        let hostname = get("HostName").and_then(|name| known(Hostname::new(name)));
        let hostnames = [hostname.as_ref(), clues.spec.hostname.as_ref()];
        let environment = without_services(&clues.spec.environment);
        let inner = clues.spec.annotations.get("io.kubernetes.container.name").map(Cow::Borrowed);
        let name = inner.or_else(|| get("Metadata").and_then(metadata_name));
        let name = name.or_else(|| get("Name").map(Cow::Borrowed));
        Ok(Facts {
            name: name.and_then(|name| known(ContainerName::new(&name))),
            environment: Some(without_added(&environment, named, &hostnames)),
            ports: image.map(|image| image.ports),
            hostname,
            ..Facts::default()
        })
    }
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, alias = "Name")]
    name: Cow<'a, str>,
}

/// Reads the container's name from the annotation `Metadata`, such as `{"name":"web","attempt":1}`.
///
/// Returns `None` for a value that is not such an object.
pub(crate) fn metadata_name(value: &str) -> Option<Cow<'_, str>> {
    let metadata = json::parse::<Metadata<'_>>("metadata", value.as_bytes());
    metadata.inspect_err(|error| log::debug!("name unknown: {error}")).ok().map(|known| known.name)
}
