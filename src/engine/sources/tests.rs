//! Sources in directory trees that are built from the recorded files of engines.

use super::{Listing, SourceState};
use crate::engine::docker_sources::read_of;
use crate::engine::{Clues, listing};
use crate::model::{ContainerId, ContainerName, Reference};
use crate::oci::spec::Spec;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/test-bundles/recorded");

/// The files of an engine, with the recorded container as the recipient. Removed when dropped.
struct Tree {
    root: PathBuf,
    engine: &'static str,
    me: ContainerId,
}

impl Tree {
    fn new(engine: &'static str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("oci-link-sources-{}-{}", std::process::id(), MADE.fetch_add(1, Relaxed));
        let root = std::env::temp_dir().join(name);
        fs::create_dir(&root).unwrap();
        let state: Value = serde_json::from_str(&recorded(engine, "state.json")).unwrap();
        let me = ContainerId::new(state["id"].as_str().unwrap()).unwrap();
        Self { root, engine, me }
    }

    fn writes(&self, at: &str, text: &str) {
        let path = self.root.join(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes a container of docker's: the recorded one with changes.
    fn docker(&self, id: &str, name: &str, edit: impl FnOnce(&mut Value, &mut Value)) {
        let mut config: Value =
            serde_json::from_str(&recorded(self.engine, "config.v2.json")).unwrap();
        config["ID"] = id.into();
        config["Name"] = format!("/{name}").into();
        config["State"]["Running"] = false.into();
        config["State"]["Pid"] = 0.into();
        let mut host = json!({ "RestartPolicy": { "Name": "always", "MaximumRetryCount": 0 } });
        edit(&mut config, &mut host);
        self.writes(&format!("docker/containers/{id}/config.v2.json"), &config.to_string());
        self.writes(&format!("docker/containers/{id}/hostconfig.json"), &host.to_string());
    }

    fn listing(&self) -> Listing {
        // podman's run root is another tree on a real host.
        let config = recorded(self.engine, "config.json");
        let config = config.replace("\"/var/lib/", &format!("\"{}/", self.root.display()));
        let config = config.replace("\"/run/", &format!("\"{}/run/", self.root.display()));
        let bundle = format!("containers/storage/overlay-containers/{}/userdata", self.me);
        let bundle = self.root.join(bundle);
        let spec = Spec::parse(&bundle, config.as_bytes()).unwrap();
        listing(&Clues { id: &self.me, bundle: &bundle, spec: &spec })
    }

    fn state(&self, source: &str) -> SourceState {
        self.state_since(source, None)
    }

    /// `since` is the time when dockerd started. The real one of this host does not count.
    fn state_since(&self, source: &str, since: Option<i64>) -> SourceState {
        let siblings = match self.listing() {
            Listing::Docker(containers) => read_of(&containers, since).ok(),
            listing => listing.read(),
        };
        let siblings = siblings.expect("a list");
        let own_name = ContainerName::new("web").unwrap();
        siblings.state(&self.me, &own_name, &Reference::new(source).unwrap())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn recorded(engine: &str, file: &str) -> String {
    fs::read_to_string(Path::new(RECORDED).join(engine).join(file)).unwrap()
}

fn named(name: &str) -> ContainerName {
    ContainerName::new(name).unwrap()
}

fn will_start(name: &str, links_back: bool) -> SourceState {
    SourceState::WillStart { name: named(name), links_back }
}

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

#[test]
fn docker_tells_what_it_will_do_with_a_source() {
    for version in ["docker-20.10", "docker-28.5"] {
        let tree = Tree::new(version);
        tree.docker(tree.me.as_str(), "web", |_, _| ());
        let state = |edit: fn(&mut Value, &mut Value)| {
            tree.docker(&id('d'), "db", edit);
            tree.state("db")
        };
        let stopped = SourceState::Stopped(named("db"));
        for (edit, expected) in [
            ((|_, _| ()) as fn(&mut Value, &mut Value), will_start("db", false)),
            (
                |_, host| host["RestartPolicy"]["Name"] = "on-failure".into(),
                will_start("db", false),
            ),
            (|_, host| host["RestartPolicy"]["Name"] = "no".into(), stopped.clone()),
            (|_, host| host["RestartPolicy"]["Name"] = "".into(), stopped.clone()),
            (|_, host| host["RestartPolicy"] = Value::Null, stopped.clone()),
            (|config, _| config["HasBeenManuallyStopped"] = true.into(), stopped.clone()),
            (|config, _| config["State"]["Dead"] = true.into(), stopped.clone()),
            // Between two attempts of a restart.
            (|config, _| config["State"]["Running"] = true.into(), will_start("db", false)),
            // A pid of before the reboot.
            (
                |config, _| config["State"] = json!({ "Running": true, "Pid": i32::MAX }),
                will_start("db", false),
            ),
            (
                |config, _| {
                    config["State"] = json!({ "Running": true, "Pid": std::process::id() });
                },
                SourceState::RunsElsewhere,
            ),
        ] {
            assert_eq!(state(edit), expected, "{version}");
        }
        assert_eq!(tree.state("gone"), SourceState::Missing);
        assert_eq!(tree.state("web"), SourceState::Missing, "itself");
    }
}

/// dockerd starts those of the policy `always` when it starts, also those that it stopped itself.
#[test]
fn after_a_crash_a_stop_was_not_by_hand() {
    let tree = Tree::new("docker-28.5");
    let (before, after) = (Some(1_000), Some(4_000_000_000));
    for (policy, since, expected) in [
        ("always", after, will_start("db", false)),
        ("always", before, SourceState::Stopped(named("db"))),
        ("always", None, SourceState::Stopped(named("db"))),
        ("unless-stopped", after, SourceState::Stopped(named("db"))),
    ] {
        tree.docker(&id('d'), "db", |config, host| {
            config["HasBeenManuallyStopped"] = true.into();
            host["RestartPolicy"]["Name"] = policy.into();
        });
        assert_eq!(tree.state_since("db", since), expected, "{policy} {since:?}");
    }
}

#[test]
fn names_of_annotations_ids_and_prefixes_count() {
    let tree = Tree::new("docker-28.5");
    let annotate = |_: &mut Value, host: &mut Value| {
        host["Annotations"] = json!({ "org.oci-link.name": "shop_db_1", "other": 7 });
    };
    tree.docker(&id('d'), "db", annotate);
    tree.docker(&format!("{}e", "a".repeat(63)), "one", |_, _| ());
    tree.docker(&format!("{}f", "a".repeat(63)), "two", |_, _| ());
    for source in ["db", "shop_db_1", &id('d'), &"d".repeat(12)] {
        assert_eq!(tree.state(source), will_start("db", false), "{source}");
    }
    for source in ["d", &"d".repeat(11), &"a".repeat(12), &"d".repeat(65)] {
        assert_eq!(tree.state(source), SourceState::Missing, "{source}");
    }
}

#[test]
fn a_circle_is_found_through_what_does_not_run() {
    let tree = Tree::new("docker-28.5");
    let link = |name: &str, digit: char, links: &str, running: bool| {
        let links = links.to_owned();
        tree.docker(&id(digit), name, |config, host| {
            host["Annotations"] = json!({ "org.oci-link.links": links });
            if running {
                config["State"] = json!({ "Running": true, "Pid": std::process::id() });
            }
        });
    };
    tree.docker(tree.me.as_str(), "web", |_, _| ());
    link("a", '1', "b:x, other", false);
    link("b", '2', "c", false);
    link("c", '3', "b web:y", false);
    link("alone", '4', "alone2", false);
    link("alone2", '5', "alone", false);
    link("odd", '6', "a:b:c", false);
    for (source, expected) in
        [("a", true), ("b", true), ("c", true), ("alone", false), ("alone2", false), ("odd", false)]
    {
        assert_eq!(tree.state(source), will_start(source, expected), "{source}");
    }
    link("b", '2', "c", true);
    assert_eq!(tree.state("a"), will_start("a", false), "b waits for nothing");
    link("c", '3', tree.me.as_str(), false);
    assert_eq!(tree.state("c"), will_start("c", true), "by its id");
}

/// What cannot be read might be the source.
#[test]
fn unreadable_files_make_the_rest_unknown() {
    for (file, text) in [
        ("config.v2.json", "{"),
        ("config.v2.json", "[]"),
        ("config.v2.json", r#"{"ID":"other","Name":"/x","State":{"Running":false}}"#),
        ("other", ""),
    ] {
        let tree = Tree::new("docker-28.5");
        tree.docker(&id('d'), "db", |_, _| ());
        tree.writes(&format!("docker/containers/{}/{file}", id('e')), text);
        assert_eq!(tree.state("gone"), SourceState::Unknown, "{file} {text}");
        assert_eq!(tree.state("db"), will_start("db", false));
        tree.writes("docker/containers/not-an-id/config.v2.json", "{");
    }
    let tree = Tree::new("docker-28.5");
    assert!(tree.listing().read().is_none(), "no directory");
    tree.docker(&id('d'), "db", |_, host| *host = json!([1]));
    assert_eq!(tree.state("db"), SourceState::Stopped(named("db")), "without a policy");
}

#[test]
fn podman_tells_which_containers_there_are() {
    for version in ["podman-4.3", "podman-5.8"] {
        let tree = Tree::new(version);
        let place = "containers/storage/overlay-containers";
        let list = json!([{ "id": tree.me.as_str(), "names": ["web"] },
                          { "id": id('d'), "names": ["db"] }]);
        tree.writes(&format!("{place}/containers.json"), &list.to_string());
        let volatile = json!([{ "id": id('e'), "names": ["cache"] }]);
        tree.writes(&format!("run/{place}/volatile-containers.json"), &volatile.to_string());
        assert_eq!(tree.state("db"), SourceState::MayStart(named("db")), "{version}");
        assert_eq!(tree.state("cache"), SourceState::MayStart(named("cache")), "{version}");
        assert_eq!(tree.state("gone"), SourceState::Missing);
        // A pid without a conmon of that container is another process.
        let userdata = format!("run/{place}/{}/userdata", id('d'));
        tree.writes(&format!("{userdata}/pidfile"), &std::process::id().to_string());
        tree.writes(&format!("{userdata}/conmon.pid"), &std::process::id().to_string());
        assert_eq!(tree.state("db"), SourceState::MayStart(named("db")));
        tree.writes(&format!("{place}/containers.json"), "{");
        assert!(tree.listing().read().is_none());
    }
}

#[test]
fn other_engines_have_no_list() {
    let spec = Spec::parse(Path::new("/b"), br#"{"root":{"path":"r"}}"#).unwrap();
    let id = ContainerId::new("web").unwrap();
    let clues = Clues { id: &id, bundle: Path::new("/b"), spec: &spec };
    assert_eq!(listing(&clues), Listing::None);
}
