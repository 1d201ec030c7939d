//! A process reads a hosts file while links come and go. It reads what the file was before a change or
//! after it, byte for byte.

use crate::{
    actor::{Actor, Hosts, TAIL},
    scene::host,
    support::Host,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

const NOTHING: Option<&str> = None;

/// What lies below the bundles.
#[derive(Debug, Clone, Copy)]
enum FileSystem {
    /// That of the machine's disk.
    Disk,
    Tmpfs,
    Overlay,
}

impl FileSystem {
    /// Mounts it, for this thread and those it starts.
    fn mount_on(self, path: &Path, scratch: &Path) {
        unshare(CloneFlags::CLONE_NEWNS).expect("root may unshare");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(NOTHING, "/", NOTHING, private, NOTHING).expect("mounts become private");
        match self {
            Self::Disk => {}
            Self::Tmpfs => {
                let none = MsFlags::empty();
                mount(Some("tmpfs"), path, Some("tmpfs"), none, NOTHING).expect("tmpfs");
            }
            Self::Overlay => {
                let layers = ["lower", "upper", "work"].map(|name| scratch.join(name));
                for layer in &layers {
                    fs::create_dir_all(layer).expect("made");
                }
                let [lower, upper, work] = layers.map(|layer| layer.display().to_string());
                let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
                let (none, options) = (MsFlags::empty(), Some(options.as_str()));
                mount(Some("overlay"), path, Some("overlay"), none, options).expect("overlay");
            }
        }
    }
}

/// What is read in a loop until the end, each content once.
fn read_on(path: &Path, done: &AtomicBool) -> (HashSet<Vec<u8>>, usize) {
    let (mut seen, mut count) = (HashSet::new(), 0);
    while !done.load(Relaxed) {
        count += 1;
        let content = fs::read(path).expect("the file is there");
        if !seen.contains(&content) {
            seen.insert(content);
        }
    }
    (seen, count)
}

fn scenario(system: FileSystem, kind: Hosts, updates: usize) {
    let host = host("none");
    // In a thread of its own, for it gets mounts of its own.
    thread::scope(|scope| {
        let story = || {
            system.mount_on(&host.path("bundles"), &host.path("overlay"));
            story(&host, kind, updates)
        };
        let (reads, contents) = scope.spawn(story).join().expect("no torn file");
        println!("{system:?}, {kind:?}: {updates} updates, {reads} reads, {contents} contents");
    });
}

fn story(host: &Host, kind: Hosts, updates: usize) -> (usize, usize) {
    let sources = ["a", "a-longer-name"].map(|id| Actor::new(host, id, Hosts::Mounted, &[]));
    let web = Actor::new(host, "web", kind, &[("links", "a:first")]);
    for actor in sources.iter().chain([&web]) {
        actor.begin();
        actor.call("createRuntime").ok();
    }
    let mut file = OpenOptions::new().append(true).open(web.hosts_path()).expect("a file");
    file.write_all(TAIL.as_bytes()).expect("written");
    drop(file);
    // Lines come at the end and go from the middle: the file grows, shrinks and changes.
    let steps: [&[&str]; 4] = [
        &["connect", "web", "a-longer-name:second"],
        &["disconnect", "web", "first"],
        &["connect", "web", "a:first"],
        &["disconnect", "web", "second"],
    ];
    let done = AtomicBool::new(false);
    let path = web.hosts_path();
    let mut complete = HashSet::from([fs::read(&path).expect("a file")]);
    let (seen, reads) = thread::scope(|scope| {
        let reader = scope.spawn(|| read_on(&path, &done));
        for update in 0..updates {
            let step = [&["--log-level", "debug"], steps[update % steps.len()]].concat();
            host.run(&mut host.oci_link(&step)).ok();
            complete.insert(fs::read(&path).expect("a file"));
        }
        done.store(true, Relaxed);
        reader.join().expect("a reader")
    });
    // A change does not wait for a reader that has the file open and gets no processor time.
    let log = fs::read_to_string(host.path("log")).unwrap_or_default();
    let exposed = log.lines().filter(|line| line.contains("hosts file: no lease")).count();
    let torn: Vec<_> = seen.difference(&complete).map(|it| String::from_utf8_lossy(it)).collect();
    // One that is renamed into its place needs no lease.
    let exposed = if kind == Hosts::Inside { 0 } else { exposed };
    assert!(torn.len() <= exposed, "without a lease {exposed} times, a reader saw {torn:#?}");
    assert!(exposed * 5 <= updates, "no lease {exposed} times of {updates}");
    assert!(seen.len() > 1, "the reader saw no change");
    (reads, complete.len())
}

/// As many `updates` on each file system: half of a file that is mounted, half of one in a rootfs.
fn all(updates: usize) {
    for system in [FileSystem::Disk, FileSystem::Tmpfs, FileSystem::Overlay] {
        for kind in [Hosts::Mounted, Hosts::Inside] {
            scenario(system, kind, updates / 2);
        }
    }
}

#[test]
fn f38_readers_see_whole_files() {
    all(200);
}

#[test]
#[ignore = "minutes: make test-crash"]
fn f38_readers_see_whole_files_during_ten_thousand_updates() {
    all(10_000);
}
