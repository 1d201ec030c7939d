//! The part of config.json that links need.
//!
//! `oci-spec` takes five times as long for the whole file and refuses files that runtimes accept.
//! Each container start waits for this code, so it parses only a part.

use super::annotations::Annotations;
use super::{hooks, json};
use crate::error::{Error, Kind, Result};
use crate::model::{ContainerId, Hostname, Invalid, Variable};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

/// Size limit of config.json. podman writes 18 KB.
pub(crate) const MAX_CONFIG: u64 = 4 << 20;

/// What the container sees as its `/etc/hosts`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HostsTarget {
    /// A bind mount of this file of the host.
    Mount(PathBuf),
    /// The file in the root filesystem.
    Rootfs,
    /// Hidden by another mount on `/etc/hosts` or a directory above it.
    Hidden,
}

/// The part of config.json that oci-link uses.
#[derive(Debug)]
pub(crate) struct Spec {
    /// The container's host name.
    pub(crate) hostname: Option<Hostname>,
    /// The variables of `process.env` without those that an oci-link edit added.
    ///
    /// The added variables describe the sources, and links are not transitive.
    pub(crate) environment: Vec<Variable>,
    /// The root filesystem, as an absolute path.
    pub(crate) root: PathBuf,
    /// The container's hosts file.
    pub(crate) hosts: HostsTarget,
    /// The host's file that is mounted on `/etc/resolv.conf`.
    ///
    /// Engines keep it beside their own files about the container, even if the user mounts another
    /// hosts file.
    pub(crate) resolv_conf: Option<PathBuf>,
    /// All annotations.
    pub(crate) annotations: Annotations,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    hostname: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    process: Option<RawProcess<'a>>,
    #[serde(borrow, default)]
    root: Option<RawRoot<'a>>,
    #[serde(borrow, default)]
    mounts: Option<Vec<RawMount<'a>>>,
    #[serde(default)]
    annotations: Option<Annotations>,
    #[serde(borrow, default)]
    hooks: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawProcess<'a> {
    #[serde(borrow, default)]
    env: Option<Vec<json::Key<'a>>>,
}

#[derive(Deserialize)]
struct RawRoot<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawMount<'a> {
    #[serde(borrow)]
    destination: Cow<'a, str>,
    #[serde(borrow, default)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    options: Option<Vec<json::Key<'a>>>,
}

impl Spec {
    /// Parses the config.json of `bundle`. A missing root path or a bad host name is an error.
    pub(crate) fn parse(bundle: &Path, text: &[u8]) -> Result<Self> {
        let raw: Raw<'_> = json::parse("config.json", text)?;
        let root = raw.root.ok_or_else(|| Error::new(Kind::Input, "config.json has no root"))?;
        if root.path.is_empty() || root.path.contains('\0') {
            return Err(Invalid::new("root.path", &root.path, "not a path").into());
        }
        let environment = raw.process.and_then(|process| process.env).unwrap_or_default();
        let environment = environment.iter().filter_map(|entry| Variable::parse(&entry.0));
        let injected = raw.hooks.map(hooks::injected).transpose()?.unwrap_or_default();
        Ok(Self {
            hostname: match raw.hostname.as_deref() {
                None | Some("") => None,
                Some(name) => Some(Hostname::new(name)?),
            },
            environment: environment.filter(|v| !injected.contains(&v.key)).collect(),
            root: bundle.join(&*root.path),
            hosts: hosts_target(bundle, raw.mounts.as_deref().unwrap_or_default()),
            resolv_conf: resolv_conf(bundle, raw.mounts.as_deref().unwrap_or_default()),
            annotations: raw.annotations.unwrap_or_default(),
        })
    }

    /// Returns the container's host name. By default it is the short id, as in Docker.
    pub(crate) fn hostname_or(&self, id: &ContainerId) -> Result<Hostname> {
        match &self.hostname {
            Some(name) => Ok(name.clone()),
            // An id may contain a plus sign; a host name may not.
            None => Ok(Hostname::new(&id.short().replace('+', "-"))?),
        }
    }
}

