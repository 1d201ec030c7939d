//! A hook that runs inside the container, and a pid that another process has by the time it is
//! looked at.

use super::scene::{Scene, assert_clear, isolated};
use super::world::World;
use crate::support::each_runtime;
use std::process::Command;

/// With numbers of its own: the container's process dies while the hook is in one of `calls`, and
/// another of the same number begins, in the network namespace `other`.
const REUSE: &str = r#"
    begin() { ip netns exec "$1" unshare --mount sleep 600 & }
    state=$1 mine=$2 other=$3 calls=$4 path=$5; shift 5
    begin "$mine"; pid=$!
    until grep -q sleep "/proc/$pid/comm"; do sleep 0.01; done
    echo "${state/424242/$pid}" >"$HOME/word"
    strace -qq -o /dev/null $path -e trace="$calls" -e inject="$calls:delay_exit=700000" \
        "$@" <"$HOME/word" & hook=$!
    sleep 0.35
    kill -KILL $pid; wait $pid 2>/dev/null
    echo $((pid - 1)) >/proc/sys/kernel/ns_last_pid
    begin "$other"
    [ $! = $pid ] || exit 99
    wait $hook; status=$?
    disown $pid; kill -KILL $pid
    exit $status
"#;

/// With numbers of its own: the hook runs in the mounts of the container's process. That one is
/// disowned, or bash might say beside the hook that it was killed.
const INSIDE: &str = r#"
    state=$1 mine=$2; shift 2
    ip netns exec "$mine" unshare --mount sleep 600 & pid=$!
    until grep -q sleep "/proc/$pid/comm"; do sleep 0.01; done
    $mounts "$@" <<<"${state/424242/$pid}"; status=$?
    disown $pid; kill -KILL $pid
    exit $status
"#;

/// A shell's script that is given the state, the network namespaces of web and db, and the command.
fn script(scene: &Scene, script: &str, words: &[&str], hook: &Command) -> Command {
    let mut state = scene.state();
    state["pid"] = 424_242.into();
    let mut shell = Command::new("unshare");
    shell.args(["--pid", "--fork", "--mount-proc", "bash", "-c", script, "bash"]);
    shell.arg(state.to_string()).arg(scene.web.netns().name()).args(words);
    shell.arg(hook.get_program()).args(hook.get_args());
    shell
}

each_runtime! {
    /// A bundle names us among the hooks that run inside, where nothing is what it seems.
    fn a38_the_hook_of_another_side(runtime) {
        let host = isolated(runtime);
        let db = crate::cast::source(&host, "db", "3306");
        let web = host.container("web").annotate("links", "db").hooks();
        let web = web.edit(|config| {
            config["hooks"]["createContainer"] = config["hooks"]["createRuntime"].take();
            config["hooks"].as_object_mut().expect("hooks").remove("createRuntime");
        });
        let web = web.build();
        let before = World::now(&host).timeless();
        let _ = web.run().refused(1);
        before.assert_still(&World::now(&host).timeless());
        let log = std::fs::read_to_string(host.path("log")).expect("a log");
        let inside = ["is not a container's process on this host", "has no pid"];
        assert!(inside.iter().any(|word| log.contains(word)), "{log}");
        crate::cast::end(&db);
    }

    fn a38_the_mounts_are_the_containers(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let run = |mounts: &str| {
            let text = INSIDE.replace("$mounts", mounts);
            host.run(&mut script(&scene, &text, &[], &scene.command()))
        };
        let before = World::now(&host);
        let complaint = run("nsenter --mount=/proc/$pid/ns/mnt").refused(5);
        assert_clear(&complaint, "own mount namespace");
        before.assert_still(&World::now(&host));
        // Beside it a hook gets further. It does not see db, which has another number here.
        assert_clear(&run("").refused(9), "was recorded in another pid or time namespace");
        before.assert_still(&World::now(&host));
    }

    /// Dead by the time it is looked at, and its number is another's, who has other addresses.
    fn a41_the_pid_becomes_another_processs(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let other = scene.db.netns().name();
        let before = World::now(&host);
        // Behind the call that pins it, and behind the one that opens what its number leads to: which
        // one that is, is up to the C library.
        for (call, path) in [("pidfd_open", ""), ("?open,openat", "-P /proc/2/ns/net")] {
            let mut reuse = script(&scene, REUSE, &[other, call, path], &scene.command());
            let complaint = host.run(reuse.env("HOME", host.path(""))).refused(9);
            let gone = ["does not run", "ended while"].iter().any(|word| complaint.contains(word));
            assert!(gone, "{call}: {complaint}");
            before.assert_still(&World::now(&host));
        }
    }
}
