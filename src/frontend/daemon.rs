//! Which daemon a command line of docker is for, and which runtime that daemon uses by default.
//! The daemon is not asked.

use super::Surroundings;
use super::words::{Given, Name};
use serde_json::Value;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The configuration of the daemon that listens on the default socket.
const CONFIGURATION: &str = "/etc/docker/daemon.json";
const DEFAULT_SOCKETS: [&str; 2] = ["unix:///var/run/docker.sock", "unix:///run/docker.sock"];
/// The name of our runtime, unless daemon.json has another one.
const RUNTIME: &str = "oci-link";

/// Where the daemon is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Daemon {
    /// On this host, with this configuration file. `None`: its file is not known.
    Local(Option<PathBuf>),
    /// Anywhere else, or behind a TCP port: whether oci-link is there is not known.
    Remote,
}

impl Daemon {
    /// The daemon that docker would use, from its global options, the environment and contexts.
    pub(crate) fn of(globals: &[Given<'_>], around: &dyn Surroundings) -> Self {
        let host = match host(globals, around) {
            Ok(host) => host,
            Err(UnknownContext) => return Self::Remote,
        };
        let Some(host) = host else { return Self::Local(Some(CONFIGURATION.into())) };
        let Some(socket) = host.strip_prefix("unix://") else { return Self::Remote };
        if socket.is_empty() || DEFAULT_SOCKETS.contains(&host.as_str()) {
            return Self::Local(Some(CONFIGURATION.into()));
        }
        let runtime = around.variable("XDG_RUNTIME_DIR");
        let is_own = Path::new(socket).starts_with("/run/user")
            || runtime.is_some_and(|own| Path::new(socket).starts_with(own));
        Self::Local(is_own.then(|| rootless_configuration(around)).flatten())
    }

    /// The runtime to name in a call; `None` if the daemon's default runtime is ours.
    pub(crate) fn runtime(&self, around: &dyn Surroundings) -> Option<String> {
        match self {
            Self::Local(Some(file)) => runtime(around.read(file).as_deref()),
            _ => Some(RUNTIME.to_owned()),
        }
    }
}

/// A context that is not among docker's files.
struct UnknownContext;

/// The address of the daemon; `None` is the default socket.
fn host(
    globals: &[Given<'_>],
    around: &dyn Surroundings,
) -> Result<Option<String>, UnknownContext> {
    let last = |letter, long: &str| {
        let names = [Name::Letter(letter), Name::Long(long.as_bytes())];
        let given = globals.iter().rev().find(|given| names.contains(&given.name));
        given.and_then(|given| given.value).filter(|value| !value.is_empty())
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    if let Some(host) = last(b'H', "host") {
        return Ok(Some(text(host)));
    }
    let directory = docker_directory(globals, around);
    let by_variable = around.variable("DOCKER_HOST").map(|host| text(host.as_bytes()));
    let context = match last(b'c', "context").map(text) {
        Some(context) => Some(context),
        None if by_variable.is_some() => None,
        None => around
            .variable("DOCKER_CONTEXT")
            .map(|context| text(context.as_bytes()))
            .or_else(|| current_context(directory.as_deref()?, around)),
    };
    match context.filter(|context| context != "default") {
        None => Ok(by_variable),
        Some(context) => directory
            .and_then(|directory| host_of_context(&directory, &context, around))
            .map(Some)
            .ok_or(UnknownContext),
    }
}

/// The directory of docker's own files.
fn docker_directory(globals: &[Given<'_>], around: &dyn Surroundings) -> Option<PathBuf> {
    let given = globals.iter().rev().find(|given| given.name == Name::Long(b"config"));
    let given = given.and_then(|given| given.value).map(|value| OsString::from_vec(value.to_vec()));
    let named = given.or_else(|| around.variable("DOCKER_CONFIG"));
    named.map(PathBuf::from).or_else(|| Some(Path::new(&around.variable("HOME")?).join(".docker")))
}

fn current_context(directory: &Path, around: &dyn Surroundings) -> Option<String> {
    let file = json(&around.read(&directory.join("config.json"))?)?;
    Some(file.get("currentContext")?.as_str()?.to_owned()).filter(|name| !name.is_empty())
}

/// The address in the file of a context. The directory of that file is named by a hash, so all are
/// read.
fn host_of_context(directory: &Path, name: &str, around: &dyn Surroundings) -> Option<String> {
    let files = around.entries(&directory.join("contexts/meta"));
    let mut all = files.iter().filter_map(|file| json(&around.read(&file.join("meta.json"))?));
    let file = all.find(|file| file.get("Name").and_then(Value::as_str) == Some(name))?;
    Some(file.pointer("/Endpoints/docker/Host")?.as_str()?.to_owned())
}

/// daemon.json of a daemon that runs as the user.
fn rootless_configuration(around: &dyn Surroundings) -> Option<PathBuf> {
    let home = || Some(PathBuf::from(around.variable("HOME")?).join(".config"));
    let directory = around.variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)?;
    Some(directory.join("docker/daemon.json"))
}

/// The name of our runtime in a daemon.json; `None` if it is the default one.
fn runtime(file: Option<&[u8]>) -> Option<String> {
    let file = file.and_then(json).unwrap_or_default();
    let default = file.get("default-runtime").and_then(Value::as_str).unwrap_or_default();
    let is_ours = |runtime: &Value| {
        let path = runtime.get("path").and_then(Value::as_str).map(Path::new);
        let name = path.and_then(Path::file_name).and_then(|name| name.to_str());
        name.is_some_and(|name| name == RUNTIME || name.starts_with("oci-link-"))
    };
    let runtimes = file.get("runtimes").and_then(Value::as_object);
    let ours: Vec<&str> = runtimes
        .into_iter()
        .flatten()
        .filter(|(_, runtime)| is_ours(runtime))
        .map(|(name, _)| name.as_str())
        .collect();
    if ours.contains(&default) || default == RUNTIME {
        return None;
    }
    let name = ours.iter().find(|name| **name == RUNTIME).or(ours.first());
    Some(name.copied().unwrap_or(RUNTIME).to_owned())
}

fn json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}
