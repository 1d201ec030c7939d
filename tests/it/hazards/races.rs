//! A thread exchanges directories and files by `RENAME_EXCHANGE` all the time, while they are looked up.
//! Nothing outside the root changes.
//!
//! A path is looked up in this process, tens of thousands of times. Kernels before 5.6, and sandboxes,
//! have no openat2(2): the same test is run once more by strace, which refuses that call.

use super::scene::{Scene, isolated};
use super::world::World;
use crate::support::each_runtime;
use nix::{
    fcntl::{RenameFlags, renameat2},
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use oci_link::testing::HostsFile;
use oci_link::testing::Result;
use std::{
    cell::Cell,
    env,
    fs::{self, File},
    os::unix::fs::{lchown, symlink},
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

/// How often in a sample, and how often in all.
const SOME: usize = 2_000;
const MANY: usize = 50_000;
const OLD: &str = "127.0.0.1\tlocalhost\n";

/// Two names that change places, in directories that are held open: what is outside is never reached
/// by an exchange.
pub(super) struct Pair([(File, String); 2]);

impl Pair {
    pub(super) fn new(one: &Path, other: &Path) -> Self {
        Self([one, other].map(|path| {
            let directory = File::open(path.parent().expect("has one")).expect("there");
            (directory, path.file_name().expect("has one").to_string_lossy().into_owned())
        }))
    }

    pub(super) fn exchange_until(&self, done: &AtomicBool) {
        let [(one, name), (other, its)] = &self.0;
        while !done.load(Relaxed) {
            let flags = RenameFlags::RENAME_EXCHANGE;
            // There and back: it ends as it began. While something is renamed nothing is looked up,
            // so an exchange without pauses would prevent every lookup.
            for _ in 0..2 {
                let _ = renameat2(one, name.as_str(), other, its.as_str(), flags);
                thread::sleep(Duration::from_micros(20));
            }
        }
    }
}

/// `/etc/hosts` is `decoy` for `work` and the threads that it starts: a mistake cannot harm the
/// machine.
fn apart(decoy: &Path, work: impl FnOnce() + Send) {
    const NOTHING: Option<&str> = None;
    let story = || {
        unshare(CloneFlags::CLONE_NEWNS).expect("root may unshare");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(NOTHING, "/", NOTHING, private, NOTHING).expect("mounts become private");
        mount(Some(decoy), "/etc/hosts", NOTHING, MsFlags::MS_BIND, NOTHING).expect("bound");
        work();
    };
    thread::scope(|scope| scope.spawn(story).join()).expect("the story ends well");
}

/// A directory with a root filesystem, another one, and things that belong to neither.
struct Place(PathBuf);

impl Place {
    fn make(name: &str) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Relaxed);
        let path = format!("/run/link-race-{}-{number}-{name}", process::id());
        let place = Self(PathBuf::from(path));
        for directory in
            ["outside/etc", "state", "rootfs/etc", "rootfs/run", "other/etc", "rootfs/dir"]
        {
            fs::create_dir_all(place.at(directory)).expect("made");
        }
        for hosts in [
            "state/hosts",
            "outside/hosts",
            "outside/etc/hosts",
            "rootfs/etc/hosts",
            "other/etc/hosts",
        ] {
            fs::write(place.at(hosts), OLD).expect("written");
        }
        place
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn pair(&self, one: &str, other: &str) -> Pair {
        Pair::new(&self.at(one), &self.at(other))
    }

    /// What is at `path`, and a link to `target`.
    fn with_link(&self, path: &str, name: &str, target: impl AsRef<Path>) -> Pair {
        let link = self.at(path).with_file_name(name);
        symlink(target, &link).expect("linked");
        Pair::new(&self.at(path), &link)
    }

    /// The same, and the link is another user's.
    fn with_users_link(&self, path: &str, name: &str, target: impl AsRef<Path>) -> Pair {
        let pair = self.with_link(path, name, target);
        lchown(self.at(path).with_file_name(name), Some(1000), None).expect("given away");
        pair
    }

    /// What there is outside, and when it was changed.
    fn outside(&self) -> Vec<String> {
        let mut find = Command::new("find");
        let seen = find
            .args([self.at("outside"), self.at("state")])
            .args(["-printf", "%p %y %m %s %n %i %T@ %C@\n"]);
        let seen = String::from_utf8(seen.output().expect("find").stdout).expect("UTF-8");
        let mut lines: Vec<_> = seen.lines().map(String::from).collect();
        lines.sort();
        lines.push(fs::read_to_string(self.at("outside/hosts")).expect("there"));
        lines.push(fs::read_to_string(self.at("outside/etc/hosts")).expect("there"));
        lines
    }

    /// Looks up paths by `work` so many times, while each of `pairs` is exchanged all the time: first
    /// one after the other, then all at once. Often enough that succeeds, or it was not tried.
    #[track_caller]
    fn race(&self, pairs: &[Pair], count: usize, work: impl Fn(&Tally)) {
        let (before, tally) = (self.outside(), Tally::default());
        assert!(before.len() > 5, "{before:?}");
        let rounds = pairs.chunks(1).chain([pairs]);
        for (round, exchanged) in rounds.enumerate() {
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                for pair in exchanged {
                    scope.spawn(|| pair.exchange_until(&done));
                }
                while tally.looks.get() < count * (round + 1) / (pairs.len() + 1) {
                    work(&tally);
                }
                done.store(true, Relaxed);
            });
        }
        println!("{} look-ups, {} edits", tally.looks.get(), tally.edits.get());
        assert_eq!(self.outside(), before);
        assert!((count / 50..count / 2).contains(&tally.edits.get()), "{}", tally.edits.get());
    }
}

