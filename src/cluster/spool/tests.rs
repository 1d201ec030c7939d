//! Files are copied into a spool by hand, as any courier would.

use super::*;
use crate::model::Subnet;
use nix::unistd::mkdtemp;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const OFFER: &str = r#"{"v":1,"host":"b","id":"db","run":"4be1c07d9a22e310","name":"mysql","addresses":["10.10.2.2"],"ports":["3306/tcp"],"to":"all"}"#;
const WANT: &str = r#"{"v":1,"host":"b","id":"web","run":"90c2f1be77d0aa14","name":"web","addresses":["10.10.2.3"],"sources":[{"host":"a","id":"x","run":"4be1c07d9a22e310"},{"host":"c","id":"y","run":"4be1c07d9a22e310"}]}"#;

fn cluster() -> Cluster {
    let host = |name| HostName::new(name).unwrap();
    let network = |text: &str| vec![Subnet::parse(text).unwrap()];
    let networks = [("a", "10.10.1.0/24"), ("b", "10.10.2.0/24"), ("c", "10.10.3.0/24")];
    let networks = networks.map(|(name, all)| (host(name), network(all)));
    Cluster { name: host("a"), networks: networks.into(), patience: Duration::from_secs(60) }
}

struct Scene {
    top: PathBuf,
    spool: Spool,
}

impl Scene {
    fn new() -> Self {
        let top = mkdtemp("/tmp/oci-link-peers-XXXXXX").unwrap();
        let spool = open(&top).unwrap().unwrap();
        Self { top, spool }
    }

    /// Writes a file as a courier does: under a temporary name, then moved.
    fn put(&self, name: &str, text: &str) {
        fs::write(self.top.join(".new"), text).unwrap();
        fs::rename(self.top.join(".new"), self.top.join(name)).unwrap();
    }

    fn list(&self) -> Listing {
        list(&self.spool, &cluster()).unwrap()
    }

    /// What becomes of the only record in the spool.
    fn only(&self) -> std::result::Result<Option<PeerRecord>, String> {
        let listing = self.list();
        let [listed] = &listing.records[..] else { panic!("{listing:?}") };
        read(&self.spool, &listed.key, &cluster())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.top);
    }
}

