//! Refusals: at once, and with the reason that the engine's files give.

use super::{
    InDocker, SOON, by_docker, by_podman, directory, docker, edit, id, in_podman, restarts, starts,
    web,
};
use crate::support::{Host, OPEN, Proto, Runtime};
use serde_json::{Value, json};
use std::{fs, process::Command};

#[test]
fn what_podman_does_not_know_is_missing_at_once() {
    let host = docker(Runtime::Crun, "50s");
    in_podman(&host, &[("web", "web")]);
    let web = by_podman(&host, "web").annotate("links", "db:mysql").build();
    let complaint = web.create().within(SOON).refused(4);
    assert_eq!(complaint, "oci-link: could not get container for db: No such container: db\n");
    host.assert_nothing_left();
}

/// The engine's files give the reason, whatever the annotation says.
#[test]
fn the_reason_of_a_refusal_is_that_of_dockers_files() {
    let host = docker(Runtime::Runc, "50s");
    let plain = Host::open(Runtime::Runc);
    let elsewhere = plain.container("elsewhere").build();
    elsewhere.run().ok();
    let pid = elsewhere.state()["pid"].as_i64();
    let stopped = "Cannot link to a non running container: /db AS /web/mysql";
    let missing = "could not get container for db: No such container: db";
    let unmanaged =
        format!("{missing}: it runs, but not under oci-link: start it with --runtime oci-link");
    let no = InDocker { policy: "no", ..restarts("db") };
    for (known, reason) in [
        (None, missing),
        (Some(no.clone()), stopped),
        (Some(InDocker { by_hand: true, ..restarts("db") }), stopped),
        (Some(InDocker { policy: "", ..no.clone() }), stopped),
        (Some(InDocker { policy: "sometimes", ..no.clone() }), stopped),
        (Some(InDocker { pid, ..no.clone() }), unmanaged.as_str()),
        (Some(InDocker { pid, ..restarts("db") }), unmanaged.as_str()),
    ] {
        let _ = fs::remove_dir_all(directory(&host, "db"));
        if let Some(known) = &known {
            known.writes(&host);
        }
        for value in ["auto", "fail", "wait=1ms"] {
            let web = web(&host, "none");
            let annotate = |config: &mut Value| {
                config["annotations"]["org.oci-link.links"] = "db:mysql".into();
                config["annotations"]["org.oci-link.missing"] = value.into();
            };
            edit(&web, annotate);
            let complaint = web.create().within(SOON).refused(4);
            let waited = if value == "wait=1ms" { ": waited 1 ms" } else { "" };
            assert_eq!(complaint, format!("oci-link: {reason}{waited}\n"), "{value}");
        }
    }
    host.assert_nothing_left();
}

/// A name may be that of an annotation, as Compose files get it.
#[test]
fn docker_knows_annotated_names_and_ids() {
    let host = docker(Runtime::Runc, "300ms");
    let annotations = json!({ "org.oci-link.name": "shop_db_1" });
    InDocker { annotations, ..restarts("db") }.writes(&host);
    for source in ["shop_db_1", &id("db"), &id("db")[..12]] {
        let complaint = web(&host, &format!("{source}:mysql")).create().refused(4);
        assert!(complaint.contains("/db AS /web/mysql: waited 300 ms"), "{source}: {complaint}");
    }
    let complaint = web(&host, &format!("{}:mysql", &id("db")[..11])).create().refused(4);
    assert!(
        complaint.contains("No such container") && !complaint.contains("waited"),
        "{complaint}"
    );
}

/// Files of other containers, and files that are no files, never keep a container from starting.
#[test]
fn bad_files_of_docker_fail_nothing() {
    let host = docker(Runtime::Runc, "300ms");
    restarts("db").writes(&host);
    for name in ["broken", "empty", "odd", "fifo"] {
        fs::create_dir_all(directory(&host, name)).expect("made");
    }
    fs::write(directory(&host, "broken").join("config.v2.json"), "{\"ID\":").expect("written");
    fs::write(directory(&host, "odd").join("config.v2.json"), "[]").expect("written");
    let fifo = directory(&host, "fifo").join("config.v2.json");
    host.run(Command::new("mkfifo").arg(fifo)).ok();
    fs::write(directory(&host, "db").join("hostconfig.json"), "[7]").expect("written");
    // What cannot be read could be the source: the record alone counts.
    let complaint = web(&host, "gone").create().within(SOON).refused(4);
    assert_eq!(complaint, "oci-link: could not get container for gone: No such container: gone\n");
    let complaint = web(&host, "db").create().within(SOON).refused(4);
    assert!(complaint.contains("non running container: /db AS /web/db\n"), "{complaint}");
    let db = by_docker(&host, "db").build();
    starts(&db);
    let web = web(&host, "db");
    starts(&web);
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
}
