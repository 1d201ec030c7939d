//! The recipients of other hosts that this host has let in, one file each.
//!
//! ```text
//! guests/<source>/<host>~<run>   a recipient of `host` that is linked to the container `source`
//! ```

use super::format::parts::{StoredFlow, StoredRun};
use crate::error::{Context, Kind, Result};
use crate::model::{
    BackendName, ContainerId, ContainerName, Flow, GuestRecord, Invalid, OwnerTag, PeerRun, Phase,
};
use crate::sys::private_dir::Directory;
use crate::sys::process::lock::Lock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The folder in the state directory.
const FOLDER: &str = "guests";
/// Size limit of a file, in bytes: one with the most flows is smaller.
const MAX: u64 = 32 << 20;
/// The version of the format.
const VERSION: u32 = 1;

/// The guests of this host.
#[derive(Debug)]
pub(crate) struct Guests {
    folder: Directory,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    ready: bool,
    recipient: StoredRun,
    name: String,
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namesake: Option<u64>,
    run: String,
    owner: String,
    backend: String,
    flows: Vec<StoredFlow>,
}

impl Guests {
    /// Opens the folder below the state directory `state`, and creates it if it is missing.
    pub(crate) fn open(state: &Directory) -> Result<Self> {
        Ok(Self { folder: state.subdirectory(FOLDER)? })
    }

    /// Opens the folder, if there is one.
    pub(crate) fn existing(state: &Directory) -> Result<Option<Self>> {
        Ok(state.existing(FOLDER)?.map(|folder| Self { folder }))
    }

    /// Returns the guests of the container `source`, also those of its earlier runs.
    pub(crate) fn of(&self, source: &ContainerId) -> Result<Vec<GuestRecord>> {
        self.behind(&source.key())
    }

    /// Returns the guest `recipient` of the container `source`.
    pub(crate) fn get(
        &self,
        source: &ContainerId,
        recipient: &PeerRun,
    ) -> Result<Option<GuestRecord>> {
        self.read(&path(source, recipient))
    }

    /// Returns how many guests the container `source` has.
    pub(crate) fn count(&self, source: &ContainerId) -> Result<usize> {
        Ok(self.names(&source.key())?.len())
    }

    /// Returns all guests.
    pub(crate) fn all(&self) -> Result<Vec<GuestRecord>> {
        let mut all = Vec::new();
        for source in self.names(".")? {
            all.extend(self.behind(&source)?);
        }
        Ok(all)
    }

    /// Writes a guest, or replaces it.
    pub(crate) fn put(&self, _: &Lock, guest: &GuestRecord) -> Result<()> {
        let stored = Stored {
            version: VERSION,
            ready: guest.phase == Phase::Ready,
            recipient: StoredRun::from(&guest.recipient),
            name: guest.name.to_string(),
            source: guest.source.as_str().to_owned(),
            namesake: guest.source.tag(),
            run: guest.run.to_string(),
            owner: guest.owner.to_string(),
            backend: guest.backend.to_string(),
            flows: guest.flows.iter().map(StoredFlow::from).collect(),
        };
        let bytes = serde_json::to_vec(&stored).context(Kind::Internal, || "record of a guest")?;
        self.folder.write(&path(&guest.source, &guest.recipient), &bytes)
    }

    /// Removes a guest. A missing one is not an error.
    pub(crate) fn remove(&self, _: &Lock, guest: &GuestRecord) -> Result<()> {
        self.folder.remove(&path(&guest.source, &guest.recipient))?;
        self.folder.prune(&guest.source.key());
        Ok(())
    }

    fn behind(&self, source: &str) -> Result<Vec<GuestRecord>> {
        let names = self.names(source)?;
        let all = names.iter().map(|name| self.read(&format!("{source}/{name}")).transpose());
        all.flatten().collect()
    }

    /// Reads one file. A damaged one is removed: rules without a record are removed by their tag, or end.
    fn read(&self, name: &str) -> Result<Option<GuestRecord>> {
        let Some(bytes) = self.folder.read(name, MAX)? else { return Ok(None) };
        match decode(&bytes) {
            Ok(guest) if path(&guest.source, &guest.recipient) == name => return Ok(Some(guest)),
            Ok(_) => log::error!("guest {name}: belongs to another one: removed"),
            Err(error) => log::error!("guest {name}: {error}: removed"),
        }
        self.folder.remove(name)?;
        Ok(None)
    }

