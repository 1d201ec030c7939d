//! `/etc/hosts` that is no ordinary file, or no ordinary size: never opened for reading or writing
//! before that is known. Each once in the root filesystem and once as the source of a mount.

use super::scene::{Scene, after, assert_clear, isolated, system, with_mounts};
use super::world::World;
use crate::{
    backends::each_backend,
    cast::permissions,
    lifecycle::host_with,
    support::{Runtime, each_runtime},
};
use nix::{
    errno::Errno,
    libc,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};
use serde_json::json;
use std::{
    fs,
    os::unix::{fs::OpenOptionsExt, net::UnixListener},
    path::{Path, PathBuf},
    process::Command,
};

/// Makes web's hosts file with `make`, for each place that it may have. The container that is to
/// start gets it from the image; a mount of such a thing is the runtime's to refuse.
#[track_caller]
fn refused_everywhere(runtime: Runtime, word: &str, make: impl Fn(&Path)) {
    let host = isolated(runtime);
    let scene = Scene::open(&host);
    let in_image = scene.rootfs("etc/hosts");
    fs::remove_file(&in_image).expect("removed");
    make(&in_image);
    scene.refused(5, word);
    never_opened(&scene, &in_image);
    scene.start_fails();

    let host = isolated(runtime);
    let scene = Scene::open(&host);
    mount_hosts(&scene, &scene.web.bundle().join("hosts"));
    let mounted = scene.web.bundle().join("hosts");
    make(&mounted);
    scene.refused(5, word);
    never_opened(&scene, &mounted);
}

/// The hook looks at `node`, and that is all: to open it by `O_PATH` is to open nothing.
#[track_caller]
fn never_opened(scene: &Scene, node: &Path) {
    let watch = Inotify::init(InitFlags::IN_NONBLOCK).expect("inotify");
    watch.add_watch(node, AddWatchFlags::IN_ALL_EVENTS).expect("watched");
    let state = scene.state().to_string();
    let _ = scene.host.feed(&mut scene.command(), state.as_bytes()).refused(5);
    let events = watch.read_events();
    assert_eq!(events.err(), Some(Errno::EAGAIN), "{} was opened", node.display());
    // An open is seen by the watch; a socket, and a disk that is not there, cannot be opened.
    let mut open = fs::OpenOptions::new();
    if open.read(true).custom_flags(libc::O_NONBLOCK).open(node).is_ok() {
        assert!(watch.read_events().is_ok(), "{} is not watched", node.display());
    }
}

/// config.json says that `source` is mounted on `/etc/hosts`.
fn mount_hosts(scene: &Scene, source: &Path) {
    scene.edit(|config| {
        let mount = json!({ "destination": "/etc/hosts", "source": source, "type": "bind" });
        config["mounts"].as_array_mut().expect("a list").push(mount);
    });
}

/// The hook with no more than 16 MiB to write to: one that wants more dies.
fn in_16_mib(scene: &Scene) -> Command {
    after("ulimit -d 16384", &[], &scene.command())
}

/// A file that not even root can change, until it is dropped.
pub(super) struct Immutable(PathBuf);

impl Immutable {
    pub(super) fn make(path: PathBuf) -> Self {
        system("chattr", &["+i".as_ref(), path.as_os_str()]);
        Self(path)
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(&self.0).status();
    }
}

/// The hook fails with status 8, having undone what it had begun.
#[track_caller]
fn fails_and_undoes(scene: &Scene, mut command: Command) {
    let before = (World::now(scene.host).timeless(), permissions(scene.host));
    let state = scene.state().to_string();
    let complaint = scene.host.feed(&mut command, state.as_bytes()).refused(8);
    assert_clear(&complaint, "hosts");
    before.0.assert_still(&World::now(scene.host).timeless());
    assert_eq!(permissions(scene.host), before.1);
}

