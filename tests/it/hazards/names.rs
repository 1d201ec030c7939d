//! Names, aliases, ids and the like that would mean something else to a hosts file, a rule, a path
//! or a terminal.

use super::kinds::Immutable;
use super::scene::{Scene, isolated};
use crate::support::each_runtime;
use serde_json::Value;
use std::path::Path;

/// What a name must not have in it. All but the first three separate nothing, so they are refused
/// in lists too.
const SEPARATORS: [char; 3] = ['\n', '\t', ' '];
const FORBIDDEN: [char; 9] =
    ['\r', '#', '\0', '\u{2028}', '\u{202e}', '\u{1b}', '\u{7f}', '/', '\u{e9}'];

/// Hook and `prepare` refuse web as `change` makes it; afterwards it is as before.
#[track_caller]
fn refused(scene: &Scene, code: i32, word: &str, change: impl FnOnce(&mut Value)) {
    let old = scene.config();
    scene.edit(change);
    scene.refused(code, word);
    scene.prepare_refused(code, word);
    scene.write_config(&old);
}

#[track_caller]
fn annotation_refused(scene: &Scene, key: &str, value: &str, code: i32, word: &str) {
    let key = format!("org.oci-link.{key}");
    refused(scene, code, word, |config| config["annotations"][key] = value.into());
}

/// What a command printed does nothing to a terminal, and makes no line that looks like another.
#[track_caller]
fn assert_harmless(printed: &str) {
    let harmless = |c: char| matches!(c, '\n' | '…') || c.is_ascii_graphic() || c == ' ';
    assert!(printed.chars().all(harmless), "{printed:?}");
    assert!(!printed.contains("\n6.6.6.6"), "{printed}");
}

