//! config.json is read once, from one file, and what is published of it is for root's eyes.

use super::races::Pair;
use super::scene::{Scene, isolated, system};
use super::state_directory::{filled, with_state_dir};
use crate::support::each_runtime;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

/// Everything below `dir` belongs to root, who alone may read it.
#[track_caller]
pub(super) fn assert_private(dir: &Path) {
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        let metadata = fs::symlink_metadata(&path).expect("there");
        let expected = match (metadata.is_dir(), metadata.is_symlink()) {
            (true, _) => 0o4_0700,
            (_, true) => 0o12_0777,
            _ => 0o10_0600,
        };
        let (mode, owner) = (metadata.mode(), (metadata.uid(), metadata.gid()));
        assert_eq!((mode, owner), (expected, (0, 0)), "{mode:o} {}", path.display());
        if metadata.is_dir() {
            assert_private(&path);
        }
    }
}

each_runtime! {
    fn a31_the_state_says_otherwise_than_config_json(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let links = "org.oci-link.links";
        let ports = "org.opencontainers.image.exposedPorts";
        for (here, there) in [
            (json!({ links: "db" }), json!({})),
            (json!({}), json!({ links: "db" })),
            (json!({ links: "db" }), json!({ links: "db:other" })),
            (json!({ links: "db", ports: "80" }), json!({ links: "db", ports: "81" })),
            (json!({ links: "db" }), json!({ links: "db", "org.oci-link.name": "web" })),
        ] {
            scene.edit(|config| config["annotations"] = here);
            let mut state = scene.state();
            state["annotations"] = there;
            scene.refused_by(scene.command(), state.to_string().as_bytes(), 5, "annotation");
        }
        // Runtimes add annotations of their own, or repeat none.
        scene.edit(|config| config["annotations"] = json!({ links: "db" }));
        for there in [json!({ links: "db", "org.systemd.property": "x" }), Value::Null] {
            let mut state = scene.state();
            state["annotations"] = there;
            host.feed(&mut scene.command(), state.to_string().as_bytes()).ok();
        }
    }

    fn a32_config_json_is_a_link(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let state = scene.state().to_string();
        let config = scene.web.bundle().join("config.json");
        let real = scene.web.bundle().join("real.json");
        fs::rename(&config, &real).expect("renamed");
        for target in ["gone", "config.json"] {
            symlink(target, &config).expect("linked");
            scene.refused_by(scene.command(), state.as_bytes(), 3, "config.json");
            scene.prepare_refused(3, "config.json");
            fs::remove_file(&config).expect("removed");
        }
        // The runtime follows the link too.
        symlink(&real, &config).expect("linked");
        scene.accepted();
    }

    fn a32_config_json_is_no_file(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let state = scene.state().to_string();
        let config = scene.web.bundle().join("config.json");
        fs::remove_file(&config).expect("removed");
        scene.refused_by(scene.command(), state.as_bytes(), 3, "config.json");
        scene.prepare_refused(3, "config.json");
        system("mkfifo", &[&config]);
        scene.refused_by(scene.command(), state.as_bytes(), 5, "config.json");
        scene.prepare_refused(5, "config.json");
    }

    /// The file is exchanged all the time, for one that is as good; the hook acts on the one or on the
    /// other, and never on something between.
    fn a32_config_json_is_exchanged(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let hosts = || fs::read_to_string(scene.rootfs("etc/hosts")).expect("readable");
        let (before, block) = (hosts(), scene.block());
        let config = scene.web.bundle().join("config.json");
        let ways = [("one", "first"), ("two", "second")].map(|(alias, hostname)| {
            let mut changed = scene.config();
            changed["annotations"]["org.oci-link.links"] = format!("db:{alias}").into();
            changed["hostname"] = hostname.into();
            let lines = block.replace("\tdb db\n", &format!("\t{alias} db db\n"));
            (changed, before.clone() + &lines.replace("\tweb\n", &format!("\t{hostname}\n")))
        });
        let other = scene.web.bundle().join("other.json");
        // What runtimes repeat of annotations would have to be of the one or of the other.
        let mut state = scene.state();
        state["annotations"] = Value::Null;
        for (path, (text, _)) in [&config, &other].into_iter().zip(&ways) {
            fs::write(path, text.to_string()).expect("written");
        }
        fs::create_dir(host.path("decoys")).expect("made");
        let first_hook = || {
            // What an earlier stage linked stays linked: each hook finds db's record alone, and the
            // file of the image.
            fs::write(scene.rootfs("etc/hosts"), &before).expect("written");
            let dir = filled(&scene, &host.path("decoys"));
            let mut hook = with_state_dir(&scene.command(), &dir);
            let outcome = host.feed(&mut hook, state.to_string().as_bytes());
            fs::remove_dir_all(dir).expect("removed");
            outcome
        };
        let (pair, done) = (Pair::new(&config, &other), AtomicBool::new(false));
        let tries: Vec<_> = thread::scope(|scope| {
            scope.spawn(|| pair.exchange_until(&done));
            let tries = (0..40).map(|_| (first_hook(), hosts())).collect();
            done.store(true, Relaxed);
            tries
        });
        let seen: BTreeSet<usize> = tries.into_iter().map(|(outcome, found)| {
            outcome.ok();
            let which = ways.iter().position(|(_, expected)| *expected == found);
            which.unwrap_or_else(|| panic!("neither of both: {found}"))
        }).collect();
        assert_eq!(seen.len(), 2, "both were there to be read");
    }

    fn a33_secrets_stay_where_they_are(runtime) {
        let host = isolated(runtime);
        let db = host
            .container("db")
            .annotate("env", "MYSQL_*,!*PASSWORD*")
            .env("MYSQL_USER=shop")
            .env("MYSQL_PASSWORD=hunter2")
            .env("TOKEN=hunter2")
            .hooks()
            .build();
        db.run().ok();
        let web = host.container("web").annotate("links", "db").build();
        web.prepare().ok();
        web.run().ok();
        let environ = web.environ();
        assert!(environ.contains(&"DB_ENV_MYSQL_USER=shop".into()), "{environ:?}");
        assert!(!environ.iter().any(|entry| entry.contains("hunter2")), "{environ:?}");
        let record = |file: &String| fs::read(host.state_dir().join(file)).unwrap_or_default();
        for file in host.state_files() {
            assert!(!record(&file).windows(7).any(|bytes| bytes == b"hunter2"), "{file}");
        }
        let inspected = host.run(&mut host.oci_link(&["inspect", "db", "--format=json"])).ok();
        assert!(!inspected.contains("shop") && !inspected.contains("hunter2"), "{inspected}");
    }

    fn a33_records_are_roots_alone(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        scene.accepted();
        assert!(host.state_files().len() > 4, "{:?}", host.state_files());
        assert_private(&host.state_dir());
        let log = fs::metadata(host.path("log")).expect("there");
        assert_eq!(log.mode(), 0o10_0600);
    }
}
