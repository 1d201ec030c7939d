//! Differences between the records of running containers and the host.

use super::super::{audit, gc, sync};
use super::{db, drift, linked, shown, start_both, web};
use crate::lifecycle::fakes::{Scene, again, own};
use crate::model::sample::port;
use crate::model::{BackendName, BridgeName, Phase, Record};
use std::fs;

#[test]
fn a_sound_host_has_no_findings() {
    let scene = linked();
    assert_eq!(audit(&scene.host).unwrap(), []);
    assert!(sync(&scene.host).unwrap().is_nothing());
    assert!(gc(&scene.host).unwrap().is_nothing());
    assert_eq!(scene.journal.effects(), [""; 0]);
}

#[test]
fn every_difference_is_found_and_repaired() {
    let scene = Scene::new();
    drift(&scene);
    let expected = [
        "firewall: common rules of ipset are missing or misplaced",
        "container web (web): its rules differ from its record",
        "container web (web): its hosts file differs from its record",
    ];
    let findings = audit(&scene.host).unwrap();
    assert_eq!(shown(&findings), expected);
    assert_eq!(shown(&sync(&scene.host).unwrap().findings), expected);
    assert_eq!(scene.state(), linked().state());
    assert_eq!(audit(&scene.host).unwrap(), []);
}

/// A link whose source ended is given to no other container by a prefix of its id.
#[test]
fn a_repair_finds_no_source_by_the_beginning_of_a_word() {
    let scene = linked();
    scene.start(&own("db-backup", "80", &["10.0.0.5/24"])).unwrap();
    scene.end_process("db");
    sync(&scene.host).unwrap();
    assert_eq!(scene.store.record("web").unwrap().links[0].source, None);
    assert_eq!(scene.permitted(), []);
    assert_eq!(audit(&scene.host).unwrap(), []);
}

#[test]
fn rules_of_a_running_container_in_another_backend_are_orphaned() {
    let scene = linked();
    let (owner, flow) = (web().owner, scene.permitted()[0]);
    scene.kernel.borrow_mut().rules.insert(("iptables", owner), vec![flow]);
    assert_eq!(audit(&scene.host).unwrap().len(), 1);
    sync(&scene.host).unwrap();
    assert_eq!(scene.permitted().len(), 1);
    assert_eq!(audit(&scene.host).unwrap(), []);
}

#[test]
fn an_unfinished_change_is_finished() {
    let scene = linked();
    let before = scene.state();
    scene.store.alter("web", |record| record.phase = Phase::Pending);
    let findings = audit(&scene.host).unwrap();
    assert_eq!(shown(&findings), ["container web (web): a change of its links was interrupted"]);
    sync(&scene.host).unwrap();
    assert_eq!(scene.state(), before);
}

#[test]
fn links_follow_a_source_that_returned_unnoticed() {
    let scene = linked();
    scene.store.lose("db");
    let moved = again(&own("db", "80", &["10.0.0.9/24"]));
    scene.store.insert(Record { phase: Phase::Ready, ..moved });
    let findings = shown(&audit(&scene.host).unwrap());
    assert_eq!(findings[0], "container web (web): its links do not match the running containers");
    sync(&scene.host).unwrap();
    assert_eq!(scene.permitted()[0].to_string(), "10.0.0.3 -> 10.0.0.9 80/tcp");
    assert!(scene.hosts_text("web").contains("10.0.0.9\tdb"));
}

#[test]
fn rules_that_a_record_does_not_name_are_removed() {
    let scene = linked();
    let before = scene.state();
    let mut extra = scene.permitted()[0];
    extra.ports = port("81");
    scene.kernel.borrow_mut().rules.values_mut().for_each(|flows| flows.push(extra));
    assert_eq!(audit(&scene.host).unwrap().len(), 1);
    sync(&scene.host).unwrap();
    assert_eq!(scene.state(), before);
}

#[test]
fn rules_of_a_container_without_flows_are_removed() {
    let scene = linked();
    let flow = scene.permitted()[0];
    let key = ("ipset", db().owner);
    scene.kernel.borrow_mut().rules.insert(key, vec![flow]);
    scene.store.alter("db", |record| record.backend = BackendName::Ipset);
    assert_eq!(audit(&scene.host).unwrap().len(), 1);
    sync(&scene.host).unwrap();
    assert_eq!(scene.permitted().len(), 1);
    assert_eq!(audit(&scene.host).unwrap(), []);
}

#[test]
fn other_bridges_than_those_of_the_configuration_are_repaired() {
    let scene = Scene::isolating(&["br0"]);
    start_both(&scene);
    scene.kernel.borrow_mut().isolated = vec![BridgeName::new("br1").unwrap()];
    let findings = audit(&scene.host).unwrap();
    assert_eq!(shown(&findings), ["firewall: isolated bridges differ from config.toml"]);
    sync(&scene.host).unwrap();
    assert_eq!(scene.kernel.borrow().isolated, scene.host.config.isolate);
}

#[test]
fn hosts_files_that_need_no_repair() {
    let scene = linked();
    let path = scene.hosts("web");
    let record = scene.store.record("web").unwrap();
    // Another file has the path: the container has no file that oci-link may edit.
    fs::rename(&path, path.with_extension("old")).unwrap();
    fs::write(&path, "").unwrap();
    assert_eq!(audit(&scene.host).unwrap(), []);
    fs::rename(path.with_extension("old"), &path).unwrap();
    // A file that the container spoiled is reported while a block is expected in it.
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(2 << 20).unwrap();
    let findings = audit(&scene.host).unwrap();
    assert_eq!(shown(&findings), ["container web (web): its hosts file differs from its record"]);
    assert_eq!(findings[0].container(), Some(&record.id));
    scene.store.alter("web", |record| record.hosts.as_mut().unwrap().block.clear());
    assert_eq!(audit(&scene.host).unwrap(), []);
}
