//! `graph`: the links of containers that run, of one that died, and one that waits, in every form.

use crate::{
    cast::{iptables_host, recipient, source},
    support::{Host, Runtime},
};
use std::process::Command;

fn graph(host: &Host, format: &str) -> String {
    host.run(&mut host.oci_link(&["graph", "--format", format])).ok()
}

#[test]
fn every_form_shows_what_runs_what_died_and_what_waits() {
    let host = iptables_host(Runtime::Runc);
    let db = source(&host, "db", "3306,53/udp");
    // Linked to each other: one of them must start without the other.
    let api = host.container("api").annotate("links", "web:front db:store queue:q");
    let api = api.annotate("missing", "defer").annotate("ports", "8080").hooks().build();
    api.run().ok();
    let web = recipient(&host, "web", "api");
    let shown = |container: &crate::support::Container| {
        container.addresses().map(|address| address.to_string()).join(", ")
    };
    let [db_at, api_at, web_at] = [&db, &api, &web].map(shown);
    let expected = |dead: &str| {
        format!(
            "api  {api_at}\n|-- web as front  (no ports)\n|-- db{dead} as store  53/udp,3306/tcp\n\
             `-- queue (waiting) as q  waiting\ndb{dead}  {db_at}\nweb  {web_at}\n\
             `-- api as api  8080/tcp\n"
        )
    };
    assert_eq!(graph(&host, "text"), expected(""));
    db.kill();
    assert_eq!(graph(&host, "text"), expected(" (dead)"));
    assert_eq!(host.run(&mut host.oci_link(&["graph"])).ok(), expected(" (dead)"));

    let drawn = graph(&host, "mermaid");
    for line in ["n0 -->|\"store 53/udp,3306/tcp\"| n1", "n0 -.->|\"q waiting\"| n3"] {
        assert!(drawn.contains(line), "{drawn}");
    }
    let drawn = graph(&host, "svg");
    assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"), "{drawn}");
    assert_eq!(drawn.matches("class=\"box\"").count(), 4, "{drawn}");
    assert_eq!(drawn.matches("class=\"link\"").count(), 4, "{drawn}");
    let page = graph(&host, "html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("class=\"node dead\""), "{page}");
    let drawn = graph(&host, "dot");
    assert!(drawn.contains("n2 -> n0 [label=\"api 8080/tcp\"]"), "{drawn}");
    match host.path("graph.dot") {
        file if Command::new("dot").arg("-V").output().is_ok() => {
            std::fs::write(&file, drawn).expect("written");
            let _ = host.run(Command::new("dot").arg("-Tplain").arg(&file)).ok();
        }
        _ => eprintln!("no dot on this machine: not shown to it"),
    }
    host.run(&mut host.oci_link(&["graph", "--format", "json"])).refused(2);
}

/// README.md shows what `graph` draws of these.
#[test]
fn the_picture_in_the_readme_is_true() {
    let host = iptables_host(Runtime::Runc);
    let _sources = [("mysql", "3306"), ("redis", "6379")].map(|(id, port)| source(&host, id, port));
    let [shop, worker] = [("shop", "mysql:db,redis:cache"), ("worker", "mysql:db,rabbit:queue")]
        .map(|(id, links)| {
            let bundle = host.container(id).annotate("links", links).annotate("missing", "defer");
            bundle.hooks().build()
        });
    shop.run().ok();
    worker.run().ok();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/topology.svg");
    let drawn = graph(&host, "svg");
    // With BLESS the file is written first.
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(file, &drawn).expect("written");
    }
    assert_eq!(drawn, std::fs::read_to_string(file).expect("a picture"), "see docs/topology.svg");
}

#[test]
fn a_graph_without_containers() {
    let host = Host::open(Runtime::Crun);
    assert_eq!(graph(&host, "text"), "");
    assert!(graph(&host, "svg").ends_with("</svg>\n"));
}
