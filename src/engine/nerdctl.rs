//! nerdctl copies its labels into the annotations (nerdctl pkg/labels).
//!
//! This module uses `nerdctl/name`, `nerdctl/hostname`, `nerdctl/exposed-ports` (since 2.3) and
//! `nerdctl/ports`, which lists the published ports.

use super::engine_env::without_added;
use super::image_config::Exposed;
use super::{Clues, EngineFiles, Facts, fitting, known};
use crate::error::Result;
use crate::model::{ContainerName, Hostname, PortSet};
use crate::oci::annotations::Annotations;
use crate::oci::json::{self, Key};
use serde::Deserialize;
use std::borrow::Cow;

pub(super) struct Nerdctl;

impl EngineFiles for Nerdctl {
    fn name(&self) -> &'static str {
        "nerdctl"
    }

    fn made(&self, clues: &Clues<'_>) -> bool {
        ["nerdctl/namespace", "nerdctl/name"].iter().any(|key| label(clues, key).is_some())
    }

    fn facts(&self, clues: &Clues<'_>) -> Result<Facts> {
        let name = label(clues, "nerdctl/name").and_then(|name| known(ContainerName::new(name)));
        let hostname = label(clues, "nerdctl/hostname").and_then(|name| known(Hostname::new(name)));
        let hostnames = [hostname.as_ref(), clues.spec.hostname.as_ref()];
        let environment = without_added(&clues.spec.environment, &[], &hostnames);
        let ports = ports(&clues.spec.annotations);
        Ok(Facts { name, ports, environment: Some(environment), hostname, ..Facts::default() })
    }
}

fn label<'a>(clues: &Clues<'a>, key: &str) -> Option<&'a str> {
    clues.spec.annotations.get(key).filter(|value| !value.is_empty())
}

/// Returns the exposed and the published ports, because Docker's links count both.
///
/// Returns `None` if neither is known.
fn ports(annotations: &Annotations) -> Option<PortSet> {
    let get = |key, parse: fn(&str) -> Result<PortSet>| {
        let value = annotations.get(key)?;
        parse(value).inspect_err(|error| log::warn!("{key} ignored: {error}")).ok()
    };
    let (exposed, published) =
        (get("nerdctl/exposed-ports", exposed), get("nerdctl/ports", published));
    if exposed.is_none() && published.is_none() {
        return None;
    }
    Some(fitting([exposed, published].iter().flatten().flat_map(PortSet::iter)))
}

/// Reads `nerdctl/exposed-ports`: a JSON object like an image's, a JSON list of ports, or a list
/// separated by commas.
pub(crate) fn exposed(value: &str) -> Result<PortSet> {
    match value.trim_start().bytes().next() {
        Some(b'{') => {
            let all: Exposed = json::parse("exposed ports", value.as_bytes())?;
            Ok(all.ports())
        }
        Some(b'[') => {
            let all: Vec<Key<'_>> = json::parse("exposed ports", value.as_bytes())?;
            let all: Vec<&str> = all.iter().map(|item| &*item.0).collect();
            Ok(PortSet::parse(&all.join(","))?)
        }
        _ => Ok(PortSet::parse(value)?),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mapping<'a> {
    container_port: u16,
    #[serde(borrow)]
    protocol: Cow<'a, str>,
}

/// Reads `nerdctl/ports`:
/// `[{"HostPort":8080,"ContainerPort":80,"Protocol":"tcp","HostIP":"0.0.0.0"}]`, or `null`.
pub(crate) fn published(value: &str) -> Result<PortSet> {
    let all: Option<Vec<Mapping<'_>>> = json::parse("published ports", value.as_bytes())?;
    let all = all.unwrap_or_default();
    let all: Vec<String> =
        all.iter().map(|one| format!("{}/{}", one.container_port, one.protocol)).collect();
    Ok(PortSet::parse(&all.join(","))?)
}
