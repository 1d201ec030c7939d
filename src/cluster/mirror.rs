//! The checked records of other hosts, in the state directory.
//!
//! ```text
//! peers/records/b~6f….offer          one record, as its host wrote it, checked
//! peers/names/mysql/b~6f….offer      a source with this name
//! peers/addresses/10.10.2.2/b~6f….…  a record with this address
//! peers/wanted/6f…/a~03….want        a recipient of another host that wants this source here
//! peers/view                         the newest good view of the courier
//! ```
//!
//! Index entries are created before the record and removed after it: a crash leaves extra entries, and an
//! entry without a record is ignored.

use super::format;
use super::spool::{Of, PeerKey, PeerRecord};
use crate::error::{Context, Kind, Result};
use crate::model::{ContainerId, ContainerName, HostName, Offer, PeerRun, Want};
use crate::sys::private_dir::Directory;
use crate::sys::process::lock::Lock;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The folder in the state directory.
pub(crate) const FOLDER: &str = "peers";
/// Size limit of a file, in bytes.
const MAX: u64 = 64 << 10;
/// An address that more records than these have is believed of none: a look at it must end.
const MAX_CLAIMANTS: usize = 256;
/// The file with the newest good view.
const VIEW: &str = "view";

/// The mirror of the spool. Readers need no lock: a record is replaced by rename.
#[derive(Debug)]
pub(crate) struct Mirror {
    top: Directory,
}

/// The index entries of one record, each `FOLDER/KEY`.
type Entries = BTreeSet<String>;

impl Mirror {
    /// Opens the mirror below the state directory `state`, and creates it if it is missing.
    pub(crate) fn open(state: &Directory) -> Result<Self> {
        Ok(Self { top: state.subdirectory(FOLDER)? })
    }

    /// Opens the mirror, if there is one.
    pub(crate) fn existing(state: &Directory) -> Result<Option<Self>> {
        Ok(state.existing(FOLDER)?.map(|top| Self { top }))
    }

    /// Whether the mirror has exactly this record.
    pub(crate) fn has(&self, key: &PeerKey, record: &PeerRecord) -> Result<bool> {
        Ok(self.bytes(&key.file_name())? == Some(bytes(record)?))
    }

    /// Writes a record, or replaces it. Returns whether anything changed.
    pub(crate) fn put(&self, _: &Lock, key: &PeerKey, record: &PeerRecord) -> Result<bool> {
        let name = key.file_name();
        let bytes = bytes(record)?;
        let old = self.bytes(&name)?;
        if old.as_deref() == Some(&bytes) {
            return Ok(false);
        }
        let was = old.and_then(|old| decode(key, &old)).map(|old| entries(&old));
        let (was, now) = (was.unwrap_or_default(), entries(record));
        for entry in now.difference(&was) {
            self.top.link(".", &format!("{entry}/{name}"))?;
        }
        self.top.write(&format!("records/{name}"), &bytes)?;
        self.drop_entries(&name, was.difference(&now))?;
        Ok(true)
    }

    /// Removes a record. Returns whether it was there.
    pub(crate) fn remove(&self, _: &Lock, key: &PeerKey) -> Result<bool> {
        let name = key.file_name();
        let Some(old) = self.bytes(&name)? else { return Ok(false) };
        self.top.remove(&format!("records/{name}"))?;
        if let Some(record) = decode(key, &old) {
            self.drop_entries(&name, entries(&record).iter())?;
        }
        Ok(true)
    }

