//! A damaged state directory, a held lock, and a killed wrapper: containers without links start and end.

use super::{bundle, hosts};
use crate::support::{Host, Runtime, each_runtime};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// An end that waits for the lock as long as one with links takes more.
const SOON: Duration = Duration::from_millis(1500);

/// The processes whose command line contains all `words`.
fn processes(words: &[&str]) -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("/proc").filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        words.iter().all(|word| line.contains(word)).then_some(pid)
    });
    all.collect()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        sleep(Duration::from_millis(10));
    }
}

each_runtime! {
    /// The directory for the records of ids that begin with `ab` cannot be made.
    fn h14_a_link_to_nothing_in_the_state_directory(runtime) also youki {
        for (wrapped, host) in [false, true].into_iter().zip(hosts(runtime)) {
            host.run(&mut host.oci_link(&["ls"])).ok();
            for name in ["records", "names", "addresses"] {
                let folder = host.state_dir().join(name);
                fs::create_dir_all(&folder).expect("made");
                symlink("/nonexistent", folder.join("ab")).expect("linked");
            }
            let container = bundle(&host, wrapped, "abcd1").build();
            container.create().ok();
            container.start().ok();
            assert_eq!(container.state()["status"], "running");
            container.kill();
            container.delete().ok();
        }
    }

    fn h15_an_end_without_links_does_not_wait(runtime) also youki {
        for (wrapped, host) in [false, true].into_iter().zip(hosts(runtime)) {
            let container = bundle(&host, wrapped, "box").build();
            let ran_before = bundle(&host, wrapped, "before").build();
            ran_before.run().ok();
            let lock = File::open(host.state_dir().join("lock")).expect("there");
            let lock = Flock::lock(lock, FlockArg::LockExclusive).expect("free");
            container.run().within(SOON).ok();
            for ended in [&container, &ran_before] {
                ended.delete_by_force().within(SOON).ok();
            }
            // A container that was never there.
            let mut poststop = host.oci_link(&["hook", "poststop"]);
            let over = br#"{"id":"nosuch","status":"stopped"}"#;
            host.feed(&mut poststop, over).within(SOON).ok();
            drop(lock);
            host.run(&mut host.oci_link(&["sync"])).ok();
            host.assert_nothing_left();
        }
    }

    /// As without the wrapper, nothing works on after its caller was told that it is dead.
    fn h22_the_wrapper_is_killed_during_a_delete(runtime) also youki {
        let host = Host::isolated(runtime).wrapped();
        // Each host has a time of its own: only its process is ended below.
        let state = host.state_dir().display().to_string();
        let time: String = "30.".chars().chain(state.chars().filter(char::is_ascii_digit)).collect();
        let hook = serde_json::json!([{ "path": "/bin/sleep", "args": ["sleep", &time] }]);
        let container = host.container("box").edit(|config| config["hooks"]["poststop"] = hook);
        let container = container.build();
        container.run().ok();
        container.kill();
        let bundle = container.bundle().display().to_string();
        let root = bundle.split("/bundles").next().expect("a directory").to_owned();
        let mut delete = host.spawn(&mut host.runtime(&["delete", "box"])).expect("started");
        let wrapper = i32::try_from(delete.id()).expect("a pid");
        let below = || {
            let all = processes(&[&root, "delete", "box"]);
            all.into_iter().filter(|pid| *pid != wrapper).collect::<Vec<_>>()
        };
        until("the runtime", || !below().is_empty());
        kill(Pid::from_raw(wrapper), Signal::SIGTERM).expect("it runs");
        delete.wait().expect("ended");
        until("the end of the runtime", || below().is_empty());
        for pid in processes(&["sleep", &time]) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        container.delete_by_force().ok();
        host.assert_nothing_left();
    }
}

/// The process that writes to the FIFO takes the first reader for the runtime. crun reads the file twice.
#[test]
fn h10_config_json_is_a_fifo() {
    let host = Host::isolated(Runtime::Runc).wrapped();
    let container = host.container("box").build();
    let config = container.bundle().join("config.json");
    let real = container.bundle().join("real.json");
    fs::rename(&config, &real).expect("renamed");
    let mut make = Command::new("mkfifo");
    assert!(make.arg(&config).status().expect("runs").success());
    let mut writer = Command::new("sh");
    writer.arg("-c").arg(format!("cat {} >{}", real.display(), config.display()));
    let mut writer = writer.spawn().expect("started");
    container.create().within(Duration::from_secs(5)).ok();
    assert!(writer.wait().expect("ended").success());
    container.delete_by_force().ok();
}
