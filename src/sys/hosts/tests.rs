//! Tests of a hosts file in a root filesystem that other processes write to during an edit.

use super::*;
use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

/// Creates a root filesystem with a hosts file, appends the line `ours` and returns the content.
///
/// `meanwhile` is called during the edit.
fn edited(name: &str, meanwhile: impl Fn(&Path)) -> String {
    edited_from("a\n", name, meanwhile)
}

fn edited_from(content: &str, name: &str, meanwhile: impl Fn(&Path)) -> String {
    let root = format!("/var/tmp/oci-link-{name}-{}", std::process::id());
    let hosts = Path::new(&root).join("etc/hosts");
    fs::create_dir_all(hosts.parent().unwrap()).unwrap();
    fs::write(&hosts, content).unwrap();
    let mut file = HostsFile::of_rootfs(root.as_ref()).unwrap();
    file.edit(|now| {
        meanwhile(&hosts);
        [now.unwrap(), b"ours\n"].concat()
    })
    .unwrap();
    let left = fs::read_to_string(&hosts).unwrap();
    fs::remove_dir_all(&root).unwrap();
    left
}

fn appending(path: &Path) -> File {
    fs::OpenOptions::new().append(true).open(path).unwrap()
}

#[test]
fn what_is_appended_before_the_old_file_goes_stays() {
    let left = edited("before", |hosts| appending(hosts).write_all(b"line\n").unwrap());
    assert_eq!(left, "a\nours\nline\n");
}

#[test]
fn what_is_appended_after_the_old_file_went_stays() {
    let first = Cell::new(true);
    let left = std::thread::scope(|scope| {
        edited("after", |hosts| {
            if first.replace(false) {
                let (mut old, hosts) = (appending(hosts), hosts.to_owned());
                let number = old.metadata().unwrap().ino();
                scope.spawn(move || {
                    while fs::metadata(&hosts).unwrap().ino() == number {}
                    old.write_all(b"late\n").unwrap();
                });
            }
        })
    });
    assert_eq!(left, "a\nours\nlate\n");
}

#[test]
fn the_rest_of_a_line_stays_behind_its_beginning() {
    let first = Cell::new(true);
    let left = edited_from("a\nhal", "half", |hosts| {
        if first.replace(false) {
            appending(hosts).write_all(b"f\n").unwrap();
        }
    });
    assert_eq!(left, "a\nhalf\nours\n");
}

#[test]
fn a_whole_file_written_meanwhile_stays() {
    let first = Cell::new(true);
    let left = edited("whole", |hosts| {
        if first.replace(false) {
            fs::write(hosts, "another\n").unwrap();
        }
    });
    assert_eq!(left, "another\nours\n");
}

/// The host lock is held during the replacement, so the number of retries must be limited.
#[test]
fn a_file_written_again_and_again_is_not_waited_for() {
    let calls = Cell::new(0);
    edited("again", |hosts| {
        calls.set(calls.get() + 1);
        fs::write(hosts, format!("{}\n", calls.get())).unwrap();
    });
    assert!(calls.get() < 5);
}