    fn names(&self, folder: &str) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        self.folder.visit(folder, |name| Ok(names.insert(name.to_owned())))?;
        Ok(names)
    }
}

fn path(source: &ContainerId, recipient: &PeerRun) -> String {
    format!("{}/{}~{}", source.key(), recipient.host, recipient.run)
}

fn decode(bytes: &[u8]) -> Result<GuestRecord> {
    let stored: Stored = serde_json::from_slice(bytes).context(Kind::Input, || "record")?;
    if stored.version != VERSION {
        return Err(Invalid::new("version", &stored.version.to_string(), "unknown").into());
    }
    Ok(GuestRecord {
        recipient: PeerRun::try_from(&stored.recipient)?,
        name: ContainerName::new(&stored.name)?,
        source: ContainerId::new(&stored.source)?.tagged(stored.namesake),
        run: OwnerTag::parse(&stored.run)?,
        phase: if stored.ready { Phase::Ready } else { Phase::Pending },
        owner: OwnerTag::parse(&stored.owner)?,
        backend: BackendName::parse(&stored.backend)?,
        flows: stored.flows.iter().map(Flow::try_from).collect::<std::result::Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::port;
    use crate::model::{BridgeName, Crossing, HostName, OnBridge, StateId};
    use crate::sys::process::lock;
    use nix::unistd::mkdtemp;
    use std::fs;
    use std::time::Duration;

    fn guest(source: &str, run: &str) -> GuestRecord {
        let id = |text: &str| ContainerId::new(text).unwrap();
        let own = OwnerTag::parse("4be1c07d9a22e310").unwrap();
        let (host, run) = (HostName::new("a").unwrap(), OwnerTag::parse(run).unwrap());
        let recipient = PeerRun { host, id: id("web"), run };
        let bridge = BridgeName::new("br0").unwrap();
        GuestRecord {
            owner: OwnerTag::of_guest(StateId::default(), &own, &recipient),
            recipient,
            name: ContainerName::new("web").unwrap(),
            source: id(source),
            run: own,
            phase: Phase::Pending,
            backend: BackendName::Ipset,
            flows: vec![Flow {
                from: "10.10.1.2".parse().unwrap(),
                to: "10.10.2.2".parse().unwrap(),
                ports: port("3306"),
                bridge: Some(OnBridge { crossing: Crossing::Enters, ..bridge.into() }),
            }],
        }
    }

    #[test]
    fn a_guest_is_found_by_its_source() {
        let top = mkdtemp("/tmp/oci-link-guests-XXXXXX").unwrap();
        let state = Directory::open(&top).unwrap();
        let file = state.open_lock("lock").unwrap();
        let lock = lock::exclusive(file, Duration::from_secs(1)).unwrap();
        assert!(Guests::existing(&state).unwrap().is_none());
        let guests = Guests::open(&state).unwrap();
        let (one, two) = (guest("mysql", "90c2f1be77d0aa14"), guest("my sql", "90c2f1be77d0aa15"));
        guests.put(&lock, &one).unwrap();
        let one = GuestRecord { phase: Phase::Ready, ..one };
        guests.put(&lock, &one).unwrap();
        guests.put(&lock, &two).unwrap();
        assert_eq!(guests.of(&one.source).unwrap(), std::slice::from_ref(&one));
        assert_eq!(guests.of(&two.source).unwrap(), std::slice::from_ref(&two));
        assert_eq!(guests.all().unwrap().len(), 2);
        assert!(one.receipt().is_some() && two.receipt().is_none());
        fs::write(top.join("guests/mysql/a~0123456789abcdef"), "junk").unwrap();
        assert_eq!(guests.of(&one.source).unwrap().len(), 1, "a damaged file is no guest");
        for guest in [&one, &two, &one] {
            guests.remove(&lock, guest).unwrap();
        }
        assert_eq!(fs::read_dir(top.join("guests")).unwrap().count(), 0);
        fs::remove_dir_all(top).unwrap();
    }
}
