//! Files that a container leaves behind must not keep its record: the record would stop the next
//! container with its address.

use super::scene::{Scene, isolated, system};
use crate::support::{Host, each_runtime};
use std::{fs, process::Command};

each_runtime! {
    /// What is there can be neither removed nor written to.
    fn a09_a_directory_has_the_name_of_the_new_file(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let hosts = scene.rootfs("etc/hosts");
        let content = fs::read_to_string(&hosts).expect("readable");
        fs::create_dir_all(scene.rootfs("etc/.hosts.oci-link/full")).expect("made");
        scene.accepted();
        assert_eq!(fs::read_to_string(&hosts).expect("readable"), content.clone() + &scene.block());
        scene.end();
        assert_eq!(fs::read_to_string(&hosts).expect("readable"), content);
        let names = fs::read_dir(scene.rootfs("etc")).expect("there");
        let ours = |name: &String| name.contains("oci-link");
        let names = names.map(|entry| entry.expect("there").file_name().into_string().expect("text"));
        assert_eq!(names.filter(ours).collect::<Vec<_>>(), [".hosts.oci-link"]);
        assert!(scene.rootfs("etc/.hosts.oci-link/full").exists());
    }

    fn a09_a_file_has_the_name_of_the_new_etc(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        fs::remove_dir_all(scene.rootfs("etc")).expect("removed");
        fs::write(scene.rootfs(".etc.oci-link"), "image").expect("written");
        scene.accepted();
        let hosts = fs::read_to_string(scene.rootfs("etc/hosts")).expect("made");
        assert!(hosts.ends_with(&scene.block()), "{hosts}");
        scene.end();
        assert!(!scene.rootfs("etc").exists());
        assert_eq!(fs::read(scene.rootfs(".etc.oci-link")).expect("there"), b"image");
    }

    /// A container that starts so is refused; one that did it itself can end.
    fn a09_etc_is_a_file(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let swap = || {
            fs::remove_dir_all(scene.rootfs("etc")).expect("removed");
            fs::write(scene.rootfs("etc"), "").expect("written");
        };
        let (etc, kept) = (scene.rootfs("etc"), scene.rootfs("tmp/etc"));
        system("cp", &["-a".as_ref(), etc.as_os_str(), kept.as_os_str()]);
        swap();
        scene.refused(5, "directory");
        fs::remove_file(&etc).expect("removed");
        fs::rename(&kept, &etc).expect("back");
        scene.accepted();
        swap();
        scene.end();
        drop(scene);
        host.assert_nothing_left();
    }

    /// A container that is deleted is not there any more for its engine.
    fn a12_behind_the_wrapper_the_runtimes_word_counts(runtime) {
        let host = Host::isolated(runtime).wrapped();
        let db = host.container("db").annotate("ports", "3306").build();
        db.run().ok();
        let web = host.container("web").annotate("links", "db").build();
        web.run().ok();
        let etc = web.bundle().join("rootfs/etc");
        system("chattr", &["+i".as_ref(), etc.as_os_str()]);
        web.kill();
        let deleted = host.run(&mut host.runtime(&["delete", "web"]));
        let restored = Command::new("chattr").arg("-i").arg(&etc).status().expect("chattr");
        deleted.ok();
        assert!(restored.success());
        let log = fs::read_to_string(host.path("log")).expect("a log");
        assert!(log.contains("web: its links could not be removed; run oci-link gc: hosts file /etc/hosts"), "{log}");
        host.run(&mut host.oci_link(&["gc"])).ok();
        db.delete_by_force().ok();
        host.assert_nothing_left();
    }
}
