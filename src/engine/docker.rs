//! Docker: reads config.v2.json in `<data-root>/containers/<id>/`.
//!
//! Docker keeps the file beside those that it mounts on /etc/hosts, /etc/hostname and
//! /etc/resolv.conf. Docker's own links used the same fields: name, `Config.ExposedPorts`,
//! `Config.Env`, `Config.Hostname`.

use super::image_config::Config;
use super::{Clues, EngineFiles, Facts, Listing, docker_links, known};
use crate::error::{Error, Kind, Result};
use crate::model::{ContainerId, ContainerName, Hostname, RecordedLink, TakesOver};
use crate::oci::json;
use crate::oci::spec::HostsTarget;
use crate::sys::file;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::path::PathBuf;

/// Size limit of config.v2.json, which also contains labels and the health check log. It names each
/// exposed port twice, once for the networks: 6 MiB if all ports of three protocols are exposed.
const MAX_CONFIG: u64 = 8 << 20;

pub(super) struct Docker;

impl EngineFiles for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn made(&self, clues: &Clues<'_>) -> bool {
        containers(clues).is_some()
    }

    fn facts(&self, clues: &Clues<'_>) -> Result<Facts> {
        let Some(containers) = containers(clues) else { return Ok(Facts::default()) };
        let path = containers.join(clues.id.as_str()).join("config.v2.json");
        parse(&file::read(&path, MAX_CONFIG, Kind::Input)?, clues.id)
    }

    fn listing(&self, clues: &Clues<'_>) -> Listing {
        containers(clues).map_or(Listing::None, Listing::Docker)
    }

    fn links(&self, clues: &Clues<'_>, wanted: TakesOver) -> Result<Vec<RecordedLink>> {
        let Some(containers) = containers(clues) else { return Ok(Vec::new()) };
        docker_links::read(&containers.join(clues.id.as_str()), wanted)
    }
}

/// Returns `<data-root>/containers`, derived from the mounts on /etc/hosts and /etc/resolv.conf.
///
/// A container in another container's network has that container's files mounted. The directory of
/// these files may therefore be named after the other id.
fn containers(clues: &Clues<'_>) -> Option<PathBuf> {
    let hosts = match &clues.spec.hosts {
        HostsTarget::Mount(path) => Some(path.as_path()),
        _ => None,
    };
    // A user may have mounted another file on one of the two.
    let mounted = [hosts, clues.spec.resolv_conf.as_deref()];
    mounted.into_iter().flatten().find_map(|path| {
        let id = path.parent()?;
        let all = id.parent()?;
        (docker_links::is_id(id.file_name()?.to_str()?) && all.ends_with("containers"))
            .then(|| all.to_path_buf())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerFile<'a> {
    #[serde(borrow, rename = "ID")]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    config: Config<'a>,
    #[serde(borrow, default)]
    network_settings: Option<&'a RawValue>,
}

/// Reads config.v2.json.
///
/// A file with another id than `id` is an error. A name or host name in a form that is not accepted
/// becomes `None`.
pub(crate) fn parse(text: &[u8], id: &ContainerId) -> Result<Facts> {
    let file: ContainerFile<'_> = json::parse("config.v2.json", text)?;
    if file.id != id.as_str() {
        return Err(Error::new(Kind::Input, "config.v2.json: belongs to another container"));
    }
    let hostname = file.config.hostname.as_deref().filter(|name| !name.is_empty());
    Ok(Facts {
        name: known(ContainerName::new(file.name.strip_prefix('/').unwrap_or(&file.name))),
        ports: Some(file.config.ports()),
        environment: Some(file.config.environment()),
        networks: file.network_settings.map(docker_links::names_in).unwrap_or_default(),
        hostname: hostname.and_then(|name| known(Hostname::new(name))),
        ..Facts::default()
    })
}
