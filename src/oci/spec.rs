//! The part of config.json that links need.
//!
//! `oci-spec` takes five times as long for the whole file and refuses files that runtimes accept.
//! Each container start waits for this code, so it parses only a part.

use super::annotations::Annotations;
use super::hooks;
use super::json::{self, Key, Members, lenient};
use crate::error::{Error, Kind, Result};
use crate::model::{ContainerId, EngineLink, Hostname, Variable};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

/// Size limit of config.json. podman writes 18 KB.
pub(crate) const MAX_CONFIG: u64 = 64 << 20;

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
    /// The container's host name, if it has one that a hosts file can contain.
    pub(crate) hostname: Option<Hostname>,
    /// Whether it has a host name that a hosts file cannot contain.
    has_other_hostname: bool,
    /// The variables of `process.env` without those that an oci-link edit added.
    ///
    /// The added variables describe the sources, and links are not transitive.
    pub(crate) environment: Vec<Variable>,
    /// The keys of all variables, with those of links.
    keys: Vec<String>,
    /// The root filesystem, as an absolute path.
    root: Option<PathBuf>,
    /// The container's hosts file.
    pub(crate) hosts: HostsTarget,
    /// The host's file that is mounted on `/etc/resolv.conf`.
    ///
    /// Engines keep it beside their own files about the container, even if the user mounts another
    /// hosts file.
    pub(crate) resolv_conf: Option<PathBuf>,
    /// The links of the engine's own that were taken over when the container was created.
    pub(crate) engine_links: Vec<EngineLink>,
    /// The annotations that oci-link reads.
    pub(crate) annotations: Annotations,
}

/// A mount of config.json.
struct RawMount<'a> {
    destination: Cow<'a, str>,
    source: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    options: Vec<Key<'a>>,
}

impl Spec {
    /// Parses the config.json of `bundle`. Only text that is not a JSON object is an error.
    ///
    /// Runtimes check the rest. A part that links do not need must not keep a container from
    /// starting, so it counts as missing if it cannot be read.
    pub(crate) fn parse(bundle: &Path, text: &[u8]) -> Result<Self> {
        let text = json::text(text);
        let top: Members<'_> = json::config(&text)?;
        for (key, _) in &top.0 {
            if json::has_other_capitals(key, "annotations") {
                log::warn!("config.json has \"{key}\": write \"annotations\"");
            }
        }
        let process: Members<'_> = lenient(top.get("process"));
        let environment: Vec<&RawValue> = lenient(process.get("env"));
        let environment = environment.into_iter().filter_map(|raw| string(Some(raw)));
        let environment = environment.filter_map(|entry| Variable::parse(&entry));
        let injected = top.get("hooks").and_then(|raw| hooks::injected(raw).ok());
        let injected = injected.unwrap_or_default();
        let engine_links = top.get("hooks").and_then(|raw| hooks::engine_links(raw).ok());
        let (hostname, has_other_hostname) = hostname(top.get("hostname"));
        let root: Members<'_> = lenient(top.get("root"));
        let root = string(root.get("path")).filter(|path| !path.is_empty() && !path.contains('\0'));
        let mounts: Vec<&RawValue> = lenient(top.get("mounts"));
        let mounts: Vec<RawMount<'_>> = mounts.into_iter().map(RawMount::of).collect();
        let variables: Vec<Variable> = environment.collect();
        let keys = variables.iter().map(|variable| variable.key.clone()).collect();
        let own = variables.into_iter().filter(|variable| !injected.contains(&variable.key));
        Ok(Self {
            keys,
            hostname,
            has_other_hostname,
            environment: own.collect(),
            root: root.map(|root| bundle.join(&*root)),
            hosts: hosts_target(bundle, &mounts),
            resolv_conf: resolv_conf(bundle, &mounts),
            engine_links: engine_links.unwrap_or_default(),
            annotations: Annotations::of(&top),
        })
    }

    /// Whether the container gets a variable with this key, its own or that of a link.
    pub(crate) fn has_variable(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// Returns the root filesystem, as an absolute path. A missing one is an error.
    pub(crate) fn root(&self) -> Result<&Path> {
        self.root.as_deref().ok_or_else(|| Error::new(Kind::Input, "config.json has no root"))
    }

    /// Returns the container's host name. By default it is the short id, as in Docker.
    ///
    /// It is `None` if a hosts file cannot contain it.
    pub(crate) fn hostname_or(&self, id: &ContainerId) -> Option<Hostname> {
        if self.hostname.is_some() || self.has_other_hostname {
            return self.hostname.clone();
        }
        // An id may contain a plus sign; a host name may not.
        Hostname::new(&id.short().replace('+', "-")).ok()
    }
}

fn string<'a>(raw: Option<&'a RawValue>) -> Option<Cow<'a, str>> {
    let key: Option<Key<'a>> = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    key.map(|key| key.0)
}

