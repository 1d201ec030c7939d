//! Docker's own links: containers that get nothing of ours, links that are left out, and docker's
//! nftables backend.

use super::{assert_well, doctor};
use crate::{
    configure::site::Site,
    lifecycle::by_hand,
    support::{Host, Runtime},
};
use serde_json::{Value, json};

const DAEMON: &str = "/etc/docker/daemon.json";

fn linked(runtime: &str, links: &[&str]) -> Value {
    json!({ "Runtime": runtime, "NetworkMode": "bridge", "Links": links })
}

#[test]
fn docker_29_without_us() {
    let (host, site) = (Host::open(Runtime::Runc), Site::new());
    site.dockerd("29.7.0");
    site.configure("docker").ok();
    site.container_of("db", json!({}), &linked("runc", &[]));
    assert_well(&host, &site);
    site.container_of("web", json!({}), &linked("runc", &["db:mysql"]));
    let report = doctor(&host, &site, 11);
    assert_eq!(report.troubles(), ["warning links of docker"]);
    let said = report.of("links of docker");
    let said = said.is("warning", "docker 29.7.0 makes no variables: 1 container has links");
    assert_eq!(said.fix(), "oci-link configure docker --default");
    // A container that was made with us has them.
    site.container_of("web", json!({}), &linked("oci-link", &["db:mysql"]));
    assert_well(&host, &site);
    // Docker 28 makes them itself.
    site.container_of("web", json!({}), &linked("runc", &["db:mysql"]));
    site.dockerd("28.5.2");
    doctor(&host, &site, 0).of("links of docker").is("ok", "docker 28.5.2 makes the variables");
}

#[test]
fn containers_with_links_and_another_runtime() {
    let (host, site) = (Host::open(Runtime::Runc), Site::new());
    site.configure("docker --default").ok();
    site.container_of("db", json!({}), &linked("runc", &[]));
    assert_well(&host, &site);
    site.container_of("web", json!({}), &linked("runc", &["db:mysql"]));
    let report = doctor(&host, &site, 11);
    assert_eq!(report.troubles(), ["warning container web"]);
    let said = report.of("container web");
    let said = said.is("warning", "has links, but its runtime is runc");
    said.is("warning", "; docker rm -f web, then the docker run of web again");
    let labels = json!({
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "web",
    });
    let config = json!({
        "Config": { "Labels": labels },
        "NetworkSettings": { "Networks": { "shop_default": { "Links": ["shop-db-1:db"] } } },
    });
    let on_network = json!({ "Runtime": "runc", "NetworkMode": "shop_default", "Links": ["x:y"] });
    site.container_of("web", config, &on_network);
    let report = doctor(&host, &site, 11);
    let said = report.of("container web");
    let said = said.is("warning", "has links, but its runtime is runc");
    assert_eq!(said.fix(), "docker compose -p shop up -d --force-recreate web");
    // Many of them are one line at the end.
    for number in 0..30 {
        site.container_of(&format!("x{number:02}"), json!({}), &linked("runc", &["db"]));
    }
    let report = doctor(&host, &site, 11);
    assert_eq!(report.troubles().len(), 21);
    report.of("links of docker").is("warning", "11 more problems with links of docker");
}

#[test]
fn links_that_are_left_out() {
    let (host, site) = (Host::open(Runtime::Runc), Site::new());
    site.configure("docker --default").ok();
    let good = ["db:mysql", "/db:/web/x", "db", "db:mysql"];
    site.container_of("web", json!({ "Config": { "Hostname": "shop" } }), &linked("", &good));
    assert_well(&host, &site);
    for (link, why) in [
        ("db:a b", "its alias has a character that a hosts file cannot have"),
        ("db:localhost", "localhost is the container itself"),
        ("db:shop", "its alias is the host name of the container"),
        ("db:x:y", "is not source[:alias]"),
    ] {
        let links = [&good[..], &[link]].concat();
        let config = json!({ "Config": { "Hostname": "shop" } });
        site.container_of("web", config, &linked("", &links));
        let report = doctor(&host, &site, 11);
        assert_eq!(report.troubles(), ["warning container web"], "{link}");
        let said = report.of("container web");
        said.is("warning", &format!("its link {link} is left out: ")).is("warning", why);
        // The annotation replaces all of them.
        let mut replaced = linked("", &links);
        replaced["Annotations"] = json!({ "org.oci-link.links": "none" });
        site.container_of("web", json!({}), &replaced);
        assert_well(&host, &site);
    }
}

/// An accept in our table undoes no drop of docker's.
#[test]
fn dockers_nftables_backend() {
    let (host, site) = (Host::open(Runtime::Runc), Site::new());
    site.write(DAEMON, "{\"firewall-backend\": \"nftables\"}");
    site.configure("docker").ok();
    assert_well(&host, &site);
    site.write(DAEMON, "{\"icc\": false, \"firewall-backend\": \"nftables\"}");
    site.configure("docker").ok();
    let report = doctor(&host, &site, 12);
    assert_eq!(report.troubles(), ["fault docker's firewall backend"]);
    let said = report.of("docker's firewall backend");
    let said = said.is("fault", "no accept of oci-link undoes");
    said.is("fault", "; set \"firewall-backend\": \"iptables\" in ");
    site.write(DAEMON, "{\"icc\": false, \"firewall-backend\": \"iptables\"}");
    site.configure("docker").ok();
    assert_well(&host, &site);
    // An option of dockerd can choose it too.
    by_hand(&host, &["nft add table ip6 docker-bridges"]);
    let report = doctor(&host, &site, 12);
    report.of("docker's firewall backend").is("fault", "no accept of oci-link undoes");
    by_hand(&host, &["nft delete table ip6 docker-bridges"]);
    assert_well(&host, &site);
}
