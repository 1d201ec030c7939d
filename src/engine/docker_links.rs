//! Docker's own links in `<data-root>/containers/<id>/`, and what these files say of networks.
//!
//! `hostconfig.json` has the links on the default bridge, `config.v2.json` those on other networks.
//! dockerd writes both, each by rename, before it calls the runtime. They are never written here.

use crate::error::{Error, Kind, Result};
use crate::model::{
    NetworkName, NetworkNames, RecordedLink, Reference, TakesOver, has_bridge_links,
    has_network_links,
};
use crate::oci::json;
use crate::sys::file;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

/// Size limit of hostconfig.json, and of config.v2.json where only networks are read.
const MAX_FILE: u64 = 4 << 20;
/// Limit of bytes that are read of all containers together.
const MAX_TOTAL: u64 = 256 << 20;
/// Limit of container directories that are looked at.
const MAX_CONTAINERS: usize = 10_000;
/// Docker's default bridge. Its links are in hostconfig.json.
const DEFAULT_BRIDGE: &str = "bridge";
/// Networks without a name server of Docker's.
const WITHOUT_NAMES: [&str; 3] = [DEFAULT_BRIDGE, "host", "none"];

/// Whether `name` is a full Docker id: 64 hexadecimal digits.
pub(super) fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig<'a> {
    #[serde(borrow, default)]
    links: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default)]
    network_mode: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container<'a> {
    #[serde(borrow, default)]
    network_settings: Option<NetworkSettings<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings<'a> {
    #[serde(borrow, default)]
    networks: Option<BTreeMap<Cow<'a, str>, Option<Endpoint<'a>>>>,
}

#[derive(Deserialize)]
struct Endpoint<'a> {
    #[serde(borrow, default, rename = "Links")]
    links: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default, rename = "Aliases")]
    aliases: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default, rename = "IPAddress")]
    ipv4: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "GlobalIPv6Address")]
    ipv6: Option<Cow<'a, str>>,
}

/// Reads the links that Docker has recorded in `directory`, the one of a container.
///
/// Opens one file; with links on all networks a second one if the container is on the default bridge.
pub(super) fn read(directory: &Path, wanted: TakesOver) -> Result<Vec<RecordedLink>> {
    let host_config = || file::read(&directory.join("hostconfig.json"), MAX_FILE, Kind::Input);
    match wanted {
        TakesOver::None => Ok(Vec::new()),
        TakesOver::DefaultBridge => on_default_bridge(&host_config()?),
        TakesOver::All => {
            let text = file::read(&directory.join("config.v2.json"), MAX_FILE, Kind::Input)?;
            let networks = networks_in(&text)?;
            let mut links = Vec::new();
            if networks.contains_key(DEFAULT_BRIDGE) {
                links = on_default_bridge(&host_config()?)?;
            }
            links.extend(on_networks(networks));
            Ok(links)
        }
    }
}

/// Parses an object. A structure of which all parts may be missing would also take an array.
fn object<'a, T: Deserialize<'a>>(what: &str, text: &'a [u8]) -> Result<T> {
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(Error::new(Kind::Input, format!("{what}: not an object")));
    }
    json::parse(what, text)
}

/// Returns the links in hostconfig.json that count: none unless the container was created on the
/// default bridge. The command line client repeats the links on other networks there.
pub(crate) fn on_default_bridge(text: &[u8]) -> Result<Vec<RecordedLink>> {
    let config: HostConfig<'_> = object("hostconfig.json", text)?;
    if !has_bridge_links(&config.network_mode.unwrap_or_default()) {
        return Ok(Vec::new());
    }
    let links = config.links.unwrap_or_default().into_iter();
    Ok(links.map(|text| RecordedLink { text: text.into_owned(), network: None }).collect())
}

fn on_networks(
    networks: BTreeMap<Cow<'_, str>, Option<Endpoint<'_>>>,
) -> impl Iterator<Item = RecordedLink> {
    let names: Vec<String> = networks.keys().map(ToString::to_string).collect();
    let linking = networks
        .into_iter()
        .filter(move |(name, _)| has_network_links(name, names.iter().map(String::as_str)));
    linking.flat_map(|(name, endpoint)| {
        let links = endpoint.and_then(|endpoint| endpoint.links).unwrap_or_default();
        let name = name.into_owned();
        links
            .into_iter()
            .map(move |text| RecordedLink { text: text.into_owned(), network: Some(name.clone()) })
    })
}

/// Returns the links in config.v2.json that count.
#[cfg(any(test, fuzzing))]
pub(crate) fn on_user_networks(text: &[u8]) -> Result<Vec<RecordedLink>> {
    Ok(on_networks(networks_in(text)?).collect())
}