/// Returns the host name, and whether there is one that cannot be used. Runtimes accept any text.
fn hostname(raw: Option<&RawValue>) -> (Option<Hostname>, bool) {
    let Some(name) = string(raw).filter(|name| !name.is_empty()) else { return (None, false) };
    match Hostname::new(&name) {
        Ok(name) => (Some(name), false),
        Err(error) => {
            log::warn!("left out of hosts files: {error}");
            (None, true)
        }
    }
}

/// Returns what the container sees as its hosts file. Mounts are made in order, so the last one
/// decides.
fn hosts_target(bundle: &Path, mounts: &[RawMount<'_>]) -> HostsTarget {
    // Runtimes refuse a mount without a destination, or ignore it.
    let mounts = mounts.iter().filter(|mount| !mount.destination.is_empty());
    mounts.fold(HostsTarget::Rootfs, |target, mount| {
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

impl<'a> RawMount<'a> {
    fn of(raw: &'a RawValue) -> Self {
        let members: Members<'a> = lenient(Some(raw));
        Self {
            destination: string(members.get("destination")).unwrap_or_default(),
            source: string(members.get("source")),
            kind: string(members.get("type")),
            options: lenient(members.get("options")),
        }
    }

    fn is_bind(&self) -> bool {
        self.kind.as_deref() == Some("bind")
            || self.options.iter().any(|option| option.0 == "bind" || option.0 == "rbind")
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
        let of = |text: &str, id: &ContainerId| {
            let spec = Spec::parse(Path::new("/b"), text.as_bytes()).unwrap();
            spec.hostname_or(id).map(|name| name.to_string())
        };
        assert_eq!(of("{}", &id).as_deref(), Some("0a0a0a0a0a0a"));
        assert_eq!(of(r#"{"hostname":"web"}"#, &id).as_deref(), Some("web"));
        assert_eq!(of(r#"{"hostname":""}"#, &id).as_deref(), Some("0a0a0a0a0a0a"));
        assert_eq!(of(r#"{"hostname":null}"#, &id).as_deref(), Some("0a0a0a0a0a0a"));
        for other in [
            "my host",
            "büro",
            "-x",
            ".x",
            "a:b",
            "a#b",
            "a\\tb",
            "a\\n6.6.6.6 db",
            "a/b",
            "\\ud800",
        ] {
            assert_eq!(of(&format!(r#"{{"hostname":"{other}"}}"#), &id), None, "{other}");
        }
        for (id, expected) in [("a+b", Some("a-b")), ("a b", None), (",", None), ("+x", None)] {
            let id = ContainerId::new(id).unwrap();
            assert_eq!(of("{}", &id).as_deref(), expected, "{id}");
        }
    }

    /// Everything that is not the shape of a config.json is the runtime's to refuse.
    #[test]
    fn what_no_link_needs_is_not_judged() {
        let parse = |text: &str| Spec::parse(Path::new("/b"), text.as_bytes());
        for text in [
            "{}",
            r#"{"root":null,"process":null,"mounts":null,"annotations":null,"hooks":null}"#,
            r#"{"root":1,"process":[],"mounts":{},"annotations":"","hooks":7,"hostname":{}}"#,
            r#"{"root":{"path":""},"process":{"env":{}},"mounts":[1,null,{}]}"#,
            r#"{"process":{"env":["A=1",2,null]}} trailing"#,
            r#"{"process":{"user":1},"linux":{"resources":{"pids":{"limit":null}}}}"#,
            r#"{"hooks":{"poststop":{"a":1}}}"#,
        ] {
            let spec = parse(text).unwrap();
            assert!(spec.root().is_err(), "{text}");
            assert_eq!(spec.hosts, HostsTarget::Rootfs, "{text}");
        }
        for bad in ["", "null", "[]", "{", "\"x\"", "{\"a\"}", "x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let spec = parse(r#"{"process":{"env":["A=1"],"env":["A=2","B=\ud800"]}}"#).unwrap();
        let shown: Vec<_> = spec.environment.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["A=2", "B=\u{fffd}"]);
        let broken = Spec::parse(Path::new("/b"), b"{\"process\":{\"env\":[\"A=\xff\"]}}").unwrap();
        assert_eq!(broken.environment, [Variable::new("A", "?")]);
    }
}
