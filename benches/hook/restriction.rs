//! What it costs a hook to give away what it needs no more, in process, by the library. A
//! restriction is a thread's own, so each is entered by a thread that then ends.

use crate::{
    place::Place,
    report::{NOTHING, Report, Target},
    sample::{PAUSE, Series, command},
};
use oci_link::testing::Directory;
use oci_link::testing::HostsFile;
use oci_link::testing::{HostsPlace, Inode};
use oci_link::testing::{Needs, enter};
use std::{
    fs,
    hint::black_box,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

const ROUNDS: usize = 500;
/// The target: times a program that does nothing.
const LIMIT: f64 = 0.1;

pub(crate) fn measure(place: &Place, report: &mut Report) {
    let dir = place.directory("restriction");
    let state = Directory::open(&dir).expect("directory opens");
    let hosts = ["web", "db"].map(|name| hosts_file(dir.join(name)));
    let (mut nothing, mut restricted) = (Series::default(), Series::default());
    for _ in 0..place.rounds(ROUNDS) {
        nothing.measure(command(&place.noop));
        thread::sleep(PAUSE);
        let taken = thread::scope(|scope| scope.spawn(|| restrict(&state, &hosts)).join());
        restricted.push_time(taken.expect("thread ends well"));
    }
    report.section("Dropping privileges", NOTHING, &nothing);
    let target = Target::at_most(LIMIT, restricted.median() / nothing.median(), "");
    report.row("capabilities, gains by exec, files", &restricted, Some(target));
}

/// An engine's, which a container has as a mount.
fn hosts_file(path: PathBuf) -> HostsPlace {
    fs::write(&path, "127.0.0.1\tlocalhost\n").expect("file is written");
    let stat = fs::metadata(&path).expect("file is there");
    HostsPlace::Mount { path, inode: Inode { device: stat.dev(), number: stat.ino() } }
}

/// As `src/confine.rs` does for a recipient and its source, where no program is run.
fn restrict(state: &Directory, hosts: &[HostsPlace]) -> Duration {
    // By then a hook has opened and read files for half of its time. (It also is no thread, whose
    // first allocation makes a heap.)
    for place in hosts {
        let HostsPlace::Mount { path, .. } = place else { continue };
        drop(black_box(fs::read(path).expect("file is there")));
        drop(black_box(HostsFile::hold(place)));
    }
    let begun = Instant::now();
    let held = hosts.iter().map(|place| HostsFile::hold(place).expect("file opens"));
    let hosts = held.map(|place| place.expect("file is the same")).collect();
    let outcome = enter(&Needs { state: state.as_fd(), hosts, programs: false });
    let taken = begun.elapsed();
    assert!(!outcome.starts_with("failed: "), "{outcome}");
    taken
}
