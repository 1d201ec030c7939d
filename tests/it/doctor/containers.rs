//! Containers that are not linked as their owner means: annotations that are not read, sources that are
//! not ours or expose nothing.

use super::{assert_well, config, doctor, paste};
use crate::{
    backends::each_backend,
    cast::{end, ls, recipient, source},
    configure::site::Site,
    lifecycle::{by_hand, call, host_of},
    support::{Host, Runtime},
};
use serde_json::json;
use std::{fs, process::Command};

const DAEMON: &str = "{\"runtimes\":{\"oci-link\":{\"path\":\"@BIN@/oci-link-runtime\"}}}";

fn host() -> (Host, Site) {
    let site = Site::new();
    site.configure("docker").ok();
    site.write("/etc/docker/daemon.json", DAEMON);
    (Host::open(Runtime::Runc), site)
}

#[test]
fn annotations_that_another_runtime_ignores() {
    let (host, site) = host();
    let links = json!({ "org.oci-link.links": "db" });
    site.container("web", "oci-link", &links, &json!({}), "");
    site.container("plain", "runc", &json!({ "other": "x" }), &json!({ "com.example": "x" }), "");
    assert_eq!(doctor(&host, &site, 0).troubles(), [""; 0]);
    site.container("bad", "runc", &links, &json!({}), "");
    let report = doctor(&host, &site, 12);
    assert_eq!(report.troubles(), ["fault container bad"]);
    let said = report.of("container bad");
    let said = said.is("fault", "annotation org.oci-link.links, but its runtime is runc");
    said.is("fault", "--runtime oci-link");
    site.container("bad", "runc", &json!({ "org.oci-link.name": "x" }), &json!({}), "");
    let report = doctor(&host, &site, 11);
    report.of("container bad").is("warning", "its runtime is runc, which ignores it");
}

#[test]
fn labels_in_the_place_of_annotations_and_keys_that_are_misspelt() {
    let (host, site) = host();
    let label = json!({ "org.oci-link.links": "db", "com.example": "x" });
    site.container("web", "runc", &json!({}), &label, "");
    let report = doctor(&host, &site, 11);
    assert_eq!(report.troubles(), ["warning container web"]);
    let said = report.of("container web");
    let said = said.is("warning", "has the label org.oci-link.links");
    said.is("warning", "--annotation org.oci-link.links=");
    // Both is no mistake.
    site.container("web", "oci-link", &json!({ "org.oci-link.links": "db" }), &label, "");
    assert_eq!(doctor(&host, &site, 0).troubles(), [""; 0]);
    site.container("web", "oci-link", &json!({ "org.oci-link.Link": "db" }), &json!({}), "");
    let report = doctor(&host, &site, 11);
    report.of("container web").is("warning", "did you mean org.oci-link.links?");
}

/// The start of a container without links only warns.
#[test]
fn a_key_that_is_misspelt_refuses_links_only() {
    let host = Host::open(Runtime::Crun);
    let _db = source(&host, "db", "3306");
    let alone = host.container("alone").annotate("link", "db").hooks().build();
    alone.run().ok();
    let log = || fs::read_to_string(host.path("log")).expect("there");
    let warning = "annotation \"org.oci-link.link\": unknown key: did you mean \
                   org.oci-link.links?";
    assert!(log().contains(warning), "{}", log());
    let both = host.container("both").annotate("links", "db").annotate("prots", "80").build();
    let complaint = both.prepare().refused(3);
    assert!(complaint.contains("did you mean org.oci-link.ports?"), "{complaint}");
}

#[test]
fn a_source_that_runs_without_us() {
    let (host, site) = host();
    let web = host.container("web").annotate("links", "plaindb").annotate("missing", "defer");
    let web = web.hooks().build();
    web.run().ok();
    // It lacks the variables of a source that comes later.
    assert_eq!(doctor(&host, &site, 11).troubles(), ["warning links"], "docker does not know it");
    site.container("plaindb", "runc", &json!({}), &json!({}), "");
    let report = doctor(&host, &site, 12);
    assert_eq!(report.troubles(), ["warning links", "fault link of web"]);
    let said = report.of("link of web");
    let said = said.is("fault", "waits for plaindb, which runs, but not under oci-link");
    said.is("fault", "--runtime oci-link");
}

