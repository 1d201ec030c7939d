//! Docker's files about its containers, as far as their runtime and links are concerned.
//!
//! Docker writes the runtime's name down when a container is created. A container keeps it until it is
//! created again, whatever the default runtime is then.

use crate::error::Kind;
use crate::oci::annotations::{PREFIX, asks_for_links};
use crate::sys::file;
use crate::sys::process::exec::below;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Where Docker keeps its containers unless daemon.json names another directory.
const DATA_ROOT: &str = "/var/lib/docker";
/// The runtime of containers without another one.
const RUNC: &str = "runc";
/// Limit of container directories that are read.
const MAX_CONTAINERS: usize = 10_000;
/// Size limit of one file, in bytes.
const MAX_FILE: u64 = 8 << 20;
/// The file names that Compose finds by itself.
const COMPOSE_FILES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// A container in Docker's files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    /// Its id: the name of its directory.
    pub(crate) id: String,
    /// Its name, without the slash.
    pub(crate) name: String,
    /// The name of its runtime.
    pub(crate) runtime: String,
    /// Whether that runtime is oci-link.
    pub(crate) is_ours: bool,
    /// Docker's own links on the default bridge, as written down.
    pub(crate) links: Vec<String>,
    /// Docker's own links on other networks, each with its network.
    pub(crate) network_links: Vec<(String, String)>,
    /// Whether an annotation of ours asks for links or isolation.
    pub(crate) is_annotated: bool,
    /// Whether `org.oci-link.links` replaces Docker's links.
    pub(crate) replaces_links: bool,
    /// Its host name.
    pub(crate) hostname: String,
    /// Its `NetworkMode`: the name of a network, or another mode.
    pub(crate) network: String,
    compose: Option<Compose>,
}

/// What Compose writes into the labels of a container.
#[derive(Debug, PartialEq, Eq)]
struct Compose {
    project: String,
    service: String,
    directory: Option<String>,
    /// Paths, if Compose does not find the files by itself.
    files: Vec<String>,
    /// Whether it was docker-compose of version 1.
    is_first: bool,
}

impl Made {
    /// Whether it has links of Docker's own.
    pub(crate) fn has_docker_links(&self) -> bool {
        !self.links.is_empty() || !self.network_links.is_empty()
    }

    /// Whether it is on the default bridge.
    pub(crate) fn is_on_bridge(&self) -> bool {
        ["", "default", "bridge"].contains(&self.network.as_str())
    }

    /// The command that creates it again. `None` if no file has it.
    pub(crate) fn again_command(&self) -> Option<String> {
        self.compose.as_ref().map(Compose::again)
    }

    /// How to create it again.
    pub(crate) fn again(&self) -> String {
        match &self.compose {
            Some(compose) => compose.again(),
            None => {
                let name = word(&self.name);
                format!("docker rm -f {name}, then the docker run of {name} again")
            }
        }
    }
}

impl Compose {
    fn of(labels: &Value) -> Option<Self> {
        let label = |name: &str| labels[format!("com.docker.compose.{name}")].as_str();
        // The container of `docker compose run` is that of no service.
        if label("oneoff").is_some_and(|oneoff| oneoff.eq_ignore_ascii_case("true")) {
            return None;
        }
        let files = label("project.config_files").unwrap_or_default();
        let files: Vec<String> =
            files.split(',').filter(|file| !file.is_empty()).map(str::to_owned).collect();
        let directory = label("project.working_dir").filter(|path| path.starts_with('/'));
        let is_found = |file: &String| {
            let place = Path::new(file);
            let is_usual =
                COMPOSE_FILES.iter().any(|usual| place.file_name() == Some(usual.as_ref()));
            let is_there = place.parent().is_none_or(|above| {
                above.as_os_str().is_empty() || Some(above) == directory.map(Path::new)
            });
            is_usual && is_there
        };
        Some(Self {
            project: label("project")?.to_owned(),
            service: label("service")?.to_owned(),
            directory: directory.map(str::to_owned),
            files: if files.len() == 1 && files.iter().all(is_found) { Vec::new() } else { files },
            is_first: label("version").is_some_and(|version| version.starts_with("1.")),
        })
    }

