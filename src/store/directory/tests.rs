//! Tests of the store's guarantees on a real directory.

use super::*;
use crate::model::sample::{port, record, reference};
use crate::model::{
    Address, BackendName, BridgeName, ContainerName, Flow, Inode, Instance, Meaning, Network,
    OnBridge, Phase, Place, ProcessPlace,
};
use crate::store::contract;
use std::path::PathBuf;

/// A separate store for each test, in a directory that only root can write to.
struct Scratch(PathBuf, DirectoryStore);

impl Scratch {
    fn new(test: &str) -> Self {
        let path = PathBuf::from(format!("/var/tmp/oci-link-{test}-{}", std::process::id()));
        let store = DirectoryStore::open(Directory::open(&path).unwrap().into()).unwrap();
        Self(path, store)
    }

    fn put(&self, record: &Record) -> Record {
        let commit = self.commit(&Change::Put(record), record.revision).unwrap();
        let Commit::Done(revision) = commit else { panic!("{commit:?}") };
        Record { revision, ..record.clone() }
    }

    fn commit(&self, change: &Change<'_>, seen: u64) -> Result<Commit> {
        self.1.commit(&self.1.lock(Duration::ZERO)?, change, seen)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_record_comes_back_whole() {
    let scratch = Scratch::new("whole");
    let web = record("web", "80,53/udp", &["10.0.0.2/24", "fd00::2/64"]);
    let mut web = web.linked(&["db:sql", "x:y", "z"]);
    web.links[0].meaning = Some(Meaning::Name);
    web.links[1].meaning = ContainerId::new("0123").ok().map(Meaning::Id);
    web.engine_name = ContainerName::new("shop-web-1").ok();
    let web = web.showing(&["A=b=c", "UNI=héllo", "EMPTY="]);
    let web = Record { phase: Phase::Ready, backend: BackendName::Iptables, ..web };
    let stored = scratch.put(&web);
    assert_eq!(scratch.1.get(&web.id).unwrap(), Some(stored));
}

/// Records of earlier versions have no bridges; all other fields must be read.
#[test]
fn bridges_come_back_and_may_be_missing() {
    let scratch = Scratch::new("bridges");
    let bridge = BridgeName::new("br0").ok();
    let bound = Address::parse("10.0.0.2/24").unwrap().on(bridge);
    let free = Address::parse("fd00::2/64").unwrap();
    let ports = port("80");
    let [from, to] = ["10.0.0.2", "10.0.0.3"].map(|ip| ip.parse().unwrap());
    let flow = Flow { from, to, ports, bridge: bridge.map(OnBridge::from) };
    let tied = flow.bridge.map(|on| OnBridge { by_port: true, ports: Some([7, 8]), ..on });
    let tied = Flow { bridge: tied, ..flow };
    let network = Network::Own(vec![bound.behind(Some(7)), free]);
    let web =
        Record { network, flows: vec![flow, flow.anywhere(), tied], ..record("web", "", &[]) };
    let stored = scratch.put(&web);
    assert_eq!(scratch.1.get(&web.id).unwrap(), Some(stored));

    let path = scratch.0.join("records").join(record_path("web"));
    let text = std::fs::read_to_string(&path).unwrap();
    let old = text.replace("\"bridges\":{\"10.0.0.2\":\"br0\"},", "");
    let old = old.replace("\"bridge_ports\":{\"10.0.0.2\":7},", "");
    let old = old.replace(",\"bridge\":\"br0\"", "").replace(",\"by_port\":true", "");
    let old = old.replace(",\"bridge_ports\":[7,8]", "");
    assert!(!old.contains("br0") && !old.contains("bridge"), "{old}");
    std::fs::write(&path, old).unwrap();
    let read = scratch.1.get(&web.id).unwrap().unwrap();
    assert_eq!(read.network, Network::Own(vec![bound.on(None), free]));
    assert_eq!(read.flows, [flow.anywhere(); 3]);
}

/// Records of earlier versions do not say what a link means. A connected link stays with its source.
#[test]
fn what_an_old_link_means_is_inferred() {
    let scratch = Scratch::new("old-links");
    let id = "0123456789abcdef".repeat(4);
    let mut web = record("web", "", &[]).linked(&["db", "mq", "0123456789ab:x", "cache"]);
    for (link_state, source) in web.links.iter_mut().zip(["x1", "mq", &id]) {
        link_state.source = Some(ContainerId::new(source).unwrap());
    }
    scratch.put(&web);
    let text = scratch.0.join("records").join(record_path("web"));
    assert!(!std::fs::read_to_string(text).unwrap().contains("means"), "as an earlier version");
    let read = scratch.1.get(&web.id).unwrap().unwrap();
    let meanings: Vec<_> = read.links.iter().map(|link_state| link_state.meaning.clone()).collect();
    let long = Some(Meaning::Id(ContainerId::new(&id).unwrap()));
    assert_eq!(meanings, [Some(Meaning::Name), None, long, None]);
}

/// Records of earlier versions do not say where they were made.
#[test]
fn a_place_comes_back_and_may_be_missing() {
    let scratch = Scratch::new("place");
    let inode = Inode { device: 4, number: 4_026_531_836 };
    for time in [Some(inode), None] {
        let processes = ProcessPlace { pid: Some(inode), time };
        let place = Some(Place { network: 7, processes });
        let stored = scratch.put(&Record { place, ..record("web", "", &[]) });
        assert_eq!(scratch.1.get(&stored.id).unwrap(), Some(stored.clone()));
        let gone = scratch.commit(&Change::Remove(&stored), stored.revision).unwrap();
        assert_eq!(gone, Commit::Done(0));
    }
    let stored = scratch.put(&record("web", "", &[]));
    let path = scratch.0.join("records").join(record_path("web"));
    assert!(!std::fs::read_to_string(path).unwrap().contains("place"));
    assert_eq!(scratch.1.get(&stored.id).unwrap(), Some(stored));
}

#[test]
fn a_directory_passes_the_cases_of_every_store() {
    contract::every_case(|name| {
        let scratch = Scratch::new(&format!("contract-{name}"));
        let directory = Directory::open(&scratch.0).unwrap();
        (DirectoryStore::open(directory.into()).unwrap(), scratch)
    });
}

#[test]
fn the_last_record_leaves_no_entry() {
    let scratch = Scratch::new("entries");
    let web = scratch.put(&record("web", "", &["10.0.0.2/24"]).linked(&["db", "mq"]));
    let commit = scratch.commit(&Change::Remove(&web), web.revision).unwrap();
    assert_eq!(commit, Commit::Done(0));
    for index in ["records", "names", "addresses", "wanted"] {
        let left = std::fs::read_dir(scratch.0.join(index)).unwrap().count();
        assert_eq!(left, 0, "{index}");
    }
}

#[test]
fn a_broken_record_is_put_aside() {
    let scratch = Scratch::new("broken");
    scratch.put(&record("good", "", &[]));
    for (id, bytes) in [("torn", &b"{\"version\":1"[..]), ("empty", b""), ("other", b"{}")] {
        scratch.put(&record(id, "", &[]));
        std::fs::write(scratch.0.join("records").join(record_path(id)), bytes).unwrap();
        assert_eq!(scratch.1.get(&record(id, "", &[]).id).unwrap(), None);
        assert!(scratch.0.join(format!("broken/{id}.json")).exists());
    }
    assert_eq!(scratch.1.all().unwrap().len(), 1);
}

#[test]
fn a_record_of_the_future_is_skipped_and_kept() {
    let scratch = Scratch::new("future");
    let web = scratch.put(&record("web", "", &["10.0.0.2/24"]).linked(&["db"]));
    let api = scratch.put(&record("api", "", &["10.0.0.2/24"]).linked(&["db"]));
    let path = scratch.0.join("records").join(record_path("web"));
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("\"version\":1", "\"version\":9");
    std::fs::write(&path, &text).unwrap();

    let reason = "record web: version 9 is newer than this oci-link, which reads versions up to 3";
    let error = scratch.1.get(&web.id).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.kind), (reason, Kind::State));
    assert_eq!(error.cause, Cause::NewerRecord);
    assert!(scratch.1.find(&reference("web")).is_err());
    // An address that the other container may have must not be handed out as if it were free.
    assert!(scratch.1.holders_of("10.0.0.2".parse().unwrap()).is_err());

