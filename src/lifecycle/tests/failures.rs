//! Every call of every step fails once in every way. The records name what is left, and the same
//! step repairs it.

use super::{api, db, linked, web};
use crate::lifecycle::fakes::{Scene, again, every_failure, own};
use crate::lifecycle::privileges::AfterHook::Continue;
use crate::lifecycle::replan::settle;
use crate::lifecycle::stop_if_dead;
use crate::model::Missing;

fn start_without_connections(scene: &Scene) {
    scene.start(&db()).unwrap();
    scene.start(&web()).unwrap();
}

fn start_both(scene: &Scene) {
    start_without_connections(scene);
    scene.use_all_flows();
}

#[test]
fn a_start_without_links() {
    every_failure(|_| (), |scene| scene.start(&db()));
}

#[test]
fn a_start_with_a_link() {
    every_failure(|scene| scene.start(&db()).unwrap(), |scene| scene.start(&web()));
}

#[test]
fn a_start_in_a_store_that_may_lack_records() {
    every_failure(|scene| scene.store.set_epoch(None), |scene| scene.start(&db()));
}

#[test]
fn a_start_of_a_source_that_others_wait_for() {
    let prepare = |scene: &Scene| {
        for recipient in [web(), api()] {
            scene.start_with(&recipient, Missing::Defer, Continue).unwrap();
        }
    };
    every_failure(prepare, |scene| scene.start(&db()));
}

#[test]
fn a_start_in_place_of_a_dead_container() {
    let prepare = |scene: &Scene| {
        start_both(scene);
        scene.end_process("web");
    };
    every_failure(prepare, |scene| scene.start(&again(&web())));
}

#[test]
fn a_start_at_the_address_of_a_dead_source() {
    let prepare = |scene: &Scene| {
        start_both(scene);
        scene.end_process("db");
    };
    every_failure(prepare, |scene| scene.start(&own("new", "80", &["10.0.0.2/24"])));
}

/// A failure leaves what the first stage did.
#[test]
fn a_second_stage() {
    every_failure(start_without_connections, |scene| scene.start(&web()));
}

#[test]
fn a_second_stage_of_a_source() {
    every_failure(start_without_connections, |scene| scene.start(&db()));
}

#[test]
fn the_end_of_a_recipient() {
    let prepare = |scene: &Scene| {
        start_both(scene);
        scene.end_process("web");
    };
    every_failure(prepare, |scene| scene.stop("web"));
}

#[test]
fn the_end_of_a_source() {
    let prepare = |scene: &Scene| {
        start_both(scene);
        scene.start(&api()).unwrap();
        scene.end_process("db");
    };
    every_failure(prepare, |scene| scene.stop("db"));
}

#[test]
fn the_end_of_a_container_without_a_hook() {
    let prepare = |scene: &Scene| {
        start_both(scene);
        scene.end_process("web");
    };
    every_failure(prepare, |scene| stop_if_dead(&scene.host, &web().id).map(drop));
}

#[test]
fn a_new_link_of_a_running_container() {
    let prepare = |scene: &Scene| {
        scene.start(&db()).unwrap();
        scene.start(&own("web", "none", &["10.0.0.3/24"])).unwrap();
    };
    every_failure(prepare, |scene| scene.connect("web", "db:sql"));
}

#[test]
fn a_second_link_of_a_running_container() {
    let prepare = |scene: &Scene| {
        start_both(scene);
        scene.start(&own("mq", "90", &["10.0.0.5/24"])).unwrap();
    };
    every_failure(prepare, |scene| scene.connect("web", "mq"));
}

/// A repeated `disconnect` finds no link where the first one has removed it from the record. The
/// record is then only unfinished.
#[test]
fn the_end_of_a_link() {
    every_failure(start_both, |scene| match scene.disconnect("web", "db") {
        Err(error)
            if error.to_string().contains("container web: has no link with the alias db") =>
        {
            settle(&scene.host.lock()?, &scene.store.record("web").unwrap(), &[])
        }
        done => done,
    });
}

#[test]
fn two_steps_in_a_row_leave_what_one_clean_run_leaves() {
    let scene = linked();
    let before = scene.state();
    scene.connect("web", "db:sql").unwrap();
    scene.disconnect("web", "sql").unwrap();
    assert_eq!(scene.state(), before);
}
