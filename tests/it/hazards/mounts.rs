//! What config.json mounts on `/etc/hosts`: a file of another container or of the host is refused, and of
//! several mounts the last is the one that the container sees.

use super::scene::{Scene, isolated, with_mounts};
use crate::support::each_runtime;
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{lchown, symlink},
    path::{Path, PathBuf},
};

fn bind(source: impl AsRef<Path>, destination: &str) -> Value {
    let source = source.as_ref();
    json!({ "destination": destination, "source": source, "type": "bind", "options": ["rbind"] })
}

fn set_mounts(scene: &Scene, mounts: &[Value]) {
    scene.edit(|config| config["mounts"] = json!(mounts));
}

each_runtime! {
    /// A file of ours plays the host's `/etc/hosts`, so that a mistake cannot harm the machine.
    fn a15_hosts_is_the_hosts_own(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let decoy = scene.decoy("hosts");
        let link = host.path("link");
        symlink("/etc/hosts", &link).expect("linked");
        let mount = r#"mount --bind "$1" /etc/hosts; shift"#;
        for source in [Path::new("/etc/hosts"), Path::new("/etc/../etc/hosts"), &link, &decoy] {
            set_mounts(&scene, &[bind(source, "/etc/hosts")]);
            let command = with_mounts(mount, &[&decoy], &scene.command());
            scene.refused_by(command, scene.state().to_string().as_bytes(), 5, "the host's own");
        }
    }

    /// A directory of ours plays the host's `/etc`.
    fn a15_etc_is_the_hosts_own(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let (decoy, etc) = (scene.decoy("hosts"), scene.rootfs("etc"));
        let directory = decoy.parent().expect("has one");
        let mount = r#"mount --bind "$1" /etc; mount --bind /etc "$2"; shift 2"#;
        let command = with_mounts(mount, &[directory, &etc], &scene.command());
        scene.refused_by(command, scene.state().to_string().as_bytes(), 5, "the host's own");
    }

    /// The other user may have made it after the runtime mounted what was there.
    fn a14_the_source_leads_over_another_users_link(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let decoy = scene.decoy("hosts");
        let [file, directory] = ["link", "directory"].map(|name| host.path(name));
        symlink(&decoy, &file).expect("linked");
        symlink(decoy.parent().expect("has one"), &directory).expect("linked");
        let give = |user: u32| {
            for link in [&file, &directory] {
                lchown(link, Some(user), None).expect("given");
            }
        };
        for source in [&file, &directory.join("hosts")] {
            set_mounts(&scene, &[bind(source, "/etc/hosts")]);
            give(1000);
            scene.refused(5, "which does not belong to root");
            // Those of root are the operator's own.
            give(0);
            scene.accepted();
            assert!(fs::read_to_string(&decoy).expect("there").ends_with(&scene.block()));
        }
    }

    fn a15_hosts_is_of_the_kernel_or_ours(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let record = host.state_files().into_iter().find(|file| file.starts_with("records/"));
        let record = host.state_dir().join(record.expect("db's"));
        let link = host.path("link");
        symlink(&record, &link).expect("linked");
        let files: [PathBuf; 8] = [
            "/dev/null".into(),
            "/dev/shm/hosts".into(),
            "/proc/version".into(),
            "/proc/sys/kernel/hostname".into(),
            "/sys/kernel/uevent_seqnum".into(),
            record,
            link,
            host.state_dir().join("lock"),
        ];
        let mount = "mount -t tmpfs none /dev/shm; echo > /dev/shm/hosts";
        for source in files {
            set_mounts(&scene, &[bind(&source, "/etc/hosts")]);
            let command = with_mounts(mount, &[], &scene.command());
            scene.refused_by(command, scene.state().to_string().as_bytes(), 5, "hosts file");
        }
    }

    /// Whatever way the last destination is spelled.
    fn a17_the_last_mount_counts(runtime) {
        for destination in ["/etc/hosts", "/etc//./hosts", "/etc/x/../hosts", "etc/hosts"] {
            let host = isolated(runtime);
            let [first, last] = ["first", "last"].map(|name| host.path(name));
            for file in [&first, &last] {
                fs::write(file, format!("10.0.0.1\t{}\n", file.display())).expect("written");
            }
            let old = [&first, &last].map(|file| fs::read_to_string(file).expect("readable"));
            let scene = Scene::with(&host, |config| {
                let mounts = config["mounts"].as_array_mut().expect("a list");
                mounts.extend([bind(&first, "/etc/hosts"), bind(&last, destination)]);
            });
            scene.accepted();
            assert_eq!(fs::read_to_string(&first).expect("readable"), old[0]);
            assert_eq!(scene.web.hosts(), old[1].clone() + &scene.block(), "{destination}");
            scene.end();
            assert_eq!(fs::read_to_string(&last).expect("readable"), old[1]);
        }
    }

    /// There is nothing that the hook could write to.
    fn a17_a_mount_hides_hosts(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        for destination in ["/etc", "/etc/hosts", "/"] {
            let tmpfs = json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs" });
            set_mounts(&scene, &[bind(host.path("hosts"), "/etc/hosts"), tmpfs]);
            scene.refused(8, "hidden");
        }
    }
}
