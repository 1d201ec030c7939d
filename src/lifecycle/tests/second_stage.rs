//! A later stage of a container that an earlier stage has started. The recovery tests contain the
//! cases in which it fails.

use super::{linked, web};
use crate::model::{OwnerTag, Phase};

#[test]
fn a_second_stage_changes_nothing() {
    let scene = linked();
    let before = scene.state();
    scene.start(&web()).unwrap();
    assert_eq!(scene.state(), before);
    assert_eq!(scene.permitted().len(), 1);
}

/// The program was replaced between two stages by one that makes other tags.
#[test]
fn the_recorded_tag_stays() {
    let scene = linked();
    let tag = OwnerTag::parse("aaaaaaaaaaaaaaaa").unwrap();
    scene.store.alter("web", |record| record.owner = tag.clone());
    let flows = scene.permitted();
    scene.kernel.borrow_mut().rules = [(("ipset", tag.clone()), flows)].into();
    scene.start(&web()).unwrap();
    assert_eq!(scene.store.record("web").unwrap().owner, tag);
    assert_eq!(scene.kernel.borrow().rules.len(), 1);
}

#[test]
fn links_that_were_edited_since_the_first_stage_do_not_count() {
    let scene = linked();
    scene.start(&web().linked(&["other"])).unwrap();
    assert_eq!(scene.store.record("web").unwrap().links[0].link.alias.as_str(), "db");
}

/// `connect` may link a container between two of its stages.
#[test]
fn a_link_made_between_two_stages_stays() {
    let scene = linked();
    scene.connect("web", "db:sql").unwrap();
    let before = scene.state();
    scene.start(&web().linked(&[])).unwrap();
    assert_eq!(scene.state(), before);
}

#[test]
fn a_second_stage_that_waits_for_a_source_leaves_the_link_open() {
    let scene = linked();
    scene.end_process("db");
    scene.stop("db").unwrap();
    scene.start(&web()).unwrap();
    assert_eq!(scene.store.record("web").unwrap().phase, Phase::Ready);
    assert_eq!(scene.permitted(), []);
}
