//! `run` of a container without links: its bundle is what it was once the runtime has read it.

use crate::support::{Container, Host, OPEN, Outcome, Proto, Runtime, each_runtime};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// All that a user sees of a bundle.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    names: Vec<String>,
    config: String,
    inode: u64,
    links: u64,
    owner: (u32, u32),
    mode: u32,
    changed: (i64, i64),
}

fn see(bundle: &Path) -> Seen {
    let path = bundle.join("config.json");
    let file = fs::metadata(&path).expect("config.json");
    let entries = fs::read_dir(bundle).expect("a bundle");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Seen {
        names,
        config: fs::read_to_string(&path).expect("text"),
        inode: file.ino(),
        links: file.nlink(),
        owner: (file.uid(), file.gid()),
        mode: file.mode(),
        changed: (file.mtime(), file.mtime_nsec()),
    }
}

/// The runtime without oci-link.
fn plain(host: &Host, runtime: Runtime, words: &[&str]) -> Outcome {
    let mut command = Command::new(runtime.program());
    host.run(command.arg("--root").arg(host.path("root")).args(words))
}

fn is_recorded(host: &Host, id: &str) -> bool {
    let listed = host.run(&mut host.oci_link(&["ls", "--format", "json"])).ok();
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    listed.as_array().expect("an array").iter().any(|one| one["id"] == id)
}

fn rewrite(container: &Container<'_>, change: impl FnOnce(&mut Value)) {
    let path = container.bundle().join("config.json");
    let mut config = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    change(&mut config);
    fs::write(path, config.to_string()).expect("written");
}

fn has_our_hooks(bundle: &Path) -> bool {
    fs::read_to_string(bundle.join("config.json")).expect("text").contains("--restores")
}

