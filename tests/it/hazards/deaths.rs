//! A process dies at a bad moment: the container's, the runtime, the hook, or the holder of the lock. The
//! moment is made by holding the lock that every hook needs.

use crate::{
    backends::each_backend,
    cast::{end, permissions, prepared, recipient, source},
    lifecycle::{call, host_with},
    support::{Container, Host, OPEN, Proto, each_runtime, wait},
};
use nix::{
    fcntl::{Flock, FlockArg},
    libc,
};
use serde_json::json;
use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// No hook comes further than to its lock until this is dropped.
fn hold_lock(host: &Host) -> Flock<File> {
    let file = File::open(host.state_dir().join("lock")).expect("there");
    Flock::lock(file, FlockArg::LockExclusive).expect("free")
}

/// How many of this host's processes have `word` among their arguments and wait for a lock.
fn waiting(host: &Host, word: &str) -> usize {
    let ours = host.state_dir().display().to_string();
    let waits = |pid: &str| {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let words = String::from_utf8_lossy(&read("cmdline")).into_owned();
        let words: Vec<&str> = words.split('\0').collect();
        let call = format!("{} ", libc::SYS_flock);
        let lock = String::from_utf8_lossy(&read("syscall")).starts_with(&call);
        words.contains(&ours.as_str()) && words.contains(&word) && lock
    };
    let processes = fs::read_dir("/proc").expect("proc").filter_map(Result::ok);
    processes.filter(|process| waits(&process.file_name().to_string_lossy())).count()
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within 10 s");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The word of a container's end.
fn stopped(id: &str) -> String {
    json!({ "ociVersion": "1.0.2", "id": id, "status": "stopped", "bundle": "/none" }).to_string()
}

fn hosts_file(container: &Container) -> String {
    fs::read_to_string(container.bundle().join("rootfs/etc/hosts")).expect("rootfs has one")
}

/// Nothing of `web` is left; it can start again, and after that nothing of any container is left.
#[track_caller]
fn gone(host: &Host, db: &Container, web: &Container) {
    assert_eq!(permissions(host), [""; 0]);
    assert!(!hosts_file(web).contains("oci-link"), "{}", hosts_file(web));
    let left = host.state_files();
    // An end that could not have the lock leaves a note, which the next holder of the lock removes.
    let mut left = left.iter().filter(|file| *file != "notes/ended-web");
    assert!(!left.any(|file| file.contains("web")), "{:?}", host.state_files());
    let _ = web.delete_by_force();
    web.run().ok();
    assert_eq!(web.reach(db, Proto::Tcp, 3306), OPEN);
    [web, db].into_iter().for_each(end);
    host.assert_nothing_left();
}

/// Starts `command` without waiting for its end.
fn begin(host: &Host, command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    host.spawn(command).expect("it starts")
}

each_backend! {
    fn f22_it_dies_between_create_and_start(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = prepared(&host, "web", "db");
        for told in [true, false] {
            web.create().ok();
            assert!(!permissions(&host).is_empty());
            web.kill();
            if told {
                web.delete().ok();
            } else {
                call(&host, "gc").ok();
            }
            assert_eq!(permissions(&host), [""; 0], "told: {told}");
        }
        gone(&host, &db, &web);
    }

    /// The hook outlives it, and finds that the container does not.
    fn f23_the_runtime_is_killed_while_the_hook_runs(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = prepared(&host, "web", "db");
        let lock = hold_lock(&host);
        let mut run = host.runtime(&["run", "--detach", "--bundle"]);
        run.arg(web.bundle()).arg("web");
        let mut runtime = begin(&host, &mut run);
        until("the hook", || waiting(&host, "createRuntime") == 1);
        runtime.kill().expect("killed");
        runtime.wait().expect("ended");
        drop(lock);
        // Its first process goes with runc, and waits with crun until it is killed.
        until("nothing is left", || {
            let _ = web.delete_by_force();
            call(&host, "gc").ok();
            permissions(&host).is_empty() && waiting(&host, "createRuntime") == 0
        });
        gone(&host, &db, &web);
    }

    /// Two hooks wait for the lock: the start's, and behind it the end's.
    fn f24_the_end_is_told_before_the_start_is_over(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = host.container("web").annotate("links", "db").build();
        web.create().ok();
        let created = web.state().to_string();
        let lock = hold_lock(&host);
        let hook = |stage: &str, state: &str| {
            host.feed(&mut host.oci_link(&["hook", stage]), state.as_bytes())
        };
        thread::scope(|scope| {
            let start = scope.spawn(|| hook("createRuntime", &created));
            until("the start", || waiting(&host, "createRuntime") == 1);
            web.kill();
            let end = scope.spawn(|| hook("poststop", &stopped("web")));
            until("the end", || waiting(&host, "poststop") == 1);
            drop(lock);
            let _ = start.join().expect("it ends").refused(9);
            end.join().expect("it ends").ok();
        });
        web.delete().ok();
        web.prepare().ok();
        gone(&host, &db, &web);
    }

    /// After the commit its process is looked at once more.
    fn i5_a_container_that_died_meanwhile_is_rolled_back(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = host.container("web").annotate("links", "db").build();
        web.create().ok();
        let (created, before) = (web.state().to_string(), host.state_files());
        let lock = hold_lock(&host);
        thread::scope(|scope| {
            let start = scope.spawn(|| {
                let mut hook = host.oci_link(&["--log-level", "debug", "hook", "createRuntime"]);
                host.feed(&mut hook, created.as_bytes())
            });
            until("the start", || waiting(&host, "createRuntime") == 1);
            web.kill();
            drop(lock);
            let complaint = start.join().expect("it ends").refused(9);
            assert_eq!(complaint, "oci-link: web: ended while it was started\n");
        });
        // All was done that had to be, and then undone.
        let log = fs::read_to_string(host.path("log")).expect("a log");
        let at = |what: &str| log.find(what).unwrap_or_else(|| panic!("no {what:?} in {log}"));
        assert!(at("web: record written: ready") < at("web: record removed"), "{log}");
        assert_eq!(host.state_files(), before);
        web.delete().ok();
        web.prepare().ok();
        gone(&host, &db, &web);
    }

    fn f25_the_end_of_a_container_without_bundle_and_namespace(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        assert!(!permissions(&host).is_empty());
        web.kill();
        fs::remove_dir_all(host.path("root/web")).expect("the runtime kept it there");
        fs::remove_dir_all(web.bundle()).expect("a bundle");
        host.run(Command::new("ip").args(["netns", "del", web.netns().name()])).ok();
        let mut poststop = host.oci_link(&["hook", "poststop"]);
        host.feed(&mut poststop, stopped("web").as_bytes()).ok();
        assert_eq!(permissions(&host), [""; 0]);
        end(&db);
        host.assert_nothing_left();
    }

    /// The runtime's own patience, and nothing of the hook goes on without it.
    fn f21_the_runtime_kills_the_hook_at_its_timeout(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = host.container("web").annotate("links", "db").hooks();
        let web = web.edit(|config| config["hooks"]["createRuntime"][0]["timeout"] = 1.into());
        let web = web.build();
        let lock = hold_lock(&host);
        let _ = web.run().refused(1);
        until("its end", || waiting(&host, "createRuntime") == 0);
        drop(lock);
        gone(&host, &db, &web);
    }
}

each_runtime! {
    fn f35_the_lock_of_a_killed_holder_is_free_at_once(runtime) {
        let host = crate::cast::iptables_host(runtime);
        let db = source(&host, "db", "3306");
        let web = prepared(&host, "web", "db");
        let mut holder = Command::new("flock");
        let lock = host.state_dir().join("lock");
        holder.arg("--no-fork").arg(&lock).args(["sleep", "600"]);
        let mut holding = begin(&host, &mut holder);
        let taken = || {
            let file = File::open(&lock).expect("there");
            Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err()
        };
        until("the holder", taken);
        thread::scope(|scope| {
            let start = scope.spawn(|| web.run());
            until("the hook", || waiting(&host, "createRuntime") == 1);
            holding.kill().expect("killed");
            wait(&mut holding, &holder);
            start.join().expect("it ends").within(Duration::from_secs(10)).ok();
        });
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    }
}