    fn drop_entries<'a>(&self, name: &str, gone: impl Iterator<Item = &'a String>) -> Result<()> {
        for entry in gone {
            self.top.remove(&format!("{entry}/{name}"))?;
            self.top.prune(entry);
        }
        Ok(())
    }

    /// Returns the keys of all records.
    pub(crate) fn keys(&self) -> Result<BTreeSet<PeerKey>> {
        self.keys_in("records")
    }

    /// Returns the record of `key`. One that cannot be read counts as missing.
    pub(crate) fn get(&self, key: &PeerKey) -> Result<Option<PeerRecord>> {
        Ok(self.bytes(&key.file_name())?.and_then(|bytes| decode(key, &bytes)))
    }

    /// Returns the source `id` of `host`.
    pub(crate) fn offer(&self, host: &HostName, id: &ContainerId) -> Result<Option<Offer>> {
        let key = PeerKey { host: host.clone(), of: Of::Offer(id.clone()) };
        Ok(self.get(&key)?.and_then(offer_of))
    }

    /// Returns the sources with this name, or with this id.
    pub(crate) fn named(&self, name: &str) -> Result<Vec<Offer>> {
        let found = self.behind(&format!("names/{name}"))?;
        Ok(found.into_iter().filter_map(offer_of).collect())
    }

    /// Returns the recipients of other hosts that want the source `id` of this host.
    pub(crate) fn wanting(&self, id: &ContainerId) -> Result<Vec<Want>> {
        let found = self.behind(&format!("wanted/{}", id.key()))?;
        let wants = found.into_iter().filter_map(|record| match record {
            PeerRecord::Want(want) => Some(want),
            PeerRecord::Host(_) | PeerRecord::Offer(_) => None,
        });
        let wants = wants.filter(|want| want.sources.iter().any(|source| source.id == *id));
        Ok(wants.collect())
    }

    /// Returns the keys of the recipients that may want the source `id` of this host. Reads names only.
    pub(crate) fn keys_wanting(&self, id: &ContainerId) -> Result<BTreeSet<PeerKey>> {
        self.keys_in(&format!("wanted/{}", id.key()))
    }

    /// Returns the recipient `id` of `host`.
    pub(crate) fn want(&self, host: &HostName, id: &ContainerId) -> Result<Option<Want>> {
        let key = PeerKey { host: host.clone(), of: Of::Want(id.clone()) };
        Ok(self.get(&key)?.and_then(|record| match record {
            PeerRecord::Want(want) => Some(want),
            PeerRecord::Host(_) | PeerRecord::Offer(_) => None,
        }))
    }

    /// Returns those of `addresses` that only the host `host` claims.
    pub(crate) fn undisputed(&self, host: &HostName, addresses: &[IpAddr]) -> Result<Vec<IpAddr>> {
        let mut own = Vec::new();
        for address in addresses {
            let claimants = self.claimants(*address)?;
            if claimants.len() > MAX_CLAIMANTS {
                continue;
            }
            let others = claimants.iter().filter(|key| key.host != *host);
            // An entry of a killed writer has no record.
            let claims =
                others.map(|key| self.claims(key, *address)).collect::<Result<Vec<_>>>()?;
            if !claims.contains(&true) {
                own.push(*address);
            }
        }
        Ok(own)
    }

    /// Returns the keys of the records that may have this address, or one more than [`MAX_CLAIMANTS`] of them.
    pub(crate) fn claimants(&self, address: IpAddr) -> Result<BTreeSet<PeerKey>> {
        self.some_keys_in(&format!("addresses/{address}"), MAX_CLAIMANTS + 1)
    }

    fn claims(&self, key: &PeerKey, address: IpAddr) -> Result<bool> {
        Ok(self.get(key)?.is_some_and(|record| addresses_of(&record).contains(&address)))
    }

    /// Writes the newest good view. Needs no lock.
    pub(crate) fn put_view(&self, bytes: &[u8]) -> Result<()> {
        self.top.write_unlocked("fresh", VIEW, bytes)
    }

    /// Returns the bytes of the newest good view.
    pub(crate) fn view(&self) -> Result<Option<Vec<u8>>> {
        self.top.read(&format!("fresh/{VIEW}"), MAX)
    }

    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.top.read(&format!("records/{name}"), MAX)
    }

    fn keys_in(&self, folder: &str) -> Result<BTreeSet<PeerKey>> {
        self.some_keys_in(folder, usize::MAX)
    }

    /// Returns the keys of a folder, but not more than `most`.
    fn some_keys_in(&self, folder: &str, most: usize) -> Result<BTreeSet<PeerKey>> {
        let mut keys = BTreeSet::new();
        self.top.visit(folder, |name| {
            keys.extend(PeerKey::of_file(name));
            Ok(keys.len() < most)
        })?;
        Ok(keys)
    }

    /// Returns the records with an entry in the index folder `folder`.
    fn behind(&self, folder: &str) -> Result<Vec<PeerRecord>> {
        let mut found = Vec::new();
        for key in self.keys_in(folder)? {
            let record = self.get(&key)?;
            found.extend(record.filter(|record| entries(record).contains(folder)));
        }
        Ok(found)
    }
}

fn offer_of(record: PeerRecord) -> Option<Offer> {
    match record {
        PeerRecord::Offer(offer) => Some(offer),
        PeerRecord::Host(_) | PeerRecord::Want(_) => None,
    }
}

fn addresses_of(record: &PeerRecord) -> &[IpAddr] {
    match record {
        PeerRecord::Host(_) => &[],
        PeerRecord::Offer(offer) => &offer.addresses,
        PeerRecord::Want(want) => &want.addresses,
    }
}

/// Returns the index entries of a record.
fn entries(record: &PeerRecord) -> Entries {
    let mut all: Entries =
        addresses_of(record).iter().map(|address| format!("addresses/{address}")).collect();
    match record {
        PeerRecord::Host(_) => {}
        PeerRecord::Offer(offer) => {
            let names = offer.names.iter().chain([&offer.name]).map(ContainerName::as_str);
            all.extend(names.map(|name| format!("names/{name}")));
            if offer.source.id.is_plain() {
                all.insert(format!("names/{}", offer.source.id.as_str()));
            }
        }
        PeerRecord::Want(want) => {
            let key = |source: &PeerRun| format!("wanted/{}", source.id.key());
            all.extend(want.sources.iter().map(key));
        }
    }
    all
}

/// Returns the bytes of a checked record. Equal records have equal bytes.
fn bytes(record: &PeerRecord) -> Result<Vec<u8>> {
    let bytes = match record {
        PeerRecord::Host(host) => format::presence_bytes(host, ""),
        PeerRecord::Offer(offer) => format::offer_bytes(offer),
        PeerRecord::Want(want) => format::want_bytes(want),
    };
    bytes.ok_or("cannot be written").context(Kind::Internal, || "record of another host")
}

/// Reads the bytes of a checked record.
fn decode(key: &PeerKey, bytes: &[u8]) -> Option<PeerRecord> {
    Some(match &key.of {
        Of::Host => PeerRecord::Host(format::presence(bytes).ok()?),
        Of::Offer(_) => PeerRecord::Offer(format::offer(bytes).ok()?),
        Of::Want(_) => PeerRecord::Want(format::want(bytes).ok()?),
    })
}

#[cfg(test)]
mod tests;