each_runtime! {
    fn a21_characters_that_no_name_has(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        for c in FORBIDDEN {
            annotation_refused(&scene, "links", &format!("db:evil{c}x"), 3, "evil");
            annotation_refused(&scene, "links", &format!("evil{c}x:db"), 3, "evil");
            annotation_refused(&scene, "ports", &format!("80/evil{c}x"), 3, "evil");
            annotation_refused(&scene, "env", &format!("EVIL{c}X"), 3, "EVIL");
        }
        for c in FORBIDDEN.into_iter().chain(SEPARATORS) {
            annotation_refused(&scene, "name", &format!("evil{c}x"), 3, "evil");
            annotation_refused(&scene, "name", &format!("evil{c}"), 3, "evil");
            annotation_refused(&scene, "name", &format!("{c}evil"), 3, "evil");
        }
    }

    /// In lists they separate: what stands behind is a value of its own, and no good one.
    fn a21_characters_that_separate(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        for c in SEPARATORS {
            annotation_refused(&scene, "links", &format!("db:a{c}6.6.6.6 evil"), 4, "6.6.6.6");
            annotation_refused(&scene, "links", &format!("db:a{c}:evil"), 3, ":evil");
            annotation_refused(&scene, "ports", &format!("80{c}evil"), 3, "evil");
            annotation_refused(&scene, "env", &format!("A{c}=evil"), 3, "evil");
        }
    }

    /// What looks like an option is none: see `harmless_values`.
    fn a23_ids_that_are_paths(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let long = "x".repeat(4096);
        let bad = [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/etc/passwd",
            "a\0b",
            &long,
        ];
        for id in bad {
            let mut state = scene.state();
            state["id"] = id.into();
            let (hook, state) = (|stage| host.oci_link(&["hook", stage]), state.to_string());
            scene.refused_by(hook("createRuntime"), state.as_bytes(), 3, "container id");
            // An end never fails.
            scene.logged_by(hook("poststop"), state.as_bytes(), "container id");
            if !id.contains('\0') {
                let mut prepare = host.oci_link(&["prepare", &format!("--id={id}")]);
                prepare.arg(scene.web.bundle());
                scene.refused_by(prepare, b"", 3, "container id");
            }
        }
    }

    fn a23_names_that_are_paths_or_options(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let long = "x".repeat(4096);
        for name in [".", "..", "../x", "a/b", "-a", "--wait", ".hidden", "a\0b", &long] {
            annotation_refused(&scene, "name", name, 3, "container name");
            annotation_refused(&scene, "links", &format!("{name}:db"), 3, "link source");
            annotation_refused(&scene, "links", &format!("db:{name}"), 3, "alias");
        }
        annotation_refused(&scene, "name", "", 3, "container name");
        annotation_refused(&scene, "links", "", 3, "links");
    }

    /// Names and ids tell case apart, as file names do.
    fn a23_names_that_differ_in_case(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        annotation_refused(&scene, "links", "DB", 4, "No such container: DB");
        let upper = host.container("DB").hooks().build();
        upper.run().ok();
        let links = "db:lower,DB:upper";
        scene.edit(|config| config["annotations"]["org.oci-link.links"] = links.into());
        scene.accepted();
        let hosts = std::fs::read_to_string(scene.rootfs("etc/hosts")).expect("readable");
        for (container, line) in [(&scene.db, "lower db db"), (&upper, "upper DB DB")] {
            let line = format!("{}\t{line}\n", container.addresses()[0]);
            assert!(hosts.contains(&line), "{line:?} is not in {hosts}");
        }
    }

    fn a24_aliases_that_are_the_containers_own(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        for alias in
            ["localhost", "LocalHost", "localhost.localdomain", "ip6-localhost", "IP6-AllNodes"]
        {
            annotation_refused(&scene, "links", &format!("db:{alias}"), 3, alias);
        }
    }

    fn a24_the_alias_is_the_containers_own_host_name(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        for (hostname, alias) in [(Some("web"), "web"), (Some("Shop"), "sHOP"), (None, "web")] {
            refused(&scene, 3, alias, |config| {
                config["hostname"] = hostname.into();
                config["annotations"]["org.oci-link.links"] = format!("db:{alias}").into();
            });
        }
    }

    fn a25_one_alias_for_two_sources(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let other = host.container("other").hooks().build();
        other.run().ok();
        for links in ["db:x,other:x", "db:x other:X", "other:db,db", "db:y,db:x,other:x"] {
            annotation_refused(&scene, "links", links, 3, "two sources have the same alias");
            annotation_refused(&scene, "links", links, 3, "db:");
            annotation_refused(&scene, "links", links, 3, "other:");
        }
    }

    /// Names can have none; a path can.
    fn a44_terminal_escapes_come_out_escaped(runtime) {
        let host = isolated(runtime);
        let file = host.path("hosts\u{1b}[2J\u{202e}\n6.6.6.6 evil");
        std::fs::write(&file, "").expect("written");
        let scene = Scene::with(&host, |config| {
            let mount = serde_json::json!({ "destination": "/etc/hosts", "source": &file, "options": ["bind"] });
            config["mounts"].as_array_mut().expect("a list").push(mount);
        });
        std::fs::remove_file(&file).expect("removed");
        std::fs::create_dir(&file).expect("made");
        scene.refused(5, "directory");
        std::fs::remove_dir(&file).expect("removed");
        std::fs::write(&file, "").expect("written");
        scene.accepted();
        for command in [
            &["inspect", "web"][..],
            &["inspect", "web", "--format=json"],
            &["ls"],
            &["graph"],
            &["graph", "--format=dot"],
            &["graph", "--format=mermaid"],
            &["graph", "--format=svg"],
        ] {
            assert_harmless(&host.run(&mut host.oci_link(command)).ok());
        }
        // A problem of the file that cannot be repaired is reported with its name.
        std::fs::write(&file, "").expect("written");
        let immutable = Immutable::make(file.clone());
        let says = |words: &str, last: Option<&Path>, expected: &str| {
            let words: Vec<&str> = words.split(' ').collect();
            let said = host.run(host.oci_link(&words).args(last)).said();
            assert_harmless(&said);
            assert!(said.contains(expected), "{words:?}: {said}");
        };
        says("sync --check", None, "container web");
        says("doctor", None, "container web");
        says("sync", None, "6.6.6.6");
        says("prepare", Some(&file), "6.6.6.6");
        scene.web.kill();
        says("gc", None, "6.6.6.6");
        drop(immutable);
        let log = std::fs::read_to_string(host.path("log")).expect("readable");
        assert!(log.contains("6.6.6.6"), "{log}");
        assert!(log.lines().all(|line| line.contains(" oci-link[")), "{log}");
        assert!(!log.contains('\u{1b}') && !log.contains('\u{202e}'), "{log:?}");
    }
}