#[test]
fn a_copied_record_is_read() {
    let scene = Scene::new();
    assert!(scene.list().records.is_empty());
    scene.put("b~db.offer", OFFER);
    let Ok(Some(PeerRecord::Offer(offer))) = scene.only() else { panic!() };
    assert_eq!((offer.name.as_str(), offer.ports.to_string().as_str()), ("mysql", "3306/tcp"));
    fs::remove_file(scene.top.join("b~db.offer")).unwrap();
    scene.put("b~web.want", WANT);
    let Ok(Some(PeerRecord::Want(want))) = scene.only() else { panic!() };
    let sources: Vec<&str> = want.sources.iter().map(|source| source.id.as_str()).collect();
    assert_eq!(sources, ["x"], "what it wants of another host is not for us");
    fs::remove_file(scene.top.join("b~web.want")).unwrap();
    scene.put("b.host", r#"{"v":1,"host":"b","incarnation":"7"}"#);
    assert_eq!(scene.only(), Ok(Some(PeerRecord::Host(HostName::new("b").unwrap()))));
    assert_eq!(scene.list().aside, Aside::default());
}

#[test]
fn a_record_is_believed_inside_its_hosts_networks_only() {
    let scene = Scene::new();
    let read = |from: &str, to: &str| {
        scene.put("b~db.offer", &OFFER.replace(from, to));
        scene.only()
    };
    let both =
        read("[\"10.10.2.2\"]", "[\"172.17.0.2\",\"10.10.2.9\",\"10.10.1.5\",\"127.0.0.1\"]");
    let Ok(Some(PeerRecord::Offer(offer))) = both else { panic!("{both:?}") };
    assert_eq!(offer.addresses, ["10.10.2.9".parse::<std::net::IpAddr>().unwrap()]);
    for outside in
        ["172.17.0.2", "10.10.1.2", "10.10.3.2", "127.0.0.1", "::1", "fd00::2", "0.0.0.0"]
    {
        let refused = read("10.10.2.2", outside).unwrap_err();
        assert_eq!(refused, "no address in cluster.networks of b");
    }
    for (from, to) in [
        ("\"host\":\"b\"", "\"host\":\"c\""),
        ("\"id\":\"db\"", "\"id\":\"db2\""),
        ("\"v\":1", "\"v\":2"),
        ("{", "["),
    ] {
        assert!(read(from, to).is_err(), "{to}");
    }
    assert_eq!(read("\"all\"", "[\"c\"]"), Ok(None), "not for us is no fault");
    assert!(matches!(read("\"all\"", "[\"a\",\"c\"]"), Ok(Some(_))));
    scene.put("b~db.offer", &format!("{OFFER}{}", " ".repeat(64 << 10)));
    assert!(scene.only().unwrap_err().contains("more than 65536 bytes"));
}

#[test]
fn a_want_of_other_hosts_does_not_concern_this_one() {
    let scene = Scene::new();
    scene.put("b~web.want", &WANT.replace("\"host\":\"a\"", "\"host\":\"c\""));
    assert_eq!(scene.only(), Ok(None));
    scene.put("b~web.want", &WANT.replace("10.10.2.3", "10.10.1.3"));
    assert!(scene.only().is_err(), "an address of this host's own network");
}

#[test]
fn every_other_name_is_put_aside_and_harms_no_record() {
    let scene = Scene::new();
    scene.put("b~db.offer", OFFER);
    scene.put("view", "{}");
    scene.put(".half", "x");
    let long = format!("b~{}.offer", "x".repeat(181));
    let junk = [
        "a~db.offer",
        "a.host",
        "d~db.offer",
        "d.host",
        "B~db.offer",
        "b~.offer",
        "~db.offer",
        "db.offer",
        "b~db.json",
        "b~db",
        "offer",
        "b~..want",
        "view2",
        "b..host",
        "b\u{1b}[2J.host",
        &long,
    ];
    for name in junk {
        scene.put(name, "x");
    }
    let listing = scene.list();
    assert_eq!(listing.records.len(), 1);
    let named: Vec<&str> = listing.aside.named.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((listing.aside.count, named.len()), (junk.len(), junk.len()), "{named:?}");
    assert!(named.iter().all(|name| !name.contains('\u{1b}')), "{named:?}");
    let why = |name: &str| {
        let mut all = listing.aside.named.iter();
        all.find(|(known, _)| known == name).map(|(_, why)| why.as_str()).unwrap()
    };
    assert_eq!(why("a~db.offer"), "names this host");
    assert_eq!(why("d.host"), "cluster.networks has no host d");
    assert_eq!(why("db.offer"), "not the name of a record");
}

#[test]
fn one_host_cannot_crowd_out_the_others() {
    let scene = Scene::new();
    for at in 0..MAX_OF_HOST + 7 {
        fs::write(scene.top.join(format!("b~{at:06}.offer")), "").unwrap();
    }
    scene.put("c~db.offer", &OFFER.replace("\"b\"", "\"c\"").replace("10.10.2.2", "10.10.3.2"));
    let listing = scene.list();
    assert_eq!((listing.records.len(), listing.aside.count), (MAX_OF_HOST + 1, 7));
    assert_eq!(listing.records.last().unwrap().key.host.as_str(), "c");
    assert!(listing.aside.named.iter().all(|(_, why)| why == "more than 16384 files of one host"));
}

#[test]
fn the_names_of_files_are_those_of_their_keys() {
    for name in
        ["b.host", "b~db.offer", "b~db.want", "b~a.offer.want", "b~x~y.offer", "b-1.c~_.want"]
    {
        assert_eq!(PeerKey::of_file(name).map(|key| key.file_name()).as_deref(), Some(name));
    }
}
