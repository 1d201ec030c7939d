//! What ends a wait before its time.

use super::{A_MOMENT, InDocker, SOON, docker, edit, id, log, restarts, web};
use crate::{
    cast::ls,
    lifecycle::{call, created},
    support::{Container, Host, Runtime},
};
use serde_json::Value;
use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

#[test]
fn a_source_that_is_stopped_by_hand_ends_the_wait() {
    let host = docker(Runtime::Runc, "50s");
    restarts("db").writes(&host);
    let web = web(&host, "db:mysql");
    thread::scope(|scope| {
        let created = scope.spawn(|| web.create().within(SOON).refused(4));
        thread::sleep(A_MOMENT);
        assert!(!created.is_finished());
        InDocker { by_hand: true, ..restarts("db") }.writes(&host);
        let complaint = created.join().expect("it ends");
        assert!(complaint.contains("non running container: /db AS /web/mysql\n"), "{complaint}");
    });
}

/// At `start` too, and no longer than the container lives. The lock is free meanwhile.
#[test]
fn a_wait_at_the_start_ends_with_the_container_and_holds_no_lock() {
    let host = docker(Runtime::Runc, "50s");
    restarts("db").writes(&host);
    let web = web(&host, "none");
    web.create().ok();
    edit(&web, |config| config["annotations"]["org.oci-link.links"] = "db:mysql".into());
    let state = created(&web, &id("web"));
    thread::scope(|scope| {
        let hook = scope.spawn(|| {
            let mut hook = host.oci_link(&["hook", "createRuntime"]);
            host.feed(&mut hook, state.as_bytes()).within(SOON).refused(9)
        });
        thread::sleep(A_MOMENT);
        assert!(!hook.is_finished(), "{}", log(&host));
        call(&host, "sync").within(SOON).ok();
        web.kill();
        let complaint = hook.join().expect("it ends");
        assert!(complaint.contains("ended while it waited for its sources"), "{complaint}");
    });
    web.delete().ok();
    host.assert_nothing_left();
}

/// `create` of web, waiting, behind a shell that is its caller.
fn waiting(host: &Host, web: &Container, before: &str) -> Child {
    let create = host.runtime(&["create", "--bundle"]);
    let words = std::iter::once(create.get_program()).chain(create.get_args());
    let words: Vec<String> =
        words.map(|word| format!("'{}'", word.to_str().expect("text"))).collect();
    let script = format!(
        "{before} {} '{}' {} & echo $! >\"$0\"; wait",
        words.join(" "),
        web.bundle().display(),
        id("web")
    );
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(host.path("pid"));
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    host.spawn(&mut shell).expect("a shell")
}

fn pid(host: &Host) -> i32 {
    let deadline = Instant::now() + SOON;
    loop {
        let text = fs::read_to_string(host.path("pid")).unwrap_or_default();
        if let Ok(pid) = text.trim().parse() {
            return pid;
        }
        assert!(Instant::now() < deadline, "no pid");
        thread::sleep(Duration::from_millis(10));
    }
}

fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_wait_ends_with_its_caller_and_by_signals() {
    let host = docker(Runtime::Runc, "50s");
    restarts("db").writes(&host);
    let web = web(&host, "db:mysql");
    for signal in [None, Some("TERM"), Some("INT")] {
        let _ = fs::remove_file(host.path("pid"));
        // A shell's background jobs ignore SIGINT.
        let before = if signal == Some("INT") { "env --default-signal=INT" } else { "" };
        let mut shell = waiting(&host, &web, before);
        let wrapper = pid(&host);
        thread::sleep(A_MOMENT);
        assert!(runs(wrapper), "it waits: {}", log(&host));
        match signal {
            None => shell.kill().expect("killed"),
            Some(signal) => {
                let mut kill = Command::new("kill");
                host.run(kill.args(["-s", signal, &wrapper.to_string()])).ok();
            }
        }
        let deadline = Instant::now() + SOON;
        while runs(wrapper) {
            assert!(Instant::now() < deadline, "{signal:?} ends nothing");
            thread::sleep(Duration::from_millis(10));
        }
        let _ = shell.wait();
    }
    assert_eq!(ls(&host), Vec::<Value>::new());
    host.assert_nothing_left();
}
