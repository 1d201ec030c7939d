//! Where it all happens: namespaces and a directory of our own, which vanish with us.

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Takes its input, as a hook must: crun dies of a hook that does not.
const NOOP: &str = "#include <unistd.h>\n\
    int main(void) { char state[4096]; while (read(0, state, sizeof state) > 0); return 0; }\n";
const NOTHING: Option<&str> = None;
/// Mounted over in our own mount namespace: the state directory must be on a path that is root's.
const DIR: &str = "/run";

pub(crate) struct Place {
    /// The program that is measured.
    pub(crate) oci_link: PathBuf,
    /// A static program that does nothing.
    pub(crate) noop: PathBuf,
    /// A tenth of the rounds, for who works on the benchmark itself.
    quick: bool,
    /// The only section to measure, for work on that section.
    only: Option<String>,
    /// Where to write what hooks call, instead of measuring: `make layout`.
    record: Option<PathBuf>,
    dir: PathBuf,
}

impl Place {
    pub(crate) fn take() -> Self {
        let quick = std::env::args().any(|argument| argument == "--quick");
        let record = std::env::args().find_map(|word| Some(word.strip_prefix("--record=")?.into()));
        let only = std::env::args().find_map(|word| Some(word.strip_prefix("--only=")?.to_owned()));
        // Cargo adds options of its own.
        let oci_link = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
        let oci_link = oci_link.expect("want the path of oci-link: make bench").into();
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("needs root");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(NOTHING, "/", NOTHING, private, NOTHING).expect("mounts become private");
        let limits = Some("mode=755,size=80%,nr_inodes=0");
        mount(Some("tmpfs"), DIR, Some("tmpfs"), MsFlags::empty(), limits).expect("tmpfs");
        // crun refuses a host with both cgroup hierarchies.
        let unified = "/sys/fs/cgroup/unified";
        if Path::new(unified).exists() {
            umount2(unified, MntFlags::MNT_DETACH).expect("second cgroup hierarchy goes");
        }
        let dir = Path::new(DIR).join("bench");
        fs::create_dir(&dir).expect("directory is made");
        Self { oci_link, noop: noop(&dir), quick, only, record, dir }
    }

    /// The file to record into.
    pub(crate) fn record(&self) -> Option<&Path> {
        self.record.as_deref()
    }

    /// Whether the section `name` is measured.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == name)
    }

    pub(crate) fn is_quick(&self) -> bool {
        self.quick
    }

    /// How often to measure what wants `rounds`.
    pub(crate) fn rounds(&self, rounds: usize) -> usize {
        if self.quick { rounds.div_ceil(10) } else { rounds }
    }

    /// A directory below ours.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::create_dir_all(&path).expect("directory is made");
        path
    }
}

fn noop(dir: &Path) -> PathBuf {
    let (source, program) = (dir.join("noop.c"), dir.join("noop"));
    fs::write(&source, NOOP).expect("source is written");
    let cc = Command::new("cc").args(["-O2", "-static", "-o"]).arg(&program).arg(&source).status();
    assert!(cc.expect("cc starts").success(), "cc fails");
    program
}