/// Returns what the container sees as its hosts file. Mounts are made in order, so the last one
/// decides.
fn hosts_target(bundle: &Path, mounts: &[RawMount<'_>]) -> HostsTarget {
    mounts.iter().fold(HostsTarget::Rootfs, |target, mount| {
        let destination = cleaned(&mount.destination);
        match (destination.as_path(), &mount.source) {
            (path, Some(source)) if path == Path::new("/etc/hosts") && mount.is_bind() => {
                HostsTarget::Mount(bundle.join(&**source))
            }
            (path, _) if Path::new("/etc/hosts").starts_with(path) => HostsTarget::Hidden,
            _ => target,
        }
    })
}

fn resolv_conf(bundle: &Path, mounts: &[RawMount<'_>]) -> Option<PathBuf> {
    let mount = mounts.iter().rfind(|mount| mount.destination == "/etc/resolv.conf")?;
    mount.source.as_deref().filter(|_| mount.is_bind()).map(|source| bundle.join(source))
}

impl RawMount<'_> {
    fn is_bind(&self) -> bool {
        let options = self.options.as_deref().unwrap_or_default();
        self.kind.as_deref() == Some("bind")
            || options.iter().any(|option| option.0 == "bind" || option.0 == "rbind")
    }
}

/// Normalizes a mount destination as runtimes do: absolute, without `.`, `..` and doubled slashes.
fn cleaned(destination: &str) -> PathBuf {
    let mut path = PathBuf::from("/");
    for component in Path::new(destination).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                path.pop();
            }
            _ => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(mounts: &str) -> HostsTarget {
        let text = format!(r#"{{"root":{{"path":"r"}},"mounts":{mounts}}}"#);
        Spec::parse(Path::new("/b"), text.as_bytes()).unwrap().hosts
    }

    #[test]
    fn the_last_mount_decides() {
        let bind = |to: &str, from: &str| {
            format!(r#"{{"destination":"{to}","source":"{from}","type":"bind"}}"#)
        };
        let (first, second) = (bind("/etc/hosts", "/h1"), bind("/etc//./hosts", "/h2"));
        assert_eq!(target("null"), HostsTarget::Rootfs);
        assert_eq!(target(&format!("[{first}]")), HostsTarget::Mount("/h1".into()));
        assert_eq!(target(&format!("[{first},{second}]")), HostsTarget::Mount("/h2".into()));
        let relative = bind("/etc/x/../hosts", "h3");
        assert_eq!(target(&format!("[{relative}]")), HostsTarget::Mount("/b/h3".into()));
        let etc = r#"{"destination":"/etc","type":"tmpfs","source":"tmpfs"}"#;
        assert_eq!(target(&format!("[{first},{etc}]")), HostsTarget::Hidden);
        assert_eq!(target(&format!("[{etc},{first}]")), HostsTarget::Mount("/h1".into()));
        let shared = bind("/etc/hosts.d", "/other");
        assert_eq!(target(&format!("[{first},{shared}]")), HostsTarget::Mount("/h1".into()));
        for (how, expected) in [
            (r#""options":["rbind","ro"]"#, HostsTarget::Mount("/h".into())),
            (r#""options":["ro","bind"]"#, HostsTarget::Mount("/h".into())),
            (r#""type":"tmpfs","options":["ro"]"#, HostsTarget::Hidden),
        ] {
            let mount = format!(r#"{{"destination":"/etc/hosts","source":"/h",{how}}}"#);
            assert_eq!(target(&format!("[{mount}]")), expected, "{how}");
        }
    }

    #[test]
    fn of_resolv_conf_too_the_last_mount_decides() {
        let mount = |to: &str, rest: &str| format!(r#"{{"destination":"{to}"{rest}}}"#);
        let bind =
            |from: &str| mount("/etc/resolv.conf", &format!(r#","source":"{from}","type":"bind""#));
        let other = mount("/etc/hosts", r#","source":"/h","type":"bind""#);
        let tmpfs = mount("/etc/resolv.conf", r#","source":"tmpfs","type":"tmpfs""#);
        for (mounts, expected) in [
            (other.clone(), None),
            (format!("{},{other}", bind("/r1")), Some("/r1")),
            (format!("{},{}", bind("/r1"), bind("r2")), Some("/b/r2")),
            (format!("{},{tmpfs}", bind("/r1")), None),
        ] {
            let text = format!(r#"{{"root":{{"path":"r"}},"mounts":[{mounts}]}}"#);
            let spec = Spec::parse(Path::new("/b"), text.as_bytes()).unwrap();
            assert_eq!(spec.resolv_conf.as_deref(), expected.map(Path::new), "{mounts}");
        }
    }

    #[test]
    fn a_container_without_a_host_name_goes_by_its_short_id() {
        let id = ContainerId::new(&"0a".repeat(32)).unwrap();
        let spec = |text: &str| Spec::parse(Path::new("/b"), text.as_bytes());
        let name = |text: &str| spec(text).unwrap().hostname_or(&id).unwrap().to_string();
        assert_eq!(name(r#"{"root":{"path":"r"}}"#), "0a0a0a0a0a0a");
        assert_eq!(name(r#"{"root":{"path":"r"},"hostname":"web"}"#), "web");
        assert!(spec(r#"{"root":{"path":"r"},"hostname":"web\n6.6.6.6 db"}"#).is_err());
        assert!(spec(r#"{"root":{"path":""}}"#).is_err());
        assert!(spec("{}").is_err());
    }
}
