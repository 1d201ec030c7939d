//! A root filesystem on a mount of shifted ids: root of the host is none of those who may own a file
//! there.

#![allow(unsafe_code)] // The C library has no names for these calls.

use super::scene::{Scene, isolated, system};
use crate::support::each_runtime;
use nix::errno::Errno;
use nix::libc;
use nix::mount::{MntFlags, umount2};
use std::{
    ffi::CString,
    fs::{self, File},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{MetadataExt, PermissionsExt, chown},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command},
};

/// The user id of the container's root on the host.
const ROOT: u32 = 100_000;

/// What lies at a path, as if ids there were shifted; until it is dropped.
struct Shifted(PathBuf);

impl Shifted {
    fn mount(path: PathBuf) -> Self {
        let mut child = process_of_shifted_ids();
        let ids = File::open(format!("/proc/{}/ns/user", child.id())).expect("it lives");
        child.kill().expect("it lives");
        child.wait().expect("our child");
        shift(&path, &ids).expect("a file system that can be mounted so");
        Self(path)
    }
}

impl Drop for Shifted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

fn process_of_shifted_ids() -> Child {
    let child = Command::new("unshare").args(["--user", "sleep", "600"]).spawn().expect("started");
    let ours = fs::read_link("/proc/self/ns/user").expect("ours");
    let its = || fs::read_link(format!("/proc/{}/ns/user", child.id())).expect("it lives");
    while its() == ours {
        std::thread::yield_now();
    }
    for map in ["uid_map", "gid_map"] {
        let map = format!("/proc/{}/{map}", child.id());
        fs::write(map, format!("0 {ROOT} 65536\n")).expect("written once");
    }
    child
}

/// Mounts what lies at `path` over itself, with the ids of the user namespace `ids`.
fn shift(path: &Path, ids: &File) -> nix::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes()).expect("a path");
    let clone = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: a path that ends, and numbers; what comes back is a new descriptor.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), clone) };
    let tree = i32::try_from(Errno::result(tree)?).expect("a descriptor");
    // SAFETY: no other code has this descriptor.
    let tree = unsafe { OwnedFd::from_raw_fd(tree) };
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(ids.as_raw_fd()).expect("a descriptor"),
    };
    // SAFETY: the structure is as long as is said, and the paths end.
    unsafe {
        let size = size_of_val(&attributes);
        let (tree, here) = (tree.as_raw_fd(), c"".as_ptr());
        let flags = libc::AT_EMPTY_PATH;
        let set = libc::SYS_mount_setattr;
        Errno::result(libc::syscall(set, tree, here, flags, &raw const attributes, size))?;
        let (to, from) = (path.as_ptr(), libc::MOVE_MOUNT_F_EMPTY_PATH);
        let moved = libc::syscall(libc::SYS_move_mount, tree, here, libc::AT_FDCWD, to, from);
        Errno::result(moved).map(drop)
    }
}

each_runtime! {
    fn a18_a_mount_of_shifted_ids(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let hosts = scene.rootfs("etc/hosts");
        chown(&hosts, Some(7), Some(8)).expect("given away");
        fs::set_permissions(&hosts, fs::Permissions::from_mode(0o4640)).expect("set");
        // Only root may write in spite of this mode.
        fs::set_permissions(scene.rootfs("etc"), fs::Permissions::from_mode(0o555)).expect("set");
        for (name, value) in [("user.colour", b"green"), ("trusted.shape", b"round")] {
            xattr::set(&hosts, name, value).expect("set");
        }
        let content = fs::read_to_string(&hosts).expect("readable");
        let _shifted = Shifted::mount(scene.rootfs(""));
        // While it is open, no other file is given its number.
        let held = fs::File::open(&hosts).expect("readable");
        let before = held.metadata().expect("there").ino();
        let look = || {
            let file = fs::metadata(&hosts).expect("there");
            assert_eq!((file.uid(), file.gid(), file.mode()), (ROOT + 7, ROOT + 8, 0o10_4640));
            assert_ne!(file.ino(), before, "it is not replaced: this test sees nothing");
            for (name, value) in [("user.colour", b"green"), ("trusted.shape", b"round")] {
                let kept = xattr::get(&hosts, name).expect("readable");
                assert_eq!(kept.as_deref(), Some(value.as_slice()), "{name}");
            }
            fs::read_to_string(&hosts).expect("readable")
        };
        scene.accepted();
        assert_eq!(look(), content.clone() + &scene.block());
        scene.end();
        assert_eq!(look(), content);
    }

    fn a18_what_is_made_on_a_mount_of_shifted_ids(runtime) {
        for gone in ["etc/hosts", "etc"] {
            let host = isolated(runtime);
            let scene = Scene::open(&host);
            system("rm", &["-r".as_ref(), scene.rootfs(gone).as_os_str()]);
            let _shifted = Shifted::mount(scene.rootfs(""));
            scene.accepted();
            for (name, mode) in [("etc", 0o4_0755), ("etc/hosts", 0o10_0644)] {
                let made = fs::metadata(scene.rootfs(name)).expect("made");
                assert_eq!((made.uid(), made.gid(), made.mode()), (ROOT, ROOT, mode), "{name}");
            }
            scene.end();
            assert!(!scene.rootfs(gone).exists(), "{gone}");
        }
    }
}
