//! Networks of CNI, as nerdctl writes them: which bridges the firewall plugin separates from others.
//!
//! nerdctl asks for `"ingressPolicy": "same-bridge"` if the plugin has it (containernetworking-plugins
//! 1.1.0), or for the older plugin `isolation`. Both drop what comes from one bridge with this policy and
//! goes to another one. Without them, containers of two networks reach each other.

use crate::error::{Kind, Result};
use crate::model::{BridgeName, Separation};
use crate::oci::json;
use crate::sys::file;
use serde::Deserialize;
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

/// Where CNI's networks are. nerdctl keeps those of a namespace of containerd in a directory below.
const NETWORKS: &str = "/etc/cni/net.d";
/// The bridge of a network that names none.
const DEFAULT_BRIDGE: &str = "cni0";
/// Size limit of the file of a network.
const MAX_NETWORK: u64 = 1 << 20;
/// Limit of networks that are read.
const MAX_NETWORKS: usize = 1024;

/// A list of plugins, or one plugin.
#[derive(Deserialize)]
struct Network<'a> {
    #[serde(borrow, default)]
    plugins: Vec<Plugin<'a>>,
    #[serde(borrow, flatten)]
    single: Plugin<'a>,
}

#[derive(Deserialize)]
struct Plugin<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    bridge: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "ingressPolicy")]
    ingress: Option<Cow<'a, str>>,
}

/// Reads how far the networks of CNI separate their bridges. A file that cannot be read is logged, and
/// says nothing about its bridge.
pub(super) fn bridges() -> Vec<(BridgeName, Separation)> {
    bridges_in(Path::new(NETWORKS))
}

fn bridges_in(directory: &Path) -> Vec<(BridgeName, Separation)> {
    let (mut files, directories): (Vec<PathBuf>, Vec<PathBuf>) =
        entries(directory).into_iter().partition(|path| !path.is_dir());
    files.extend(directories.iter().flat_map(|below| entries(below)));
    let is_network = |path: &PathBuf| {
        path.extension().is_some_and(|end| ["conf", "conflist", "json"].iter().any(|it| end == *it))
    };
    files.retain(is_network);
    let found = files.iter().take(MAX_NETWORKS).filter_map(|path| {
        let separation =
            file::read(path, MAX_NETWORK, Kind::Input).and_then(|text| separation(&text));
        separation
            .inspect_err(|error| log::warn!("{}: ignored: {error}", file::shown(path)))
            .ok()?
    });
    found.collect()
}

/// The paths in a directory; none if it cannot be read.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).take(MAX_NETWORKS).collect()
}

