//! Fuzz targets for documents and command lines. A parsed value must match its input, and written
//! output must parse to the same value.

use crate::compose::{ComposeOptions, convert};
use crate::config::Config;
use crate::engine::{
    cni_networks, crio, docker, docker_links, docker_sources, nerdctl, networks, podman, storage,
};
use crate::model::{
    ContainerId, ContainerName, EngineLink, EnvFilter, Link, Missing, Owner, PortSet, Variable,
    parse_links, taken_over,
};
use crate::oci::annotations::declares_links;
use crate::oci::command_line::{Action, CommandLine};
use crate::oci::edit::ConfigJson;
use crate::oci::exec::with_link_variables;
use crate::oci::hooks::{injected_arguments, start_timeout};
use crate::oci::json;
use crate::oci::runtime_state::RuntimeState;
use crate::oci::spec::Spec;
use crate::oci::state::State;
use crate::store::format;
use oci_spec::runtime::{Hook, HookBuilder};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The container id in the corpus of engine files.
const ID: &str = "4f1c3b0d9a8e7f6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a392817060504";

/// The OCI state that runtimes write to hooks.
pub fn state(bytes: &[u8]) {
    let Ok(state) = State::parse(bytes) else { return };
    assert!(state.pid.is_none_or(|pid| pid > 0));
    assert!(state.bundle.is_none_or(|bundle| bundle.is_absolute()));
    if let Some(annotations) = &state.annotations {
        let _ = annotations.declared();
        assert!(annotations.must_agree(annotations).is_ok());
    }
}

/// The state files of runtimes.
pub fn runtime_state(bytes: &[u8]) {
    if let Ok(state) = RuntimeState::parse(bytes) {
        assert!(state.pid > 0 && state.bundle.is_absolute());
    }
}

/// config.json, read as for hooks and edited as for `prepare` and the wrapper. An edit keeps the
/// container's own variables, hides the added ones when config.json is read again, and is
/// idempotent.
pub fn config_json(bytes: &[u8]) {
    let bundle = Path::new("/bundle");
    let before = Spec::parse(bundle, bytes);
    let _ = start_timeout(bytes);
    let _ = declares_links(bytes);
    let text = json::text(bytes);
    let Ok(document) = ConfigJson::parse(bytes, &text) else { return };
    let Ok(own) = document.own_variables() else { return };
    let added = [("DB_PORT", "tcp://10.0.0.2:3306"), ("DB_NAME", "/web/db \"\\\n")];
    let added = added.map(|(key, value)| Variable::new(key, value));
    if added.iter().any(|variable| own.iter().any(|own| own.key == variable.key)) {
        return; // Own variables win; nothing is added then.
    }
    let memory = injected_arguments(&added);
    let hooks = [("createRuntime", hook("createRuntime", &memory)), ("poststop", hook("p", &[]))];
    let Ok(edited) = document.edited(&added, &hooks) else { return };

    let text = json::text(&edited);
    let Ok(again) = ConfigJson::parse(&edited, &text) else { panic!("unreadable: {text}") };
    assert!(again.has_hooks());
    assert_eq!(again.own_variables().ok(), Some(own));
    assert_eq!(again.edited(&added, &hooks).ok().as_ref(), Some(&edited), "twice is once");
    if let (Ok(before), Ok(after)) = (before, Spec::parse(bundle, &edited)) {
        assert_eq!(before.environment, after.environment);
        assert_eq!((before.root().ok(), &before.hosts), (after.root().ok(), &after.hosts));
        assert_eq!(before.annotations, after.annotations);
    }
}

fn hook(phase: &str, memory: &[String]) -> Hook {
    let mut args: Vec<String> = ["oci-link", "hook", phase].map(str::to_owned).to_vec();
    args.extend_from_slice(memory);
    let hook = HookBuilder::default().path("/usr/bin/oci-link").args(args).timeout(30);
    hook.build().unwrap_or_default()
}

/// The values of our annotations. A value that is printed must parse to itself.
pub fn annotations(bytes: &[u8]) {
    let Ok(value) = std::str::from_utf8(bytes) else { return };
    for link in parse_links(value).iter().flatten() {
        let said = format!("{}:{}", link.source, link.alias);
        assert_eq!(Link::parse(&said).ok().as_ref(), Some(link), "{said}");
    }
    if let Ok(ports) = PortSet::parse(value) {
        let said = ports.to_string();
        let again = PortSet::parse(&said).ok().map(|ports| ports.to_string());
        assert_eq!(again.as_ref(), Some(&said));
    }
    if let Ok(name) = ContainerName::new(value) {
        assert_eq!(name.as_str(), value);
    }
    if let Ok(filter) = EnvFilter::parse(value) {
        let (key, _) = value.split_once(',').unwrap_or((value, ""));
        let _ = (filter.allows(key), filter.allows("MYSQL_ROOT_PASSWORD"), filter.allows(""));
    }
    let _ = Missing::parse(value);
}

