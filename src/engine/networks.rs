//! podman's networks: which bridges netavark separates from others.
//!
//! Containers of two networks reach each other unless a network has the option `isolate`, or is
//! internal. The file of a network says so. The default network has no file, and no such option.

use super::cni_networks;
use crate::error::{Kind, Result};
use crate::model::{BridgeName, SeparatedBridges, Separation};
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

/// Reads which bridges podman and the networks of CNI separate from others. A file that cannot be read is
/// logged and left out.
pub(crate) fn separated() -> SeparatedBridges {
    let SeparatedBridges(mut all) = separated_in(Path::new(NETWORKS));
    all.extend(cni_networks::bridges());
    SeparatedBridges(all)
}

fn separated_in(directory: &Path) -> SeparatedBridges {
    let Ok(entries) = std::fs::read_dir(directory) else { return SeparatedBridges::default() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let files = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let found = files.take(MAX_NETWORKS).filter_map(|path| {
        let separation =
            file::read(&path, MAX_NETWORK, Kind::Input).and_then(|text| separation(&text));
        separation
            .inspect_err(|error| log::warn!("{}: ignored: {error}", file::shown(&path)))
            .ok()?
    });
    SeparatedBridges(found.collect())
}

/// Returns the bridge of a network that is separated from others.
pub(crate) fn separation(text: &[u8]) -> Result<Option<(BridgeName, Separation)>> {
    let network: Network<'_> = json::parse("network", text)?;
    let separation = match network.options.get("isolate").map(AsRef::as_ref) {
        _ if network.internal => Separation::FromAll,
        Some("strict") => Separation::FromAll,
        Some("true" | "1") => Separation::FromSeparated,
        _ => return Ok(None),
    };
    let bridge = network.bridge.and_then(|name| BridgeName::new(&name).ok());
    Ok(bridge.map(|bridge| (bridge, separation)))
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
            separation(text.as_bytes())
                .unwrap()
                .map(|(bridge, separation)| (bridge.to_string(), separation))
        };
        let podman1 = |separation| Some(("podman1".to_owned(), separation));
        assert_eq!(judge("", false), None);
        assert_eq!(judge(r#","options":{"mtu":"1500"}"#, false), None);
        assert_eq!(judge(r#","options":{"isolate":"false"}"#, false), None);
        assert_eq!(
            judge(r#","options":{"isolate":"true"}"#, false),
            podman1(Separation::FromSeparated)
        );
        assert_eq!(
            judge(r#","options":{"isolate":"strict"}"#, false),
            podman1(Separation::FromAll)
        );
        assert_eq!(judge("", true), podman1(Separation::FromAll));
        assert!(separation(b"{").is_err());
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
        let separated = separated_in(&directory);
        let bridge = |name: &str| BridgeName::new(name).unwrap();
        assert_eq!(
            separated,
            SeparatedBridges(vec![(bridge("podman1"), Separation::FromSeparated)])
        );
        assert_eq!(separated_in(&directory.join("none")), SeparatedBridges::default());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
