//! The records of this host for others: files in the state directory, which the courier reads.

use super::format;
use crate::error::Result;
use crate::model::{
    Address, Cluster, ContainerId, ContainerName, Family, Guest, Offer, PeerRun, Phase, Record,
    Share, Want,
};
use crate::sys::private_dir::Directory;
use crate::sys::process::lock::Lock;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The folder in the state directory.
const FOLDER: &str = "offers";
/// How the names of files end: of an offer, and of a want.
const OFFER: &str = ".offer";
const WANT: &str = ".want";
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

    /// Writes the file `name`, or replaces it. Returns whether anything changed.
    pub(crate) fn put(&self, lock: &Lock, name: &str, bytes: &[u8]) -> Result<bool> {
        if self.is(name, bytes)? {
            return Ok(false);
        }
        self.folder.write_shared(lock, name, bytes, self.group)?;
        Ok(true)
    }

    /// Whether the file `name` is there with these bytes.
    pub(crate) fn is(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        Ok(self.folder.read(name, MAX)?.as_deref() == Some(bytes))
    }

    /// Removes the file `name`.
    pub(crate) fn remove(&self, _: &Lock, name: &str) -> Result<()> {
        self.folder.remove(name)
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

/// Returns the file names of a container's offer and of its want.
pub(crate) fn file_names(id: &ContainerId) -> [String; 2] {
    [OFFER, WANT].map(|end| format!("{}{end}", id.as_str()))
}

/// Returns the id of the container with the file `name`.
pub(crate) fn id_of(name: &str) -> Option<ContainerId> {
    let id = name.strip_suffix(OFFER).or_else(|| name.strip_suffix(WANT))?;
    ContainerId::new(id).ok()
}

/// Removes what other hosts know of a container that ends. Missing files are not an error. Of one that is neither shared
/// nor linked to another host there are none.
pub(crate) fn remove(state: &Directory, _: &Lock, record: &Record) -> Result<()> {
    if record.id.tag().is_some() {
        return Ok(());
    }
    let [offer, want] = file_names(&record.id);
    if record.share != Share::None {
        state.remove(&format!("{FOLDER}/{offer}"))?;
    }
    if record.is_linked_elsewhere() {
        state.remove(&format!("{FOLDER}/{want}"))?;
    }
    Ok(())
}

/// Returns what other hosts may know of a running container, as bytes. `None` if its annotation shares it
/// with none, if it has no address in the networks of this host, or if others would refuse the record. `guests` are
/// the recipients for which it is ready.
pub(crate) fn offer_of(record: &Record, cluster: &Cluster, guests: Vec<Guest>) -> Option<Vec<u8>> {
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
        guests,
    })
}

/// Returns what other hosts may know of a running container with links to their sources, as bytes. `None` if no such
/// link is connected, or if others would refuse the record.
pub(crate) fn want_of(record: &Record, cluster: &Cluster) -> Option<Vec<u8>> {
    let is_whole = record.phase == Phase::Ready && record.id.is_plain();
    (is_whole && record.is_linked_elsewhere()).then_some(())?;
    let mut sources: Vec<PeerRun> =
        record.links.iter().filter_map(|link_state| link_state.there.clone()).collect();
    sources.sort();
    sources.dedup();
    // Its packets have the addresses that its flows begin with.
    let first = |family: Family| {
        let mut own = record.network.addresses().iter();
        own.find(|address| {
            let ip = address.ip();
            let is_declared = cluster.admits(&cluster.name, ip) && address.bridge().is_some();
            Family::of(ip) == family && is_declared
        })
    };
    format::want_bytes(&Want {
        recipient: PeerRun {
            host: cluster.name.clone(),
            id: record.id.clone(),
            run: record.owner.clone(),
        },
        name: Some(&record.name).filter(|name| !name.is_derived())?.clone(),
        addresses: Family::BOTH.into_iter().filter_map(first).map(Address::ip).collect(),
        sources,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::record;
    use crate::model::{BridgeName, HostName, Network, OwnerTag, Subnet, Variable};
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
        let offer = |record: &Record| offer_of(record, &cluster(), Vec::new());
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
    fn a_recipient_names_the_runs_of_its_sources() {
        let run = |id: &str| PeerRun {
            host: HostName::new("b").unwrap(),
            id: ContainerId::new(id).unwrap(),
            run: OwnerTag::parse("4be1c07d9a22e310").unwrap(),
        };
        let bridge = BridgeName::new("br0").ok();
        let on = |text: &str| Address::parse(text).unwrap().on(bridge);
        let own = ["172.17.0.2/16", "10.10.1.2/24", "10.10.1.3/24"].map(on);
        let mut web = record("web", "", &[]).linked(&["z@b", "a@b", "a@b:c", "db"]);
        web.network = Network::Own(own.to_vec());
        web.phase = Phase::Ready;
        assert_eq!(want_of(&web, &cluster()), None, "no link is connected");
        for (at, id) in [(0, "z"), (1, "a"), (2, "a")] {
            web.links[at].there = Some(run(id));
        }
        let text = String::from_utf8(want_of(&web, &cluster()).unwrap()).unwrap();
        let expected = format!(
            r#"{{"v":1,"host":"a","id":"web","run":"{}","name":"web","addresses":["10.10.1.2"],"sources":[{{"host":"b","id":"a","run":"4be1c07d9a22e310"}},{{"host":"b","id":"z","run":"4be1c07d9a22e310"}}]}}"#,
            web.owner
        );
        assert_eq!(text, expected);
        let pending = Record { phase: Phase::Pending, ..web.clone() };
        assert_eq!(want_of(&pending, &cluster()), None);
        web.network = Network::Own(vec![own[0]]);
        assert_eq!(want_of(&web, &cluster()), None, "nothing is routed to it");
    }

    #[test]
    fn the_courier_may_read_and_no_one_else() {
        let path = mkdtemp("/tmp/oci-link-offers-XXXXXX").unwrap();
        let state = Directory::open(&path).unwrap();
        let file = state.open_lock("lock").unwrap();
        let lock = lock::exclusive(file, Duration::from_secs(1)).unwrap();
        let offers = Offers::open(&state, 7).unwrap();
        let [offer, want] = file_names(&ContainerId::new("db").unwrap());
        assert_eq!([&offer, &want].map(|name| id_of(name).unwrap().to_string()), ["db", "db"]);
        assert!(offers.put(&lock, &offer, b"1").unwrap());
        assert!(!offers.put(&lock, &offer, b"1").unwrap());
        assert!(offers.put(&lock, &offer, b"22").unwrap());
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
        offers.put(&lock, &offer, b"1").unwrap();
        assert_eq!(status("offers"), (0, 0, 0o750), "the group follows");
        fs::remove_dir_all(path).unwrap();
    }
}
