//! Tests of originals: what comes back, and what other processes did meanwhile.

use super::*;
use crate::sys::file::follow;
use std::fs;
use std::os::unix::fs::symlink;

struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("oci-link-kept-{test}-{}", std::process::id()));
        fs::create_dir_all(path.join("there")).unwrap();
        fs::write(path.join("config.json"), "old").unwrap();
        Self(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("config.json")
    }

    fn kept(&self) -> PathBuf {
        self.0.join("config.json.oci-link-original")
    }

    /// How many files and directories there are.
    fn count(&self) -> usize {
        fs::read_dir(&self.0).unwrap().count() + fs::read_dir(self.0.join("there")).unwrap().count()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn edit(path: &Path) {
    let old = follow(path, 100, Kind::Input).unwrap();
    replace(path, &old, b"new", Kind::Input).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"new");
}

fn put_back(path: &Path) {
    let original = Original::of(path).unwrap().unwrap();
    assert_eq!(original.read(100).unwrap(), b"old");
    original.put_back().unwrap();
    assert_eq!(fs::read(path).unwrap(), b"old");
    assert!(Original::of(path).unwrap().is_none());
}

#[test]
fn the_same_file_comes_back() {
    let scratch = Scratch::new("same");
    let (path, other) = (scratch.path(), scratch.0.join("there/hard"));
    hard_link(&path, &other).unwrap();
    let before = metadata(&path).unwrap();
    edit(&path);
    assert_eq!(fs::read(&other).unwrap(), b"old", "another link to it does not change");
    put_back(&path);
    let after = metadata(&path).unwrap();
    let shown = |file: &fs::Metadata| (file.ino(), file.nlink(), file.mtime_nsec(), file.mode());
    assert_eq!(shown(&before), shown(&after));
    assert_eq!(scratch.count(), 3);
}

#[test]
fn the_target_of_a_link_comes_back() {
    let scratch = Scratch::new("link");
    let (link, target) = (scratch.0.join("link"), scratch.0.join("there/target"));
    fs::write(&target, "old").unwrap();
    symlink("there/target", &link).unwrap();
    edit(&link);
    assert_eq!(fs::read(&target).unwrap(), b"new");
    put_back(&link);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("there/target"));
    assert_eq!(scratch.count(), 4);
}

#[test]
fn a_link_that_was_replaced_comes_back_as_a_link() {
    let scratch = Scratch::new("replaced");
    let link = scratch.0.join("link");
    // No file can be made beside the target.
    symlink("/proc/self/comm", &link).unwrap();
    let old = follow(&link, 100, Kind::Input).unwrap();
    replace(&link, &old, b"new", Kind::Input).unwrap();
    assert!(symlink_metadata(&link).unwrap().is_file());
    Original::of(&link).unwrap().unwrap().put_back().unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("/proc/self/comm"));
}

#[test]
fn leftovers_are_used_or_removed() {
    let scratch = Scratch::new("left");
    let (path, kept) = (scratch.path(), scratch.kept());
    for same in [true, false] {
        // Killed after the original was kept: by a link, or by a copy.
        if same {
            hard_link(&path, &kept).unwrap();
        } else {
            fs::write(&kept, "old").unwrap();
        }
        edit(&path);
        put_back(&path);
    }
    // The file was replaced after an edit that was not undone.
    fs::write(&kept, "older").unwrap();
    edit(&path);
    put_back(&path);
    // Put back by a process that was killed before the second name was gone.
    hard_link(&path, &kept).unwrap();
    put_back(&path);
    assert_eq!(scratch.count(), 2);
}

#[test]
fn what_other_processes_did_is_no_error() {
    let scratch = Scratch::new("others");
    let path = scratch.path();
    edit(&path);
    let [first, second] = [(); 2].map(|()| Original::of(&path).unwrap().unwrap());
    first.put_back().unwrap();
    second.put_back().unwrap();
    second.remove().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    let old = follow(&path, 100, Kind::Input).unwrap();
    rename(&path, scratch.0.join("there/moved")).unwrap();
    fs::write(&path, "other").unwrap();
    let error = replace(&path, &old, b"new", Kind::Input).unwrap_err();
    assert!(error.to_string().contains("changed while it was edited"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"other");
    assert!(!scratch.kept().exists());
    assert!(Original::of(&scratch.0.join("missing")).unwrap().is_none());
}
