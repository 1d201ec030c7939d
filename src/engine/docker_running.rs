//! Containers that Docker runs, whatever their runtime is: what its files say about one.
//!
//! A file is as old as its last change. Its process id may be another program's by now, so the caller
//! compares the process with what the file says.

use super::Facts;
use super::docker;
use super::docker_links::is_id;
use crate::error::{Error, Kind, Result};
use crate::model::{ContainerId, ContainerName, LinkState, Meaning, NetworkName, Reference};
use crate::oci::annotations::{Annotations, Declared};
use crate::oci::json;
use crate::sys::file;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Size limit of one file.
const MAX_FILE: u64 = 8 << 20;
/// Limit of bytes that are read of all files together.
const MAX_TOTAL: usize = 256 << 20;
/// Limit of container directories that are read.
const MAX_CONTAINERS: usize = 10_000;

/// A source that a link wants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    /// Its name, its id or a prefix of it, or its alias on `network`.
    source: Reference,
    /// The network that the link is limited to, if Docker's name server knows aliases there.
    network: Option<NetworkName>,
}

impl Wanted {
    /// The source that a link waits for.
    pub(crate) fn by(link_state: &LinkState) -> Self {
        let id = match &link_state.meaning {
            Some(Meaning::Id(id)) => id.reference(),
            Some(Meaning::Name) | None => None,
        };
        let network = link_state.user_network().cloned();
        Self { source: id.unwrap_or_else(|| link_state.link.source.clone()), network }
    }

    /// The container `id`. `None` for an id that no link can name.
    pub(crate) fn with_id(id: &ContainerId) -> Option<Self> {
        Some(Self { source: id.reference()?, network: None })
    }

    /// Whether a container with these names is the one.
    fn is(&self, id: &ContainerId, names: [Option<&str>; 2], endpoints: &Endpoints<'_>) -> bool {
        let text = self.source.as_str();
        let is_alias = || {
            let network = self.network.as_ref().and_then(|it| endpoints.get(it.as_str()));
            let aliases = network.and_then(|it| it.as_ref()?.aliases.as_ref());
            aliases.is_some_and(|aliases| aliases.iter().any(|alias| alias == text))
        };
        names.contains(&Some(text)) || text == id.as_str() || self.source.begins(id) || is_alias()
    }
}

/// Files that were read at an earlier look: the time of the last change of each, and its inode.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashMap<String, (i64, i64, u64)>);

impl Seen {
    /// Lets the file of a container be read again at the next look.
    pub(crate) fn forget(&mut self, id: &ContainerId) {
        self.0.remove(id.as_str());
    }

    /// Whether the file of `id` has changed since the last look, which is this one from now on. Docker
    /// replaces a file, so it has another inode.
    fn is_news(&mut self, id: &str, path: &Path) -> bool {
        let Ok(now) = std::fs::symlink_metadata(path) else { return true };
        let now = (now.mtime(), now.mtime_nsec(), now.ino());
        self.0.insert(id.to_owned(), now) != Some(now)
    }
}

/// A container that runs by its file.
#[derive(Debug)]
pub(crate) struct RunningContainer {
    /// Its id.
    pub(crate) id: ContainerId,
    /// Its name, ports, variables and host name.
    pub(crate) facts: Facts,
    /// Its annotations.
    pub(crate) declared: Declared,
    /// Its first process.
    pub(crate) pid: i32,
    /// Its addresses, each with that of its interface.
    pub(crate) addresses: Vec<(IpAddr, Option<[u8; 6]>)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerFile<'a> {
    #[serde(borrow, rename = "ID")]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    state: State,
    #[serde(borrow, default)]
    network_settings: Option<NetworkSettings<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    running: bool,
    #[serde(default)]
    pid: i32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings<'a> {
    #[serde(borrow, default)]
    networks: Option<Endpoints<'a>>,
}

type Endpoints<'a> = BTreeMap<Cow<'a, str>, Option<Endpoint<'a>>>;

#[derive(Deserialize)]
struct Endpoint<'a> {
    #[serde(borrow, default, rename = "Aliases")]
    aliases: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default, rename = "IPAddress")]
    ipv4: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "GlobalIPv6Address")]
    ipv6: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "MacAddress")]
    hardware: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig<'a> {
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
}

/// Reads the containers below `containers` that run and that one of `wanted` names. A container whose
/// files cannot be read is left out, and so is one whose file is as it was when it was `seen`.
pub(crate) fn running(
    containers: &Path,
    wanted: &[Wanted],
    mut seen: Option<&mut Seen>,
) -> Vec<RunningContainer> {
    let Ok(entries) = std::fs::read_dir(containers) else { return Vec::new() };
    let names = entries.map_while(|entry| entry.ok()?.file_name().into_string().ok());
    let (mut found, mut total) = (Vec::new(), 0);
    for id in names.filter(|name| is_id(name)).take(MAX_CONTAINERS) {
        let file = containers.join(&id).join("config.v2.json");
        if seen.as_deref_mut().is_some_and(|seen| !seen.is_news(&id, &file)) {
            continue;
        }
        match one(&containers.join(&id), &id, wanted, &mut total) {
            Ok(container) => found.extend(container),
            Err(error) => log::debug!("{id}: {error}"),
        }
        if total > MAX_TOTAL {
            break;
        }
    }
    found
}

/// Reads the container with this id, if it runs by its file.
pub(crate) fn running_with_id(containers: &Path, id: &ContainerId) -> Option<RunningContainer> {
    let wanted = [Wanted::with_id(id).filter(|_| is_id(id.as_str()))?];
    let found = one(&containers.join(id.as_str()), id.as_str(), &wanted, &mut 0);
    found.inspect_err(|error| log::debug!("{id}: {error}")).ok()?
}

