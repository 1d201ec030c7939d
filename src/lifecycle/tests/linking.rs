//! Links of running containers, made and ended by `connect` and `disconnect`.

use super::{db, linked, web};
use crate::error::{Error, Kind};
use crate::lifecycle::fakes::{Listener, Scene, Sleeper, of_process, own};
use crate::lifecycle::privileges::AfterHook::Continue;
use crate::model::sample::record;
use crate::model::{BackendName, Missing, Network, Phase, Record};
use std::fs;

/// A scene in which `db` and `web` run without a link.
fn unlinked() -> Scene {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    scene.start(&web().linked(&[])).unwrap();
    scene.journal.restart();
    scene
}

#[test]
fn a_link_of_a_running_container_is_made_as_at_its_start() {
    let scene = unlinked();
    scene.connect("web", "db:sql").unwrap();
    let order = ["put web pending", "ensure 1 for web", "hosts of web", "put web ready"];
    assert_eq!(scene.journal.effects(), order);
    assert!(scene.hosts_text("web").contains("10.0.0.2\tsql db db\n"));
    assert_eq!(scene.store.record("web").unwrap().backend, BackendName::Ipset);
}

#[test]
fn a_link_that_exists_is_not_made_again() {
    for link in ["db", "db:DB"] {
        let scene = linked();
        let before = scene.state();
        scene.connect("web", link).unwrap();
        assert_eq!(scene.state(), before);
        assert_eq!(scene.journal.effects(), [""; 0]);
    }
}

#[test]
fn disconnect_takes_back_what_connect_did() {
    let scene = unlinked();
    scene.connect("web", "db:sql").unwrap();
    scene.use_all_flows();
    scene.journal.restart();
    scene.disconnect("web", "SQL").unwrap();
    let order = [
        "put web pending",
        "ensure 0 for web",
        "drop_connections 1",
        "hosts of web",
        "put web ready",
    ];
    assert_eq!(scene.journal.effects(), order);
    assert_eq!(scene.hosts_text("web"), "127.0.0.1\tlocalhost\n");
}

/// The error of a refused link. The refusal must change nothing.
fn refused(scene: &Scene, link: &str) -> Error {
    let before = scene.state();
    let error = scene.connect("web", link).unwrap_err();
    assert_eq!(scene.state(), before, "{error}");
    error
}

#[test]
fn links_that_cannot_be_made_are_refused() {
    let scene = unlinked();
    scene.start(&own("dead", "80", &["10.0.0.6/24"])).unwrap();
    scene.end_process("dead");
    let on_host = Record { network: Network::Host, ..own("host", "80", &[]) };
    scene.start(&on_host).unwrap();
    let check = |link: &str, kind: Kind, text: &str| {
        let error = refused(&scene, link);
        assert_eq!(error.kind, kind, "{link}: {error}");
        assert!(error.to_string().contains(text), "{link}: {error}");
    };
    check("absent", Kind::Source, "No such container: absent");
    check("dead", Kind::Source, "non running container");
    check("web:me", Kind::Source, "a container cannot be linked to itself");
    check("host", Kind::Unsafe, "host type networking");
    check("db:web", Kind::Input, "own host name");
    let error = scene.connect("absent", "db").unwrap_err();
    assert_eq!(error.kind, Kind::Source, "{error}");
    let error = scene.connect("dead", "db").unwrap_err();
    assert!(error.to_string().contains("does not run"), "{error}");
    assert_eq!(scene.connect("host", "db").unwrap_err().kind, Kind::Unsafe);
}

/// An id as engines draw it; only its end is `end`.
fn long_id(end: &str) -> String {
    format!("{}{end}", &"abc".repeat(22)[..64 - end.len()])
}

#[test]
fn an_ambiguous_reference_is_refused() {
    let scene = unlinked();
    for end in ["1", "2"] {
        scene.start(&own(&long_id(end), "80", &[])).unwrap();
    }
    let prefix = &long_id("1")[..12];
    assert!(refused(&scene, prefix).to_string().contains("multiple IDs found"));
    assert!(scene.connect(prefix, "db").unwrap_err().to_string().contains("multiple IDs found"));
}

#[test]
fn one_alias_for_two_sources_is_refused() {
    let scene = linked();
    scene.start(&own("mq", "90", &["10.0.0.5/24"])).unwrap();
    let error = refused(&scene, "mq:db");
    assert!(error.to_string().contains("two sources have the same alias"), "{error}");
}

#[test]
fn more_links_than_a_container_may_have_are_refused() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    let links: Vec<String> = (0..256).map(|number| format!("absent:a{number}")).collect();
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    scene.start_with(&web().linked(&links), Missing::Defer, Continue).unwrap();
    assert!(refused(&scene, "db").to_string().contains("more than 256 links"));
}