/// What was tried, and what came of it.
#[derive(Default)]
struct Tally {
    looks: Cell<usize>,
    edits: Cell<usize>,
}

impl Tally {
    /// Finds the file, reads and writes it, and finds it again by its place: all that is done to one.
    /// Each of the four looks up its path.
    fn edit(&self, find: impl FnOnce() -> Result<HostsFile>, state: &Path) {
        let look = || self.looks.set(self.looks.get() + 1);
        look();
        let Ok(mut file) = find() else { return };
        let block = format!("{OLD}# BEGIN oci-link\n10.0.0.{}\n", self.edits.get() % 256);
        look();
        let edited = file.edit(|_| block.clone().into());
        self.edits.set(self.edits.get() + usize::from(edited.is_ok()));
        look();
        let Ok(Some(mut again)) = HostsFile::again(file.place(), state) else { return };
        again.clear();
        look();
        let _ = again.edit(|_| OLD.into());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `/etc` and `/etc/hosts`, each with links that lead out of the root by name and by steps.
fn inside(count: usize) {
    let place = Place::make("inside");
    let outside = place.at("outside");
    let climb = PathBuf::from(format!("../../../../../../..{}", outside.display()));
    let pairs = [
        place.with_link("rootfs/etc", "by-name", &outside),
        place.with_link("rootfs/etc", "by-steps", &climb),
        place.with_link("rootfs/etc/hosts", "by-name", outside.join("hosts")),
        place.with_link("rootfs/etc/hosts", "by-steps", climb.join("hosts")),
        place.pair("rootfs/etc/hosts", "rootfs/dir"),
    ];
    let root = place.at("rootfs");
    let state = Path::new("/nonexistent");
    place.race(&pairs, count, |tally| tally.edit(|| HostsFile::of_rootfs(&root), state));
}

/// The root itself becomes another one, `/etc` is carried out of it and comes back.
fn roots(count: usize) {
    let place = Place::make("roots");
    let pairs = [
        place.pair("rootfs", "other"),
        place.pair("rootfs/etc", "other/etc"),
        place.with_users_link("rootfs", "link", place.at("outside")),
    ];
    let root = place.at("rootfs");
    let state = Path::new("/nonexistent");
    place.race(&pairs, count, |tally| tally.edit(|| HostsFile::of_rootfs(&root), state));
}

/// A mount's source becomes another file, or a link to one that no container gets: only the file
/// that was looked at is written to.
fn source(count: usize) {
    let place = Place::make("source");
    let (source, state) = (place.at("rootfs/etc/hosts"), place.at("state"));
    let pairs = [
        place.pair("rootfs/etc/hosts", "other/etc/hosts"),
        place.with_link("rootfs/etc/hosts", "own", "/etc/hosts"),
        place.with_link("rootfs/etc/hosts", "proc", "/proc/self/environ"),
        place.with_link("rootfs/etc/hosts", "state", state.join("hosts")),
        place.with_link("rootfs/etc/hosts", "directory", "/run"),
        place.with_users_link("rootfs/etc/hosts", "users", place.at("outside/hosts")),
        place.with_users_link("rootfs/etc", "outside", place.at("outside")),
    ];
    let decoy = place.at("decoy");
    fs::write(&decoy, OLD).expect("written");
    apart(&decoy, || {
        let find = || HostsFile::of_mount(&source, &state);
        place.race(&pairs, count, |tally| tally.edit(find, &state));
    });
    assert_eq!(fs::read_to_string(&decoy).expect("there"), OLD);
}

/// The test `name` of this module, by a program that the kernel refuses openat2(2).
fn without_openat2(name: &str) {
    let log = env::temp_dir().join(format!("link-race-{}-{name}", process::id()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-qq", "-e", "trace=openat2", "-o"]).arg(&log);
    strace.args(["-e", "inject=openat2:error=ENOSYS"]).arg(env::current_exe().expect("known"));
    strace.args(["--exact", "--include-ignored", "--nocapture"]);
    strace.arg(format!("hazards::races::{name}"));
    let done = strace.output().expect("strace starts");
    let refused = fs::read_to_string(&log).expect("strace wrote it");
    fs::remove_file(log).expect("removed");
    let said = String::from_utf8_lossy(&done.stdout);
    println!("{said}");
    assert!(done.status.success() && said.contains(" 1 passed"), "{said}");
    assert!(refused.contains("(INJECTED)"), "it was never asked for");
}

#[test]
fn a13_etc_and_hosts_are_exchanged() {
    inside(SOME);
}

#[test]
fn a13_etc_and_hosts_are_exchanged_and_there_is_no_openat2() {
    without_openat2("a13_etc_and_hosts_are_exchanged");
}

#[test]
fn a13_roots_are_exchanged() {
    roots(SOME);
}

#[test]
fn a13_roots_are_exchanged_and_there_is_no_openat2() {
    without_openat2("a13_roots_are_exchanged");
}

#[test]
fn a14_the_source_is_exchanged() {
    source(SOME);
}

#[test]
#[ignore = "seconds: make test-hazards"]
fn a13_fifty_thousand_times() {
    inside(MANY);
    roots(MANY);
}

#[test]
#[ignore = "seconds: make test-hazards"]
fn a13_fifty_thousand_times_without_openat2() {
    without_openat2("a13_fifty_thousand_times");
}

#[test]
#[ignore = "seconds: make test-hazards"]
fn a14_fifty_thousand_times() {
    source(MANY);
}

#[test]
#[ignore = "seconds: make test-hazards"]
fn a14_fifty_thousand_times_without_openat2() {
    without_openat2("a14_fifty_thousand_times");
}

each_runtime! {
    /// The hook itself, on a container that waits for its start.
    fn a13_etc_is_exchanged_while_the_hook_runs(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let decoy = scene.decoy("hosts");
        let (etc, link) = (scene.rootfs("etc"), scene.rootfs("etc2"));
        symlink(decoy.parent().expect("has one"), &link).expect("linked");
        let outside = |world: World| world.only(&host.path("decoys"));
        let before = outside(World::now(&host));
        let (done, state) = (&AtomicBool::new(false), scene.state().to_string());
        let stopped = serde_json::json!({ "id": "web", "status": "stopped", "bundle": "/none" });
        thread::scope(|scope| {
            let pair = Pair::new(&etc, &link);
            scope.spawn(move || pair.exchange_until(done));
            let hook = || host.feed(&mut scene.command(), state.as_bytes()).succeeded();
            let links = (0..20).filter(|_| hook()).count();
            scene.web.kill();
            let mut poststop = host.oci_link(&["hook", "poststop"]);
            let _ = host.feed(&mut poststop, stopped.to_string().as_bytes());
            done.store(true, Relaxed);
            assert!(links > 0, "it never came to where it writes");
        });
        before.assert_still(&outside(World::now(&host)));
    }
}
