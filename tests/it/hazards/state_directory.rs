//! A state directory that another user could have changed: nothing is written there, nor where its
//! links lead.

use super::scene::{Scene, isolated, system};
use crate::support::{Runtime, each_runtime};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// `command` with another `--state-dir`.
pub(super) fn with_state_dir(command: &Command, dir: &Path) -> Command {
    let mut changed = Command::new(command.get_program());
    let mut next_is_dir = false;
    for argument in command.get_args() {
        changed.arg(if next_is_dir { dir.as_os_str() } else { argument });
        next_is_dir = argument == "--state-dir";
    }
    changed
}

/// Every command but an end refuses the state directory that `make` makes at a path below the decoys, whose
/// owners, modes, times and contents are looked at before and afterwards.
#[track_caller]
fn refused(runtime: Runtime, make: impl Fn(&Scene, &Path) -> PathBuf) {
    let host = isolated(runtime);
    let scene = Scene::open(&host);
    scene.decoy("elsewhere/file");
    let dir = make(&scene, &host.path("decoys"));
    let mut prepare = host.oci_link(&["prepare"]);
    prepare.arg(scene.web.bundle());
    let state = scene.state().to_string();
    for command in [scene.command(), prepare, host.oci_link(&["ls"])] {
        let named = format!("oci-link: {}", dir.display());
        scene.refused_by(with_state_dir(&command, &dir), state.as_bytes(), 7, &named);
    }
    // An end never fails.
    let poststop = with_state_dir(&host.oci_link(&["hook", "poststop"]), &dir);
    scene.logged_by(poststop, state.as_bytes(), &dir.display().to_string());
}

/// A proper state directory with db's record in it.
pub(super) fn filled(scene: &Scene, decoys: &Path) -> PathBuf {
    let dir = decoys.join("state");
    system("cp", &["-a".as_ref(), scene.host.state_dir().as_path(), dir.as_path()]);
    dir
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

each_runtime! {
    /// What the others change is sound before.
    fn a39_a_proper_directory_is_accepted(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        fs::create_dir(host.path("decoys")).expect("made");
        let dir = filled(&scene, &host.path("decoys"));
        scene.accepted_by(with_state_dir(&scene.command(), &dir));
        // Other users cannot remove root's files from a sticky directory.
        let open = host.path("open");
        fs::create_dir(&open).expect("made");
        set_mode(&open, 0o1777);
        let listed = with_state_dir(&host.oci_link(&["ls"]), &open.join("state"));
        let _ = host.run(&mut { listed }).ok();
    }

    fn a39_the_directory_is_a_link(runtime) {
        refused(runtime, |scene, decoys| {
            let link = decoys.join("link");
            symlink(filled(scene, decoys), &link).expect("linked");
            link
        });
    }

    fn a39_a_directory_above_is_a_link(runtime) {
        refused(runtime, |scene, decoys| {
            filled(scene, decoys);
            let link = decoys.join("link");
            symlink(decoys, &link).expect("linked");
            link.join("state")
        });
    }

    fn a39_others_can_write_to_it(runtime) {
        for mode in [0o777, 0o770, 0o702, 0o1777] {
            refused(runtime, |scene, decoys| {
                let dir = filled(scene, decoys);
                set_mode(&dir, mode);
                dir
            });
        }
    }

    fn a39_others_can_write_above_it(runtime) {
        for mode in [0o777, 0o770] {
            refused(runtime, |_, decoys| {
                let open = decoys.join("open");
                fs::create_dir(&open).expect("made");
                set_mode(&open, mode);
                open.join("state")
            });
        }
    }

    fn a39_it_belongs_to_another_user(runtime) {
        for above in [false, true] {
            refused(runtime, |scene, decoys| {
                let dir = filled(scene, decoys);
                chown(if above { decoys } else { &dir }, Some(12345), None).expect("given away");
                dir
            });
        }
    }

    fn a39_it_is_no_directory(runtime) {
        refused(runtime, |_, decoys| decoys.join("elsewhere/file"));
        refused(runtime, |_, decoys| {
            let fifo = decoys.join("fifo");
            system("mkfifo", &[&fifo]);
            fifo
        });
        refused(runtime, |_, _| "state".into());
        refused(runtime, |_, decoys| decoys.join("elsewhere/../state"));
    }

    fn a39_links_are_planted_in_it(runtime) {
        for name in ["records", "names", "addresses", "wanted"] {
            refused(runtime, |_, decoys| {
                let dir = decoys.join("planted");
                fs::create_dir(&dir).expect("made");
                set_mode(&dir, 0o700);
                symlink(decoys.join("elsewhere"), dir.join(name)).expect("linked");
                dir
            });
        }
    }

    /// Files that are opened only when they are needed.
    fn a39_links_are_planted_for_files(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let decoy = scene.decoy("elsewhere/file");
        for name in ["lock", "new", "iptables", "ip6tables"] {
            let dir = filled(&scene, &host.path("decoys"));
            let _ = fs::remove_file(dir.join(name));
            symlink(&decoy, dir.join(name)).expect("linked");
            let mut hook = with_state_dir(&scene.command(), &dir);
            let _ = host.feed(&mut hook, scene.state().to_string().as_bytes()).refused(7);
            assert_eq!(fs::read(&decoy).expect("readable"), b"10.66.66.66\tdecoy\n", "{name}");
            let rules = host.rules();
            assert!(!rules.iter().any(|rule| rule.contains("3306")), "{name}: {rules:?}");
            let hosts = fs::read_to_string(scene.rootfs("etc/hosts")).expect("readable");
            assert!(!hosts.contains("oci-link"), "{name}: {hosts}");
            fs::remove_dir_all(dir).expect("removed");
        }
    }
}
