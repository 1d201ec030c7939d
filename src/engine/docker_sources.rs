//! Docker's files about all of its containers: `<data-root>/containers/*/`.
//!
//! `config.v2.json` has the name, the state and whether a user stopped the container.
//! `hostconfig.json` has the restart policy and the annotations. dockerd writes both before it
//! calls the runtime, each by rename.

use super::docker::is_id;
use super::sources::{Activity, Sibling, Siblings};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{ContainerName, Reference, parse_links};
use crate::oci::json;
use crate::sys::{file, process};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fs;
use std::path::Path;

/// Limit of container directories that are read.
const MAX_CONTAINERS: usize = 10_000;
/// Size limit of one file.
const MAX_FILE: u64 = 8 << 20;
/// Limit of bytes that are read of all files together.
const MAX_TOTAL: usize = 256 << 20;
/// Size limit of an annotation, as in config.json.
const MAX_VALUE: usize = 64 << 10;

/// Reads all containers below `containers`. A container whose files cannot be read makes the
/// result incomplete.
pub(super) fn read(containers: &Path) -> Result<Siblings> {
    let entries = fs::read_dir(containers).context(Kind::Input, || file::shown(containers))?;
    let (mut all, mut is_complete, mut total) = (Vec::new(), true, 0);
    let names = entries.map_while(|entry| entry.ok()?.file_name().into_string().ok());
    for name in names.filter(|name| is_id(name)) {
        if all.len() == MAX_CONTAINERS || total > MAX_TOTAL {
            is_complete = false;
            break;
        }
        match sibling(&containers.join(&name), name, &mut total) {
            Ok(sibling) => all.push(sibling),
            Err(error) => {
                log::debug!("{error}");
                is_complete = false;
            }
        }
    }
    Ok(Siblings::new(all, is_complete))
}

fn sibling(directory: &Path, id: String, total: &mut usize) -> Result<Sibling> {
    let mut read = |name: &str| -> Result<Vec<u8>> {
        let bytes = file::read(&directory.join(name), MAX_FILE, Kind::Input)?;
        *total += bytes.len();
        Ok(bytes)
    };
    let text = read("config.v2.json")?;
    let config: ContainerFile<'_> = json::parse("config.v2.json", &text)?;
    if config.id != id {
        return Err(Error::new(Kind::Input, "config.v2.json: belongs to another container"));
    }
    let host = read("hostconfig.json").and_then(|text| host_config(&text));
    let host = host.unwrap_or_else(|error| {
        log::debug!("{id}: restart policy and annotations are unknown: {error}");
        HostConfig::default()
    });
    let name = config.name.strip_prefix('/').unwrap_or(&config.name).to_owned();
    let annotated = host.name.filter(|annotated| *annotated != name);
    let activity = config.activity(host.restarts);
    let names = std::iter::once(name).chain(annotated).collect();
    Ok(Sibling { id, names, activity, sources: host.sources })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerFile<'a> {
    #[serde(borrow, rename = "ID")]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    state: State,
    #[serde(default)]
    has_been_manually_stopped: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    running: bool,
    #[serde(default)]
    pid: i32,
    #[serde(default)]
    dead: bool,
    #[serde(default)]
    removal_in_progress: bool,
}

impl ContainerFile<'_> {
    /// After a crash or a reboot the file calls containers running that are not, so the process is
    /// looked at. Between two attempts of a restart Docker writes `Running` and no pid.
    fn activity(&self, restarts: bool) -> Activity {
        let state = &self.state;
        // A process that cannot be seen is not treated as dead.
        let lives = || process::start_time(state.pid).map_or(true, |started| started.is_some());
        if state.running && state.pid > 0 && lives() {
            return Activity::Running;
        }
        let goes = state.dead || state.removal_in_progress || self.has_been_manually_stopped;
        if restarts && !goes { Activity::Restarts } else { Activity::Stopped }
    }
}

/// What links need of hostconfig.json.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct HostConfig {
    /// Whether it has a restart policy.
    restarts: bool,
    /// `org.oci-link.name`.
    name: Option<String>,
    /// The sources in `org.oci-link.links`.
    sources: Vec<Reference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfigFile<'a> {
    #[serde(borrow, default)]
    restart_policy: Option<RestartPolicy<'a>>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RestartPolicy<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
}

/// The annotations that links need.
#[derive(Deserialize)]
struct Annotations<'a> {
    #[serde(borrow, default, rename = "org.oci-link.name")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "org.oci-link.links")]
    links: Option<Cow<'a, str>>,
}

/// Parses hostconfig.json. Annotations that are not understood count as none: the policy counts
/// without them.
pub(crate) fn host_config(text: &[u8]) -> Result<HostConfig> {
    let file: HostConfigFile<'_> = json::parse("hostconfig.json", text)?;
    let policy = file.restart_policy.and_then(|policy| policy.name);
    let restarts =
        policy.is_some_and(|name| ["always", "unless-stopped", "on-failure"].contains(&&*name));
    let annotations = file.annotations.map_or("null", RawValue::get);
    let annotations: Option<Annotations<'_>> = serde_json::from_str(annotations).unwrap_or(None);
    let (name, links) = annotations.map_or((None, None), |ours| (ours.name, ours.links));
    let links = links.filter(|links| links.len() <= MAX_VALUE);
    let links = links.and_then(|links| parse_links(&links).ok()).unwrap_or_default();
    Ok(HostConfig {
        restarts,
        name: name.filter(|name| ContainerName::new(name).is_ok()).map(Cow::into_owned),
        sources: links.into_iter().map(|link| link.source).collect(),
    })
}