    let ids = |records: Vec<Record>| records.iter().map(|r| r.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(scratch.1.all().unwrap()), ["api"]);
    assert_eq!(ids(scratch.1.recipients_naming(&reference("db")).unwrap()), ["api"]);
    let newer = scratch.1.newer().unwrap();
    assert_eq!(newer.len(), 1);
    assert_eq!((newer[0].reason.as_str(), newer[0].owner.as_ref()), (reason, Some(&web.owner)));

    // It keeps its file, its name and its entries.
    scratch.put(&Record { name: web.name.clone(), ..record("other", "", &[]) });
    assert!(scratch.1.find_leftovers().unwrap().is_empty());
    assert!(scratch.commit(&Change::Remove(&web), web.revision).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(scratch.commit(&Change::Remove(&api), api.revision).unwrap(), Commit::Done(0));

    // Where the tag is not where this version has it, any rule may be its own.
    std::fs::write(&path, "{\"version\":9,\"owner\":{\"tag\":1}}").unwrap();
    assert_eq!(scratch.1.newer().unwrap()[0].owner, None);
}

/// Ids that are no plain file names are found, listed and removed like others.
#[test]
fn odd_ids() {
    let scratch = Scratch::new("odd");
    let long = ["x".repeat(255), "\u{e9}".repeat(127), "x".repeat(241)];
    let odd =
        ["a,b", "+x", ".x", "-x", "a b", "a@b", "a:b", "\u{e9}", "a\nb", "~a", "x.json", "a~b"];
    let odd: Vec<&str> = odd.into_iter().chain(long.iter().map(String::as_str)).collect();
    let address = ["10.0.0.2/24"];
    let mut records = Vec::new();
    for text in &odd {
        let id = ContainerId::new(text).unwrap();
        let name = ContainerName::from(&id);
        let me = Record { id, name, ..record("web", "", &address).linked(&["db"]) };
        records.push(scratch.put(&me));
    }
    for record in &records {
        assert_eq!(scratch.1.get(&record.id).unwrap().as_ref(), Some(record));
        assert_eq!(scratch.1.namesakes(&record.id).unwrap(), std::slice::from_ref(record));
        if record.name.is_derived() {
            assert_eq!(scratch.1.names.read_link(record.name.as_str()).unwrap(), None);
        }
    }
    assert_eq!(scratch.1.ids().unwrap().len(), odd.len());
    assert_eq!(scratch.1.all().unwrap().len(), odd.len());
    assert_eq!(scratch.1.holders_of("10.0.0.2".parse().unwrap()).unwrap().len(), odd.len());
    assert_eq!(scratch.1.recipients_naming(&reference("db")).unwrap().len(), odd.len());
    assert_eq!(scratch.1.leftovers(&scratch.1.lock(Duration::ZERO).unwrap()).unwrap(), [""; 0]);
    let found = scratch.1.find(&reference("a")).unwrap();
    assert_eq!(found, Found::Nothing, "no prefix of another id");
    for record in &records {
        let commit = scratch.commit(&Change::Remove(record), record.revision).unwrap();
        assert_eq!(commit, Commit::Done(0));
    }
    for index in FOLDERS {
        assert_eq!(std::fs::read_dir(scratch.0.join(index)).unwrap().count(), 0, "{index}");
    }
}

/// Several running containers may have one id.
#[test]
fn namesakes() {
    let scratch = Scratch::new("namesakes");
    for text in ["web", "a b", &"x".repeat(240), &"x".repeat(255)] {
        let id = ContainerId::new(text).unwrap();
        let name = ContainerName::from(&id);
        let first = Record { id: id.clone(), name, ..record("web", "", &[]) };
        let again = |netns: u64| {
            let instance = Instance { netns, ..first.instance.clone() };
            Record { id: id.namesake(&instance), instance, ..first.clone() }
        };
        let (first, second, third) =
            (scratch.put(&first), scratch.put(&again(8)), scratch.put(&again(9)));
        let all = |expected: &[&Record]| {
            let mut found = scratch.1.namesakes(&second.id).unwrap();
            found.sort_by_key(|record| record.instance.netns);
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{text}");
            assert_eq!(scratch.1.ids().unwrap().len(), expected.len());
        };
        all(&[&first, &second, &third]);
        let is = |expected: Option<&Record>| {
            if let Some(reference) = id.reference() {
                let found = scratch.1.find(&reference).unwrap();
                let expected = expected.map(|record| Found::One(Box::new(record.clone())));
                assert_eq!(found, expected.unwrap_or(Found::Several), "{text}");
            }
        };
        is(Some(&first));
        let remove = |record: &Record| {
            let commit = scratch.commit(&Change::Remove(record), record.revision).unwrap();
            assert_eq!(commit, Commit::Done(0));
        };
        remove(&first);
        all(&[&second, &third]);
        is(None);
        remove(&second);
        all(&[&third]);
        is(Some(&third));
        let first = scratch.put(&Record { revision: 0, ..first });
        is(Some(&first));
        assert_eq!(scratch.1.leftovers(&scratch.1.lock(Duration::ZERO).unwrap()).unwrap(), [""; 0]);
        remove(&third);
        all(&[&first]);
        remove(&first);
    }
    for index in FOLDERS {
        assert_eq!(std::fs::read_dir(scratch.0.join(index)).unwrap().count(), 0, "{index}");
    }
}

/// Records of earlier versions have a host name; a new one may have none.
#[test]
fn a_host_name_may_be_missing() {
    let scratch = Scratch::new("hostname");
    let web = scratch.put(&Record { hostname: None, ..record("web", "", &[]) });
    let path = scratch.0.join("records").join(record_path("web"));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("hostname") && !text.contains("namesake"), "{text}");
    assert_eq!(scratch.1.get(&web.id).unwrap(), Some(web.clone()));
    std::fs::write(&path, text.replacen('{', "{\"hostname\":\"shop\",", 1)).unwrap();
    let read = scratch.1.get(&web.id).unwrap().unwrap();
    assert_eq!(read.hostname.map(|name| name.to_string()).as_deref(), Some("shop"));
}

