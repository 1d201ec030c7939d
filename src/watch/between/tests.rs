//! Links between hosts, when news come late.

use super::*;
use crate::cluster::mirror::Mirror;
use crate::cluster::spool::{PeerKey, check};
use crate::config::Config;
use crate::lifecycle::fakes::{Scene, own};
use crate::lifecycle::privileges::AfterHook;
use crate::model::{Address, BridgeName, Missing, Network, Record};
use std::fs;
use std::thread::sleep;

const OFFER: &str = r#"{"v":1,"host":"b","id":"6f","run":"4be1c07d9a22e310","name":"mysql","addresses":["10.10.2.2"],"ports":["3306/tcp"],"to":"all"}"#;

/// News that are so many milliseconds old, for hooks and for `watch`.
fn heard(scene: &Scene, freshness: &mut Freshness, age: u64) {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let at = BootClock.since_boot().as_millis() - u128::from(age);
    let view = format!(r#"{{"v":1,"boot":"{}","fresh_ms":{at}}}"#, boot.trim());
    freshness.take(view.as_bytes(), scene.host.boot, &BootClock).unwrap();
    Mirror::open(scene.host.directory()).unwrap().put_view(view.as_bytes()).unwrap();
}

/// The process was busy while its news became too old and new ones came.
#[test]
fn links_that_were_planned_without_news_are_planned_again_with_the_next() {
    let mut scene = Scene::new();
    let text = "[cluster]\nname='a'\npatience='5s'\n\
        networks={a=['10.10.1.0/24'],b=['10.10.2.0/24']}";
    let cluster = Config::parse("c", text).unwrap().cluster.unwrap();
    scene.host.config.cluster = Some(cluster.clone());
    let key = PeerKey::of_file("b~6f.offer").unwrap();
    let record = check(&key, OFFER.as_bytes(), &cluster.hosts).unwrap().unwrap();
    let mirror = Mirror::open(scene.host.directory()).unwrap();
    mirror.put(scene.host.lock().unwrap().lock(), &key, &record).unwrap();

    let mut freshness = Freshness::default();
    let mut between = Between::new(&scene.host, cluster.hosts.patience).unwrap();
    heard(&scene, &mut freshness, 4_500);
    between.act(&freshness, Instant::now(), &mut || Ok(())).unwrap();
    sleep(Duration::from_millis(600));
    let address = Address::parse("10.10.1.9/24").unwrap().on(BridgeName::new("br0").ok());
    let network = Network::Own(vec![address]);
    let web = Record { network, ..own("web", "none", &[]) }.linked(&["mysql@b"]);
    scene.start_with(&web, Missing::Defer, AfterHook::Continue).unwrap();
    assert_eq!(scene.permitted(), [], "the news are too old");
    heard(&scene, &mut freshness, 0);
    between.act(&freshness, Instant::now(), &mut || Ok(())).unwrap();
    assert_eq!(scene.permitted().len(), 1, "it waited for news, not for its source");
}
