//! The records of this host for others: files in the state directory, which the courier reads.

use super::format;
use crate::error::Result;
use crate::model::{
    Address, Cluster, ContainerId, ContainerName, Offer, PeerRun, Phase, Record, Share,
};
use crate::sys::private_dir::Directory;
use crate::sys::process::lock::Lock;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The folder in the state directory.
const FOLDER: &str = "offers";
/// How the name of an offer's file ends.
const OFFER: &str = ".offer";
/// Size limit of a file, in bytes.
const MAX: u64 = 64 << 10;
/// Limit of addresses in an offer.
const MAX_ADDRESSES: usize = 16;

/// The folder with the records of this host.
#[derive(Debug)]
pub(crate) struct Offers {
    folder: Directory,
    group: u32,
}

impl Offers {
    /// Opens the folder below the state directory `state`, and creates it if it is missing. `group` may read
    /// it.
    pub(crate) fn open(state: &Directory, group: u32) -> Result<Self> {
        Ok(Self { folder: state.shared_with(FOLDER, group)?, group })
    }

    /// Writes the offer of a container, or replaces it. Returns whether anything changed.
    pub(crate) fn put(&self, lock: &Lock, id: &ContainerId, bytes: &[u8]) -> Result<bool> {
        if self.is(id, bytes)? {
            return Ok(false);
        }
        self.folder.write_shared(lock, &file_name(id), bytes, self.group)?;
        Ok(true)
    }

    /// Whether the offer of a container is there with these bytes.
    pub(crate) fn is(&self, id: &ContainerId, bytes: &[u8]) -> Result<bool> {
        Ok(self.folder.read(&file_name(id), MAX)?.as_deref() == Some(bytes))
    }

    /// Removes the offer of a container.
    pub(crate) fn remove(&self, _: &Lock, id: &ContainerId) -> Result<()> {
        self.folder.remove(&file_name(id))
    }

    /// Returns the names of all files.
    pub(crate) fn names(&self) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        self.folder.visit(".", |name| {
            names.insert(name.to_owned());
            Ok(true)
        })?;
        Ok(names)
    }
}

/// Returns the file name of a container's offer.
pub(crate) fn file_name(id: &ContainerId) -> String {
    format!("{}{OFFER}", id.as_str())
}

/// Removes the offer of a container that ends. A missing one is not an error.
pub(crate) fn remove(state: &Directory, _: &Lock, record: &Record) -> Result<()> {
    if record.share == Share::None || record.id.tag().is_some() {
        return Ok(());
    }
    state.remove(&format!("{FOLDER}/{}", file_name(&record.id)))
}

/// Returns what other hosts may know of a running container, as bytes. `None` if its annotation shares it
/// with none, if it has no address in the networks of this host, or if others would refuse the record.
pub(crate) fn offer_of(record: &Record, cluster: &Cluster) -> Option<Vec<u8>> {
    let is_shared = record.share != Share::None && record.phase == Phase::Ready;
    (is_shared && !record.is_pod_infra && record.id.is_plain()).then_some(())?;
    let own = |ip: &IpAddr| cluster.admits(&cluster.name, *ip);
    let mut addresses: Vec<IpAddr> = Vec::new();
    for ip in record.network.addresses().iter().map(Address::ip).filter(own) {
        if !addresses.contains(&ip) && addresses.len() < MAX_ADDRESSES {
            addresses.push(ip);
        }
    }
    // A name that only resembles an odd id is no name.
    let is_name = |name: &&ContainerName| !name.is_derived();
    let names = record.engine_name.iter().filter(is_name).cloned().collect();
    format::offer_bytes(&Offer {
        source: PeerRun {
            host: cluster.name.clone(),
            id: record.id.clone(),
            run: record.owner.clone(),
        },
        name: Some(&record.name).filter(is_name)?.clone(),
        names,
        hostname: record.hostname.clone(),
        addresses,
        ports: record.ports.clone(),
        to: record.share.clone(),
        guests: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::record;
    use crate::model::{HostName, Subnet, Variable};
    use crate::sys::process::lock;
    use nix::unistd::mkdtemp;
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::time::Duration;

    fn cluster() -> Cluster {
        let name = HostName::new("a").unwrap();
        let networks = vec![Subnet::parse("10.10.1.0/24").unwrap()];
        let networks = [(name.clone(), networks)].into();
        Cluster { name, networks, patience: Duration::from_secs(60) }
    }

    fn shared(addresses: &[&str]) -> Record {
        let share = Share::parse("b,c").unwrap();
        Record { share, phase: Phase::Ready, ..record("db", "3306,53/udp", addresses) }
    }

    #[test]
    fn nothing_leaves_unless_it_is_shared_and_routed() {
        let offer = |record: &Record| offer_of(record, &cluster());
        let db = shared(&["172.17.0.2/16", "10.10.1.2/24"]).showing(&["SECRET=x"]);
        let text = String::from_utf8(offer(&db).unwrap()).unwrap();
        let expected = format!(
            r#"{{"v":1,"host":"a","id":"db","run":"{}","name":"db","hostname":"db","addresses":["10.10.1.2"],"ports":["53/udp","3306/tcp"],"to":["b","c"]}}"#,
            db.owner
        );
        assert_eq!(text, expected, "neither variables nor other addresses leave");
        assert_eq!(offer(&Record { share: Share::None, ..db.clone() }), None);
        assert_eq!(offer(&Record { phase: Phase::Pending, ..db.clone() }), None);
        assert_eq!(offer(&Record { is_pod_infra: true, ..db.clone() }), None);
        assert_eq!(offer(&shared(&["172.17.0.2/16"])), None);
        assert_eq!(offer(&shared(&[])), None);
        let odd = ContainerId::new("a b").unwrap();
        assert_eq!(offer(&Record { id: odd, ..db.clone() }), None);
        let variable = Variable::parse("SECRET=x").unwrap();
        assert!(db.environment.contains(&variable));
    }

    #[test]
    fn the_courier_may_read_and_no_one_else() {
        let path = mkdtemp("/tmp/oci-link-offers-XXXXXX").unwrap();
        let state = Directory::open(&path).unwrap();
        let file = state.open_lock("lock").unwrap();
        let lock = lock::exclusive(file, Duration::from_secs(1)).unwrap();
        let offers = Offers::open(&state, 7).unwrap();
        let id = ContainerId::new("db").unwrap();
        assert!(offers.put(&lock, &id, b"1").unwrap());
        assert!(!offers.put(&lock, &id, b"1").unwrap() && offers.put(&lock, &id, b"22").unwrap());
        let status = |name: &str| {
            let metadata = fs::symlink_metadata(path.join(name)).unwrap();
            (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
        };
        assert_eq!(status("offers"), (0, 7, 0o750));
        assert_eq!(status("offers/db.offer"), (0, 7, 0o640));
        assert_eq!(fs::read(path.join("offers/db.offer")).unwrap(), b"22");
        assert_eq!(offers.names().unwrap(), ["db.offer".to_owned()].into());
        let db = shared(&["10.10.1.2/24"]);
        remove(&state, &lock, &Record { share: Share::None, ..db.clone() }).unwrap();
        assert_eq!(offers.names().unwrap().len(), 1, "it was never shared");
        remove(&state, &lock, &db).unwrap();
        remove(&state, &lock, &db).unwrap();
        assert!(offers.names().unwrap().is_empty());
        let offers = Offers::open(&state, 0).unwrap();
        offers.put(&lock, &id, b"1").unwrap();
        assert_eq!(status("offers"), (0, 0, 0o750), "the group follows");
        fs::remove_dir_all(path).unwrap();
    }
}
