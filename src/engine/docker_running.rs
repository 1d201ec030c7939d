//! Containers that Docker runs, whatever their runtime is: what its files say about one.
//!
//! A file is as old as its last change. Its process id may be another program's by now, so the caller
//! compares the process with what the file says.

use super::Facts;
use super::docker;
use super::docker_links::is_id;
use crate::error::{Error, Kind, Result};
use crate::model::{ContainerId, Reference};
use crate::oci::annotations::{Annotations, Declared};
use crate::oci::json;
use crate::sys::file;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

/// Size limit of one file.
const MAX_FILE: u64 = 8 << 20;
/// Limit of bytes that are read of all files together.
const MAX_TOTAL: usize = 256 << 20;
/// Limit of container directories that are read.
const MAX_CONTAINERS: usize = 10_000;

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
    networks: Option<BTreeMap<Cow<'a, str>, Option<Endpoint<'a>>>>,
}

#[derive(Deserialize)]
struct Endpoint<'a> {
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
/// files cannot be read is left out.
pub(crate) fn running(containers: &Path, wanted: &[Reference]) -> Vec<RunningContainer> {
    let Ok(entries) = std::fs::read_dir(containers) else { return Vec::new() };
    let names = entries.map_while(|entry| entry.ok()?.file_name().into_string().ok());
    let (mut found, mut total) = (Vec::new(), 0);
    for id in names.filter(|name| is_id(name)).take(MAX_CONTAINERS) {
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

fn one(
    directory: &Path,
    id: &str,
    wanted: &[Reference],
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
    let is_meant = |reference: &Reference| {
        let text = reference.as_str();
        let annotated = declared.name.as_ref().map(crate::model::ContainerName::as_str);
        text == name || Some(text) == annotated || text == id.as_str() || reference.begins(&id)
    };
    if !wanted.iter().any(is_meant) {
        return Ok(None);
    }
    let networks = config.network_settings.and_then(|settings| settings.networks);
    let endpoints = networks.unwrap_or_default().into_values().flatten();
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
                "n":{{"IPAddress":"10.0.0.2","MacAddress":"02:42:0a:00:00:02"}},"m":null}}}}}}"#
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
        let found = |name: &str| running(&directory, &[Reference::new(name).unwrap()]);
        let db = found("db");
        assert_eq!((db.len(), db[0].pid, db[0].id.as_str()), (1, 7, "0a".repeat(32).as_str()));
        let given = ("10.0.0.2".parse().unwrap(), Some([2, 0x42, 10, 0, 0, 2]));
        assert_eq!(db[0].addresses, [given]);
        assert_eq!(found("named").len(), 1);
        assert!(found("named")[0].declared.ports.is_some());
        assert_eq!(found(&"0c".repeat(6)).len(), 1);
        for none in ["stopped", "absent", "0d"] {
            assert!(found(none).is_empty(), "{none}");
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
