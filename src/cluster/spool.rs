//! Reads the spool: the directory into which the courier puts the records of other hosts.

use super::format;
use super::json::MAX_BYTES;
use crate::error::Result;
use crate::model::{Cluster, ContainerId, HostName, Offer, Want};
use crate::sys::spool::{Names, Signature, Spool};
use crate::sys::users;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

/// The spool of a host.
pub(crate) const SPOOL: &str = "/run/oci-link-cluster/peers";
/// The user of the courier. The spool may belong to it.
pub(crate) const COURIER: &str = "oci-link-cluster";
/// The file in the spool that says how fresh it is.
pub(crate) const VIEW: &str = "view";
/// Limits: files, files of one host, and bytes.
const MAX_FILES: usize = 65_536;
const MAX_OF_HOST: usize = 16_384;
const MAX_TOTAL: u64 = 64 << 20;
/// How many files that were put aside are named. The others are counted.
const MAX_NAMED: usize = 100;

/// The key of a record of another host, the same as in its file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerKey {
    /// The host.
    pub(crate) host: HostName,
    /// What the record is about.
    pub(crate) of: Of,
}

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Of {
    /// A host.
    Host,
    /// A source.
    Offer(ContainerId),
    /// A recipient.
    Want(ContainerId),
}

/// A checked record that concerns this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PeerRecord {
    /// A host is there.
    Host(HostName),
    /// A source. Its addresses are in networks of its host.
    Offer(Offer),
    /// A recipient. Its addresses are in networks of its host, and its sources are of this host.
    Want(Want),
}

/// Files that were not believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Aside {
    /// The first ones in order, each with the reason.
    pub(crate) named: Vec<(String, String)>,
    /// How many there are.
    pub(crate) count: usize,
}

impl Aside {
    /// Adds a file.
    pub(crate) fn put(&mut self, name: &OsStr, why: impl Into<String>) {
        self.count += 1;
        if self.named.len() < MAX_NAMED {
            self.named.push((name.to_string_lossy().escape_debug().to_string(), why.into()));
        }
    }
}

/// A file with the name of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The record that its name announces.
    pub(crate) key: PeerKey,
    /// What changes when the file does.
    pub(crate) signature: Signature,
}

/// The spool, as its names say. No file was opened.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Files with names of records of other declared hosts, within all limits.
    pub(crate) records: Vec<Listed>,
    /// All others.
    pub(crate) aside: Aside,
}

/// Opens the spool `path`. A missing one is `None`; one that other users can change is an error.
pub(crate) fn open(path: &Path) -> Result<Option<Spool>> {
    Spool::open(path, users::uid_of(Path::new("/"), COURIER))
}

/// Lists the records in the spool.
pub(crate) fn list(spool: &Spool, cluster: &Cluster) -> Result<Listing> {
    let Names { first, more } = spool.names(MAX_FILES)?;
    let mut listing = Listing::default();
    let mut of_host: BTreeMap<HostName, usize> = BTreeMap::new();
    let mut total = 0;
    for name in first.iter().filter(|name| *name != VIEW) {
        let key = match key(name, cluster) {
            Ok(key) => key,
            Err(why) => {
                listing.aside.put(name, why);
                continue;
            }
        };
        let Some(signature) = spool.signature(name) else { continue };
        let count = of_host.entry(key.host.clone()).or_default();
        *count += 1;
        total += signature.bytes();
        if *count > MAX_OF_HOST {
            listing.aside.put(name, "more than 16384 files of one host");
        } else if total > MAX_TOTAL {
            listing.aside.put(name, "more than 64 MiB together");
        } else {
            listing.records.push(Listed { key, signature });
        }
    }
    listing.aside.count += more;
    Ok(listing)
}

/// Reads the file of `key`. `None` if it is missing, or if its record does not concern this host. Returns
/// why it is put aside.
pub(crate) fn read(
    spool: &Spool,
    key: &PeerKey,
    cluster: &Cluster,
) -> std::result::Result<Option<PeerRecord>, String> {
    let Some(bytes) = spool.read(OsStr::new(&key.file_name()), MAX_BYTES as u64)? else {
        return Ok(None);
    };
    check(key, &bytes, cluster)
}

/// Parses and checks the bytes of the record `key`.
pub(crate) fn check(
    key: &PeerKey,
    bytes: &[u8],
    cluster: &Cluster,
) -> std::result::Result<Option<PeerRecord>, String> {
    const OTHER: &str = "its host or id is not that of its file name";
    let inside = |addresses: &mut Vec<_>| {
        addresses.retain(|address| cluster.admits(&key.host, *address));
        let why = || format!("no address in cluster.networks of {}", key.host);
        if addresses.is_empty() { Err(why()) } else { Ok(()) }
    };
    match &key.of {
        Of::Host => {
            let host = format::presence(bytes)?;
            if host == key.host { Ok(Some(PeerRecord::Host(host))) } else { Err(OTHER.to_owned()) }
        }
        Of::Offer(id) => {
            let mut offer = format::offer(bytes)?;
            if (&offer.source.host, &offer.source.id) != (&key.host, id) {
                return Err(OTHER.to_owned());
            }
            inside(&mut offer.addresses)?;
            let is_for_us = offer.to.admits(&cluster.name);
            Ok(is_for_us.then_some(PeerRecord::Offer(offer)))
        }
        Of::Want(id) => {
            let mut want = format::want(bytes)?;
            if (&want.recipient.host, &want.recipient.id) != (&key.host, id) {
                return Err(OTHER.to_owned());
            }
            inside(&mut want.addresses)?;
            want.sources.retain(|source| source.host == cluster.name);
            Ok((!want.sources.is_empty()).then_some(PeerRecord::Want(want)))
        }
    }
}

/// Returns the key of a file name.
fn key(name: &OsStr, cluster: &Cluster) -> std::result::Result<PeerKey, String> {
    let name = name.to_str().ok_or("its name is not UTF-8")?;
    let key = PeerKey::of_file(name).ok_or("not the name of a record")?;
    if key.host == cluster.name {
        return Err("names this host".to_owned());
    }
    if !cluster.networks.contains_key(&key.host) {
        return Err(format!("cluster.networks has no host {}", key.host));
    }
    Ok(key)
}

impl PeerKey {
    /// Parses the name of a file: `HOST.host`, `HOST~ID.offer` or `HOST~ID.want`.
    pub(crate) fn of_file(name: &str) -> Option<Self> {
        if let Some(host) = name.strip_suffix(".host") {
            return Some(Self { host: HostName::new(host).ok()?, of: Of::Host });
        }
        let (name, is_offer) = match name.strip_suffix(".offer") {
            Some(name) => (name, true),
            None => (name.strip_suffix(".want")?, false),
        };
        let (host, id) = name.split_once('~')?;
        let id = ContainerId::new(id).ok().filter(|id| id.as_str().len() <= format::MAX_ID)?;
        let of = if is_offer { Of::Offer(id) } else { Of::Want(id) };
        Some(Self { host: HostName::new(host).ok()?, of })
    }

    /// Returns the name of the file.
    pub(crate) fn file_name(&self) -> String {
        match &self.of {
            Of::Host => format!("{}.host", self.host),
            Of::Offer(id) => format!("{}~{}.offer", self.host, id.as_str()),
            Of::Want(id) => format!("{}~{}.want", self.host, id.as_str()),
        }
    }
}

#[cfg(test)]
mod tests;
