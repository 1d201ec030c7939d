//! Containers of docker, as its files describe them: annotations of ours that no runtime reads.

use super::HostContext;
use super::check::{Check, advice};
use crate::configure::docker_containers::is_ours;
use crate::error::{Kind, Result};
use crate::oci::annotations::{PREFIX, asks_for_links, misspelt};
use crate::sys::{file, process};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Where docker keeps its containers unless daemon.json says otherwise.
const DATA_ROOT: &str = "var/lib/docker";
/// The containers and problems that are looked at.
const MAX_CONTAINERS: usize = 10_000;
const SHOWN: usize = 20;
/// The size of a file that is read, in bytes.
const MAX_FILE: u64 = 8 << 20;

/// A container in docker's files.
#[derive(Debug, Default)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) runs: bool,
    /// Its addresses.
    pub(super) addresses: Vec<String>,
    /// The name of its runtime, and whether that is oci-link.
    pub(super) runtime: String,
    pub(super) is_ours: bool,
    annotations: Vec<(String, String)>,
    /// The keys of its labels.
    labels: Vec<String>,
}

pub(super) fn examine(context: &HostContext) -> Vec<Check> {
    let containers = containers(&context.question.root);
    let mut checks: Vec<Check> = containers.iter().flat_map(judge).collect();
    if checks.len() > SHOWN {
        let more = format!("{} more problems with annotations", checks.len() - SHOWN);
        checks.truncate(SHOWN);
        checks.push(Check::warning(
            "containers of docker",
            more,
            advice("docker inspect shows each container"),
        ));
    }
    checks
}

/// The problems of one container.
fn judge(container: &Container) -> Vec<Check> {
    let subject = format!("container {}", container.name);
    let mut checks = Vec::new();
    if let (Some((key, _)), false) = (container.annotations.first(), container.is_ours) {
        let asks = container.annotations.iter().any(|(key, value)| asks_for_links(key, value));
        let runtime = &container.runtime;
        let cause = if asks {
            format!("has the annotation {key}, but its runtime is {runtime}: it has no links")
        } else {
            format!("has the annotation {key}, but its runtime is {runtime}, which ignores it")
        };
        let fix = advice("create it again with docker run --runtime oci-link");
        checks.push(Check::trouble(asks, &subject, &cause, fix));
    }
    for (key, _) in &container.annotations {
        if let Some(meant) = misspelt(key) {
            let meant = match meant.as_str() {
                "" => String::new(),
                near => format!(": did you mean {near}?"),
            };
            let cause = format!("has the annotation {key}, which oci-link does not know{meant}");
            checks.push(Check::warning(
                &subject,
                cause,
                advice("create it again with the right one"),
            ));
        }
    }
    let is_annotated = |key: &&String| container.annotations.iter().any(|(other, _)| other == *key);
    for key in container.labels.iter().filter(|key| !is_annotated(key)) {
        let cause = format!("has the label {key}: oci-link reads annotations, and no labels");
        let fix = advice(format!("create it again with --annotation {key}=… in place of --label"));
        checks.push(Check::warning(&subject, cause, fix));
    }
    checks
}

/// The containers of docker below `root`. What cannot be read is left out.
pub(super) fn containers(root: &Path) -> Vec<Container> {
    let daemon = json(&root.join("etc/docker/daemon.json")).unwrap_or_default();
    let data = daemon["data-root"].as_str().unwrap_or(DATA_ROOT).trim_start_matches('/');
    let entries = fs::read_dir(root.join(data).join("containers")).into_iter().flatten();
    let directories = entries.filter_map(|entry| Some(entry.ok()?.path()));
    directories.take(MAX_CONTAINERS).filter_map(|place| container(&place, &daemon)).collect()
}

fn container(place: &Path, daemon: &Value) -> Option<Container> {
    let config = json(&place.join("config.v2.json")).ok()?;
    let host = json(&place.join("hostconfig.json")).ok()?;
    let keys = |value: &Value| -> Vec<(String, String)> {
        let members = value.as_object().into_iter().flatten();
        let ours = members.filter(|(key, _)| key.starts_with(PREFIX));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        ours.map(|(key, value)| (key.clone(), text(value))).collect()
    };
    let default = daemon["default-runtime"].as_str().unwrap_or("runc");
    let runtime = host["Runtime"].as_str().filter(|name| !name.is_empty()).unwrap_or(default);
    let networks = config["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    let addresses = networks.flat_map(|(_, network)| {
        ["IPAddress", "GlobalIPv6Address"].map(|key| network[key].as_str().unwrap_or_default())
    });
    let state = &config["State"];
    let pid = state["Pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
    let lives = pid.is_some_and(|pid| matches!(process::start_time(pid), Ok(Some(_)) | Err(_)));
    Some(Container {
        id: config["ID"].as_str()?.to_owned(),
        name: config["Name"].as_str()?.trim_start_matches('/').to_owned(),
        runs: lives && state["Running"].as_bool() == Some(true),
        addresses: addresses.filter(|ip| !ip.is_empty()).map(str::to_owned).collect(),
        runtime: runtime.to_owned(),
        is_ours: is_ours(&daemon["runtimes"][runtime]),
        annotations: keys(&host["Annotations"]),
        labels: keys(&config["Config"]["Labels"]).into_iter().map(|(key, _)| key).collect(),
    })
}

fn json(path: &Path) -> Result<Value> {
    let text = file::read(path, MAX_FILE, Kind::Input)?;
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}