/// A record. If it can be read, it can be written, and reading it again gives the same record.
pub fn record(bytes: &[u8]) {
    let Ok(record) = format::decode(bytes) else { return };
    let Ok(written) = format::encode(&record) else { panic!("cannot be written: {record:?}") };
    assert_eq!(format::decode(&written).ok(), Some(record));
}

/// Files in which engines keep container data. Each parser gets the bytes, whichever file they are
/// from.
pub fn engine_files(bytes: &[u8]) {
    let Ok(id) = ContainerId::new(ID) else { panic!("{ID}") };
    let _ = docker::parse(bytes, &id);
    let _ = docker_sources::host_config(bytes);
    let _ = docker_links::addresses_in(bytes);
    for recorded in [docker_links::on_default_bridge(bytes), docker_links::on_user_networks(bytes)]
    {
        let owner = Owner { id: &id, names: [None, None], hostname: None };
        let (taken, _) = taken_over(&recorded.unwrap_or_default(), owner, |_| None);
        for link in taken {
            assert_eq!(EngineLink::parse(&link.to_string()).ok().as_ref(), Some(&link));
        }
    }
    let _ = networks::separation(bytes);
    let _ = cni_networks::separation(bytes);
    let _ = storage::parse_list(bytes, &id);
    let _ = storage::names_in(bytes);
    let _ = storage::parse_image(bytes);
    let _ = podman::parse_conmon(bytes, &id);
    let _ = podman::parse_parent(bytes);
    if let Ok(label) = std::str::from_utf8(bytes) {
        let _ = nerdctl::exposed(label);
        let _ = nerdctl::published(label);
        let _ = crio::metadata_name(label);
    }
}

/// A Compose file. Converting it twice must give the same text as converting it once.
pub fn compose(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for options in
        [ComposeOptions::default(), ComposeOptions { runtime: Some("oci-link"), ports: true }]
    {
        if let Ok(converted) = convert(text, &options) {
            let again = convert(&converted.text, &options).ok();
            assert_eq!(again.map(|again| again.text), Some(converted.text));
        }
    }
}

/// The file of `exec --process`. An edit leaves nothing to add.
pub fn exec_process(bytes: &[u8]) {
    let config = br#"{"process":{"env":["A=1","DB_PORT=tcp://10.0.0.2:3306","DB_NAME=/web/db"]},
        "hooks":{"poststop":[{"path":"/oci-link","args":["oci-link","hook","poststop","--injected",
        "DB_PORT=DB_NAME"]}]}}"#;
    let Ok(Some(edited)) = with_link_variables(bytes, config) else { return };
    let again = with_link_variables(&edited, config);
    assert!(matches!(again, Ok(None)), "{}", String::from_utf8_lossy(&edited));
}

/// A runtime command line, one argument per line. The container id must be one of the arguments
/// after the global options.
pub fn command_line(bytes: &[u8]) {
    let words = bytes.split(|byte| *byte == b'\n').map(|word| OsStr::from_bytes(word).to_owned());
    let words: Vec<OsString> = words.collect();
    let line = CommandLine::parse(&words);
    assert!(line.globals <= words.len());
    let id = match &line.action {
        Action::Create(creation) | Action::Run(creation) => &creation.id,
        Action::Start(id) | Action::Delete(id) | Action::State(id) => id,
        Action::Exec(execution) => {
            let other = execution.with_process(&words, Path::new("/other"));
            let changed = || other.iter().zip(&words).filter(|(new, old)| new != old);
            assert!(changed().all(|(new, _)| new.as_bytes().ends_with(b"/other")), "{other:?}");
            assert!(other.len() == words.len() && changed().count() <= 1, "{other:?}");
            &execution.id
        }
        Action::Other => return,
    };
    assert!(words[line.globals..].contains(id), "{words:?}");
}

/// config.toml. An error must name the file and fit on one line.
pub fn config_toml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = Config::parse("/etc/config.toml", text) {
        let message = error.to_string();
        assert!(message.starts_with("/etc/config.toml") && !message.contains('\n'), "{message}");
    }
}
