//! Tests of the store's guarantees on a real directory.

use super::*;
use crate::model::sample::record;
use crate::model::{Address, BackendName, BridgeName, Flow, Network, Phase, PortSet};
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
    let web = web.linked(&["db:sql"]).showing(&["A=b=c", "UNI=héllo", "EMPTY="]);
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
    let port = PortSet::parse("80").unwrap().iter().next().unwrap();
    let [from, to] = ["10.0.0.2", "10.0.0.3"].map(|ip| ip.parse().unwrap());
    let flow = Flow { from, to, port, bridge };
    let network = Network::Own(vec![bound, free]);
    let web = Record { network, flows: vec![flow, flow.anywhere()], ..record("web", "", &[]) };
    let stored = scratch.put(&web);
    assert_eq!(scratch.1.get(&web.id).unwrap(), Some(stored));

    let path = scratch.0.join("records").join(record_path("web"));
    let text = std::fs::read_to_string(&path).unwrap();
    let old = text.replace("\"bridges\":{\"10.0.0.2\":\"br0\"},", "");
    let old = old.replace(",\"bridge\":\"br0\"", "");
    assert!(!old.contains("br0") && !old.contains("bridge"), "{old}");
    std::fs::write(&path, old).unwrap();
    let read = scratch.1.get(&web.id).unwrap().unwrap();
    assert_eq!(read.network, Network::Own(vec![bound.on(None), free]));
    assert_eq!(read.flows, [flow.anywhere(); 2]);
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
fn a_record_of_the_future_is_an_error() {
    let scratch = Scratch::new("future");
    let web = scratch.put(&record("web", "", &[]));
    let path = scratch.0.join("records").join(record_path("web"));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"version\":1", "\"version\":9")).unwrap();
    assert_eq!(scratch.1.get(&web.id).unwrap_err().kind, Kind::State);
}
