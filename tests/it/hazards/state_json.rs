//! What comes on standard input where a runtime should have sent the container's state.

use super::scene::{Scene, after, assert_clear, isolated, system};
use super::world::World;
use crate::support::each_runtime;
use serde_json::{Value, json};
use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// The hook waits a second for the end of its input; then it has this long to end.
const SLACK: Duration = Duration::from_secs(2);

#[track_caller]
fn refused(scene: &Scene, input: impl AsRef<[u8]>, word: &str) {
    let hook = |stage| scene.host.oci_link(&["hook", stage]);
    scene.refused_by(hook("createRuntime"), input.as_ref(), 3, word);
    // An end never fails.
    scene.logged_by(hook("poststop"), input.as_ref(), word);
}

#[track_caller]
fn pid_refused(scene: &Scene, pid: impl Into<Value>, code: i32, word: &str) {
    let mut state = scene.state();
    state["pid"] = pid.into();
    scene.refused_by(scene.command(), state.to_string().as_bytes(), code, word);
}

each_runtime! {
    fn a30_the_state_is_cut_off(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let state = scene.state().to_string();
        for length in (0..state.len()).step_by(11).chain([state.len() - 1]) {
            refused(&scene, &state[..length], "container state");
        }
    }

    fn a30_the_state_is_no_state(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let state = scene.state().to_string();
        let nested = |member: &str| {
            let (open, close) = ("[".repeat(1000), "]".repeat(1000));
            state.replacen('{', &format!("{{\"{member}\":{open}{close},"), 1)
        };
        let twice = |member: &str| state.replacen('{', &format!("{{{member},"), 1);
        refused(&scene, "what?", "container state");
        refused(&scene, "null", "container state");
        refused(&scene, "[]", "container state");
        refused(&scene, "{}", "id");
        refused(&scene, " \n\t", "container state");
        refused(&scene, b"\0\0\0\0", "container state");
        refused(&scene, b"{\"id\":\"\xff\"}", "container state");
        refused(&scene, state.clone() + "{}", "trailing");
        refused(&scene, state.clone() + "x", "trailing");
        refused(&scene, state.clone() + "\0", "trailing");
        refused(&scene, "\u{feff}".to_owned() + &state, "container state");
        refused(&scene, nested("id"), "container state");
        refused(&scene, nested("annotations"), "container state");
        refused(&scene, twice("\"id\":\"web\""), "duplicate");
        refused(&scene, twice("\"i\\u0064\":\"web\""), "duplicate");
        refused(&scene, twice("\"pid\":1"), "duplicate");
        refused(&scene, twice("\"bundle\":\"/\""), "duplicate");
        // Members that mean nothing may nest, and crun repeats a doubled annotation.
        let odd = nested("x").replacen("\"org.oci-link.links\"", "\"a\":\"1\",\"a\":\"2\",\"org.oci-link.links\"", 1);
        host.feed(&mut scene.command(), odd.as_bytes()).ok();
    }

    fn a30_the_state_is_huge(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        // A file, because a process at the other end of a pipe could be slower than the limit of time.
        let script = r#"f=$(mktemp); echo "$1" >"$f"; truncate -s 100M "$f"; exec 0<"$f"; rm "$f"; shift"#;
        for stage in ["createRuntime", "poststop"] {
            let hook = host.oci_link(&["hook", stage]);
            let mut hook = after(script, &[scene.state().to_string().as_ref()], &hook);
            let before = World::now(&host);
            let ended = host.run(&mut hook).within(Duration::from_secs(1) + SLACK);
            if stage == "createRuntime" {
                assert_clear(&ended.refused(3), "standard input: more than");
            } else {
                assert_eq!(ended.ok(), "");
            }
            before.assert_still(&World::now(&host));
        }
    }

    /// A FIFO that has been opened for writing too: its end never comes.
    fn a30_the_state_never_ends(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let fifo = host.path("fifo");
        system("mkfifo", &[&fifo]);
        let state = scene.state().to_string();
        for written in ["", &state] {
            let script = r#"exec 0<>"$1"; printf %s "$2" >"$1"; shift 2"#;
            let mut hook = after(script, &[&fifo, written.as_ref()], &scene.command());
            let begun = Instant::now();
            let complaint = host.run(&mut hook).within(Duration::from_secs(1) + SLACK).refused(3);
            assert!(begun.elapsed() >= Duration::from_secs(1), "it did not wait");
            assert_clear(&complaint, "not closed within 1 s");
        }
    }

    fn a42_pids_that_are_none(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        pid_refused(&scene, 0, 9, "has no pid");
        pid_refused(&scene, Value::Null, 9, "has no pid");
        pid_refused(&scene, -1, 3, "pid");
        pid_refused(&scene, i64::from(i32::MIN), 3, "pid");
        pid_refused(&scene, i64::from(i32::MAX) + 1, 3, "pid");
        pid_refused(&scene, i64::from(u32::MAX) + 1, 3, "pid");
        pid_refused(&scene, u64::MAX, 3, "container state");
        pid_refused(&scene, 1.5, 3, "container state");
        pid_refused(&scene, "1", 3, "container state");
        pid_refused(&scene, i32::MAX, 9, "does not run");
    }

    fn a41_pids_of_the_dead(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let mut child = Command::new("true").spawn().expect("starts");
        child.wait().expect("ends");
        pid_refused(&scene, child.id(), 9, "does not run");
    }

    fn f39_the_pid_is_a_zombie(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let mut child = Command::new("true").spawn().expect("starts");
        let stat = format!("/proc/{}/stat", child.id());
        while !fs::read_to_string(&stat).expect("not waited for").contains(") Z ") {
            thread::sleep(Duration::from_millis(1));
        }
        pid_refused(&scene, child.id(), 9, "does not run");
        child.wait().expect("ends");
    }

    fn a42_the_pid_is_not_a_containers(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        pid_refused(&scene, 1, 5, "pid \"1\"");
        let mut state = scene.state();
        state["pid"] = json!(424_242);
        // The shell's own number is the hook's, which takes its place.
        let script = r#"exec 0<<<"${1/424242/$$}"; shift"#;
        let hook = after(script, &[state.to_string().as_ref()], &scene.command());
        scene.refused_by(hook, b"", 5, "is not a container's process");
    }
}
