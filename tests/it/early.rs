//! Errors that come before there is a configuration: crun hides what a hook prints, so they stand in
//! the log too, the one that the flags name or the system's.

use crate::cast::end;
use crate::support::{Host, OCI_LINK, Runtime, each_runtime};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Output};
use std::thread;

fn broken(host: &Host) {
    fs::write(host.path("config.toml"), "\n[log]\nlevel = 'loud'\n").expect("written");
}

/// The log has one line, and it says `complaint`.
#[track_caller]
fn assert_logged(host: &Host, complaint: &str) {
    let log = fs::read_to_string(host.path("log")).unwrap_or_default();
    assert_eq!(log.lines().count(), 1, "{log}");
    let what = complaint.strip_prefix("oci-link: ").expect("one of ours");
    assert!(log.contains(" error oci-link[") && log.ends_with(what), "{log}");
    fs::remove_file(host.path("log")).expect("it is there");
}

/// What arrives at /dev/log from `oci-link`, called with `words`.
fn told_to_the_system(words: &[&str]) -> (Output, String) {
    let told = || {
        const NOTHING: Option<&str> = None;
        unshare(CloneFlags::CLONE_NEWNS).expect("root may unshare");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(NOTHING, "/", NOTHING, private, NOTHING).expect("mounts become private");
        mount(Some("tmpfs"), "/dev", Some("tmpfs"), MsFlags::empty(), NOTHING).expect("mounted");
        let made = Command::new("mknod").args(["/dev/null", "c", "1", "3"]).status();
        assert!(made.expect("mknod starts").success());
        let log = UnixDatagram::bind("/dev/log").expect("no other process listens here");
        log.set_nonblocking(true).expect("a socket");
        let output = Command::new(OCI_LINK).args(words).output().expect("it starts");
        let mut line = [0; 1024];
        let length = log.recv(&mut line).unwrap_or(0);
        (output, String::from_utf8_lossy(&line[..length]).into_owned())
    };
    thread::scope(|scope| scope.spawn(told).join()).expect("told")
}

each_runtime! {
    /// A container without links starts, and ends.
    fn a_broken_configuration_stops_a_linked_container_and_stands_in_the_log(runtime) {
        let host = Host::open(runtime);
        let complaint = "config.toml line 3: log.level \"loud\": want";
        let log = || fs::read_to_string(host.path("log")).unwrap_or_default();
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        broken(&host);
        db.run().ok();
        assert!(log().contains(complaint), "{}", log());
        fs::remove_file(host.path("log")).expect("it is there");
        let web = host.container("web").annotate("links", "db").hooks().build();
        let status = if runtime == Runtime::Runc { 1 } else { 255 };
        assert!(!web.create().refused(status).is_empty());
        assert!(log().contains(complaint), "{}", log());
        fs::remove_file(host.path("config.toml")).expect("it is there");
        // It was recorded all the same, so it can be linked to.
        let _ = web.delete();
        web.run().ok();
        broken(&host);
        end(&web);
        end(&db);
        fs::remove_file(host.path("config.toml")).expect("it is there");
        let left: Vec<_> =
            host.state_files().into_iter().filter(|file| file.starts_with("records/")).collect();
        assert_eq!(left, [""; 0]);
    }
}

#[test]
fn what_fails_before_the_log_is_set_up_is_logged() {
    let host = Host::open(Runtime::Runc);
    for (words, input, status) in [
        (&["hook", "nonsense"][..], "{}", 2),
        (&["ls", "--nonsense"], "", 2),
        (&["configure", "docker", "--hooks"], "", 2),
        (&["hook"], "", 3),
        (&["hook", "createRuntime"], "{", 3),
    ] {
        let said = host.feed(&mut host.oci_link(words), input.as_bytes()).refused(status);
        assert_logged(&host, &said);
    }
    broken(&host);
    let said = host.run(&mut host.oci_link(&["ls"])).refused(3);
    assert_logged(&host, &said);
}

/// A call that cannot be told from one for a container without links never fails.
#[test]
fn what_is_no_state_and_no_config_json_is_logged_only() {
    let host = Host::open(Runtime::Runc);
    let blanks = " ".repeat((1 << 20) + 1);
    for (words, input, printed) in [
        (&["hook", "poststop"][..], "", ""),
        (&["hook", "poststop"], &blanks, ""),
        (&["hook"], "{\"id\":\"x\",\"pid\":\"none\"}", ""),
        (&["precreate"], "{ no JSON", "{ no JSON"),
    ] {
        let said = host.feed(&mut host.oci_link(words), input.as_bytes()).ok();
        assert_eq!(said, printed, "{words:?}");
        let log = fs::read_to_string(host.path("log")).unwrap_or_default();
        assert_eq!(log.lines().count(), 1, "{words:?}: {log}");
        assert!(log.contains("oci-link["), "{log}");
        fs::remove_file(host.path("log")).expect("it is there");
    }
}

#[test]
fn the_wrapper_tells_the_runtimes_log_too() {
    let host = Host::open(Runtime::Runc).wrapped();
    let log = host.path("runtime.log");
    let refused = |action: &str| {
        let mut call = host.oci_link(&["runtime", "--log"]);
        let said = host.run(call.arg(&log).args([action, "web"])).refused(3);
        let logged = fs::read_to_string(&log).unwrap_or_default();
        let what = said.trim_end().escape_debug().to_string();
        assert!(logged.lines().count() == 1 && logged.contains(&what), "{said}: {logged}");
        fs::remove_file(&log).expect("it is there");
        assert_logged(&host, &said);
    };
    let runtime = "[runtime]\ncommand = '/nowhere/runc'\n";
    fs::write(host.path("config.toml"), runtime).expect("written");
    refused("start");
    refused("state");
}

#[test]
fn without_a_file_it_is_the_systems_log() {
    let host = Host::open(Runtime::Runc);
    broken(&host);
    let [config, state, link, other] =
        ["config.toml", "state", "link", "other"].map(|name| host.path(name).display().to_string());
    let flags = ["--config", &config, "--state-dir", &state];
    let (output, heard) = told_to_the_system(&[&flags[..], &["ls"]].concat());
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(heard.starts_with("<27>oci-link["), "{heard}");
    assert!(heard.contains("line 3: log.level \"loud\""), "{heard}");

    // Where a link leads, nothing is written, and the system hears of it.
    fs::write(&other, "").expect("written");
    symlink(&other, &link).expect("linked");
    for (config, status) in [(config.as_str(), 3), ("/nowhere", 0)] {
        let flags = ["--config", config, "--state-dir", &state, "--log-file", &link, "ls"];
        let (output, heard) = told_to_the_system(&flags);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let what = if status == 0 { "log file " } else { "line 3: log.level \"loud\"" };
        assert!(heard.contains(what), "{heard}: {output:?}");
        assert_eq!(fs::read_to_string(&other).expect("it is there"), "");
    }
}