/// Returns the bridge of a network, and how far it is separated; `None` for a network without a bridge.
pub(crate) fn separation(text: &[u8]) -> Result<Option<(BridgeName, Separation)>> {
    let network: Network<'_> = json::parse("network", text)?;
    let plugins = if network.plugins.is_empty() { vec![network.single] } else { network.plugins };
    let Some(first) = plugins.iter().find(|plugin| plugin.kind == "bridge") else {
        return Ok(None);
    };
    let name = first.bridge.as_deref().filter(|name| !name.is_empty()).unwrap_or(DEFAULT_BRIDGE);
    let separation = plugins.iter().map(|plugin| match plugin.kind.as_ref() {
        "isolation" => Separation::FromSeparated,
        "firewall" => match plugin.ingress.as_deref() {
            None | Some("" | "open") => Separation::Open,
            Some("same-bridge") => Separation::FromSeparated,
            // A policy that is not known yet.
            Some(_) => Separation::FromAll,
        },
        _ => Separation::Open,
    });
    let separation = separation.max().unwrap_or(Separation::Open);
    Ok(BridgeName::new(name).ok().map(|bridge| (bridge, separation)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// nerdctl's default network, by its docs/cni.md, with what `nerdctl network create` adds.
    fn conflist(bridge: &str, last: &str) -> String {
        format!(
            r#"{{
  "cniVersion": "1.0.0",
  "name": "bridge",
  "nerdctlID": "17f29b073143d8cd97b5bbe492bdeffec1c5fee55cc1fe2112c8b9335f8b6121",
  "nerdctlLabels": {{ "nerdctl/default-network": "true" }},
  "plugins": [
    {{
      "type": "bridge",
      "bridge": "{bridge}",
      "isGateway": true,
      "ipMasq": true,
      "hairpinMode": true,
      "ipam": {{
        "ranges": [ [ {{ "gateway": "10.4.0.1", "subnet": "10.4.0.0/24" }} ] ],
        "routes": [ {{ "dst": "0.0.0.0/0" }} ],
        "type": "host-local"
      }}
    }},
    {{ "type": "portmap", "capabilities": {{ "portMappings": true }} }},
    {last},
    {{ "type": "tuning" }}
  ]
}}"#
        )
    }

    fn judge(text: &str) -> Option<(String, Separation)> {
        separation(text.as_bytes()).unwrap().map(|(bridge, how)| (bridge.to_string(), how))
    }

    #[test]
    fn the_policy_of_the_firewall_plugin_counts() {
        for (last, expected) in [
            (
                r#"{ "type": "firewall", "ingressPolicy": "same-bridge" }"#,
                Separation::FromSeparated,
            ),
            (r#"{ "type": "firewall", "backend": "iptables" }"#, Separation::Open),
            (r#"{ "type": "firewall", "ingressPolicy": "open" }"#, Separation::Open),
            (r#"{ "type": "firewall", "ingressPolicy": "" }"#, Separation::Open),
            (r#"{ "type": "firewall", "ingressPolicy": "later" }"#, Separation::FromAll),
            (r#"{ "type": "firewall" }, { "type": "isolation" }"#, Separation::FromSeparated),
            (r#"{ "type": "dnsname", "domainName": "dns" }"#, Separation::Open),
        ] {
            let found = judge(&conflist("nerdctl0", last));
            assert_eq!(found, Some(("nerdctl0".to_owned(), expected)), "{last}");
        }
    }

    #[test]
    fn other_forms_of_networks() {
        let single = r#"{"cniVersion":"0.4.0","name":"mynet","type":"bridge","bridge":"cni7",
            "isGateway":true,"ipMasq":true,"ipam":{"type":"host-local","subnet":"172.19.0.0/24"}}"#;
        assert_eq!(judge(single), Some(("cni7".to_owned(), Separation::Open)));
        let unnamed = r#"{"name":"a","plugins":[{"type":"bridge"},
            {"type":"firewall","ingressPolicy":"same-bridge"}]}"#;
        assert_eq!(judge(unnamed), Some(("cni0".to_owned(), Separation::FromSeparated)));
        for other in [
            r#"{"name":"m","plugins":[{"type":"macvlan","master":"eth0"}]}"#,
            r#"{"name":"lo","type":"loopback"}"#,
            r#"{"name":"odd","plugins":[{"type":"bridge","bridge":"a b"}]}"#,
            "{}",
        ] {
            assert_eq!(judge(other), None, "{other}");
        }
        for bad in ["", "[]", r#"{"plugins":{}}"#, r#"{"plugins":[{"type":7}]}"#] {
            assert!(separation(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_of_a_namespace_are_in_a_directory_of_their_own() {
        let name = format!("oci-link-cni-networks-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(directory.join("default")).unwrap();
        let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
        let apart = r#"{ "type": "firewall", "ingressPolicy": "same-bridge" }"#;
        write("nerdctl-bridge.conflist", &conflist("nerdctl0", apart));
        write(
            "default/nerdctl-far.conflist",
            &conflist("br-0123456789ab", r#"{ "type": "firewall" }"#),
        );
        write("broken.conf", "{");
        write("nerdctl.lock", &conflist("nerdctl9", apart));
        let mut found = bridges_in(&directory);
        found.sort();
        let bridge = |name: &str| BridgeName::new(name).unwrap();
        let expected = vec![
            (bridge("br-0123456789ab"), Separation::Open),
            (bridge("nerdctl0"), Separation::FromSeparated),
        ];
        assert_eq!(found, expected);
        assert_eq!(bridges_in(&directory.join("none")), []);
        fs::remove_dir_all(&directory).unwrap();
    }
}
