//! What a hook reads of a starting container: the OCI state, config.json and the process.
//!
//! The processes of these tests share the network namespace of the test, so they count as
//! containers on the host's network.

use crate::error::{Kind, Result};
use crate::lifecycle::fakes::{Scene, Sleeper};
use crate::lifecycle::starting::{StartingContainer, hosts_file, remembered};
use crate::model::{Hostname, Missing, Network, Phase};
use crate::oci::spec::Spec;
use crate::oci::state::State;
use crate::sys::process;
use std::fs;
use std::path::Path;

fn state(scene: &Scene, pid: i32) -> String {
    let bundle = scene.directory().display();
    format!(r#"{{"id":"web","status":"creating","pid":{pid},"bundle":"{bundle}"}}"#)
}

fn read(scene: &Scene, state: &str) -> Result<StartingContainer> {
    StartingContainer::read(&scene.host, &State::parse(state.as_bytes())?)
}

/// The message of a refusal. A [`StartingContainer`] cannot be printed.
fn refusal(outcome: Result<StartingContainer>) -> (Kind, String) {
    match outcome {
        Ok(_) => panic!("the container was read"),
        Err(error) => (error.kind, error.to_string()),
    }
}

fn write_config(directory: &Path, rest: &str) {
    let text = format!(
        r#"{{"process":{{"env":["MODE=fast","SECRET=x"]}},"root":{{"path":"rootfs"}},
        "hostname":"site"{rest}}}"#
    );
    fs::write(directory.join("config.json"), text).unwrap();
}

#[test]
fn a_record_says_what_was_read() {
    let (scene, sleeper) = (Scene::new(), Sleeper::new());
    let annotations = r#","annotations":{"org.oci-link.links":"db:sql","org.oci-link.name":"shop",
        "org.oci-link.ports":"80","org.oci-link.env":"MODE","org.oci-link.missing":"wait=2s"}"#;
    write_config(scene.directory(), annotations);
    let container = read(&scene, &state(&scene, sleeper.pid())).unwrap();
    let record = &container.record;
    assert_eq!((record.phase, record.revision), (Phase::Pending, 0));
    assert_eq!(
        (record.name.as_str(), record.hostname.as_ref().map(Hostname::as_str)),
        ("shop", Some("site"))
    );
    assert_eq!(
        (record.network.clone(), record.ports.to_string()),
        (Network::Host, "80/tcp".into())
    );
    assert_eq!(record.environment.len(), 1);
    assert_eq!(record.links[0].link.alias.as_str(), "sql");
    assert_eq!(record.bundle.as_deref(), Some(scene.directory()));
    assert_eq!(record.instance.pid, sleeper.pid());
    assert_eq!(Some(record.instance.started), process::start_time(sleeper.pid()).unwrap());
    assert!(container.hosts.is_none(), "the host's network has the host's file");
    assert!(!container.config.is_empty() && !container.absences.waited);
    assert!(matches!(container.missing, Missing::Wait(_)));
}

#[test]
fn a_container_without_annotations_has_its_id_as_name() {
    let (scene, sleeper) = (Scene::new(), Sleeper::new());
    write_config(scene.directory(), "");
    let container = read(&scene, &state(&scene, sleeper.pid())).unwrap();
    assert_eq!(container.record.name.as_str(), "web");
    assert!(container.record.links.is_empty() && container.missing == Missing::Auto);
}

#[test]
fn a_state_without_a_process_or_a_bundle_is_refused() {
    let (scene, sleeper) = (Scene::new(), Sleeper::new());
    let (kind, message) = refusal(read(&scene, r#"{"id":"web","bundle":"/b"}"#));
    assert_eq!((kind, message.as_str()), (Kind::Namespace, "state of web: has no pid"));
    let (kind, message) =
        refusal(read(&scene, &format!(r#"{{"id":"web","pid":{}}}"#, sleeper.pid())));
    assert_eq!((kind, message.as_str()), (Kind::Input, "state of web: has no bundle"));
}

#[test]
fn a_process_that_is_no_container_is_refused() {
    let (scene, sleeper) = (Scene::new(), Sleeper::new());
    write_config(scene.directory(), "");
    for pid in [1, process::own_pid().unwrap()] {
        let (kind, message) = refusal(read(&scene, &state(&scene, pid)));
        assert_eq!(kind, Kind::Unsafe, "{message}");
    }
    sleeper.end();
    let (kind, message) = refusal(read(&scene, &state(&scene, sleeper.pid())));
    assert_eq!(kind, Kind::Namespace, "{message}");
}

#[test]
fn a_bundle_without_config_json_is_refused() {
    let (scene, sleeper) = (Scene::new(), Sleeper::new());
    let (kind, message) = refusal(read(&scene, &state(&scene, sleeper.pid())));
    assert_eq!(kind, Kind::Input);
    assert!(message.contains("config.json"), "{message}");
}

#[test]
fn annotations_of_the_state_must_be_those_of_config_json() {
    let (scene, sleeper) = (Scene::new(), Sleeper::new());
    write_config(scene.directory(), r#","annotations":{"org.oci-link.links":"db"}"#);
    let text = state(&scene, sleeper.pid());
    let other = text.replace('}', r#","annotations":{"org.oci-link.links":"mq"}}"#);
    assert_eq!(refusal(read(&scene, &other)).0, Kind::Unsafe);
}

#[test]
fn the_state_files_of_the_runtimes_are_read() {
    let scene = Scene::new();
    assert_eq!(remembered(scene.directory()), None);
    fs::write(scene.directory().join("status"), r#"{"pid":7,"bundle":"/b"}"#).unwrap();
    assert_eq!(remembered(scene.directory()).unwrap().pid, 7);
}

#[test]
fn config_json_says_where_the_hosts_file_is() {
    let scene = Scene::new();
    let state = &scene.host.config.state_dir;
    let of = |rest: &str| {
        write_config(scene.directory(), rest);
        let text = fs::read(scene.directory().join("config.json")).unwrap();
        hosts_file(&Spec::parse(scene.directory(), &text).unwrap(), state)
    };
    fs::create_dir(scene.directory().join("rootfs")).unwrap();
    assert_eq!(of("").unwrap().content(), None);
    let mount = |to: &str| {
        let from = scene.hosts("web");
        format!(
            r#","mounts":[{{"destination":"{to}","type":"bind","source":"{}","options":["bind"]}}]"#,
            from.display()
        )
    };
    assert_eq!(of(&mount("/etc/hosts")).unwrap().content(), Some(&b"127.0.0.1\tlocalhost\n"[..]));
    let error = of(&mount("/etc")).unwrap_err();
    assert!(error.to_string().contains("hidden by another mount"), "{error}");
}