each_backend! {
    fn a_link_without_ports_is_shown_everywhere(backend) {
        let (host, site) = (host_of(backend, Runtime::Runc), Site::new());
        let db = host.container("db").hooks().build();
        db.run().ok();
        let web = recipient(&host, "web", "db:mysql");
        let log = fs::read_to_string(host.path("log")).expect("there");
        assert!(log.contains("web: its link to db opens no port"), "{log}");
        let table = call(&host, "ls").ok();
        assert!(table.contains("db:mysql (no ports)"), "{table}");
        let listed = ls(&host);
        let link = &listed[1]["links"][0];
        assert_eq!((&link["state"], &link["ports"]), (&json!("ready"), &json!([])));
        let shown = call(&host, "inspect web").ok();
        assert!(shown.contains("db as mysql (db) (no ports)"), "{shown}");
        assert!(call(&host, "graph").ok().contains("as mysql  (no ports)"));
        let report = doctor(&host, &site, 11);
        assert_eq!(report.troubles(), ["warning link of web"]);
        let said = report.of("link of web");
        said.is("warning", "mysql opens no port").is("warning", "org.oci-link.ports=");
        [&web, &db].into_iter().for_each(end);
        // With a port it is a link like any other.
        let (_db, _web) = (source(&host, "db", "3306"), recipient(&host, "web", "db:mysql"));
        assert!(!call(&host, "ls").ok().contains("no ports"));
        assert_eq!(ls(&host)[1]["links"][0]["ports"], json!(["3306/tcp"]));
        assert_well(&host, &site);
    }

    /// Nothing was flushed: what no link needs is not missing.
    fn ipv4_alone_is_whole(backend) {
        let (host, site) = (Host::open(Runtime::Runc), Site::new());
        config(&host, &format!("[firewall]\nbackend = \"{backend}\"\n"));
        let plugged = |id: &str, key: &str, value: &str| {
            let container = host.container(id).annotate(key, value).hooks().build();
            container.netns().enter(|| {
                let flush = ["-6", "addr", "flush", "dev", "eth0", "scope", "global"];
                assert!(Command::new("ip").args(flush).status().expect("ip starts").success());
            });
            container.run().ok();
            container
        };
        let _db = plugged("db", "ports", "3306");
        let _web = plugged("web", "links", "db");
        assert_eq!(call(&host, "sync --check").ended(0), "");
        assert_well(&host, &site);
        // What the links need is.
        by_hand(&host, &["nft flush ruleset"]);
        assert!(call(&host, "sync --check").ended(13).contains("run oci-link sync"));
        doctor(&host, &site, 12);
    }
}

#[test]
fn a_bridge_that_its_engine_makes_later_and_frames_with_a_tag() {
    let (host, site) = (Host::open(Runtime::Runc), Site::new());
    config(&host, "[firewall]\nisolate = [\"podman0\", \"br0\"]\n");
    let report = doctor(&host, &site, 0);
    report.of("isolated bridges").is("ok", "podman0: created by its engine");
    let off = "bridge-nf-filter-vlan-tagged";
    by_hand(&host, &[&format!("sysctl -qw net.bridge.{off}=0")]);
    let report = doctor(&host, &site, 12);
    assert_eq!(report.troubles(), [format!("fault {off}")]);
    let said = report.of(off);
    paste(&host, &site, said.is("fault", "past the isolation").fix());
    assert_well(&host, &site);
    // Where nothing is isolated, nothing passes it.
    config(&host, "");
    by_hand(&host, &[&format!("sysctl -qw net.bridge.{off}=0")]);
    assert_well(&host, &site);
}
