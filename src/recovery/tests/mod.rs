//! Findings and their repair on hosts whose store and firewall are in memory.

mod dead;
mod drift;
mod failing;
mod later_stage;
mod moved;
mod teardown;
mod three_hosts;

use super::{Finding, Repaired};
use crate::error::Result;
use crate::lifecycle::fakes::{Scene, own};
use crate::model::Record;
use std::fs;

fn db() -> Record {
    own("db", "80", &["10.0.0.2/24"])
}

fn web() -> Record {
    own("web", "none", &["10.0.0.3/24"]).linked(&["db"])
}

fn start_both(scene: &Scene) {
    scene.start(&db()).unwrap();
    scene.start(&web()).unwrap();
    scene.use_all_flows();
}

fn linked() -> Scene {
    let scene = Scene::new();
    start_both(&scene);
    scene.journal.restart();
    scene
}

fn shown(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

/// Returns the failures of a repair as an error.
fn outcome(repaired: Result<Repaired>) -> Result<()> {
    repaired?.failures.into_result()
}

/// Rules of a container whose record is lost, towards the address of `db`.
fn orphan(scene: &Scene) {
    let flow = scene.permitted()[0];
    let key = ("nftables", own("lost", "", &[]).owner);
    scene.kernel.borrow_mut().rules.insert(key, vec![flow]);
}

/// Everything that can go wrong with two running containers.
fn drift(scene: &Scene) {
    start_both(scene);
    scene.kernel.borrow_mut().rules.clear();
    scene.kernel.borrow_mut().damaged.insert("ipset");
    fs::write(scene.hosts("web"), "127.0.0.1\tlocalhost\n").unwrap();
}
