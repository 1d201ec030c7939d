//! `/etc/hosts` of an image that leads somewhere else: inside the container's root it may, out of
//! it nothing does.

use super::scene::{Scene, isolated, system, with_mounts};
use super::world::World;
use crate::support::each_runtime;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

const IN_PROC: [&str; 6] = [
    "/proc/self/environ",
    "/proc/self/root/etc/hosts",
    "/proc/self/cwd/hosts",
    "/proc/self/fd/0",
    "/proc/1/environ",
    "/proc/version",
];

/// Replaces what is at `path` by a link to `target`.
fn relink(path: &Path, target: impl AsRef<Path>) {
    let _ = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
    symlink(target, path).expect("linked");
}

/// The place inside the root that `path` would be if the root were the host's.
fn same_inside(scene: &Scene, path: &Path) -> PathBuf {
    scene.rootfs(path.strip_prefix("/").expect("absolute").to_str().expect("UTF-8"))
}

/// The hook writes into `file` of the root, which held `content`, and takes it back at the end;
/// the decoy never changes.
#[track_caller]
fn written_inside(scene: &Scene, file: &Path, content: &str, decoy: &Path) {
    let before = World::now(scene.host).timeless();
    let outside = fs::read(decoy).expect("readable");
    scene.accepted();
    assert_eq!(fs::read_to_string(file).expect("written"), content.to_owned() + &scene.block());
    assert_eq!(fs::read(decoy).expect("readable"), outside);
    scene.end();
    before.assert_still(&World::now(scene.host).timeless());
}

each_runtime! {
    /// The frame of all other tests: without a hazard the hook works, and poststop undoes it.
    fn a_harmless_container_is_linked(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let before = World::now(&host).timeless();
        scene.accepted();
        assert!(before != World::now(&host).timeless());
        assert_eq!(host.rules().iter().filter(|rule| rule.contains("port 3306")).count(), 4);
        scene.end();
        before.assert_still(&World::now(&host).timeless());
    }

    fn a01_etc_leads_to_a_directory_of_the_host(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let decoy = scene.decoy("etc/hosts");
        let etc = decoy.parent().expect("has one");
        relink(&scene.rootfs("etc"), etc);
        scene.refused(5, "/etc/hosts");

        let inside = same_inside(&scene, &decoy);
        fs::create_dir_all(inside.parent().expect("has one")).expect("made");
        fs::write(&inside, "127.0.0.1\tlocalhost\n").expect("written");
        written_inside(&scene, &inside, "127.0.0.1\tlocalhost\n", &decoy);

        fs::remove_dir_all(scene.rootfs("var")).expect("removed");
        scene.start_fails();
    }

    fn a02_etc_climbs_out(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        // Three levels above the rootfs is the host's own directory.
        let decoy = host.path("hosts");
        fs::write(&decoy, "10.66.66.66\tdecoy\n").expect("written");
        relink(&scene.rootfs("etc"), "../../..");
        fs::write(scene.rootfs("hosts"), "").expect("written");
        written_inside(&scene, &scene.rootfs("hosts"), "", &decoy);
    }

    fn a03_hosts_leads_to_a_file_of_the_host(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let decoy = scene.decoy("hosts");
        let climbing = Path::new("../../../../../../../../..").join(decoy.strip_prefix("/").expect("absolute"));
        for target in [&decoy, &climbing] {
            relink(&scene.rootfs("etc/hosts"), target);
            scene.refused(5, "/etc/hosts");
        }
        scene.start_fails();
    }

    fn a04_hosts_leads_to_a_file_inside(runtime) {
        let host = isolated(runtime);
        for target in ["/run/hosts", "../run/hosts", "../../../../run/hosts", "again", "/etc/../run/./hosts"] {
            let scene = Scene::open(&host);
            let decoy = scene.decoy("run/hosts");
            fs::create_dir(scene.rootfs("run")).expect("made");
            relink(&scene.rootfs("etc/again"), "/run/hosts");
            fs::write(scene.rootfs("run/hosts"), "::1\tlocalhost\n").expect("written");
            relink(&scene.rootfs("etc/hosts"), target);
            written_inside(&scene, &scene.rootfs("run/hosts"), "::1\tlocalhost\n", &decoy);
            assert_eq!(fs::read_link(scene.rootfs("etc/hosts")).expect("a link"), Path::new(target));
        }
    }

    fn a05_hosts_leads_into_proc(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        for target in IN_PROC {
            relink(&scene.rootfs("etc/hosts"), target);
            scene.refused(5, "/etc/hosts");
        }
        scene.start_fails();
    }

    /// Some engine has mounted it where the host sees it too.
    fn a05_hosts_leads_into_a_mounted_proc(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let mount = r#"mount -t proc proc "$1"; shift"#;
        for target in IN_PROC {
            relink(&scene.rootfs("etc/hosts"), target);
            let command = with_mounts(mount, &[&scene.rootfs("proc")], &scene.command());
            scene.refused_by(command, scene.state().to_string().as_bytes(), 5, "/etc/hosts");
        }
    }

    fn a06_links_in_a_circle(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let hosts = scene.rootfs("etc/hosts");
        relink(&scene.rootfs("etc/other"), "hosts");
        for target in ["hosts", "/etc/hosts", "other", "."] {
            relink(&hosts, target);
            scene.refused(5, "/etc/hosts");
        }
        for step in 0..60 {
            relink(&scene.rootfs(&format!("etc/step{step}")), format!("step{}", step + 1));
        }
        fs::write(scene.rootfs("etc/step60"), "").expect("written");
        relink(&hosts, "step0");
        scene.refused(5, "/etc/hosts");
        system("mv", &[scene.rootfs("etc"), scene.rootfs("real")]);
        relink(&scene.rootfs("etc"), "etc");
        scene.refused(5, "/etc/hosts");
        scene.start_fails();
    }
}
