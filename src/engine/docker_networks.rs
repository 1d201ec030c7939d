//! Docker's files about the networks of two containers: `NetworkSettings.Networks` in config.v2.json.
//!
//! Docker writes the names of a container's networks before it calls the runtime, and the addresses of a
//! running one, after `docker network connect` too.

use super::docker_links::is_id;
use super::sources::Listing;
use crate::error::{Kind, Result};
use crate::model::ContainerId;
use crate::oci::json;
use crate::sys::file;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

/// Size limit of config.v2.json.
const MAX_CONFIG: u64 = 8 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerFile<'a> {
    #[serde(borrow, default)]
    network_settings: Option<Settings<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Settings<'a> {
    #[serde(borrow, default)]
    networks: Option<BTreeMap<Cow<'a, str>, Option<Endpoint<'a>>>>,
}

#[derive(Deserialize, Default)]
struct Endpoint<'a> {
    #[serde(borrow, default, rename = "IPAddress")]
    v4: Cow<'a, str>,
    #[serde(borrow, default, rename = "GlobalIPv6Address")]
    v6: Cow<'a, str>,
}

/// The addresses of a container, by the names of its networks.
pub(crate) type Networks = BTreeMap<String, Vec<IpAddr>>;

impl Listing {
    /// Returns the addresses of the running container `source` on networks that the starting container
    /// `me` will be on too, by the engine's files. Empty if they do not say.
    pub(crate) fn shared_addresses(&self, me: &ContainerId, source: &ContainerId) -> Vec<IpAddr> {
        let Self::Docker(containers) = self else { return Vec::new() };
        let both = networks_of(containers, me)
            .and_then(|ours| Ok((ours, networks_of(containers, source)?)));
        match both {
            Ok((ours, theirs)) => shared(&ours, theirs),
            Err(error) => {
                log::debug!("{me}: its networks are unknown: {error}");
                Vec::new()
            }
        }
    }
}

fn shared(ours: &Networks, theirs: Networks) -> Vec<IpAddr> {
    theirs
        .into_iter()
        .filter(|(name, _)| ours.contains_key(name))
        .flat_map(|(_, ips)| ips)
        .collect()
}

fn networks_of(containers: &Path, id: &ContainerId) -> Result<Networks> {
    if !is_id(id.as_str()) {
        return Ok(Networks::default());
    }
    let path = containers.join(id.as_str()).join("config.v2.json");
    networks(&file::read(&path, MAX_CONFIG, Kind::Input)?)
}

/// Reads the networks in a config.v2.json.
pub(crate) fn networks(text: &[u8]) -> Result<Networks> {
    let file: ContainerFile<'_> = json::parse("config.v2.json", text)?;
    let networks = file.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let addresses = |endpoint: Option<Endpoint<'_>>| {
        let Endpoint { v4, v6 } = endpoint.unwrap_or_default();
        [v4, v6].iter().filter_map(|text| text.parse().ok()).collect()
    };
    Ok(networks
        .into_iter()
        .map(|(name, endpoint)| (name.into_owned(), addresses(endpoint)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a container on two networks, as docker 28.5 writes it.
    const RUNNING: &str = r#"{"ID":"a","NetworkSettings":{"Bridge":"","Networks":{
        "far":{"IPAMConfig":null,"Links":null,"NetworkID":"348d","IPAddress":"172.18.0.2",
            "IPPrefixLen":16,"GlobalIPv6Address":""},
        "bridge":{"IPAMConfig":null,"Links":null,"NetworkID":"349e","IPAddress":"172.17.0.2",
            "IPPrefixLen":16,"GlobalIPv6Address":"fd00:77::2"}},"Service":null}}"#;

    #[test]
    fn addresses_on_networks_of_both_are_found() {
        let of = |text: &str| networks(text.as_bytes()).unwrap();
        let created = |names: &str| of(&format!(r#"{{"NetworkSettings":{{"Networks":{names}}}}}"#));
        let found = |names: &str| -> Vec<String> {
            let ips = shared(&created(names), of(RUNNING));
            ips.iter().map(ToString::to_string).collect()
        };
        assert_eq!(found(r#"{"far":null}"#), ["172.18.0.2"]);
        let empty = r#"{"bridge":{"IPAddress":"","GlobalIPv6Address":"","Links":["db:x"]}}"#;
        assert_eq!(found(empty), ["172.17.0.2", "fd00:77::2"]);
        assert_eq!(found(r#"{"bridge":null,"far":{}}"#).len(), 3);
        assert_eq!(found(r#"{"none":null,"other":{}}"#), [""; 0]);
        assert_eq!(found("null"), [""; 0]);
        for other in ["{}", r#"{"NetworkSettings":null}"#] {
            assert_eq!(shared(&of(other), of(RUNNING)), Vec::<IpAddr>::new(), "{other}");
        }
        for bad in ["", "7", r#"{"NetworkSettings":{"Networks":[]}}"#] {
            assert!(networks(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_recorded_container_has_its_address() {
        let text = include_bytes!("../../test-bundles/recorded/docker-28.5/config.v2.json");
        let expected = Networks::from([("bridge".to_owned(), vec![[172, 17, 0, 2].into()])]);
        assert_eq!(networks(text).unwrap(), expected);
    }
}