    fn again(&self) -> String {
        let enter = self.directory.iter().map(|path| format!("cd {} && ", word(path)));
        let files = (!self.files.is_empty()).then(|| self.files.join(":"));
        let files = files.map(|files| format!("COMPOSE_FILE={} ", word(&files)));
        let program = if self.is_first { "docker-compose" } else { "docker compose" };
        let (project, service) = (word(&self.project), word(&self.service));
        let call = format!("{program} -p {project} up -d --force-recreate {service}");
        enter.chain(files).chain([call]).collect()
    }
}

/// The containers of Docker on the host whose root directory is `root`, by name. `daemon` is the content of
/// daemon.json. What cannot be read is left out.
pub(crate) fn containers(root: &Path, daemon: &Value) -> Vec<Made> {
    let entries = fs::read_dir(data_root(root, daemon).join("containers")).into_iter().flatten();
    let places = entries.filter_map(|entry| Some(entry.ok()?.path())).take(MAX_CONTAINERS);
    let mut all: Vec<Made> = places.filter_map(|place| container(&place, daemon)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn data_root(root: &Path, daemon: &Value) -> PathBuf {
    let named = ["data-root", "graph"].into_iter().find_map(|key| daemon[key].as_str());
    below(root, Path::new(named.unwrap_or(DATA_ROOT)))
}

fn container(place: &Path, daemon: &Value) -> Option<Made> {
    let read = |name: &str| -> Option<Value> {
        let text = file::read(&place.join(name), MAX_FILE, Kind::Input).ok()?;
        serde_json::from_slice(&text).ok()
    };
    let made = made(&read("config.v2.json")?, &read("hostconfig.json")?, daemon)?;
    Some(Made { id: place.file_name()?.to_str()?.to_owned(), ..made })
}

fn made(config: &Value, host: &Value, daemon: &Value) -> Option<Made> {
    let runtime = match host["Runtime"].as_str().unwrap_or_default() {
        "" => default_runtime(daemon),
        name => name,
    };
    let network = host["NetworkMode"].as_str().unwrap_or_default();
    let list = |links: &Value| -> Vec<String> {
        let all = links.as_array().into_iter().flatten();
        all.filter_map(|link| Some(link.as_str()?.to_owned())).collect()
    };
    let is_alone = network == "none" || network == "host" || network.starts_with("container:");
    let networks = config["NetworkSettings"]["Networks"].as_object().filter(|_| !is_alone);
    let is_user_defined = |name: &str| !["bridge", "host", "none"].contains(&name);
    let others = networks.into_iter().flatten().filter(|(name, _)| is_user_defined(name));
    let on = |(name, network): (&String, &Value)| -> Vec<(String, String)> {
        list(&network["Links"]).into_iter().map(|link| (name.clone(), link)).collect()
    };
    let network_links = others.flat_map(on).collect();
    let annotations = || host["Annotations"].as_object().into_iter().flatten();
    let asks =
        |(key, value): (&String, &Value)| asks_for_links(key, value.as_str().unwrap_or_default());
    let mut made = Made {
        id: String::new(),
        name: config["Name"].as_str()?.trim_start_matches('/').to_owned(),
        is_ours: is_ours(&daemon["runtimes"][runtime]),
        runtime: runtime.to_owned(),
        links: Vec::new(),
        network_links,
        is_annotated: annotations().any(asks),
        replaces_links: annotations().any(|(key, _)| key.strip_prefix(PREFIX) == Some("links")),
        hostname: config["Config"]["Hostname"].as_str().unwrap_or_default().to_owned(),
        network: network.to_owned(),
        compose: Compose::of(&config["Config"]["Labels"]),
    };
    // On other networks the command line sends them twice.
    if made.is_on_bridge() {
        made.links = list(&host["Links"]);
    }
    Some(made)
}

/// The name of Docker's default runtime.
pub(crate) fn default_runtime(daemon: &Value) -> &str {
    daemon["default-runtime"].as_str().unwrap_or(RUNC)
}

/// Whether an entry of `runtimes` in daemon.json is the wrapper.
pub(crate) fn is_ours(entry: &Value) -> bool {
    let paths = [&entry["path"], &entry["options"]["BinaryName"]];
    let mut names = paths.into_iter().filter_map(|path| Path::new(path.as_str()?).file_name());
    names.any(|name| name.to_string_lossy().starts_with("oci-link"))
}

/// Quotes `text` as one word for a shell, without control characters.
pub(crate) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let visible = |c: char| match c {
        '\'' => r"'\''".to_owned(),
        '"' | '\\' => c.to_string(),
        _ => c.escape_debug().to_string(),
    };
    format!("'{}'", text.chars().map(visible).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(pairs: &[(&str, &str)]) -> Value {
        let label =
            |(name, value): &(&str, &str)| (format!("com.docker.compose.{name}"), json!(value));
        Value::Object(pairs.iter().map(label).collect())
    }

    fn again(pairs: &[(&str, &str)]) -> String {
        let config = json!({ "Name": "/web", "Config": { "Labels": labels(pairs) } });
        made(&config, &json!({}), &json!({})).unwrap().again()
    }

    #[test]
    fn commands() {
        let alone = "docker rm -f web, then the docker run of web again";
        let (project, service) = (("project", "shop"), ("service", "web"));
        let call = "docker compose -p shop up -d --force-recreate web";
        let directory = ("project.working_dir", "/srv/my shop");
        let files = |files| [project, service, directory, ("project.config_files", files)];
        let beside = "/srv/my shop/docker-compose.yml";
        for (labels, expected) in [
            (&[][..], alone.to_owned()),
            (&[project], alone.to_owned()),
            (&[project, service, ("oneoff", "True")], alone.to_owned()),
            (&[project, service, ("oneoff", "False")], call.to_owned()),
            (
                &[project, service, ("version", "1.29.2")],
                "docker-compose -p shop up -d --force-recreate web".to_owned(),
            ),
            (&[project, service, ("version", "2.40.3")], call.to_owned()),
            (&files(beside), format!("cd '/srv/my shop' && {call}")),
            (&files("compose.yaml"), format!("cd '/srv/my shop' && {call}")),
            (
                &files("/srv/a.yml,/srv/b.yml"),
                format!("cd '/srv/my shop' && COMPOSE_FILE=/srv/a.yml:/srv/b.yml {call}"),
            ),
            (
                &files("/srv/compose.yml"),
                format!("cd '/srv/my shop' && COMPOSE_FILE=/srv/compose.yml {call}"),
            ),
            (
                &[("project", "a'b\n"), service],
                r"docker compose -p 'a'\''b\n' up -d --force-recreate web".to_owned(),
            ),
        ] {
            assert_eq!(again(labels), expected);
        }
    }

    #[test]
    fn links_by_network_mode() {
        let links = |mode: &str, of_host: &Value, of_n1: &Value| {
            let networks = json!({ "bridge": null, "n1": { "Links": of_n1 } });
            let config = json!({ "Name": "/web", "NetworkSettings": { "Networks": networks } });
            let host = json!({ "NetworkMode": mode, "Links": of_host });
            let made = made(&config, &host, &json!({})).unwrap();
            (made.links.len(), made.network_links.len(), made.has_docker_links())
        };
        let (some, none) = (json!(["db:mysql", 1, null]), Value::Null);
        for mode in ["", "default", "bridge"] {
            assert_eq!(links(mode, &some, &none), (1, 0, true), "{mode}");
        }
        assert_eq!(links("n1", &some, &none), (0, 0, false));
        assert_eq!(links("n1", &some, &some), (0, 1, true));
        for mode in ["none", "host", "container:x"] {
            assert_eq!(links(mode, &some, &some), (0, 0, false), "{mode}");
        }
        assert_eq!(links("bridge", &json!("db"), &json!({})), (0, 0, false));
    }

    #[test]
    fn runtimes() {
        let daemon = json!({
            "default-runtime": "link",
            "runtimes": {
                "link": { "path": "/usr/bin/oci-link-runtime" },
                "shim": { "options": { "BinaryName": "/usr/bin/oci-link-runc" } },
                "nvidia": { "path": "/usr/bin/nvidia-container-runtime" },
            },
        });
        let ours = |runtime: &str, daemon: &Value| {
            let host = json!({ "Runtime": runtime });
            let made = made(&json!({ "Name": "/web" }), &host, daemon).unwrap();
            (made.runtime, made.is_ours)
        };
        for (name, runtime, expected) in [
            ("", "link", true),
            ("link", "link", true),
            ("shim", "shim", true),
            ("nvidia", "nvidia", false),
            ("runc", "runc", false),
            ("io.containerd.runc.v2", "io.containerd.runc.v2", false),
        ] {
            assert_eq!(ours(name, &daemon), (runtime.to_owned(), expected), "{name}");
        }
        assert_eq!(ours("", &json!({})), ("runc".to_owned(), false));
    }
}
