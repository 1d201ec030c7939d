//! What the mirror says, against what is on this host.

use super::*;
use crate::cluster::spool::{PeerKey, PeerRecord, check};
use crate::config::Config;
use crate::lifecycle::fakes::{Scene, own};
use crate::lifecycle::lookup::{Requester, candidates};
use crate::link::Candidate;
use crate::model::{DeclaredBy, OwnerTag, PeerRun, Record};
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

/// What `link` of a new container means.
fn meant(scene: &Scene, link: &str) -> String {
    shown(scene, &own("web", "", &["10.10.0.9/16"]).linked(&[link]))
}

fn shown(scene: &Scene, web: &Record) -> String {
    let found = candidates(&scene.host, Requester::of(web), &web.links).unwrap();
    match &found[0] {
        Candidate::There(there) => there.record.run().unwrap().key(),
        Candidate::NotThere(why) => why.to_string(),
        Candidate::OnHosts(all) => all.join(" "),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_name_is_looked_for_here_first() {
    let scene = scene();
    assert_eq!(meant(&scene, "cache"), "Missing");
    mirrored(&scene, "b", "6f", "cache", r#""10.10.2.2""#);
    assert_eq!(meant(&scene, "cache"), "Missing", "nothing was heard for too long");
    let silent = "cache@b: nothing heard of other hosts since the boot (patience 1m)";
    assert_eq!(meant(&scene, "cache@b"), silent);
    fresh(&scene);
    assert_eq!(meant(&scene, "cache"), "6f@b");
    assert_eq!((meant(&scene, "cache@b"), meant(&scene, "6f@b")), ("6f@b".into(), "6f@b".into()));
    assert_eq!(meant(&scene, "cache@c"), "cache@c: host c shares no cache with a");
    assert_eq!(meant(&scene, "6f"), "Missing", "an id of another host needs its host");
    mirrored(&scene, "c", "70", "cache", r#""10.10.3.2""#);
    assert_eq!(meant(&scene, "cache"), "cache@b cache@c");
    assert_eq!(meant(&scene, "cache@c"), "70@c");
    let mut stands = own("web", "", &["10.10.0.9/16"]).linked(&["cache"]);
    stands.links[0].there = Some(PeerRun {
        host: HostName::new("c").unwrap(),
        id: ContainerId::new("70").unwrap(),
        run: OwnerTag::parse("4be1c07d9a22e310").unwrap(),
    });
    assert_eq!(shown(&scene, &stands), "70@c", "a link that stands is kept");
    let by_engine = DeclaredBy::Docker;
    stands.links[0].declared_by = by_engine;
    assert_eq!(shown(&scene, &stands), "Missing", "links of an engine stay on this host");
    let local = own("cache", "80", &["10.10.9.2/16"]);
    let locked = scene.host.lock().unwrap();
    let put = scene.host.store.commit(locked.lock(), &Change::Put(&local), 0).unwrap();
    assert!(matches!(put, Commit::Done(_)));
    drop(locked);
    let here = meant(&scene, "cache");
    assert!(here.starts_with("Running"), "{here}");
    assert_eq!(meant(&scene, "cache@b"), "6f@b");
}

#[test]
fn a_source_is_believed_until_patience_is_over() {
    let scene = scene();
    mirrored(&scene, "b", "6f", "cache", r#""10.10.2.2""#);
    fresh(&scene);
    let web = own("web", "", &["10.10.0.9/16"]).linked(&["cache@b"]);
    let found = candidates(&scene.host, Requester::of(&web), &web.links).unwrap();
    let until = found[0].until().unwrap();
    let left = until.saturating_sub(crate::sys::clock::since_boot());
    assert!((55..=60).contains(&left.as_secs()), "{left:?}");
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
