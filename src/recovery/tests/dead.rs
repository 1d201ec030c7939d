//! Containers that have ended, and rules without a record.

use super::super::{audit, gc, report_dead, sync};
use super::{linked, orphan, shown, web};
use crate::lifecycle::fakes::{Listener, own};
use crate::model::{OwnerTag, StateId};
use std::path::Path;

#[test]
fn what_dead_containers_left_is_removed() {
    let scene = linked();
    orphan(&scene);
    scene.end_process("web");
    scene.store.leave("records/new");
    let owner = own("lost", "", &[]).owner;
    let expected = [
        "links of container web (web): the container no longer runs".to_owned(),
        format!("orphaned rules in nftables: no record has the owner tag {owner}"),
        "leftover in the state directory: records/new".to_owned(),
    ];
    let findings = report_dead(&scene.host).unwrap().findings;
    assert_eq!(shown(&findings), expected);
    assert_eq!(findings[1].container(), None);
    let repaired = gc(&scene.host).unwrap();
    assert_eq!(repaired.findings.len(), 3);
    assert!(repaired.failures.is_empty() && !repaired.is_nothing());
    assert_eq!(scene.permitted(), []);
    assert_eq!(scene.kernel.borrow().connections, []);
    assert_eq!(audit(&scene.host).unwrap(), []);
}

/// Another state directory has its own records. Which one has those of an earlier version is unknown.
#[test]
fn rules_of_others_are_no_finding() {
    let scene = linked();
    let (lost, flow) = (own("lost", "", &[]), scene.permitted()[0]);
    let other = StateId::of(Path::new("/run/other"));
    let tags = [
        OwnerTag::new(other, &lost.id, &lost.instance),
        OwnerTag::parse("aaaaaaaaaaaaaaaa").unwrap(),
    ];
    for tag in tags {
        scene.kernel.borrow_mut().rules.insert(("nftables", tag), vec![flow]);
    }
    assert_eq!(audit(&scene.host).unwrap(), []);
    assert!(sync(&scene.host).unwrap().is_nothing() && gc(&scene.host).unwrap().is_nothing());
    assert_eq!(scene.permitted().len(), 3);
}

/// The record knows better than the tag.
#[test]
fn rules_that_an_earlier_version_recorded_go_with_their_container() {
    let scene = linked();
    let tag = OwnerTag::parse("aaaaaaaaaaaaaaaa").unwrap();
    let flow = scene.permitted()[0];
    scene.store.alter("web", |record| record.owner = tag.clone());
    let mut kernel = scene.kernel.borrow_mut();
    kernel.rules.clear();
    for backend in ["ipset", "iptables"] {
        kernel.rules.insert((backend, tag.clone()), vec![flow]);
    }
    drop(kernel);
    let found = format!("orphaned rules in iptables: no record has the owner tag {tag}");
    assert_eq!(shown(&audit(&scene.host).unwrap()), [found]);
    scene.end_process("web");
    gc(&scene.host).unwrap();
    assert_eq!(scene.permitted(), []);
}

/// The state directory was wiped while the containers ran.
#[test]
fn rules_of_a_lost_record_are_removed() {
    let scene = linked();
    scene.store.lose("web");
    assert_eq!(audit(&scene.host).unwrap().len(), 1);
    sync(&scene.host).unwrap();
    assert_eq!(scene.permitted(), []);
    assert_eq!(scene.journal.effects()[..2], ["remove_owner web", "drop_connections 1"]);
}

/// After a reboot a backend may have restored rules that it does not remember.
#[test]
fn rules_of_a_dead_container_in_another_backend_are_removed() {
    let scene = linked();
    let (owner, flow) = (web().owner, scene.permitted()[0]);
    scene.kernel.borrow_mut().rules.insert(("iptables", owner), vec![flow]);
    scene.end_process("web");
    assert_eq!(report_dead(&scene.host).unwrap().findings.len(), 1);
    gc(&scene.host).unwrap();
    assert_eq!(scene.permitted(), []);
}

#[test]
fn gc_goes_on_if_bridges_cannot_be_isolated() {
    let scene = linked();
    scene.end_process("web");
    scene.journal.refuse("isolate");
    let log = Listener::new();
    gc(&scene.host).unwrap();
    assert!(log.heard("ERROR isolation: left unchanged"), "{:?}", log.lines());
    assert_eq!(scene.store.record("web"), None);
}

#[test]
fn a_failed_repair_is_reported_and_the_others_are_made() {
    let scene = linked();
    orphan(&scene);
    scene.end_process("web");
    scene.journal.refuse("remove web");
    let repaired = gc(&scene.host).unwrap();
    assert_eq!(repaired.findings.len(), 1, "the orphaned rules");
    assert!(repaired.failures.into_result().unwrap_err().to_string().contains("remove web"));
    scene.assert_named("after the failure");
}
