//! Everything that a refused hook must not have changed, as lines to compare.

use crate::support::Host;
use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

/// What stands behind the time of a change in its line.
const CHANGED: &str = " changed at ";
/// Larger files are told apart by size and time.
const SHOWN: u64 = 64 << 10;

/// Files with owner, mode, times and content, records, and rules that name a container.
#[derive(PartialEq, Eq)]
pub(super) struct World(Vec<String>);

impl World {
    /// As it is now, below the host's `bundles` and `decoys` too. The machine's own files are
    /// looked at because a hook that follows a wrong path ends there.
    pub(super) fn now(host: &Host) -> Self {
        let mut lines = Vec::new();
        for place in ["bundles", "decoys"] {
            list(&host.path(place), &mut lines);
        }
        for file in host.state_files() {
            let content = fs::read(host.state_dir().join(&file)).unwrap_or_default();
            lines.push(format!("record {file}: {}", content.escape_ascii()));
        }
        for file in ["/etc/hosts", "/etc/passwd"] {
            describe(Path::new(file), &mut lines);
        }
        let names_somebody = |rule: &String| {
            let rule = rule.replace("OCI-LINK-USER", "");
            ["10.77.0.", "fd77::", "OCI-LINK-"].iter().any(|name| rule.contains(name))
        };
        lines.extend(host.rules().into_iter().filter(names_somebody));
        Self(lines)
    }

    /// The same without times: what was made and undone leaves the directory's time behind.
    pub(super) fn timeless(mut self) -> Self {
        self.0.retain(|line| !line.contains(CHANGED));
        self
    }

    /// What lies below `place` alone.
    pub(super) fn only(mut self, place: &Path) -> Self {
        self.0.retain(|line| line.starts_with(&*place.to_string_lossy()));
        self
    }

    #[track_caller]
    pub(super) fn assert_still(&self, after: &Self) {
        let only = |these: &Self, those: &Self| {
            let lines = these.0.iter().filter(|line| !those.0.contains(line));
            lines.cloned().collect::<Vec<_>>().join("\n")
        };
        assert!(self == after, "gone:\n{}\nnew:\n{}", only(self, after), only(after, self));
    }
}

/// Everything below `dir`, which may be missing.
fn list(dir: &Path, lines: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    for path in paths {
        describe(&path, lines);
        if path.is_dir() && !path.is_symlink() {
            list(&path, lines);
        }
    }
}

fn describe(path: &Path, lines: &mut Vec<String>) {
    let metadata = fs::symlink_metadata(path).expect("it is there");
    let content = if metadata.is_symlink() {
        fs::read_link(path).expect("a link").display().to_string()
    } else if metadata.is_file() && metadata.len() <= SHOWN {
        fs::read(path).expect("readable").escape_ascii().to_string()
    } else if metadata.is_dir() || metadata.file_type().is_fifo() {
        String::new()
    } else {
        format!("{} bytes", metadata.len())
    };
    let (path, mode) = (path.display(), metadata.mode());
    let (uid, gid, names) = (metadata.uid(), metadata.gid(), metadata.nlink());
    lines.push(format!("{path} {mode:o} {uid}:{gid} {names} {content}"));
    lines.push(format!("{path}{CHANGED}{}.{:09}", metadata.mtime(), metadata.mtime_nsec()));
}