each_runtime! {
    /// The hooks of the run work all the same, the last one in the runtime's own `delete`.
    fn h23_the_bundle_is_as_it_was(runtime) also youki {
        let host = Host::isolated(runtime).wrapped();
        let db = host.container("db").annotate("ports", "3306").build();
        let before = see(db.bundle());
        for by_the_runtime in [true, false] {
            db.run().ok();
            assert_eq!(see(db.bundle()), before);
            let web = host.container("web").annotate("links", "db").build();
            web.run().ok();
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
            db.exec(&["sh", "-c", ":"]).ok();
            if by_the_runtime {
                plain(&host, runtime, &["delete", "--force", "db"]).ok();
            } else {
                db.delete_by_force().ok();
            }
            assert!(!is_recorded(&host, "db"), "its poststop hook has run");
            assert!(!web.hosts().contains("\tdb"), "{}", web.hosts());
            web.delete_by_force().ok();
            assert_eq!(see(db.bundle()), before);
        }
        host.assert_nothing_left();
        plain(&host, runtime, &["run", "--detach", "--bundle", &db.bundle().display().to_string(), "db"]).ok();
        assert!(!is_recorded(&host, "db"), "the runtime alone finds no hook of ours");
        plain(&host, runtime, &["delete", "--force", "db"]).ok();
    }

    fn in_the_foreground(runtime) {
        let host = Host::open(runtime).wrapped();
        let hooks = serde_json::json!({ "poststop": [{ "path": "/bin/cat" }], "prestart": null });
        let db = host.container("db").script("exit 7").edit(|config| config["hooks"] = hooks).build();
        let before = see(db.bundle());
        let mut run = host.runtime(&["run", "--bundle"]);
        let said = host.run(run.arg(db.bundle()).arg("db")).refused(7);
        assert!(!said.contains("oci-link"), "{said}");
        assert_eq!(see(db.bundle()), before);
        host.assert_nothing_left();
        // In the bundle's directory.
        let mut run = host.runtime(&["run", "db"]);
        let _ = host.run(run.current_dir(db.bundle())).refused(7);
        assert_eq!(see(db.bundle()), before);
    }

    fn h23_odd_files(runtime) also youki {
        let host = Host::open(runtime).wrapped();
        let db = host.container("db").build();
        let path = db.bundle().join("config.json");
        let run = |what: &str| {
            let before = see(db.bundle());
            db.run().ok();
            assert!(is_recorded(&host, "db"), "{what}");
            assert_eq!(see(db.bundle()), before, "{what}");
            db.delete_by_force().ok();
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
        chown(&path, Some(1000), Some(1001)).expect("changed");
        run("of another user");
        let other: PathBuf = host.path("other.json");
        fs::hard_link(&path, &other).expect("linked");
        run("two links");
        fs::remove_file(&path).expect("removed");
        symlink("../../other.json", &path).expect("linked");
        run("a symbolic link");
        assert_eq!(fs::read_link(&path).expect("a link"), Path::new("../../other.json"));
        assert!(!host.path("other.json.oci-link-original").exists());
        host.assert_nothing_left();
    }

    fn a_prepared_bundle_stays_prepared(runtime) also youki {
        let host = Host::open(runtime).wrapped();
        let db = host.container("db").annotate("ports", "1").build();
        db.prepare().ok();
        let before = see(db.bundle());
        assert!(before.config.contains("poststop"));
        db.run().ok();
        assert!(is_recorded(&host, "db"));
        assert_eq!(see(db.bundle()), before);
        db.delete_by_force().ok();
        host.assert_nothing_left();
    }

    /// The runtime refuses it before it reads anything.
    fn a_container_that_exists_is_not_run_again(runtime) {
        let host = Host::open(runtime).wrapped();
        let db = host.container("db").build();
        db.run().ok();
        let before = see(db.bundle());
        let said = db.run().refused(1);
        assert!(said.contains("exist") && !said.contains("oci-link"), "{said}");
        assert_eq!(see(db.bundle()), before);
    }

    /// The first hook never comes, so that the next start undoes the edit.
    fn h23_a_run_that_fails_early(runtime) also youki {
        for next in ["run", "create", "prepare", "plain"] {
            let host = Host::open(runtime).wrapped();
            let db = host.container("db").build();
            let before = see(db.bundle());
            let (root, moved) = (db.bundle().join("rootfs"), host.path("moved"));
            fs::rename(&root, &moved).expect("moved");
            assert!(!db.run().succeeded());
            fs::rename(&moved, &root).expect("moved back");
            let bundle = db.bundle().display().to_string();
            match next {
                "run" => db.run().ok(),
                "create" => db.create().ok(),
                "prepare" => db.prepare().ok(),
                _ => plain(&host, runtime, &["run", "--detach", "--bundle", &bundle, "db"]).ok(),
            };
            if next == "prepare" {
                assert!(!has_our_hooks(db.bundle()));
                assert_eq!(see(db.bundle()).names, before.names);
            } else {
                assert_eq!(see(db.bundle()), before, "{next}");
            }
            let _ = db.delete_by_force();
        }
    }

    /// What a user changes after a failed run stays; only our hooks go.
    fn a_change_after_a_failed_run_stays(runtime) also youki {
        let host = Host::open(runtime).wrapped();
        let db = host.container("db").build();
        let before = see(db.bundle());
        rewrite(&db, |config| config["root"]["path"] = "missing".into());
        assert!(!db.run().succeeded());
        rewrite(&db, |config| config["root"]["path"] = "rootfs".into());
        db.run().ok();
        assert!(is_recorded(&host, "db"));
        let after = see(db.bundle());
        assert_eq!(after.names, before.names);
        let parsed = |seen: &Seen| serde_json::from_str::<Value>(&seen.config).expect("JSON");
        assert_eq!(parsed(&after), parsed(&before));
        db.delete_by_force().ok();
        host.assert_nothing_left();
    }

    fn h23_one_bundle_for_several_at_once(runtime) also youki {
        let host = Host::open(runtime).wrapped();
        let shared = host.container("shared").build();
        rewrite(&shared, |config| {
            config["linux"].as_object_mut().expect("an object").remove("cgroupsPath");
        });
        let before = see(shared.bundle());
        let ids: Vec<String> = (0..4).map(|n| format!("{}-{n}", shared.netns().name())).collect();
        for _ in 0..3 {
            thread::scope(|scope| {
                for id in &ids {
                    let (host, bundle) = (&host, shared.bundle());
                    scope.spawn(move || {
                        let mut run = host.runtime(&["run", "--detach", "--bundle"]);
                        host.run(run.arg(bundle).arg(id)).ok();
                    });
                }
            });
            // A copy of the file may come back, if one process restores it while another one edits it.
            let after = see(shared.bundle());
            assert_eq!((&after.names, &after.config), (&before.names, &before.config));
            assert_eq!((after.mode, after.owner, after.links), (before.mode, before.owner, 1));
            for id in &ids {
                host.run(&mut host.runtime(&["delete", "--force", id])).ok();
            }
        }
        assert_eq!(see(shared.bundle()).names, before.names);
        host.assert_nothing_left();
    }

    /// `runc exec` takes the variables from the bundle.
    fn links_stay_in_the_bundle(runtime) also youki {
        let host = Host::open(runtime).wrapped();
        let db = host.container("db").annotate("ports", "3306").build();
        db.run().ok();
        let web = host.container("web").annotate("links", "db").build();
        web.run().ok();
        let config = see(web.bundle()).config;
        assert!(config.contains("DB_PORT=") && !config.contains("--restores"), "{config}");
        assert!(web.exec(&["sh", "-c", "echo $DB_PORT"]).ok().starts_with("tcp://"));
        web.delete_by_force().ok();
    }

    /// runc reads a key also with other capitals. An edit would add a second one beside it.
    fn keys_with_other_capitals(runtime) {
        let host = Host::open(runtime).wrapped();
        let db = host.container("db").build();
        rewrite(&db, |config| {
            config["Hooks"] = serde_json::json!({ "poststop": [{ "path": "/bin/cat" }] });
            config["Annotations"] = serde_json::json!({ "org.oci-link.links": "gone" });
        });
        let before = see(db.bundle());
        db.run().ok();
        assert_eq!(see(db.bundle()), before);
        let log = fs::read_to_string(host.path("log")).expect("a log");
        for said in [
            "config.json has \"Hooks\": write \"hooks\"",
            "config.json has \"Annotations\": write \"annotations\"",
        ] {
            assert!(log.contains(said), "{log}");
        }
        db.delete_by_force().ok();
        host.assert_nothing_left();
    }
}
