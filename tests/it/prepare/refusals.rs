//! What `prepare` refuses: at once, with a status and a line that say why, and nothing changed.

use crate::{
    cast::source,
    support::{Container, Host, Runtime},
};
use std::{fs, os::unix::fs::symlink, process::Command, time::Duration};

/// Nothing here waits for another process; the machine may be busy.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Refused with exit status `code`; the complaint, one line, without our name in front.
fn complaint(container: &Container, code: i32) -> String {
    let path = container.bundle().join("config.json");
    let readable = path.is_file();
    let before = readable.then(|| fs::read(&path).expect("readable"));
    let complaint = container.prepare().within(AT_ONCE).refused(code);
    assert_eq!(readable.then(|| fs::read(&path).expect("readable")), before, "it was changed");
    let line = complaint.strip_prefix("oci-link: ").and_then(|line| line.strip_suffix('\n'));
    let line = line.unwrap_or_else(|| panic!("another form: {complaint}"));
    assert!(!line.contains('\n'), "more than a line: {line}");
    line.to_owned()
}

fn linked<'h>(host: &'h Host, links: &str) -> Container<'h> {
    host.container("web").annotate("name", "R").annotate("links", links).build()
}

#[test]
fn a_missing_source_is_named_in_dockers_words() {
    let host = Host::open(Runtime::Runc);
    let expected = "could not get container for X: No such container: X";
    assert_eq!(complaint(&linked(&host, "X:alias"), 4), expected);
}

#[test]
fn a_container_is_no_source_of_its_own() {
    let host = Host::open(Runtime::Runc);
    let expected = "link \"R\": a container cannot be linked to itself";
    assert_eq!(complaint(&linked(&host, "R:alias"), 4), expected);
}

#[test]
fn a_stopped_source_is_named_in_dockers_words() {
    let host = Host::open(Runtime::Runc);
    let db = host.container("db").annotate("name", "S").hooks().build();
    db.run().ok();
    db.kill();
    let expected = "Cannot link to a non running container: /S AS /R/alias";
    assert_eq!(complaint(&linked(&host, "S:alias"), 4), expected);
}

#[test]
fn an_ambiguous_prefix_is_named_in_dockers_words() {
    let host = Host::open(Runtime::Runc);
    let ids = ["1", "2"].map(|end| end.repeat(51));
    let ids = ids.map(|end| format!("abcdabcdabcd{end}0"));
    let _both = ids.each_ref().map(|id| source(&host, id, "3306"));
    let expected = "multiple IDs found with provided prefix: abcdabcdabcd";
    assert_eq!(complaint(&linked(&host, "abcdabcdabcd:alias"), 4), expected);
    linked(&host, "abcdabcdabcd1:alias").prepare().ok();
}

#[test]
fn a_config_that_leads_nowhere_or_is_no_file_is_not_opened() {
    let host = Host::open(Runtime::Runc);
    let web = host.container("web").build();
    let path = web.bundle().join("config.json");
    fs::remove_file(&path).expect("removed");
    for nowhere in ["config.json", "missing"] {
        symlink(nowhere, &path).expect("linked");
        assert!(complaint(&web, 3).contains("config.json"));
        fs::remove_file(&path).expect("removed");
    }
    host.run(Command::new("mkfifo").arg(&path)).ok();
    assert!(complaint(&web, 5).contains("config.json: not a regular file"));

    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    assert!(complaint(&web, 5).contains("config.json: not a regular file"));
}

#[test]
fn what_cannot_be_edited_is_not_written() {
    let host = Host::open(Runtime::Runc);
    for (text, why) in [
        ("", "config.json"),
        ("{\"process\":", "config.json"),
        ("{\"root\":{\"path\":\"r\"}}", "config.json has no process"),
        ("{\"root\":{\"path\":\"r\"},\"process\":{\"env\":7}}", "config.json, process.env"),
        ("{\"process\":{},\"process\":{}}", "config.json, process: occurs twice"),
    ] {
        let web = super::rewrite(&host, "web", text);
        let complaint = complaint(&web, 3);
        assert!(complaint.contains(why), "{text}: {complaint}");
    }
}
