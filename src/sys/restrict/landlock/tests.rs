//! Tests of restricted threads, which stand for a hook after it has dropped its privileges.

use super::*;
use nix::mount::{MsFlags, mount};
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind::PermissionDenied;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// A state directory, a hosts file, a root filesystem and an unrelated directory.
struct Scene(PathBuf);

impl Scene {
    fn new(name: &str) -> Self {
        let scene = Self(format!("/var/tmp/oci-link-{name}-{}", std::process::id()).into());
        for directory in ["state/records", "state/names", "root/etc", "else"] {
            fs::create_dir_all(scene.at(directory)).unwrap();
        }
        for file in ["hosts", "neighbour", "root/etc/hosts", "else/file"] {
            fs::write(scene.at(file), "a\n").unwrap();
        }
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Runs `act` in a thread restricted to these files, and to programs of the host if `programs`
    /// is set.
    fn restricted(&self, programs: bool, act: impl FnOnce() + Send) {
        let act = || {
            let state = File::open(self.at("state")).unwrap();
            let held = |name: &str| held(self.at(name).to_str().unwrap()).unwrap();
            let hosts = vec![Place::File(held("hosts")), Place::Root(held("root"))];
            let outcome = enter(&Needs { state: state.as_fd(), hosts, programs });
            assert!(outcome.starts_with("landlock"), "{outcome}");
            act();
        };
        thread::scope(|scope| scope.spawn(act).join()).unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_denied<T>(done: std::io::Result<T>) -> bool {
    done.is_err_and(|error| error.kind() == PermissionDenied)
}

fn edit(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).truncate(true).open(path)
}

#[test]
fn all_that_is_left_to_do_can_be_done() {
    let scene = Scene::new("sandbox-can");
    scene.restricted(false, || {
        fs::write(scene.at("state/new"), "record").unwrap();
        fs::rename(scene.at("state/new"), scene.at("state/records/one")).unwrap();
        symlink("../records/one", scene.at("state/names/web")).unwrap();
        fs::remove_file(scene.at("state/names/web")).unwrap();
        edit(&scene.at("hosts")).unwrap();
        fs::write(scene.at("root/etc/new"), "a\n").unwrap();
        fs::rename(scene.at("root/etc/new"), scene.at("root/etc/hosts")).unwrap();
        // A test without privileges may give the file to its own user only.
        let own = nix::unistd::Uid::effective();
        let owner = if own.is_root() { 1000 } else { own.as_raw() };
        std::os::unix::fs::chown(scene.at("root/etc/hosts"), Some(owner), None).unwrap();
        edit(&scene.at("root/etc/hosts")).unwrap();
        assert!(fs::read_to_string("/proc/1/stat").is_ok(), "whether a process lives");
    });
}

#[test]
fn nothing_else_can_be_opened_run_or_mounted() {
    let scene = Scene::new("sandbox-cannot");
    scene.restricted(false, || {
        for path in ["/etc/shadow", "/etc/passwd", "/proc/self/root/etc/shadow"] {
            assert!(is_denied(File::open(path)), "{path}");
        }
        assert!(is_denied(fs::read_dir("/etc")) && is_denied(fs::read_link("/proc/1/root")));
        assert!(is_denied(edit(&scene.at("neighbour"))) && is_denied(edit(&scene.at("else/file"))));
        assert!(is_denied(fs::write(scene.at("else/new"), "")));
        assert!(is_denied(fs::write("/proc/sys/kernel/hostname", "other")));
        assert!(is_denied(Command::new("/bin/true").status()));
        let none = None::<&str>;
        assert!(
            mount(Some("none"), &scene.at("else"), Some("tmpfs"), MsFlags::empty(), none).is_err()
        );
    });
    assert!(File::open("/etc/passwd").is_ok(), "an unrestricted thread can");
}

#[test]
fn programs_run_and_read_but_write_nowhere_else() {
    let scene = Scene::new("sandbox-programs");
    scene.restricted(true, || {
        assert!(Command::new("/bin/true").status().unwrap().success());
        let script = |text: &str| {
            let status = Command::new("/bin/sh").args(["-c", text]).current_dir(&scene.0).status();
            status.unwrap().success()
        };
        assert!(script("read line < /etc/passwd && echo a >> hosts"));
        assert!(!script("echo a > else/file") && !script("echo a > /etc/oci-link-test"));
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(status.contains("NoNewPrivs:\t1\n"));
    });
}