fn one(
    directory: &Path,
    id: &str,
    wanted: &[Wanted],
    total: &mut usize,
) -> Result<Option<RunningContainer>> {
    let text = file::read(&directory.join("config.v2.json"), MAX_FILE, Kind::Input)?;
    *total += text.len();
    let config: ContainerFile<'_> = json::parse("config.v2.json", &text)?;
    if config.id != id {
        return Err(Error::new(Kind::Input, "config.v2.json: belongs to another container"));
    }
    if !config.state.running || config.state.pid <= 0 {
        return Ok(None);
    }
    let id = ContainerId::new(id)?;
    let declared = annotations(directory)?.declared()?;
    let name = config.name.strip_prefix('/').unwrap_or(&config.name);
    let names = [Some(name), declared.name.as_ref().map(ContainerName::as_str)];
    let networks = config.network_settings.and_then(|settings| settings.networks);
    let networks = networks.unwrap_or_default();
    if !wanted.iter().any(|wanted| wanted.is(&id, names, &networks)) {
        return Ok(None);
    }
    let endpoints = networks.into_values().flatten();
    let addresses = endpoints.flat_map(|endpoint| {
        let hardware = endpoint.hardware.as_deref().and_then(hardware_address);
        let given = [endpoint.ipv4, endpoint.ipv6].into_iter().flatten();
        given.filter_map(move |text| Some((text.parse().ok()?, hardware)))
    });
    let (addresses, pid) = (addresses.collect(), config.state.pid);
    Ok(Some(RunningContainer { facts: docker::parse(&text, &id)?, declared, pid, addresses, id }))
}

fn annotations(directory: &Path) -> Result<Annotations> {
    let text = file::read(&directory.join("hostconfig.json"), MAX_FILE, Kind::Input)?;
    let config: HostConfig<'_> = json::parse("hostconfig.json", &text)?;
    Ok(Annotations::reported(config.annotations))
}

/// Parses `02:42:ac:11:00:02`.
fn hardware_address(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses() {
        assert_eq!(hardware_address("02:42:ac:11:00:02"), Some([2, 0x42, 0xac, 0x11, 0, 2]));
        for bad in
            ["", "02:42:ac:11:00", "02:42:ac:11:00:02:03", "2:42:ac:11:00:02", "xx:42:ac:11:00:02"]
        {
            assert_eq!(hardware_address(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_containers_that_run_and_are_meant() {
        let name = format!("oci-link-running-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let write = |start: &str, name: &str, running: bool, annotation: &str| {
            let id = start.repeat(32);
            let place = directory.join(&id);
            std::fs::create_dir_all(&place).unwrap();
            let config = format!(
                r#"{{"ID":"{id}","Name":"/{name}","State":{{"Running":{running},"Pid":7}},
                "Config":{{"ExposedPorts":{{"80/tcp":{{}}}}}},"NetworkSettings":{{"Networks":{{
                "n":{{"IPAddress":"10.0.0.2","MacAddress":"02:42:0a:00:00:02",
                "Aliases":["sql-{name}"]}},"m":null}}}}}}"#
            );
            std::fs::write(place.join("config.v2.json"), config).unwrap();
            let host = format!(r#"{{"Annotations":{annotation}}}"#);
            std::fs::write(place.join("hostconfig.json"), host).unwrap();
        };
        write("0a", "db", true, "null");
        write("0b", "stopped", false, "{}");
        write(
            "0c",
            "other",
            true,
            r#"{"org.oci-link.name":"named","org.oci-link.ports":"53/udp"}"#,
        );
        std::fs::create_dir_all(directory.join("0d".repeat(32))).unwrap();
        let on = |name: &str, network: Option<&str>| Wanted {
            source: Reference::new(name).unwrap(),
            network: network.map(|network| NetworkName::new(network).unwrap()),
        };
        let found = |name: &str| running(&directory, &[on(name, None)], None);
        let db = found("db");
        assert_eq!((db.len(), db[0].pid, db[0].id.as_str()), (1, 7, "0a".repeat(32).as_str()));
        let given = ("10.0.0.2".parse().unwrap(), Some([2, 0x42, 10, 0, 0, 2]));
        assert_eq!(db[0].addresses, [given]);
        assert_eq!(found("named").len(), 1);
        assert!(found("named")[0].declared.ports.is_some());
        assert_eq!(found(&"0c".repeat(6)).len(), 1);
        for none in ["stopped", "absent", "0d", "sql-db"] {
            assert!(found(none).is_empty(), "{none}");
        }
        // An alias counts on its network only.
        let by_alias = |network| running(&directory, &[on("sql-db", Some(network))], None).len();
        assert_eq!(["n", "m", "k"].map(by_alias), [1, 0, 0]);
        let id = |start: &str| ContainerId::new(&start.repeat(32)).unwrap();
        let of = |start: &str| running_with_id(&directory, &id(start)).map(|it| it.pid);
        assert_eq!(["0a", "0b", "0d", "0e"].map(of), [Some(7), None, None, None]);
        // A file is read again when it was replaced, or on request.
        let mut seen = Seen::default();
        let look = |seen: &mut Seen| running(&directory, &[on("db", None)], Some(seen)).len();
        assert_eq!((look(&mut seen), look(&mut seen)), (1, 0));
        seen.forget(&id("0a"));
        assert_eq!((look(&mut seen), look(&mut seen)), (1, 0));
        let [file, new] =
            ["config.v2.json", "new"].map(|it| directory.join("0a".repeat(32)).join(it));
        std::fs::copy(&file, &new).unwrap();
        std::fs::rename(&new, &file).unwrap();
        assert_eq!((look(&mut seen), look(&mut seen)), (1, 0));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
