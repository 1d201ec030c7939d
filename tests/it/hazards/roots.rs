//! `root.path` in all the ways that config.json may say it.

use super::scene::{Scene, isolated, with_mounts};
use crate::support::each_runtime;
use std::{
    fs,
    os::unix::fs::{lchown, symlink},
};

each_runtime! {
    /// A file of ours plays the host's `/etc/hosts`, so that a mistake cannot harm the machine.
    fn a16_the_root_is_the_hosts_root(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let decoy = scene.decoy("hosts");
        let mount = r#"mount --bind "$1" /etc/hosts; shift"#;
        for path in ["/", "//", "/.", "../../../../../../.."] {
            scene.edit(|config| config["root"]["path"] = path.into());
            let command = with_mounts(mount, &[&decoy], &scene.command());
            scene.refused_by(command, scene.state().to_string().as_bytes(), 5, "host's root");
        }
    }

    fn a16_the_root_is_no_directory(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        for (path, code, named) in [
            ("", 3, "config.json has no root"),
            ("a\0b", 3, "config.json has no root"),
            ("gone", 8, "web/gone"),
            ("config.json", 8, "web/config.json"),
            ("/dev/null", 8, "/dev/null"),
            ("rootfs/bin/sh", 8, "web/rootfs/bin/sh"),
        ] {
            scene.edit(|config| config["root"]["path"] = path.into());
            scene.refused(code, named);
        }
    }

    fn a16_the_root_is_spelled_in_another_way(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let old = fs::read_to_string(scene.rootfs("etc/hosts")).expect("readable");
        let absolute = scene.rootfs("").display().to_string();
        for path in [absolute.as_str(), "./rootfs", "rootfs/../rootfs/", "../web/rootfs"] {
            fs::write(scene.rootfs("etc/hosts"), &old).expect("written");
            scene.edit(|config| config["root"]["path"] = path.into());
            scene.accepted();
            let new = fs::read_to_string(scene.rootfs("etc/hosts")).expect("readable");
            assert_eq!(new, old.clone() + &scene.block(), "{path}");
        }
        scene.end();
        assert_eq!(fs::read_to_string(scene.rootfs("etc/hosts")).expect("readable"), old);
    }

    /// crun starts such containers, runc does not.
    fn a16_the_root_is_a_link(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let decoy = scene.decoy("hosts");
        let link = scene.web.bundle().join("link");
        let mount = r#"mount --bind "$1" /etc/hosts; shift"#;
        symlink("/", &link).expect("linked");
        scene.edit(|config| config["root"]["path"] = "link".into());
        let command = with_mounts(mount, &[&decoy], &scene.command());
        scene.refused_by(command, scene.state().to_string().as_bytes(), 5, "host's root");

        fs::remove_file(&link).expect("removed");
        symlink("rootfs", &link).expect("linked");
        lchown(&link, Some(1000), None).expect("given");
        scene.refused(5, "which does not belong to root");
        lchown(&link, Some(0), None).expect("given");
        scene.accepted();
        let hosts = fs::read_to_string(scene.rootfs("etc/hosts")).expect("readable");
        assert!(hosts.ends_with(&scene.block()), "{hosts}");
    }
}