/// No other process changes the store meanwhile, so nothing is read twice.
#[test]
fn what_was_read_is_known_until_the_lock_is_released() {
    let scratch = Scratch::new("known");
    let web = scratch.put(&record("web", "80", &["10.0.0.2/24"]));
    let path = scratch.0.join("records").join(record_path("web"));
    let address = "10.0.0.2".parse().unwrap();
    let holders = || scratch.1.holders_of(address).unwrap().len();
    let lock = scratch.1.lock(Duration::ZERO).unwrap();
    assert_eq!((scratch.1.get(&web.id).unwrap(), holders()), (Some(web.clone()), 1));
    let text = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((scratch.1.get(&web.id).unwrap(), holders()), (Some(web.clone()), 1));
    // A change of this process is seen at once.
    let peer = record("peer", "80", &["10.0.0.2/24"]);
    let done = scratch.1.commit(&lock, &Change::Put(&peer), 0).unwrap();
    assert_eq!((done, holders()), (Commit::Done(1), 2));
    let peer = Record { revision: 1, ..peer };
    let moved = Record { network: Network::Own(Vec::new()), ..peer.clone() };
    let done = scratch.1.commit(&lock, &Change::Put(&moved), 1).unwrap();
    assert_eq!((done, holders()), (Commit::Done(2), 1));
    drop(lock);
    assert_eq!((scratch.1.get(&web.id).unwrap(), holders()), (None, 0));
    std::fs::write(&path, text).unwrap();
    assert_eq!((scratch.1.get(&web.id).unwrap(), holders()), (Some(web), 1));
}

mod versions;
