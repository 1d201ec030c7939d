//! Tests of edits: what changes, and what does not.

use super::*;
use crate::oci::hooks::injected_arguments;
use oci_spec::runtime::HookBuilder;
use serde_json::{Value, json};

const CONFIG: &str = r#"{
	"ociVersion": "1.0.2",
	"x-unknown": {"big": 18446744073709551615, "float": 1.50e2, "text": "\u00e9\/"},
	"process": {
		"cwd": "/",
		"user": {"uid": 0, "gid": 0},
		"args": ["sh"],
		"env": [
			"PATH=/bin",
			"DB_NAME=mine"
		]
	},
	"root": {"path": "rootfs"},
	"hooks": {
		"prestart": [{"path": "/other"}],
		"createRuntime": [ {"path": "/net", "args": ["net", "hook"]} ]
	}
}
"#;

fn hook(variables: &[Variable]) -> Hook {
    let mut args = vec!["oci-link".to_owned(), "hook".to_owned(), "createRuntime".to_owned()];
    args.extend(injected_arguments(variables));
    HookBuilder::default().path("/usr/bin/oci-link").args(args).build().unwrap()
}

fn document(text: &str) -> ConfigJson<'_> {
    ConfigJson::parse(text.as_bytes(), text).unwrap()
}

fn try_edit(bytes: &[u8], variables: &[Variable]) -> Result<Vec<u8>> {
    let hooks = [("createRuntime", hook(variables)), ("poststop", hook(&[]))];
    ConfigJson::parse(bytes, &json::text(bytes))?.edited(variables, &hooks)
}