#[test]
fn more_flows_than_a_container_may_have_are_refused() {
    let scene = Scene::new();
    let names = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"];
    // No two ports are neighbours, so each needs a flow.
    let ports: Vec<String> = (1..=4096).map(|number| (2 * number).to_string()).collect();
    for name in names {
        scene.store.insert(own(name, &ports.join(","), &["10.0.0.2/24", "fd00::2/64"]));
    }
    // Every source has other addresses, so no flow occurs twice.
    for (number, name) in (10..).zip(names) {
        let addresses =
            own(name, "", &[&format!("10.0.1.{number}/8"), &format!("fd00::{number}/64")]);
        scene.store.alter(name, |record| record.network = addresses.network);
    }
    let mut full = own("web", "none", &["10.0.0.3/8", "fd00::3/64"]).linked(&names[..8]);
    full.bundle = Some(scene.bundle("web"));
    scene.store.insert(full);
    let error = refused(&scene, "s9");
    assert!(error.to_string().contains("expose more than"), "{error}");
}

#[test]
fn a_failed_link_is_taken_back() {
    let scene = unlinked();
    let before = scene.hosts_text("web");
    scene.journal.refuse("ensure 1 for web");
    let error = scene.connect("web", "db").unwrap_err();
    assert_eq!(error.kind, Kind::Firewall);
    let left = scene.store.record("web").unwrap();
    assert_eq!((left.phase, left.links.len(), left.flows.len()), (Phase::Ready, 0, 0));
    assert_eq!(scene.hosts_text("web"), before);
    assert_eq!(scene.permitted(), []);
}

#[test]
fn a_failed_link_of_a_container_without_a_record_leaves_nothing() {
    let scene = unlinked();
    scene.journal.refuse("ensure 1 for web");
    let store = scene.store.clone();
    scene.journal.before("ensure 1 for web", move || store.lose("web"));
    assert_eq!(scene.connect("web", "db").unwrap_err().kind, Kind::Firewall);
    assert_eq!(scene.store.record("web"), None);
}

#[test]
fn a_recipient_that_ends_meanwhile_leaves_nothing() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    let sleeper = Sleeper::new();
    let web = of_process(record("web", "none", &["10.0.0.3/24"]), sleeper.pid());
    scene.start(&web).unwrap();
    scene.journal.before("put web ready", move || sleeper.end());
    let error = scene.connect("web", "db").unwrap_err();
    assert!(error.to_string().ends_with("does not run"), "{error}");
    assert_eq!(scene.store.record("web"), None);
    assert_eq!(scene.permitted(), []);
    assert_eq!(scene.hosts_text("web"), "127.0.0.1\tlocalhost\n");
}

#[test]
fn a_recipient_that_ends_before_its_plan_is_not_linked() {
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    let sleeper = Sleeper::new();
    let web = of_process(record("web", "none", &["10.0.0.3/24"]), sleeper.pid());
    scene.start(&web).unwrap();
    scene.journal.restart();
    scene.journal.before("isolate", move || sleeper.end());
    let error = scene.connect("web", "db").unwrap_err();
    assert!(error.to_string().ends_with("does not run"), "{error}");
    assert_eq!(scene.journal.effects(), [""; 0]);
}

#[test]
fn the_hosts_file_comes_from_config_json_or_from_the_record() {
    let scene = unlinked();
    fs::remove_dir_all(scene.bundle("web")).unwrap();
    let error = scene.connect("web", "db").unwrap_err();
    assert_eq!(error.kind, Kind::Hosts);
    assert!(error.to_string().contains("its bundle was removed"), "{error}");
    scene.store.alter("web", |record| record.bundle = None);
    let error = scene.connect("web", "db").unwrap_err();
    assert!(error.to_string().contains("by an earlier oci-link"), "{error}");

    let scene = linked();
    fs::remove_dir_all(scene.bundle("web")).unwrap();
    scene.connect("web", "db:sql").unwrap();
    assert!(scene.hosts_text("web").contains("10.0.0.2\tsql db"));
}

#[test]
fn only_a_link_that_exists_can_be_ended() {
    let scene = linked();
    let error = scene.disconnect("web", "mq").unwrap_err();
    assert_eq!(error.kind, Kind::Source);
    assert!(error.to_string().contains("has no link with the alias mq"), "{error}");
    assert_eq!(scene.journal.effects(), [""; 0]);
}

/// The hosts file is the container's own. Its rules must go although the file cannot be edited.
#[test]
fn a_spoiled_hosts_file_does_not_keep_a_rule_alive() {
    let scene = linked();
    let file = fs::OpenOptions::new().write(true).open(scene.hosts("web")).unwrap();
    file.set_len(2 << 20).unwrap();
    let _log = Listener::new();
    assert_eq!(scene.disconnect("web", "db").unwrap_err().kind, Kind::Unsafe);
    assert_eq!(scene.permitted(), []);
    assert!(scene.store.record("web").unwrap().links.is_empty());
}
