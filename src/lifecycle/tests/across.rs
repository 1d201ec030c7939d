//! Links between hosts: what is opened and closed on this host, in which order, and what is left when a step fails.

use crate::cluster::mirror::Mirror;
use crate::cluster::spool::{PeerKey, check};
use crate::config::Config;
use crate::error::Result;
use crate::lifecycle::fakes::{Fault, Scene, own};
use crate::lifecycle::guests;
use crate::lifecycle::together::replan_all;
use crate::model::{Address, BridgeName, Flow, Network, Phase, Record, Share};
use std::fs;

/// A host `a` that knows `b`, of which it has just heard.
pub(super) fn scene() -> Scene {
    let mut scene = Scene::new();
    let text = "[cluster]\nname='a'\npatience='60s'\n\
        networks={a=['10.10.1.0/24'],b=['10.10.2.0/24','10.10.4.0/22']}";
    scene.host.config.cluster = Config::parse("c", text).unwrap().cluster;
    heard(&scene, 0);
    scene
}

/// The last news are so many seconds old.
fn heard(scene: &Scene, age: u64) {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let now = crate::sys::clock::since_boot().as_millis() - u128::from(age) * 1000;
    let view = format!(r#"{{"v":1,"boot":"{}","fresh_ms":{now}}}"#, boot.trim());
    Mirror::open(scene.host.directory()).unwrap().put_view(view.as_bytes()).unwrap();
}

/// Puts a record of `b` into the mirror, or removes it.
pub(super) fn mirrored(scene: &Scene, file: &str, text: Option<&str>) {
    let key = PeerKey::of_file(file).unwrap();
    let cluster = &scene.host.config.cluster.as_ref().unwrap().hosts;
    let mirror = Mirror::open(scene.host.directory()).unwrap();
    let locked = scene.host.lock().unwrap();
    match text {
        Some(text) => {
            let record = check(&key, text.as_bytes(), cluster).unwrap().unwrap();
            mirror.put(locked.lock(), &key, &record).unwrap();
        }
        None => drop(mirror.remove(locked.lock(), &key).unwrap()),
    }
}

fn at(name: &str, ports: &str, address: &str) -> Record {
    let address = Address::parse(address).unwrap().on(BridgeName::new("br0").ok());
    Record { network: Network::Own(vec![address]), ..own(name, ports, &[]) }
}

const OFFER: &str = r#"{"v":1,"host":"b","id":"6f","run":"4be1c07d9a22e310","name":"mysql","addresses":["10.10.2.2"],"ports":["3306/tcp"],"to":"all"}"#;

pub(super) fn shared() -> Record {
    Record { share: Share::All, ..at("db", "80", "10.10.1.2/24") }
}

/// `db` runs and is shared, and a recipient of `b` wants it.
fn wanted() -> Scene {
    let scene = scene();
    let db = shared();
    scene.start(&db).unwrap();
    let want = format!(
        r#"{{"v":1,"host":"b","id":"web","run":"90c2f1be77d0aa14","name":"web","addresses":["10.10.2.9"],"sources":[{{"host":"a","id":"db","run":"{}"}}]}}"#,
        db.owner
    );
    mirrored(&scene, "b~web.want", Some(&want));
    scene.journal.restart();
    scene
}

fn settle(scene: &Scene) -> Result<usize> {
    guests::settle(&scene.host.lock()?, [shared().id].iter())
}

fn permitted(scene: &Scene) -> Vec<String> {
    scene.permitted().iter().map(Flow::to_string).collect()
}

const LET_IN: &str = "10.10.2.9 -> 10.10.1.2 80/tcp into br0";

/// Every rule is named by the record of a guest.
#[track_caller]
fn assert_named(scene: &Scene, case: &str) {
    let known = guests::all(&scene.host).unwrap();
    for ((_, owner), flows) in &scene.kernel.borrow().rules {
        let guest = known.iter().find(|guest| guest.owner == *owner);
        let names = guest.is_some_and(|guest| flows.iter().all(|flow| guest.flows.contains(flow)));
        assert!(names || flows.is_empty(), "{case}: {flows:?} is in {known:?}");
    }
}

/// Runs `step` after `prepare` with each of its calls failing in every way. A second try must succeed and leave what
/// `is_done` asks for.
fn every_failure(
    prepare: impl Fn() -> Scene,
    step: impl Fn(&Scene) -> Result<()>,
    is_done: impl Fn(&Scene) -> bool,
) {
    let clean = prepare();
    step(&clean).unwrap();
    assert!(is_done(&clean));
    let calls = clean.journal.count();
    assert!(calls > 0);
    for fault in Fault::ALL {
        for number in 1..=calls {
            let scene = prepare();
            scene.journal.fail(fault, number);
            let outcome = step(&scene);
            let case = format!("{fault:?} at {}: {outcome:?}", scene.journal.text_of(number));
            scene.journal.restart();
            assert_named(&scene, &case);
            step(&scene).unwrap_or_else(|error| panic!("{case}: again: {error}"));
            assert!(is_done(&scene), "{case}");
        }
    }
}

/// A receipt would tell the other host that the link is open.
#[test]
fn a_recipient_whose_address_is_here_too_is_no_guest() {
    let scene = wanted();
    settle(&scene).unwrap();
    let rival = at("rival", "80", "10.10.2.9/32");
    scene.start(&rival).unwrap();
    settle(&scene).unwrap();
    assert_eq!((guests::all(&scene.host).unwrap().len(), permitted(&scene).len()), (0, 0));
    let rival = scene.host.store.get(&rival.id).unwrap().unwrap();
    crate::lifecycle::stop::remove(&scene.host.lock().unwrap(), &rival).unwrap();
    settle(&scene).unwrap();
    assert_eq!(
        (guests::all(&scene.host).unwrap().len(), permitted(&scene)),
        (1, vec![LET_IN.to_owned()])
    );
}

#[test]
fn a_recipient_of_another_host_is_let_in_and_its_record_comes_first() {
    let is_in = |scene: &Scene| {
        let known = guests::all(&scene.host).unwrap();
        permitted(scene) == [LET_IN] && known.len() == 1 && known[0].phase == Phase::Ready
    };
    every_failure(wanted, |scene| settle(scene).map(drop), is_in);
    let scene = wanted();
    assert_eq!(settle(&scene).unwrap(), 1);
    assert_eq!(settle(&scene).unwrap(), 0, "nothing is done twice");
}

#[test]
fn the_end_of_a_source_closes_its_half_from_the_records_alone() {
    let let_in = || {
        let scene = wanted();
        settle(&scene).unwrap();
        scene.use_all_flows();
        scene.end_process("db");
        // Neither the other host nor what it wanted is needed.
        mirrored(&scene, "b~web.want", None);
        heard(&scene, 100);
        scene.journal.restart();
        scene
    };
    let is_out = |scene: &Scene| {
        let is_open = !scene.kernel.borrow().connections.is_empty();
        permitted(scene).is_empty() && guests::all(&scene.host).unwrap().is_empty() && !is_open
    };
    every_failure(let_in, |scene| scene.stop("db"), is_out);
}

#[test]
fn what_is_no_longer_true_is_closed() {
    for close in [
        (|scene: &Scene| mirrored(scene, "b~web.want", None)) as fn(&Scene),
        |scene| heard(scene, 60),
        |scene| scene.store.alter("db", |record| record.share = Share::None),
        |scene| scene.store.alter("db", |record| record.network = Network::Own(Vec::new())),
    ] {
        let changed = || {
            let scene = wanted();
            settle(&scene).unwrap();
            close(&scene);
            scene.journal.restart();
            scene
        };
        every_failure(changed, |s| settle(s).map(drop), |s| permitted(s).is_empty());
    }
    // Another process at the same place is another run.
    let scene = wanted();
    settle(&scene).unwrap();
    scene.end_process("db");
    assert_eq!(settle(&scene).unwrap(), 1);
    assert!(permitted(&scene).is_empty(), "a dead source has no guests");
}

#[test]
fn a_recipient_of_this_host_follows_its_source() {
    let scene = scene();
    let web = at("web", "none", "10.10.1.9/24").linked(&["mysql@b:db"]);
    let error = scene.start(&web).unwrap_err();
    assert_eq!(error.to_string(), "mysql@b: host b shares no mysql with a");
    assert!(scene.store.records().is_empty());
    mirrored(&scene, "b~6f.offer", Some(OFFER));
    scene.start(&web).unwrap();
    assert_eq!(permitted(&scene), ["10.10.1.9 -> 10.10.2.2 3306/tcp out of br0"]);
    assert!(
        scene.hosts_text("web").contains("10.10.2.2\tdb mysql\n"),
        "{}",
        scene.hosts_text("web")
    );
    let replan = || {
        let web = scene.store.record("web").unwrap();
        replan_all(&scene.host.lock().unwrap(), &[web]).into_result().unwrap();
        permitted(&scene)
    };
    let moved = OFFER.replace("10.10.2.2", "10.10.2.3");
    mirrored(&scene, "b~6f.offer", Some(&moved));
    assert_eq!(replan(), ["10.10.1.9 -> 10.10.2.3 3306/tcp out of br0"]);
    // The run counts, not its name.
    mirrored(&scene, "b~6f.offer", Some(&moved.replace(r#""name":"mysql""#, r#""name":"maria""#)));
    assert_eq!(replan().len(), 1);
    heard(&scene, 60);
    assert_eq!(replan(), [""; 0], "nothing is believed for longer than patience");
    assert!(!scene.hosts_text("web").contains("db"));
    heard(&scene, 0);
    assert_eq!(replan(), [""; 0], "maria is another name");
    mirrored(&scene, "b~6f.offer", Some(OFFER));
    assert_eq!(replan().len(), 1);
    mirrored(&scene, "b~6f.offer", None);
    assert_eq!(replan(), [""; 0]);
    let off_bridge = own("api", "none", &["10.10.1.8/24"]).linked(&["mysql@b"]);
    mirrored(&scene, "b~6f.offer", Some(OFFER));
    let error = scene.start(&off_bridge).unwrap_err().to_string();
    assert!(
        error.contains("has no address of its family on a bridge in cluster.networks"),
        "{error}"
    );
}