each_runtime! {
    fn a07_hosts_is_a_fifo(runtime) {
        refused_everywhere(runtime, "FIFO", |path| system("mkfifo", &[path]));
    }

    fn a08_hosts_is_a_device(runtime) {
        // /dev/zero, whose reader finds no end; and a disk.
        for device in [["c", "1", "5"], ["b", "7", "200"]] {
            refused_everywhere(runtime, "device", |path| {
                let path = path.to_str().expect("UTF-8");
                system("mknod", &[&[path], &device[..]].concat());
            });
        }
    }

    fn a08_hosts_is_a_socket(runtime) {
        refused_everywhere(runtime, "socket", |path| {
            drop(UnixListener::bind(path).expect("bound"));
        });
    }

    fn a09_hosts_is_a_directory(runtime) {
        refused_everywhere(runtime, "directory", |path| fs::create_dir(path).expect("made"));
    }

    fn a11_hosts_is_huge(runtime) {
        let sparse = |path: &Path| {
            fs::File::create(path).expect("made").set_len(1 << 30).expect("grown");
        };
        let line = |path: &Path| {
            let line = [b"10.0.0.1\t".as_slice(), &vec![b'x'; 10_000_000]].concat();
            fs::write(path, line).expect("written");
        };
        let over = |path: &Path| fs::write(path, vec![b'\n'; (1 << 20) + 1]).expect("written");
        let makes: [&dyn Fn(&Path); 3] = [&sparse, &line, &over];
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let hosts = scene.rootfs("etc/hosts");
        let state = || scene.state().to_string();
        for make in makes {
            make(&hosts);
            scene.refused_by(in_16_mib(&scene), state().as_bytes(), 5, "1 MiB");
        }
        scene.start_fails();

        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let mounted = scene.web.bundle().join("hosts");
        mount_hosts(&scene, &mounted);
        let state = || scene.state().to_string();
        for make in makes {
            make(&mounted);
            scene.refused_by(in_16_mib(&scene), state().as_bytes(), 5, "1 MiB");
        }
        // The limit itself is no obstacle.
        let lines = [vec![b'#'; 127], vec![b'\n']].concat().repeat((1 << 13) - 8);
        fs::write(&mounted, lines).expect("written");
        scene.accepted_by(in_16_mib(&scene));
    }

    /// All others wait while its lines are compared with ours.
    fn a11_hosts_has_too_many_lines(runtime) {
        for is_mounted in [false, true] {
            let host = isolated(runtime);
            let scene = Scene::open(&host);
            let hosts = if is_mounted {
                let mounted = scene.web.bundle().join("hosts");
                mount_hosts(&scene, &mounted);
                mounted
            } else {
                scene.rootfs("etc/hosts")
            };
            let state = || scene.state().to_string();
            // Our block must fit too, or it could not be removed again.
            for count in [1_000_000, 20_001, 20_000, 19_996] {
                fs::write(&hosts, vec![b'\n'; count]).expect("written");
                let before = permissions(&host);
                let complaint = host.feed(&mut in_16_mib(&scene), state().as_bytes()).refused(5);
                assert!(complaint.contains("more than 20000 lines"), "{complaint}");
                assert_eq!(fs::read(&hosts).expect("readable"), vec![b'\n'; count]);
                assert_eq!(permissions(&host), before);
            }
            // Six lines of ours.
            let lines = vec![b'\n'; 19_994];
            fs::write(&hosts, &lines).expect("written");
            scene.accepted_by(in_16_mib(&scene));
            scene.end();
            assert_eq!(fs::read(&hosts).expect("readable"), lines);
        }
    }
}

each_backend! {
    fn a12_hosts_is_immutable(backend) {
        let host = host_with(backend);
        let scene = Scene::open(&host);
        let immutable = Immutable::make(scene.rootfs("etc/hosts"));
        fails_and_undoes(&scene, scene.command());
        drop(immutable);
        let immutable = Immutable::make(scene.rootfs("etc"));
        fails_and_undoes(&scene, scene.command());
        scene.start_fails();
        drop(immutable);
    }

    fn a12_a_mounted_hosts_is_immutable(backend) {
        let host = host_with(backend);
        let scene = Scene::open(&host);
        let mounted = scene.web.bundle().join("hosts");
        fs::write(&mounted, "").expect("written");
        mount_hosts(&scene, &mounted);
        let _immutable = Immutable::make(mounted);
        fails_and_undoes(&scene, scene.command());
        scene.start_fails();
    }

    fn a12_the_file_system_is_read_only(backend) {
        let host = host_with(backend);
        let scene = Scene::open(&host);
        let rootfs = scene.rootfs("");
        let mount = r#"mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; shift"#;
        fails_and_undoes(&scene, with_mounts(mount, &[&rootfs], &scene.command()));
        // Nor is there a file to be made, or a directory.
        fs::remove_file(scene.rootfs("etc/hosts")).expect("removed");
        fails_and_undoes(&scene, with_mounts(mount, &[&rootfs], &scene.command()));
        fs::remove_dir(scene.rootfs("etc")).expect("removed");
        fails_and_undoes(&scene, with_mounts(mount, &[&rootfs], &scene.command()));
    }
}
