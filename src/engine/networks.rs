//! podman's networks: which bridges netavark separates from others.
//!
//! Containers of two networks reach each other unless a network has the option `isolate`, or is
//! internal. The file of a network says so. The default network has no file, and no such option.

use crate::error::{Kind, Result};
use crate::model::{BridgeName, Wall, Walls};
use crate::oci::json;
use crate::sys::file;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// Where podman keeps its networks.
const NETWORKS: &str = "/etc/containers/networks";
/// Size limit of the file of a network.
const MAX_NETWORK: u64 = 1 << 20;
/// Limit of networks that are read.
const MAX_NETWORKS: usize = 1024;

#[derive(Deserialize)]
struct Network<'a> {
    #[serde(borrow, default, rename = "network_interface")]
    bridge: Option<Cow<'a, str>>,
    #[serde(default)]
    internal: bool,
    #[serde(borrow, default)]
    options: HashMap<Cow<'a, str>, Cow<'a, str>>,
}

/// Reads which bridges podman separates from others. A file that cannot be read is logged, and
/// separates nothing.
pub(crate) fn walls() -> Walls {
    walls_in(Path::new(NETWORKS))
}

fn walls_in(directory: &Path) -> Walls {
    let Ok(entries) = std::fs::read_dir(directory) else { return Walls::default() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let files = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let found = files.take(MAX_NETWORKS).filter_map(|path| {
        let wall = file::read(&path, MAX_NETWORK, Kind::Input).and_then(|text| wall(&text));
        wall.inspect_err(|error| log::warn!("{}: ignored: {error}", file::shown(&path))).ok()?
    });
    Walls(found.collect())
}

/// Returns the bridge of a network that is separated from others.
fn wall(text: &[u8]) -> Result<Option<(BridgeName, Wall)>> {
    let network: Network<'_> = json::parse("network", text)?;
    let wall = match network.options.get("isolate").map(AsRef::as_ref) {
        _ if network.internal => Wall::FromAll,
        Some("strict") => Wall::FromAll,
        Some("true" | "1") => Wall::FromWalled,
        _ => return Ok(None),
    };
    let bridge = network.bridge.and_then(|name| BridgeName::new(&name).ok());
    Ok(bridge.map(|bridge| (bridge, wall)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_networks_with_the_option_or_internal_ones_are_separated() {
        let judge = |options: &str, internal: bool| {
            let text = format!(
                r#"{{"name":"a","driver":"bridge","network_interface":"podman1",
                "internal":{internal},"subnets":[]{options}}}"#
            );
            wall(text.as_bytes()).unwrap().map(|(bridge, wall)| (bridge.to_string(), wall))
        };
        let podman1 = |wall| Some(("podman1".to_owned(), wall));
        assert_eq!(judge("", false), None);
        assert_eq!(judge(r#","options":{"mtu":"1500"}"#, false), None);
        assert_eq!(judge(r#","options":{"isolate":"false"}"#, false), None);
        assert_eq!(judge(r#","options":{"isolate":"true"}"#, false), podman1(Wall::FromWalled));
        assert_eq!(judge(r#","options":{"isolate":"strict"}"#, false), podman1(Wall::FromAll));
        assert_eq!(judge("", true), podman1(Wall::FromAll));
        assert!(wall(b"{").is_err());
    }

    #[test]
    fn files_of_networks_are_read_and_others_are_not() {
        let name = format!("oci-link-networks-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(directory.join(name), text).unwrap();
        };
        write("a.json", r#"{"network_interface":"podman1","options":{"isolate":"true"}}"#);
        write("b.json", r#"{"network_interface":"podman2"}"#);
        write("c.json", "{");
        write("d.lock", r#"{"network_interface":"podman4","internal":true}"#);
        let walls = walls_in(&directory);
        let bridge = |name: &str| BridgeName::new(name).unwrap();
        assert_eq!(walls, Walls(vec![(bridge("podman1"), Wall::FromWalled)]));
        assert_eq!(walls_in(&directory.join("none")), Walls::default());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