fn edited(text: &str, variables: &[Variable]) -> String {
    String::from_utf8(try_edit(text.as_bytes(), variables).unwrap()).unwrap()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn nothing_else_changes() {
    let new = edited(CONFIG, &[Variable::new("DB_PORT", "tcp://10.0.0.2:80")]);
    let (start, end) = (CONFIG.find("\"env\"").unwrap(), CONFIG.find("\"root\"").unwrap());
    assert!(new.starts_with(&CONFIG[..start]));
    assert!(new.contains(&CONFIG[end - 3..CONFIG.find("\"hooks\"").unwrap()]));
    assert!(new.contains("\t\t\t\"DB_NAME=mine\",\n\t\t\t\"DB_PORT=tcp://10.0.0.2:80\"\n\t\t]"));
    let hooks = &parsed(&new)["hooks"];
    assert_eq!(hooks["prestart"], json!([{"path": "/other"}]));
    assert_eq!(hooks["createRuntime"][0], json!({"path": "/net", "args": ["net", "hook"]}));
    assert_eq!(hooks["createRuntime"][1]["path"], "/usr/bin/oci-link");
    assert_eq!(hooks["poststop"][0]["path"], "/usr/bin/oci-link");
}

#[test]
fn twice_is_once_and_new_values_replace_old_ones() {
    let old = [Variable::new("DB_PORT", "old"), Variable::new("DB_ENV_a,b", "x")];
    let first = edited(CONFIG, &old);
    let hooked = |text: &str| document(text).has_hooks();
    assert_eq!((hooked(CONFIG), hooked(&first)), (false, true));
    assert_eq!(edited(&first, &old), first);
    let own = document(&first).own_variables().unwrap();
    assert_eq!(own, [Variable::new("PATH", "/bin"), Variable::new("DB_NAME", "mine")]);
    let second = edited(&first, &[Variable::new("DB_PORT", "new")]);
    assert_eq!(
        parsed(&second)["process"]["env"],
        json!(["PATH=/bin", "DB_NAME=mine", "DB_PORT=new"])
    );
    let none = edited(&second, &[]);
    assert_eq!(parsed(&none)["process"], parsed(CONFIG)["process"]);
}

#[test]
fn what_is_missing_is_made() {
    for env in ["", r#""env":null,"#, r#""env":[],"#] {
        for hooks in ["", r#","hooks":null"#, r#","hooks":{}"#, r#","hooks":{"poststop":null}"#] {
            let rest = r#""cwd":"/","user":{"uid":0,"gid":0}"#;
            let text = format!(r#"{{"ociVersion":"1.0.2","process":{{{env}{rest}}}{hooks}}}"#);
            let new = parsed(&edited(&text, &[Variable::new("A", "1")]));
            assert_eq!(new["process"]["env"], json!(["A=1"]), "{text}");
            assert_eq!(new["hooks"]["createRuntime"].as_array().map(Vec::len), Some(1));
            assert_eq!(new["hooks"]["poststop"].as_array().map(Vec::len), Some(1));
        }
    }
}

#[test]
fn what_cannot_be_edited() {
    for bad in [
        "{}",
        r#"{"process":{"env":[1]}}"#,
        r#"{"process":1}"#,
        r#"{"process":{"env":{}}}"#,
        r#"{"process":{},"hooks":[]}"#,
        r#"{"process":{},"hooks":{"poststop":{}}}"#,
        "[]",
        "",
    ] {
        assert!(try_edit(bad.as_bytes(), &[]).is_err(), "{bad}");
    }
    for (twice, what) in [
        (r#"{"process":{},"process":{}}"#, "process"),
        (r#"{"process":{"env":[],"env":[]}}"#, "process.env"),
        (r#"{"process":{},"hooks":{},"hooks":{}}"#, "hooks"),
        (r#"{"process":{},"hooks":{"poststop":[],"poststop":[]}}"#, "hooks.poststop"),
    ] {
        let error = try_edit(twice.as_bytes(), &[]).unwrap_err().to_string();
        assert_eq!(error, format!("config.json, {what}: occurs twice"));
    }
}

/// Whatever a runtime accepts passes, and stays as it is byte for byte.
#[test]
fn the_rest_is_not_judged() {
    let added = [Variable::new("A", "1")];
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for rest in [
        r#""x":1"#,
        r#""ociVersion":null"#,
        r#""linux":{"resources":{"pids":{"limit":null},"devices":[{"type":""}]}}"#,
        r#""linux":{"namespaces":[{"type":"future"}]}"#,
        r#""annotations":{"a":"1","a":"2","b":null}"#,
        r#""hostname":"a","hostname":"b""#,
        "\"x\":\"\\ud800\"",
        &format!("\"x\":{deep}"),
        &(0..10_000).map(|n| format!("\"k{n}\":{n}")).collect::<Vec<_>>().join(","),
    ] {
        let process = r#""process":{"scheduler":{"flags":["SCHED_FLAG_RESET_ON_FORK"]},
            "capabilities":{"bounding":["CAP_FUTURE"]},"rlimits":[{"type":"X"}],"args":"x"}"#;
        let text = format!("{{ {rest}, {process} }} trailing");
        let new = edited(&text, &added);
        let (before, after) = new.split_once(",\"env\": [\"A=1\"]").unwrap();
        assert!(after.starts_with("}, \"hooks\": {") && after.ends_with("} } trailing"), "{after}");
        assert_eq!(format!("{before}}} }} trailing"), text);
    }
}

#[test]
fn bytes_that_are_not_utf8_stay() {
    let text = b"{\"process\":{\"env\":[\"X=\xff\",\"Y=\xc3\xa9\"],\"cwd\":\"\xfe\"},\"hooks\":{\"prestart\":[{\"path\":\"/\xff\"}]}}";
    let new = try_edit(text, &[Variable::new("A", "\u{e9}")]).unwrap();
    let has = |part: &[u8]| new.windows(part.len()).any(|window| window == part);
    assert!(
        has(b"[\"X=\xff\", \"Y=\xc3\xa9\", \"A=\xc3\xa9\"]"),
        "{}",
        String::from_utf8_lossy(&new)
    );
    assert!(has(b"\"cwd\":\"\xfe\"") && has(b"{\"path\":\"/\xff\"}"));
    assert_eq!(try_edit(&new, &[Variable::new("A", "\u{e9}")]).unwrap(), new, "twice is once");
}
