//! The effects of a start and their order.

use super::{api, db, linked, web};
use crate::error::Kind;
use crate::lifecycle::fakes::{Listener, Scene, Sleeper, again, of_process, own};
use crate::lifecycle::privileges::AfterHook::Continue;
use crate::model::sample::record;
use crate::model::{BackendName, Missing, Network, Phase, Record};

#[test]
fn a_container_without_links_gets_a_record_only() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    assert_eq!(scene.journal.effects(), ["put db pending", "put db ready"]);
    let record = scene.store.record("db").unwrap();
    assert_eq!((record.phase, record.backend), (Phase::Ready, BackendName::None));
}

#[test]
fn the_record_comes_before_and_after_its_effects() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    scene.journal.restart();
    scene.start(&web()).unwrap();
    let order = ["put web pending", "ensure 1 for web", "hosts of web", "put web ready"];
    assert_eq!(scene.journal.effects(), order);
    assert_eq!(scene.permitted().len(), 1);
    let hosts = scene.hosts_text("web");
    assert!(hosts.contains("\n10.0.0.2\tdb db\n10.0.0.3\tweb\n"), "{hosts}");
    scene.assert_named("after a start");
}

#[test]
fn a_changed_link_ends_connections_after_its_rules() {
    let scene = linked();
    scene.end_process("db");
    let moved = again(&own("db", "80", &["10.0.0.9/24"]));
    scene.start(&moved).unwrap();
    let order = [
        "put web pending",
        "ensure 0 for web",
        "drop_connections 1",
        "hosts of web",
        "put web ready",
        "delete db",
        "put db pending",
        "put db ready",
        "put web pending",
        "ensure 1 for web",
        "hosts of web",
        "put web ready",
    ];
    assert_eq!(scene.journal.effects(), order);
    assert_eq!(scene.permitted()[0].to_string(), "10.0.0.3 -> 10.0.0.9 80/tcp");
    assert_eq!(scene.kernel.borrow().connections, []);
}

#[test]
fn a_missing_source_refuses_the_start_before_any_effect() {
    let scene = Scene::new();
    let refusal = scene.start(&web()).unwrap_err();
    assert_eq!(refusal.kind, Kind::Source);
    assert_eq!(scene.journal.effects(), [""; 0]);
    assert_eq!(scene.store.records(), []);
}

#[test]
fn a_deferred_link_is_made_when_its_source_starts() {
    let scene = Scene::new();
    scene.start_with(&web(), Missing::Defer, Continue).unwrap();
    let first = ["put web pending", "hosts of web", "put web ready"];
    assert_eq!(scene.journal.effects(), first);
    assert_eq!(scene.hosts_text("web").matches("10.0.0.").count(), 1, "its own line");
    scene.journal.restart();
    scene.start(&db()).unwrap();
    let second = ["put db pending", "put db ready"];
    let linked = ["put web pending", "ensure 1 for web", "hosts of web", "put web ready"];
    assert_eq!(scene.journal.effects(), [&second[..], &linked].concat());
    assert!(scene.hosts_text("web").contains("10.0.0.2\tdb"));
}

#[test]
fn a_failure_of_one_recipient_does_not_reach_the_source_or_the_other_recipient() {
    let scene = Scene::new();
    for recipient in [web(), api()] {
        scene.start_with(&recipient, Missing::Defer, Continue).unwrap();
    }
    scene.journal.restart();
    scene.journal.refuse("ensure 1 for api");
    let log = Listener::new();
    scene.start(&db()).unwrap();
    assert!(log.heard("ERROR links of api: ensure 1 for api: fails"), "{:?}", log.lines());
    let phase = |name: &str| scene.store.record(name).unwrap().phase;
    assert_eq!(phase("db"), Phase::Ready);
    assert_eq!((phase("web"), phase("api")), (Phase::Ready, Phase::Pending));
    assert_eq!(scene.permitted().len(), 1);
    scene.assert_named("after the failure");
}

#[test]
fn recipients_that_cannot_be_read_are_left_for_a_later_repair() {
    let scene = linked();
    scene.journal.refuse("recipients_naming db");
    let log = Listener::new();
    scene.start(&db()).unwrap();
    assert!(
        log.heard("ERROR db: its recipients could not be updated; run oci-link sync"),
        "{:?}",
        log.lines()
    );
}

#[test]
fn a_dead_recipient_gets_no_rules_and_is_removed() {
    let scene = Scene::new();
    scene.start_with(&web(), Missing::Defer, Continue).unwrap();
    scene.end_process("web");
    scene.journal.restart();
    scene.start(&db()).unwrap();
    let order = ["hosts of web", "delete web", "put db pending", "put db ready"];
    assert_eq!(scene.journal.effects(), order);
    assert_eq!(scene.permitted(), []);
}

#[test]
fn a_process_that_ends_during_its_start_leaves_nothing() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    let before = scene.state();
    let sleeper = Sleeper::new();
    let web = of_process(record("web", "none", &["10.0.0.3/24"]).linked(&["db"]), sleeper.pid());
    scene.hosts("web");
    scene.journal.restart();
    scene.journal.before("put web pending", move || sleeper.end());
    let error = scene.start(&web).unwrap_err();
    assert!(error.to_string().starts_with("web: ended while it was started"), "{error}");
    let undone = ["remove web", "drop_connections 1", "hosts of web", "delete web"];
    assert_eq!(scene.journal.effects()[4..], undone);
    assert!(scene.state().starts_with(&before), "{}", scene.state());
}

#[test]
fn a_container_on_the_hosts_network_starts_without_links_only() {
    let scene = Scene::new();
    let plain = Record { network: Network::Host, ..own("db", "80", &[]) };
    scene.start(&plain).unwrap();
    let linked = Record { network: Network::Host, ..web() };
    let refusal = scene.start(&linked).unwrap_err();
    assert_eq!(refusal.kind, Kind::Unsafe, "{refusal}");
    assert_eq!(scene.store.record("web"), None);
}

#[test]
fn the_bridges_of_the_configuration_are_isolated_first() {
    let scene = Scene::isolating(&["br0"]);
    scene.start(&db()).unwrap();
    assert_eq!(scene.journal.effects(), ["isolate", "put db pending", "put db ready"]);
}
