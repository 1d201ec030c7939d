//! Link variables and hooks in config.json, before a container exists.

use super::db;
use crate::error::{Kind, Result};
use crate::lifecycle::fakes::{Listener, Scene};
use crate::lifecycle::inject::{Hooks, NewContainer, Starts, edited};
use crate::model::ContainerId;
use serde_json::Value;
use std::cell::Cell;

/// The config.json of a container `web` with these annotations, each as `"key":"value"`.
fn config(annotations: &[&str]) -> String {
    let annotations: Vec<String> =
        annotations.iter().map(|entry| format!("\"org.oci-link.{}", &entry[1..])).collect();
    format!(
        r#"{{"ociVersion":"1.0.2","process":{{"user":{{"uid":0,"gid":0}},"args":["sh"],"cwd":"/",
        "env":["PATH=/bin"]}},"root":{{"path":"rootfs"}},"hostname":"web",
        "annotations":{{{}}}}}"#,
        annotations.join(",")
    )
}

fn edit(scene: &Scene, text: &str, hooks: Hooks<'_>, starts: Starts) -> Result<String> {
    let id = ContainerId::new("web").unwrap();
    let bundle = scene.directory();
    let text = text.as_bytes();
    let edited = edited(&scene.host, NewContainer { id: Some(&id), bundle, text, starts }, hooks)?;
    Ok(String::from_utf8(edited).unwrap())
}

fn variables(text: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(text).unwrap();
    let env = value["process"]["env"].as_array().unwrap();
    env.iter().map(|entry| entry.as_str().unwrap().to_owned()).collect()
}

fn hook(text: &str, stage: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap();
    value["hooks"][stage][0].clone()
}

fn arguments(text: &str, stage: &str) -> Vec<String> {
    let hook = hook(text, stage);
    hook["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap().to_owned()).collect()
}

fn with_db() -> Scene {
    let scene = Scene::new();
    scene.start(&db().showing(&["MODE=fast"])).unwrap();
    scene
}

#[test]
fn the_variables_of_a_link_and_both_hooks_are_added() {
    let scene = with_db();
    let text = edit(&scene, &config(&[r#""links":"db""#]), Hooks::Both, Starts::Now).unwrap();
    let all = variables(&text);
    assert_eq!(all[0], "PATH=/bin");
    for expected in ["DB_NAME=/web/db", "DB_PORT=tcp://10.0.0.2:80", "DB_ENV_MODE=fast"] {
        assert!(all.iter().any(|entry| entry == expected), "{expected}: {all:?}");
    }
    let start = arguments(&text, "createRuntime");
    let state = scene.host.config.state_dir.display().to_string();
    assert_eq!(start[..5], ["oci-link", "--state-dir", &state, "hook", "createRuntime"]);
    assert_eq!(start[5], "--injected");
    assert_eq!(arguments(&text, "poststop")[3..], ["hook", "poststop"]);
    assert_eq!(hook(&text, "createRuntime")["timeout"], 30);
}

#[test]
fn behind_an_engine_only_the_poststop_hook_is_added() {
    let scene = with_db();
    let linked = config(&[r#""links":"db""#]);
    let text = edit(&scene, &linked, Hooks::Poststop, Starts::NowByHook).unwrap();
    assert!(hook(&text, "createRuntime").is_null());
    assert!(arguments(&text, "poststop").contains(&"--injected".to_owned()));
    let unlinked = config(&[]);
    assert_eq!(edit(&scene, &unlinked, Hooks::Poststop, Starts::NowByHook).unwrap(), unlinked);
}

#[test]
fn the_options_of_this_call_are_those_of_the_hooks() {
    let mut scene = with_db();
    scene.host.config.named = Some("/c.toml".into());
    scene.host.config.log_file = Some("/l".into());
    let text = edit(&scene, &config(&[r#""links":"db""#]), Hooks::Both, Starts::Now).unwrap();
    let all = arguments(&text, "poststop").join(" ");
    assert!(all.starts_with("oci-link --config /c.toml --state-dir "), "{all}");
    assert!(all.contains(" --log-file /l hook poststop"), "{all}");
}

#[test]
fn a_missing_source_refuses_the_edit_or_is_deferred() {
    let scene = Scene::new();
    let fail = config(&[r#""links":"db""#]);
    assert_eq!(edit(&scene, &fail, Hooks::Both, Starts::Now).unwrap_err().kind, Kind::Source);
    let log = Listener::new();
    let defer = config(&[r#""links":"db""#, r#""missing":"defer""#]);
    let text = edit(&scene, &defer, Hooks::Both, Starts::Now).unwrap();
    assert_eq!(variables(&text), ["PATH=/bin"]);
    assert!(
        log.heard("WARN db does not run: the variables for db are missing"),
        "{:?}",
        log.lines()
    );
}

#[test]
fn a_wait_belongs_to_the_call_that_starts_the_container() {
    let wait = |time: &str| config(&[r#""links":"db""#, &format!(r#""missing":"wait={time}""#)]);
    let scene = Scene::new();
    let (store, looks) = (scene.store.clone(), Cell::new(0));
    scene.journal.before("find db", move || {
        looks.set(looks.get() + 1);
        if looks.get() == 2 {
            store.insert(db());
        }
    });
    let text = edit(&scene, &wait("60s"), Hooks::Both, Starts::NowByHook).unwrap();
    assert!(variables(&text).len() > 1);
    assert_eq!(hook(&text, "createRuntime")["timeout"], 90);

    let scene = Scene::new();
    let error = edit(&scene, &wait("20ms"), Hooks::Both, Starts::Now).unwrap_err();
    assert!(error.to_string().ends_with("waited 20 ms"), "{error}");
    let text = edit(&scene, &wait("60s"), Hooks::Both, Starts::Later).unwrap();
    assert_eq!(variables(&text), ["PATH=/bin"]);
}

#[test]
fn a_container_without_an_id_needs_a_name() {
    let scene = with_db();
    let bundle = scene.directory();
    let edit = |text: &str| {
        let text = text.as_bytes();
        let container = NewContainer { id: None, bundle, text, starts: Starts::Now };
        edited(&scene.host, container, Hooks::Both).map(|text| String::from_utf8(text).unwrap())
    };
    let error = edit(&config(&[r#""links":"db""#])).unwrap_err();
    assert!(error.to_string().contains("has no name"), "{error}");
    let text = edit(&config(&[r#""links":"db""#, r#""name":"site""#])).unwrap();
    assert!(variables(&text).contains(&"DB_NAME=/site/db".to_owned()));
}

#[test]
fn a_link_to_the_container_itself_is_refused() {
    let scene = with_db();
    let refused = |source: &str| {
        let text = config(&[&format!(r#""links":"{source}:me""#)]);
        edit(&scene, &text, Hooks::Both, Starts::Now).unwrap_err().to_string()
    };
    let error = refused("web");
    assert!(error.contains("a container cannot be linked to itself"), "{error}");
    let error = refused("we");
    assert!(error.contains("No such container: we"), "no prefix of its id: {error}");
}