fn networks_in(text: &[u8]) -> Result<BTreeMap<Cow<'_, str>, Option<Endpoint<'_>>>> {
    let container: Container<'_> = object("config.v2.json", text)?;
    Ok(container.network_settings.and_then(|settings| settings.networks).unwrap_or_default())
}

/// The networks of one container: for each, the addresses that Docker has given it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Networks(BTreeMap<String, Vec<IpAddr>>);

impl Networks {
    /// Reads the networks of the container `id`, of which `containers` has a directory.
    pub(crate) fn of(containers: &Path, id: &str) -> Result<Self> {
        if !is_id(id) {
            return Err(Error::new(Kind::Input, "not an id of Docker's"));
        }
        let path = containers.join(id).join("config.v2.json");
        addresses_in(&file::read(&path, MAX_FILE, Kind::Input)?)
    }

    /// Returns the addresses on all networks that `other` has too.
    pub(super) fn shared_with(&self, other: &Self) -> Vec<IpAddr> {
        let shared = self.0.iter().filter(|(name, _)| other.0.contains_key(*name));
        shared.flat_map(|(_, addresses)| addresses).copied().collect()
    }

    /// Returns the addresses on the network `name`; `None` if the container is not on it. They are
    /// empty while the container starts.
    pub(crate) fn on(&self, name: &str) -> Option<&[IpAddr]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

/// Reads the addresses on each network in config.v2.json.
pub(crate) fn addresses_in(text: &[u8]) -> Result<Networks> {
    let networks = networks_in(text)?.into_iter().map(|(name, endpoint)| {
        let given = endpoint.map_or([None, None], |endpoint| [endpoint.ipv4, endpoint.ipv6]);
        let addresses = given.into_iter().flatten().filter_map(|text| text.parse().ok());
        (name.into_owned(), addresses.collect())
    });
    Ok(Networks(networks.collect()))
}

/// Returns the networks in `NetworkSettings` that have a name server of Docker's, with the aliases of the
/// container there. Empty if the text is not understood.
pub(super) fn names_in(settings: &RawValue) -> Vec<NetworkNames> {
    let settings: NetworkSettings<'_> = match serde_json::from_str(settings.get()) {
        Ok(settings) => settings,
        Err(error) => {
            log::debug!("the aliases of a container on its networks are unknown: {error}");
            return Vec::new();
        }
    };
    let networks = settings.networks.unwrap_or_default().into_iter();
    let named = networks.filter(|(name, _)| !WITHOUT_NAMES.contains(&name.as_ref()));
    let mut left = NetworkNames::MAX_ALIASES;
    let names = named.filter_map(|(name, endpoint)| {
        let network = NetworkName::new(&name).ok()?;
        let aliases = endpoint.and_then(|endpoint| endpoint.aliases).unwrap_or_default();
        let aliases = aliases.iter().filter_map(|alias| Reference::new(alias).ok());
        let aliases: Vec<Reference> = aliases.take(left).collect();
        left -= aliases.len();
        Some(NetworkNames { network, aliases })
    });
    names.collect()
}

/// Returns the name that the container `id` has now. `None` if Docker's files do not say it.
pub(crate) fn name_of(containers: &Path, id: &str) -> Option<String> {
    if !is_id(id) {
        return None;
    }
    let text = file::read(&containers.join(id).join("config.v2.json"), MAX_FILE, Kind::Input);
    name_in(&text.ok()?)
}

fn name_in(text: &[u8]) -> Option<String> {
    let named: Named<'_> = json::parse("config.v2.json", text).ok()?;
    Some(named.name.strip_prefix('/').unwrap_or(&named.name).to_owned())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// Returns the id of which `source` is a prefix, if it is the prefix of exactly one of Docker's ids and
/// the name of no container. That is how Docker reads it.
///
/// Opens no container's file unless there is such an id.
pub(crate) fn by_prefix(containers: &Path, source: &Reference) -> Option<Reference> {
    let text = source.as_str();
    let is_prefix = text.len() < 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_prefix {
        return None;
    }
    let entries = std::fs::read_dir(containers).ok()?;
    let names = entries.map_while(|entry| entry.ok()?.file_name().into_string().ok());
    let ids: Vec<String> = names.filter(|name| is_id(name)).take(MAX_CONTAINERS).collect();
    let mut found = ids.iter().filter(|id| id.starts_with(text));
    let (Some(id), None) = (found.next(), found.next()) else { return None };
    let mut total = 0;
    for other in &ids {
        let path = containers.join(other).join("config.v2.json");
        let Ok(file) = file::read(&path, MAX_FILE, Kind::Input) else { continue };
        total += file.len() as u64;
        let is_name = name_in(&file).is_some_and(|name| name == text);
        if is_name || total > MAX_TOTAL {
            return None;
        }
    }
    Reference::new(id).ok()
}

#[cfg(test)]
mod tests;
