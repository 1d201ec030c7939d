//! Tests of files behind symbolic links, in a directory of the test's own.

use super::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("oci-link-{test}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::create_dir(path.join("there")).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn edit(path: &Path) -> Result<()> {
    let old = follow(path, 100, Kind::Input)?;
    assert_eq!(old.bytes, b"old");
    replace_followed(path, &old, b"new", Kind::Input)
}

#[test]
fn the_target_of_a_link_is_replaced_and_the_link_stays() {
    let scratch = Scratch::new("target");
    let (target, link) = (scratch.0.join("there/target"), scratch.0.join("link"));
    fs::write(&target, "old").unwrap();
    fs::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
    for to in [target.clone(), "there/target".into(), "there/../there/again".into()] {
        fs::write(&target, "old").unwrap();
        let _ = fs::remove_file(scratch.0.join("there/again"));
        symlink("target", scratch.0.join("there/again")).unwrap();
        symlink(&to, &link).unwrap();
        edit(&link).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new", "{to:?}");
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_link(&link).unwrap(), to);
        fs::remove_file(&link).unwrap();
    }
    assert_eq!(fs::read_dir(scratch.0.join("there")).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn a_plain_file_is_replaced() {
    let scratch = Scratch::new("plain");
    let path = scratch.0.join("config.json");
    fs::write(&path, "old").unwrap();
    edit(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn a_target_that_was_exchanged_is_not_overwritten() {
    let scratch = Scratch::new("exchanged");
    let (other, link) = (scratch.0.join("other"), scratch.0.join("link"));
    fs::write(scratch.0.join("target"), "old").unwrap();
    fs::write(&other, "other").unwrap();
    symlink("target", &link).unwrap();
    let old = follow(&link, 100, Kind::Input).unwrap();
    fs::remove_file(&link).unwrap();
    symlink("other", &link).unwrap();
    let refused = replace_followed(&link, &old, b"new", Kind::Input).unwrap_err();
    assert_eq!(refused.kind, Kind::Unsafe);
    assert_eq!(fs::read(&other).unwrap(), b"other");
}

#[test]
fn what_cannot_be_read() {
    let scratch = Scratch::new("unreadable");
    let refused = |path: &Path| follow(path, 2, Kind::Input).is_err();
    fs::write(scratch.0.join("three"), "old").unwrap();
    symlink("circle", scratch.0.join("circle")).unwrap();
    symlink("missing", scratch.0.join("dangling")).unwrap();
    for name in ["three", "circle", "dangling", "missing", "there"] {
        assert!(refused(&scratch.0.join(name)), "{name}");
    }
    assert!(refused(Path::new("/dev/null")) && refused(Path::new("/dev/zero")));
}

#[test]
fn no_program_inherits_what_is_opened() {
    let scratch = Scratch::new("file");
    let path = scratch.0.join("config.toml");
    std::fs::write(&path, "a").unwrap();
    let file = open_to_read(&path).unwrap();
    let flags = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GETFD).unwrap();
    assert_eq!(flags, libc::FD_CLOEXEC);
}
