//! Whether a failure of ours concerns a container.

use crate::error::{Cause, Error, Kind};
use crate::lifecycle::concern::{Concern, settle_end};
use crate::lifecycle::fakes::{Listener, Scene};
use crate::sys::process::is_confined;
use std::fs;

/// A failure that callers decide by.
fn failed() -> Error {
    Error::new(Kind::Firewall, "no rules").because(Cause::Timeout)
}

/// The concern of a container with these annotations, as JSON.
fn of(annotations: &str) -> Concern {
    Concern::of_text(format!(r#"{{"ociVersion":"1.0.2","annotations":{annotations}}}"#).as_bytes())
}

#[test]
fn links_or_isolation_are_something_of_ours() {
    for annotations in [
        r#"{"org.oci-link.links":"db"}"#,
        r#"{"org.oci-link.links":"not ! valid"}"#,
        r#"{"org.oci-link.isolate":"both"}"#,
        r#"{"org.oci-link.links":"none","org.oci-link.isolate":" in "}"#,
    ] {
        assert_eq!(of(annotations), Concern::Linked, "{annotations}");
    }
}

#[test]
fn everything_else_is_not() {
    for annotations in [
        "{}",
        "null",
        "7",
        r#"{"org.oci-link.links":"none","org.oci-link.isolate":" none "}"#,
        r#"{"org.oci-link.links":null}"#,
        r#"{"org.oci-link.isolate":"br0"}"#,
        r#"{"org.oci-link.name":"db","org.oci-link.ports":"80"}"#,
        r#"{"links":"db"}"#,
    ] {
        assert_eq!(of(annotations), Concern::Unlinked, "{annotations}");
    }
    for text in ["", "{", "[]", r#"{"ociVersion":"1.0.2"}"#, "\u{0}"] {
        assert_eq!(Concern::of_text(text.as_bytes()), Concern::Unlinked, "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_asks_for_nothing() {
    let scene = Scene::new();
    let path = scene.directory().join("config.json");
    assert_eq!(Concern::of_file(&path), Concern::Unlinked, "a missing file");
    assert_eq!(Concern::of_file(scene.directory()), Concern::Unlinked, "a directory");
    fs::write(&path, r#"{"annotations":{"org.oci-link.links":"db"}}"#).unwrap();
    assert_eq!(Concern::of_file(&path), Concern::Linked);
}

#[test]
fn a_failure_refuses_the_start_of_a_linked_container() {
    let log = Listener::new();
    let error = Concern::Linked.settle("web", failed()).unwrap_err();
    assert_eq!((error.kind, error.cause), (Kind::Firewall, Cause::Timeout));
    let advice = if is_confined() { ": links need root on the host: start it as root" } else { "" };
    assert_eq!(error.to_string(), format!("no rules{advice}"));
    assert_eq!(log.lines(), [""; 0]);
}

#[test]
fn every_other_container_starts_and_the_failure_is_logged() {
    let log = Listener::new();
    Concern::Unlinked.settle("w\n", failed()).unwrap();
    let level = if is_confined() { "DEBUG" } else { "WARN" };
    let line = format!("{level} w\\n: starts, but is not recorded; run oci-link doctor: no rules");
    assert_eq!(log.lines(), [line]);
}

#[test]
fn every_container_ends_and_the_failure_is_logged() {
    let log = Listener::new();
    assert_eq!(log.lines(), [""; 0]);
    settle_end("w\n", &failed());
    let line = "ERROR w\\n: its links could not be removed; run oci-link gc: no rules";
    assert_eq!(log.lines(), [line]);
}
