//! Records come, change and go; what the indexes say is compared with what the records say.

use super::*;
use crate::cluster::format;
use crate::sys::process::lock;
use nix::unistd::mkdtemp;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

struct Scene {
    path: PathBuf,
    state: Directory,
    mirror: Mirror,
    lock: Lock,
}

impl Scene {
    fn new() -> Self {
        let path = mkdtemp("/tmp/oci-link-mirror-XXXXXX").unwrap();
        let state = Directory::open(&path).unwrap();
        let file = state.open_lock("lock").unwrap();
        let lock = lock::exclusive(file, Duration::from_secs(1)).unwrap();
        Self { mirror: Mirror::open(&state).unwrap(), path, state, lock }
    }

    fn put(&self, record: &PeerRecord) -> bool {
        self.mirror.put(&self.lock, &key(record), record).unwrap()
    }

    fn named(&self, name: &str) -> Vec<String> {
        let found = self.mirror.named(name).unwrap();
        found.iter().map(|offer| format!("{}@{}", offer.name, offer.source.host)).collect()
    }

    /// All files of the indexes.
    fn entries(&self) -> Vec<String> {
        let mut all = Vec::new();
        for index in ["names", "addresses", "wanted"] {
            self.mirror
                .top
                .visit(index, |folder| {
                    let place = format!("{index}/{folder}");
                    self.mirror.top.visit(&place, |name| {
                        all.push(format!("{place}/{name}"));
                        Ok(true)
                    })?;
                    Ok(true)
                })
                .unwrap();
        }
        all.sort();
        all
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn key(record: &PeerRecord) -> PeerKey {
    let (host, of) = match record {
        PeerRecord::Host(host) => (host, Of::Host),
        PeerRecord::Offer(offer) => (&offer.source.host, Of::Offer(offer.source.id.clone())),
        PeerRecord::Want(want) => (&want.recipient.host, Of::Want(want.recipient.id.clone())),
    };
    PeerKey { host: host.clone(), of }
}

fn offer(host: &str, id: &str, name: &str, address: &str) -> PeerRecord {
    let text = format!(
        r#"{{"v":1,"host":"{host}","id":"{id}","run":"4be1c07d9a22e310","name":"{name}","names":["other-{name}"],"addresses":["{address}"],"ports":["80/tcp"],"to":"all"}}"#
    );
    PeerRecord::Offer(format::offer(text.as_bytes()).unwrap())
}

fn want(id: &str, source: &str) -> PeerRecord {
    let text = format!(
        r#"{{"v":1,"host":"b","id":"{id}","run":"4be1c07d9a22e310","name":"w","addresses":["10.10.2.9"],"sources":[{{"host":"a","id":"{source}","run":"4be1c07d9a22e310"}}]}}"#
    );
    PeerRecord::Want(format::want(text.as_bytes()).unwrap())
}

fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

#[test]
fn a_record_is_found_under_its_names_and_its_id() {
    let scene = Scene::new();
    let db = offer("b", "6f", "mysql", "10.10.2.2");
    assert!(scene.put(&db) && !scene.put(&db), "equal content changes nothing");
    for name in ["mysql", "other-mysql", "6f"] {
        assert_eq!(scene.named(name), ["mysql@b"], "{name}");
    }
    assert!(scene.named("6").is_empty() && scene.named("nothing").is_empty());
    assert!(scene.put(&offer("c", "70", "mysql", "10.10.3.2")));
    assert_eq!(scene.named("mysql"), ["mysql@b", "mysql@c"]);
    let id = ContainerId::new("6f").unwrap();
    assert!(scene.mirror.offer(&host("b"), &id).unwrap().is_some());
    assert!(scene.mirror.offer(&host("c"), &id).unwrap().is_none());
    assert_eq!(scene.mirror.keys().unwrap().len(), 2);
}

#[test]
fn indexes_follow_a_record_that_changes_and_goes() {
    let scene = Scene::new();
    scene.put(&offer("b", "6f", "mysql", "10.10.2.2"));
    assert!(scene.put(&offer("b", "6f", "maria", "10.10.2.3")));
    assert!(scene.named("mysql").is_empty());
    assert_eq!(scene.named("maria"), ["maria@b"]);
    let expected = ["addresses/10.10.2.3", "names/6f", "names/maria", "names/other-maria"];
    assert_eq!(scene.entries(), expected.map(|entry| format!("{entry}/b~6f.offer")));
    let key = key(&offer("b", "6f", "maria", "10.10.2.3"));
    assert!(scene.mirror.remove(&scene.lock, &key).unwrap());
    assert!(!scene.mirror.remove(&scene.lock, &key).unwrap());
    assert_eq!(scene.entries(), [""; 0]);
    assert!(scene.mirror.keys().unwrap().is_empty());
}

#[test]
fn a_recipient_is_found_by_the_source_that_it_wants() {
    let scene = Scene::new();
    scene.put(&want("w1", "db"));
    scene.put(&want("w2", "db"));
    scene.put(&want("w3", "a b/".trim_end_matches('/')));
    let wanting = |id: &str| {
        let all = scene.mirror.wanting(&ContainerId::new(id).unwrap()).unwrap();
        all.iter().map(|want| want.recipient.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(wanting("db"), ["w1", "w2"]);
    assert_eq!(wanting("a b"), ["w3"], "an id that is no name");
    assert_eq!(wanting("x"), [""; 0]);
    scene.put(&want("w1", "x"));
    assert_eq!((wanting("db").len(), wanting("x").len()), (1, 1));
}

#[test]
fn an_address_that_two_hosts_claim_is_neithers() {
    let scene = Scene::new();
    let address = ["10.10.2.2".parse::<IpAddr>().unwrap()];
    let undisputed = |name: &str| scene.mirror.undisputed(&host(name), &address).unwrap().len();
    scene.put(&offer("b", "6f", "mysql", "10.10.2.2"));
    scene.put(&offer("b", "70", "peer", "10.10.2.2"));
    assert_eq!(undisputed("b"), 1, "two containers of one pod");
    scene.put(&offer("c", "71", "redis", "10.10.2.2"));
    assert_eq!((undisputed("b"), undisputed("c")), (0, 0));
    scene.put(&offer("c", "71", "redis", "10.10.3.2"));
    assert_eq!(undisputed("b"), 1);
    // A killed writer leaves an entry without a record.
    scene.mirror.top.link(".", "addresses/10.10.2.2/c~72.offer").unwrap();
    assert_eq!(undisputed("b"), 1);
}

#[test]
fn an_entry_without_its_record_is_nothing() {
    let scene = Scene::new();
    scene.mirror.top.link(".", "names/mysql/b~6f.offer").unwrap();
    scene.mirror.top.link(".", "names/mysql/junk").unwrap();
    assert!(scene.named("mysql").is_empty());
    scene.put(&offer("b", "6f", "redis", "10.10.2.2"));
    assert!(scene.named("mysql").is_empty(), "the record has another name");
    scene.mirror.top.write("records/b~6f.offer", b"junk").unwrap();
    assert!(scene.named("redis").is_empty());
    assert!(scene.put(&offer("b", "6f", "redis", "10.10.2.2")), "it is written again");
    assert_eq!(scene.named("redis"), ["redis@b"]);
}

#[test]
fn readers_need_no_mirror() {
    let scene = Scene::new();
    assert!(Mirror::existing(&scene.state).unwrap().is_some());
    fs::remove_dir_all(scene.path.join(FOLDER)).unwrap();
    assert!(Mirror::existing(&scene.state).unwrap().is_none());
    let mirror = Mirror::open(&scene.state).unwrap();
    assert!(mirror.keys().unwrap().is_empty() && mirror.named("x").unwrap().is_empty());
    assert_eq!(mirror.view().unwrap(), None);
    mirror.put_view(b"{}").unwrap();
    assert_eq!(mirror.view().unwrap(), Some(b"{}".to_vec()));
}
