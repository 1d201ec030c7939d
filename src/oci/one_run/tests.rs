//! Tests of hooks for one run: what is added is recognized and goes again.

use super::*;
use crate::oci::edit::ConfigJson;
use oci_spec::runtime::HookBuilder;
use serde_json::Value;

/// config.json in forms whose text an edit treats differently.
const FORMS: [&str; 11] = [
    r#"{"process":{"env":["A=1"]}}"#,
    r#"{"process":{"env":[ "A=1" ,"B=2" ]},"x":1}"#,
    r#"{"process":{},"hooks":{"poststop":[{"path":"/log"}]},"x":[]}"#,
    r#"{"process":{},"hooks":{"createRuntime":[{"path":"/net"}],"prestart":[]}}"#,
    r#"{"hooks":{},"process":{"env":[]}}"#,
    r#"{"hooks":null,"process":{"env":null}}"#,
    r#"{"process":{},"hooks":{"createRuntime":[],"poststop":null}}"#,
    r#"{"process":{},"hooks":{"poststop":[{"path":"/b/oci-link","args":["oci-link","hook"]}]}}"#,
    "{\n\t\"process\": {\n\t\t\"env\": [\n\t\t\t\"A=1\"\n\t\t]\n\t}\n}\n",
    r#"{"process":{"args":["x"]}} behind"#,
    "{ \"process\" : { } , \"y\" : \"\\ud800\" }",
];

fn hooks() -> [(&'static str, Hook); 2] {
    let hook = |stage: &str| {
        let args = ["oci-link", "hook", stage, RESTORES, "/b/config.json"].map(String::from);
        HookBuilder::default().path("/opt/oci-link-runc").args(args).timeout(30).build().unwrap()
    };
    [("createRuntime", hook("createRuntime")), ("poststop", hook("poststop"))]
}

fn edited(original: &str) -> Vec<u8> {
    let text = json::text(original.as_bytes());
    ConfigJson::parse(original.as_bytes(), &text).unwrap().edited(&[], &hooks()).unwrap()
}

fn value(bytes: &[u8]) -> Value {
    let text = json::text(bytes);
    let text = text.split(" behind").next().unwrap();
    let mut value: Value = serde_json::from_str(text).unwrap();
    // An edit adds an empty list, which means the same.
    let process = value["process"].as_object_mut().unwrap();
    if process.get("env").is_some_and(|env| env.is_null() || env == &Value::Array(Vec::new())) {
        process.remove("env");
    }
    value
}

#[test]
fn what_was_added_is_recognized() {
    for original in FORMS {
        let edited = edited(original);
        assert!(may_be_left(&edited) && !may_be_left(original.as_bytes()), "{original}");
        assert!(adds_hooks(original.as_bytes(), &edited), "{original}");
        assert!(!adds_hooks(original.as_bytes(), original.as_bytes()), "{original}");
        let text = String::from_utf8(edited).unwrap();
        for changed in [text.replacen("process\"", "process\" ", 1), format!("{text} ")] {
            assert!(!adds_hooks(original.as_bytes(), changed.as_bytes()), "{changed}");
        }
        for broken in ["", "{", "[]", "{\"hooks\":7}"] {
            assert!(!adds_hooks(original.as_bytes(), broken.as_bytes()), "{broken}");
            assert!(!adds_hooks(broken.as_bytes(), text.as_bytes()), "{broken}");
        }
    }
}

#[test]
fn only_the_hooks_for_one_run_go() {
    for original in FORMS {
        let edited = edited(original);
        let cleaned = without_hooks(&edited).unwrap().unwrap();
        assert!(!may_be_left(&cleaned), "{original}");
        let (mut before, after) = (value(original.as_bytes()), value(&cleaned));
        // Empty lists, and a hook of ours of an earlier edit, do not come back.
        if let Some(stages) = before["hooks"].as_object_mut() {
            stages.retain(|stage, list| {
                let is_ours = list[0]["path"] == "/b/oci-link";
                let is_edited = ["createRuntime", "poststop"].contains(&stage.as_str());
                let is_empty = list.as_array().is_none_or(Vec::is_empty);
                !(is_ours || is_edited && is_empty)
            });
        }
        if before["hooks"].as_object().is_none_or(serde_json::Map::is_empty) {
            before.as_object_mut().unwrap().remove("hooks");
        }
        assert_eq!(before, after, "{original}");
        assert_eq!(without_hooks(original.as_bytes()).unwrap(), None, "{original}");
    }
    assert!(without_hooks(b"{").is_err());
}

#[test]
fn only_containers_without_links_get_hooks_for_one_run() {
    assert!(FORMS.iter().all(|form| is_wanted(form.as_bytes())));
    for wanted in [r#""links":"none""#, r#""name":"db""#, r#""isolate":"none""#] {
        let text = format!(r#"{{"annotations":{{"org.oci-link.{}}}}}"#, &wanted[1..]);
        assert!(is_wanted(text.as_bytes()), "{text}");
    }
    for linked in [r#""links":"db""#, r#""isolate":"in""#, r#""links":"-bad-""#] {
        let text = format!(r#"{{"annotations":{{"org.oci-link.{}}}}}"#, &linked[1..]);
        assert!(!is_wanted(text.as_bytes()), "{text}");
    }
    let had_links = r#"{"process":{"env":["DB_PORT=1"]},"hooks":{"poststop":[
        {"path":"/b/oci-link","args":["oci-link","hook","--injected","DB_PORT"]}]}}"#;
    assert!(!is_wanted(had_links.as_bytes()));
}
