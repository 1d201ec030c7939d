//! What the mirror says, against what is on this host.

use super::*;
use crate::cluster::spool::{PeerKey, PeerRecord, check};
use crate::config::Config;
use crate::error::{Error, Kind};
use crate::lifecycle::fakes::{Scene, own};
use crate::lifecycle::remote::explain;
use crate::link::Refusal;
use crate::model::sample::reference;
use crate::store::{Change, Commit};
use std::fs;

fn scene() -> Scene {
    let mut scene = Scene::new();
    let text = "[cluster]\nname='a'\npatience='60s'\n\
        networks={a=['10.10.0.0/16'],b=['10.10.0.0/16'],c=['10.10.0.0/16']}";
    scene.host.config.cluster = Config::parse("c", text).unwrap().cluster;
    scene
}

fn mirrored(scene: &Scene, host: &str, id: &str, name: &str, addresses: &str) {
    let text = format!(
        r#"{{"v":1,"host":"{host}","id":"{id}","run":"4be1c07d9a22e310","name":"{name}","addresses":[{addresses}],"ports":["80/tcp"],"to":"all"}}"#
    );
    let key = PeerKey::of_file(&format!("{host}~{id}.offer")).unwrap();
    let cluster = &scene.host.config.cluster.as_ref().unwrap().hosts;
    let record = check(&key, text.as_bytes(), cluster).unwrap().unwrap();
    assert!(matches!(record, PeerRecord::Offer(_)));
    let locked = scene.host.lock().unwrap();
    Mirror::open(scene.host.directory()).unwrap().put(locked.lock(), &key, &record).unwrap();
}

fn addresses(scene: &Scene, name: &str) -> Vec<String> {
    let others = Others::of(&scene.host).unwrap().unwrap();
    let found = others.named(name, None).unwrap();
    let shown = |offer: &Offer| {
        let all: Vec<String> = offer.addresses.iter().map(ToString::to_string).collect();
        format!("{} {}", offer.source.host, all.join(","))
    };
    found.iter().map(shown).collect()
}

#[test]
fn without_the_table_there_are_no_others() {
    assert!(Others::of(&Scene::new().host).unwrap().is_none());
    let scene = scene();
    let others = Others::of(&scene.host).unwrap().unwrap();
    assert!(others.is_stale() && others.age().is_none());
    assert!(others.all().unwrap().is_empty() && others.named("x", None).unwrap().is_empty());
}

#[test]
fn a_local_container_keeps_its_address() {
    let scene = scene();
    mirrored(&scene, "b", "6f", "mysql", r#""10.10.2.2","10.10.2.3""#);
    assert_eq!(addresses(&scene, "mysql"), ["b 10.10.2.2,10.10.2.3"]);
    let web = own("web", "80", &["10.10.2.2/16"]);
    let locked = scene.host.lock().unwrap();
    let put = scene.host.store.commit(locked.lock(), &Change::Put(&web), 0).unwrap();
    assert!(matches!(put, Commit::Done(_)));
    drop(locked);
    assert_eq!(addresses(&scene, "mysql"), ["b 10.10.2.3"]);
    mirrored(&scene, "c", "70", "redis", r#""10.10.2.3""#);
    assert_eq!(addresses(&scene, "mysql"), [""; 0], "one is this host's, the other is disputed");
    assert_eq!(addresses(&scene, "redis"), [""; 0]);
}

#[test]
fn a_source_is_found_on_its_host() {
    let scene = scene();
    mirrored(&scene, "b", "6f", "cache", r#""10.10.2.2""#);
    mirrored(&scene, "c", "70", "cache", r#""10.10.3.2""#);
    assert_eq!(addresses(&scene, "cache").len(), 2);
    let others = Others::of(&scene.host).unwrap().unwrap();
    let c = HostName::new("c").unwrap();
    assert_eq!(others.named("cache", Some(&c)).unwrap()[0].source.id.as_str(), "70");
    assert_eq!(others.named("70", Some(&c)).unwrap().len(), 1);
    assert!(others.named("6f", Some(&c)).unwrap().is_empty());
    let all: Vec<String> =
        others.all().unwrap().iter().map(|offer| offer.source.host.to_string()).collect();
    assert_eq!(all, ["b", "c"]);
}

fn fresh(scene: &Scene) {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let now = crate::sys::clock::since_boot().as_millis();
    let view = format!(r#"{{"v":1,"boot":"{}","fresh_ms":{now}}}"#, boot.trim());
    Mirror::open(scene.host.directory()).unwrap().put_view(view.as_bytes()).unwrap();
}

/// What a start without the source `name` is refused with.
fn refusal(scene: &Scene, name: &str) -> String {
    let source = reference(name);
    let missing = Error::from(Refusal::NoSuchContainer(source.clone()));
    let error = explain(&scene.host, [&source].into_iter(), missing);
    format!("{} {error}", error.kind as i32)
}

#[test]
fn a_missing_source_that_other_hosts_have_is_explained() {
    let scene = scene();
    let unknown = "4 could not get container for cache: No such container: cache";
    assert_eq!(refusal(&scene, "cache"), unknown);
    mirrored(&scene, "b", "6f", "cache", r#""10.10.2.2""#);
    assert_eq!(refusal(&scene, "cache"), unknown, "a view that is too old says nothing");
    fresh(&scene);
    let one = "10 cache: no container of this host has this name, and this version makes no link to cache@b";
    assert_eq!(refusal(&scene, "cache"), one);
    assert!(
        refusal(&scene, "6f").starts_with("4 could not"),
        "an id of another host needs its host"
    );
    mirrored(&scene, "c", "70", "cache", r#""10.10.3.2""#);
    let several = "4 cache: several containers of other hosts have this name: cache@b, cache@c: \
                   name one as NAME@HOST";
    assert_eq!(refusal(&scene, "cache"), several);
    let other = Error::new(Kind::Firewall, "x");
    let source = reference("cache");
    assert_eq!(explain(&scene.host, [&source].into_iter(), other).to_string(), "x");
    let local = own("cache", "80", &["10.10.9.2/16"]);
    let locked = scene.host.lock().unwrap();
    let put = scene.host.store.commit(locked.lock(), &Change::Put(&local), 0).unwrap();
    assert!(matches!(put, Commit::Done(_)));
    drop(locked);
    assert_eq!(refusal(&scene, "cache"), unknown, "a local one comes first, also one that ended");
}

#[test]
fn the_view_ages() {
    let scene = scene();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let now = crate::sys::clock::since_boot().as_millis();
    let mirror = Mirror::open(scene.host.directory()).unwrap();
    for (age, is_stale) in [(1_000, false), (59_000, false), (61_000, true)] {
        let view =
            format!(r#"{{"v":1,"boot":"{}","fresh_ms":{}}}"#, boot.trim(), now.saturating_sub(age));
        mirror.put_view(view.as_bytes()).unwrap();
        let others = Others::of(&scene.host).unwrap().unwrap();
        assert_eq!(others.is_stale(), is_stale, "{age}");
    }
    mirror
        .put_view(br#"{"v":1,"boot":"00000000-0000-0000-0000-000000000000","fresh_ms":1}"#)
        .unwrap();
    assert!(Others::of(&scene.host).unwrap().unwrap().is_stale(), "of another boot");
}

#[test]
fn spans() {
    let shown = [0, 12, 60, 119, 120, 600, 750, 3600, 7199, 7200, 86400];
    let shown = shown.map(|seconds| span(Duration::from_secs(seconds)));
    let expected = ["0s", "12s", "1m", "119s", "2m", "10m", "12m", "1h", "119m", "2h", "24h"];
    assert_eq!(shown, expected);
}
