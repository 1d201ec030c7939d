//! The store in memory behaves as the store in the state directory.

use super::*;
use crate::model::NetworkNames;
use crate::model::sample::{record, reference};
use crate::store::{contract, open};
use crate::sys::private_dir::Directory;
use std::os::unix::fs::DirBuilderExt;
use std::time::Duration;

/// A directory that is removed at the end of a test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("oci-link-stores-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn memory_passes_the_cases_of_every_store() {
    contract::every_case(|name| {
        let scratch = Scratch::new(name);
        (MemoryStore::new(&Journal::default(), &scratch.0.join("lock")), scratch)
    });
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// Two of them begin alike, and a name is their beginning.
const IDS: [&str; 6] = [
    "a",
    "ab",
    "abc",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde1",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde2",
    "bc",
];
const NAMES: [&str; 5] = ["a", "abc", "db", "0123456789ab", "bc"];
const ADDRESSES: [&str; 3] = ["10.0.0.2/24", "10.0.0.3/24", "fd00::2/64"];

fn network() -> NetworkName {
    NetworkName::new("n1").unwrap()
}

fn any_record(numbers: &mut Numbers) -> Record {
    let links: Vec<&str> = NAMES.into_iter().filter(|_| numbers.below(3) == 0).collect();
    let address = numbers.one_of(&ADDRESSES);
    let mut record = Record {
        name: record(numbers.one_of(&NAMES), "", &[]).name,
        ..record(numbers.one_of(&IDS), "", &[address])
    };
    record = record.linked(&links);
    for link_state in &mut record.links {
        if numbers.below(2) == 0 {
            link_state.source = ContainerId::new(numbers.one_of(&IDS)).ok();
        }
        link_state.meaning = match numbers.below(4) {
            0 => Some(Meaning::Name),
            1 => ContainerId::new(numbers.one_of(&IDS)).ok().map(Meaning::Id),
            _ => link_state
                .source
                .as_ref()
                .and_then(|id| Meaning::inferred(&link_state.link.source, id)),
        };
    }
    if numbers.below(3) == 0 {
        let name = ContainerName::new(numbers.one_of(&NAMES)).unwrap();
        record.engine_name = Some(name).filter(|name| *name != record.name);
    }
    if numbers.below(3) == 0 {
        let name = ContainerName::new(numbers.one_of(&NAMES)).unwrap();
        record.former_names.extend(Some(name).filter(|name| !record.has_name(name.as_str())));
        let aliases = vec![reference(numbers.one_of(&NAMES))];
        record.networks.push(NetworkNames { network: network(), aliases });
    }
    record
}

/// Everything that a store says, as text.
fn answers(store: &dyn Store) -> Vec<String> {
    let mut all = vec![format!("{:?} {:?}", store.all().unwrap(), store.ids().unwrap())];
    for text in IDS.iter().chain(&NAMES).chain(&["abc", "x"]) {
        let id = ContainerId::new(text).unwrap();
        let name = reference(text);
        all.push(format!("{text}: {:?}", store.get(&id).unwrap()));
        all.push(format!("{text}: {:?}", store.find(&name).unwrap()));
        all.push(format!("{text}: {:?}", store.named(&name).unwrap()));
        all.push(format!("{text}: {:?}", store.formerly_named(&name).unwrap()));
        all.push(format!("{text}: {:?}", store.with_alias(&network(), &name).unwrap()));
        all.push(format!("{text}: {:?}", store.recipients_naming(&name).unwrap()));
        all.push(format!("{text}: {:?}", store.unresolved_by_prefix(&id).unwrap()));
    }
    for address in ADDRESSES {
        let ip = address.split('/').next().unwrap().parse().unwrap();
        all.push(format!("{address}: {:?}", store.holders_of(ip).unwrap()));
    }
    all
}

#[test]
fn both_stores_answer_alike_after_any_changes() {
    let mut numbers = Numbers(16);
    for round in 0..20 {
        let scratch = Scratch::new(&format!("alike-{round}"));
        let memory = MemoryStore::new(&Journal::default(), &scratch.0.join("lock"));
        let directory = open(Directory::open(&scratch.0.join("state")).unwrap().into()).unwrap();
        for step in 0..25 {
            let record = any_record(&mut numbers);
            let known = memory.record(record.id.as_str()).map_or(0, |known| known.revision);
            let seen = if numbers.below(5) == 0 { known + 1 } else { known };
            let change = match numbers.below(3) {
                0 => Change::Remove(&record),
                _ => Change::Put(&record),
            };
            let commit = |store: &dyn Store| {
                store.commit(&store.lock(Duration::ZERO).unwrap(), &change, seen).unwrap()
            };
            assert_eq!(commit(&memory), commit(&*directory), "round {round}, step {step}");
            assert_eq!(answers(&memory), answers(&*directory), "round {round}, step {step}");
        }
    }
}
