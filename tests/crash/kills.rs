//! SIGKILL at every system call of the hook and of its children. One pass of the next process
//! must leave what a clean run would have left.

use crate::{
    actor::TAIL,
    attempts::{all, each_backend},
    scene::{BACKENDS, Scene, Stage, host},
    snapshot::{Snapshot, same_but_for_leftovers},
    tracer::{Blow, Point},
};

/// The next process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// `sync`; at a start, while the container lives on.
    Sync,
    /// `gc`.
    Gc,
    /// The runtime's `poststop`.
    Poststop,
    /// A container of the same id, name and address.
    Successor,
    /// The same hook of the same container again.
    Again,
}

type Kill = (Point, Blow, Next);

/// Each point with those who may come next.
fn points(backend: &'static str, stage: Stage) -> Vec<Kill> {
    let host = host(backend);
    let scene = Scene::new(&host, backend, stage);
    scene.prepare();
    let (traced, _) = scene.attempt(None);
    let nexts: &[Next] = match stage {
        Stage::Start => &[Next::Sync, Next::Gc, Next::Poststop, Next::Successor, Next::Again],
        Stage::First => &[Next::Gc, Next::Successor, Next::Sync],
        Stage::Stop => &[Next::Sync, Next::Gc, Next::Poststop, Next::Successor],
    };
    let mut points = Vec::new();
    for (process, calls) in traced.calls.iter().enumerate() {
        for call in 0..calls.len() {
            let point = Point { process, call };
            if process == 0 {
                points.extend(nexts.iter().map(|next| (point, Blow::KillCaller, *next)));
            } else {
                // Most of what a child does is to begin; each way to be killed and each of those
                // who may come next gets its share of that.
                let next = nexts[call % nexts.len()];
                let program = (call / nexts.len()) % 2 == 0;
                let blow = if program { Blow::KillProgram } else { Blow::KillCaller };
                points.push((point, blow, next));
            }
        }
    }
    points
}

fn attempt(scene: &Scene, (point, blow, next): &Kill) {
    scene.prepare();
    let _ = scene.attempt(Some((*point, *blow)));
    match scene.stage {
        Stage::Stop => after_a_stop(scene, *next),
        Stage::Start | Stage::First => after_a_start(scene, *next),
    }
    scene.web.end();
    if [Next::Poststop, Next::Successor, Next::Again].contains(next) {
        scene.call("gc").ok();
        scene.must_be(&scene.over(), "gc afterwards");
    }
    scene.reset();
}

fn after_a_start(scene: &Scene, next: Next) {
    match next {
        Next::Sync => {
            scene.call("sync").ok();
            if scene.look() != scene.linked {
                scene.must_be(&scene.idle, "sync, and it is not linked");
            }
            scene.web.end();
            scene.web.call("poststop").ok();
            scene.must_be(&scene.over(), "poststop after sync");
        }
        Next::Gc => {
            scene.web.end();
            scene.call("gc").ok();
            scene.must_be(&scene.over(), "gc");
        }
        Next::Poststop => {
            scene.web.end();
            scene.web.call("poststop").ok();
            same_but_for_leftovers(&scene.look(), &scene.over(), "poststop");
        }
        Next::Successor => successor(scene, &scene.linked),
        Next::Again => {
            scene.web.call("createRuntime").ok();
            same_but_for_leftovers(&scene.look(), &scene.linked, "the same hook again");
        }
    }
}

fn after_a_stop(scene: &Scene, next: Next) {
    match next {
        Next::Sync | Next::Gc => {
            scene.call(if next == Next::Gc { "gc" } else { "sync" }).ok();
            scene.must_be(&scene.over(), "gc or sync");
        }
        Next::Poststop | Next::Again => {
            scene.web.call("poststop").ok();
            same_but_for_leftovers(&scene.look(), &scene.over(), "poststop again");
        }
        Next::Successor => {
            let mut linked = scene.linked.clone();
            linked.files.get_mut("web hosts").expect("it has one").push_str(TAIL);
            successor(scene, &linked);
        }
    }
}

fn successor(scene: &Scene, linked: &Snapshot) {
    scene.web.end();
    scene.web.begin();
    scene.web.call("createRuntime").ok();
    same_but_for_leftovers(&scene.look(), linked, "an successor's start");
}

/// A point in so many, another one for each backend and stage.
const SAMPLE: usize = 83;

fn sample(stage: Stage) {
    for (number, backend) in BACKENDS.into_iter().enumerate() {
        let points = points(backend, stage);
        let some: Vec<_> = points.into_iter().skip(number * 7).step_by(SAMPLE).collect();
        all(backend, stage, "killed", &some, 1, attempt);
    }
}

fn everything(backend: &'static str, stage: Stage) {
    all(backend, stage, "killed", &points(backend, stage), 2, attempt);
}

#[test]
fn f01_a_start_that_is_killed_is_finished_or_undone() {
    sample(Stage::Start);
}

#[test]
fn f01_a_first_start_that_is_killed_is_finished_or_undone() {
    sample(Stage::First);
}

#[test]
fn f01_an_end_that_is_killed_is_finished() {
    sample(Stage::Stop);
}

each_backend! {
    f01_every_point_of_a_start => Stage::Start,
    f01_every_point_of_a_first_start => Stage::First,
    f01_every_point_of_an_end => Stage::Stop,
}
