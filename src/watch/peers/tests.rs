//! From the spool to the mirror.

use super::*;
use crate::config::Config;
use crate::lifecycle::fakes::Scene;
use std::cell::Cell;
use std::fs;

const OFFER: &str = r#"{"v":1,"host":"b","id":"db","run":"4be1c07d9a22e310","name":"mysql","addresses":["10.10.2.2"],"ports":["3306/tcp"],"to":"all"}"#;

fn cluster() -> ClusterConfig {
    let text = "[cluster]\nname='a'\nnetworks={a=['10.10.1.0/24'],b=['10.10.2.0/24']}";
    Config::parse("c", text).unwrap().cluster.unwrap()
}

#[test]
fn without_the_table_nothing_is_followed() {
    let scene = Scene::new();
    assert!(Peers::of(&scene.host, &Signals::new().unwrap(), Instant::now()).unwrap().is_none());
    assert!(Mirror::existing(scene.host.directory()).unwrap().is_none(), "nothing is made");
}

#[test]
fn what_is_copied_into_the_spool_gets_into_the_mirror() {
    let (scene, cluster) = (Scene::new(), cluster());
    let spool = scene.directory().join("spool");
    let now = Cell::new(Instant::now());
    let later = |seconds| {
        now.set(now.get() + Duration::from_secs(seconds));
        now.get()
    };
    let mut peers = Peers::at(&scene.host, &cluster, &spool, now.get()).unwrap();
    peers.act(now.get());
    assert!(peers.said.contains("is missing"), "{}", peers.said);
    fs::create_dir(&spool).unwrap();
    let put = |name: &str, text: &str| {
        fs::write(spool.join(".new"), text).unwrap();
        fs::rename(spool.join(".new"), spool.join(name)).unwrap();
    };
    let turn = |peers: &mut Peers<'_>, seconds: u64| {
        peers.hear(later(seconds)).unwrap();
        peers.act(later(1));
        let mirror = Mirror::open(scene.host.directory()).unwrap();
        mirror.named("mysql").unwrap().len()
    };
    turn(&mut peers, 6);
    turn(&mut peers, 1);
    assert_eq!((peers.said.as_str(), peers.watched.is_some()), ("", true));
    put("b~db.offer", OFFER);
    assert_eq!(turn(&mut peers, 1), 1);
    put(".half", "x");
    assert_eq!(peers.due(now.get()), None, "a temporary name");
    put("view", "junk");
    put("b~db.offer", &OFFER.replace("mysql", "maria"));
    assert_eq!(turn(&mut peers, 1), 0, "a bad view keeps no record from being read");
    assert!(peers.said.starts_with("view: "), "{}", peers.said);
    put("b~db.offer", OFFER);
    let view = format!(
        r#"{{"v":1,"boot":"{}","fresh_ms":1}}"#,
        fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim()
    );
    put("view", &view);
    turn(&mut peers, 1);
    assert!(peers.freshness.age(&BootClock).is_some(), "{}", peers.said);
    let again = Peers::at(&scene.host, &cluster, &spool, now.get()).unwrap();
    assert_eq!(again.freshness, peers.freshness, "a restart keeps it");
    fs::remove_file(spool.join("b~db.offer")).unwrap();
    assert_eq!(turn(&mut peers, 1), 0);
    put("b~db.offer", OFFER);
    turn(&mut peers, 1);
    fs::remove_dir_all(&spool).unwrap();
    assert_eq!(turn(&mut peers, 1), 1, "what is not seen is not dead");
}

/// A signal that waits ends a look at many records between two lots, and the next look does the rest.
#[test]
fn a_signal_does_not_wait_for_many_records() {
    let (scene, cluster) = (Scene::new(), cluster());
    let spool = scene.directory().join("spool");
    fs::create_dir(&spool).unwrap();
    for number in 0..60 {
        let offer = OFFER.replace("\"db\"", &format!("\"db{number}\""));
        fs::write(spool.join(format!("b~db{number}.offer")), offer).unwrap();
    }
    let signals = Signals::new().unwrap();
    let now = Instant::now();
    let mut peers = Peers::at(&scene.host, &cluster, &spool, now).unwrap();
    peers.signals = Some(signals.pending().unwrap());
    let count = || Mirror::open(scene.host.directory()).unwrap().keys().unwrap().len();
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGHUP).unwrap();
    peers.act(now);
    peers.act(now + Duration::from_secs(1));
    assert_eq!((count(), peers.said.as_str()), (0, ""));
    assert!(signals.take().unwrap().is_some(), "the signal still waits for its reader");
    peers.act(now + Duration::from_secs(10));
    peers.act(now + Duration::from_secs(20));
    assert_eq!((count(), peers.said.as_str()), (60, ""));
}
