//! Files in a spool become the mirror, by difference and in small lots.

use super::*;
use crate::config::Config;
use crate::lifecycle::fakes::Scene;
use crate::model::ContainerId;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

struct Spool {
    scene: Scene,
    cluster: ClusterConfig,
    path: PathBuf,
    seen: Seen,
}

impl Spool {
    fn new() -> Self {
        let text = "[cluster]\nname='a'\n\
            networks={a=['10.10.1.0/24'],b=['10.10.0.0/16'],c=['10.10.0.0/16']}";
        let cluster = Config::parse("c", text).unwrap().cluster.unwrap();
        let scene = Scene::new();
        let path = scene.directory().join("spool");
        fs::create_dir(&path).unwrap();
        Self { scene, cluster, path, seen: Seen::default() }
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path.join(".new"), text).unwrap();
        fs::rename(self.path.join(".new"), self.path.join(name)).unwrap();
    }

    fn offer(&self, host: &str, id: &str, name: &str, run: u64) {
        let number = id.bytes().map(u32::from).sum::<u32>() % 200 + 2;
        let text = format!(
            r#"{{"v":1,"host":"{host}","id":"{id}","run":"{run:016x}","name":"{name}","addresses":["10.10.2.{number}"],"ports":["80/tcp"],"to":"all"}}"#
        );
        self.put(&format!("{host}~{id}.offer"), &text);
    }

    fn take(&self, name: &str) {
        fs::remove_file(self.path.join(name)).unwrap();
    }

    /// How many records were written and removed, and how many files were put aside.
    fn refresh(&mut self) -> [usize; 3] {
        let refreshed =
            refresh(&self.scene.host, &self.cluster, &self.path, &mut self.seen, &mut || Ok(()))
                .unwrap()
                .unwrap();
        [refreshed.written, refreshed.removed, refreshed.aside.count]
    }

    fn named(&self, name: &str) -> Vec<String> {
        let mirror = Mirror::open(self.scene.host.directory()).unwrap();
        let found = mirror.named(name).unwrap();
        found.iter().map(|offer| format!("{}@{}", offer.source.id, offer.source.host)).collect()
    }
}

#[test]
fn an_offer_comes_changes_its_run_and_goes() {
    let mut spool = Spool::new();
    spool.offer("b", "db", "mysql", 1);
    assert_eq!((spool.refresh(), spool.named("mysql")), ([1, 0, 0], vec!["db@b".to_owned()]));
    assert_eq!(spool.refresh(), [0, 0, 0]);
    spool.offer("b", "db", "mysql", 1);
    assert_eq!(spool.refresh(), [0, 0, 0], "another file of equal content");
    spool.offer("b", "db", "mysql", 2);
    assert_eq!(spool.refresh(), [1, 0, 0], "another run");
    spool.take("b~db.offer");
    assert_eq!((spool.refresh(), spool.named("mysql").len()), ([0, 1, 0], 0));
}

#[test]
fn one_batch_removes_an_id_and_adds_another_of_the_same_name() {
    let mut spool = Spool::new();
    spool.offer("b", "old", "mysql", 1);
    spool.refresh();
    spool.take("b~old.offer");
    spool.offer("b", "new", "mysql", 2);
    assert_eq!((spool.refresh(), spool.named("mysql")), ([1, 1, 0], vec!["new@b".to_owned()]));
}

#[test]
fn a_bad_record_drops_its_earlier_version_and_no_other() {
    let mut spool = Spool::new();
    spool.offer("b", "db", "mysql", 1);
    spool.offer("c", "db", "mysql", 1);
    spool.refresh();
    spool.put("b~db.offer", "{");
    spool.put("junk", "x");
    assert_eq!((spool.refresh(), spool.named("mysql")), ([0, 1, 2], vec!["db@c".to_owned()]));
    assert_eq!(spool.refresh(), [0, 0, 1], "one that has not changed is named once");
    spool.offer("b", "db", "mysql", 1);
    assert_eq!(spool.refresh(), [1, 0, 1]);
}

#[test]
fn without_a_spool_nothing_is_forgotten() {
    let mut spool = Spool::new();
    spool.offer("b", "db", "mysql", 1);
    spool.refresh();
    fs::remove_dir_all(&spool.path).unwrap();
    let (host, cluster) = (&spool.scene.host, &spool.cluster);
    assert!(
        refresh(host, cluster, &spool.path, &mut spool.seen, &mut || Ok(())).unwrap().is_none()
    );
    std::os::unix::fs::symlink("/tmp", &spool.path).unwrap();
    assert!(refresh(host, cluster, &spool.path, &mut spool.seen, &mut || Ok(())).is_err());
    assert_eq!(spool.named("mysql"), ["db@b"]);
    fs::remove_file(&spool.path).unwrap();
    fs::create_dir(&spool.path).unwrap();
    assert_eq!(spool.refresh(), [0, 1, 0], "an empty one is believed");
}

#[test]
fn a_new_process_reads_all_and_changes_nothing() {
    let mut spool = Spool::new();
    (0..120).for_each(|n| spool.offer("b", &format!("db{n}"), &format!("n{n}"), n));
    assert_eq!(spool.refresh(), [120, 0, 0]);
    spool.seen = Seen::default();
    assert_eq!(spool.refresh(), [0, 0, 0]);
    assert_eq!(spool.seen.0.len(), 120);
}

#[test]
fn a_mirror_that_is_lost_is_written_again() {
    let mut spool = Spool::new();
    spool.offer("b", "db", "mysql", 1);
    spool.put("b~bad.offer", "{");
    assert_eq!(spool.refresh(), [1, 0, 1]);
    fs::remove_dir_all(spool.scene.host.config.state_dir.join("peers")).unwrap();
    assert_eq!((spool.refresh(), spool.named("mysql")), ([1, 0, 0], vec!["db@b".to_owned()]));
}

/// The work under the lock is bounded by the lot, whatever the spool has.
#[test]
fn ten_thousand_records_give_the_lock_away_in_between() {
    let mut spool = Spool::new();
    (0..10_000).for_each(|n| spool.offer("b", &format!("db{n:05}"), &format!("n{n}"), n));
    let begun = Instant::now();
    let (host, cluster) = (&spool.scene.host, &spool.cluster);
    let refreshed =
        refresh(host, cluster, &spool.path, &mut spool.seen, &mut || Ok(())).unwrap().unwrap();
    println!("10,000 records: {:?}", begun.elapsed());
    assert_eq!((refreshed.written, refreshed.turns), (10_000, 10_000 / LOT));
    assert_eq!(spool.named("n7777"), ["db07777@b"]);
    let id = ContainerId::new("db00001").unwrap();
    let mirror = Mirror::open(spool.scene.host.directory()).unwrap();
    let host = crate::model::HostName::new("b").unwrap();
    assert!(mirror.offer(&host, &id).unwrap().is_some());
    spool.take("b~db00001.offer");
    let begun = Instant::now();
    assert_eq!(spool.refresh(), [0, 1, 0]);
    println!("one of 10,000: {:?}", begun.elapsed());
}
