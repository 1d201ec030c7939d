//! `configure docker --default`: what docker does itself, and which containers must be created again.

use super::site::Site;
use serde_json::{Value, json};

const FILE: &str = "/etc/docker/daemon.json";

fn compose(service: &str) -> Value {
    json!({ "Config": { "Labels": {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": service,
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.version": "2.40.3",
        "com.docker.compose.project.working_dir": "/srv/shop",
        "com.docker.compose.project.config_files": "/srv/shop/docker-compose.yml",
    } } })
}

fn host(runtime: &str, network: &str, links: &[&str]) -> Value {
    json!({ "Runtime": runtime, "NetworkMode": network, "Links": links })
}

/// The lines that are not about files.
fn advice(said: &str) -> Vec<&str> {
    let (_, advice) = said.split_once("systemctl reload docker").unwrap_or(("", said));
    advice.lines().skip(1).collect()
}

#[test]
fn containers_of_another_runtime_are_listed_with_their_commands() {
    let site = Site::new();
    site.write(FILE, "{}\n");
    site.dockerd("28.5.2");
    site.container_of("web", json!({}), &host("runc", "bridge", &["db:mysql", "db"]));
    site.container_of("shop-web-1", compose("web"), &host("runc", "shop_default", &["a:b"]));
    // The list that counts on a network of its own is in the other file.
    let mut linked = compose("api");
    linked["NetworkSettings"]["Networks"]["shop_default"]["Links"] = json!(["shop-db-1:db"]);
    site.container_of("shop-api-1", linked, &host("runc", "shop_default", &["shop-db-1:db"]));
    let annotated = json!({
        "Runtime": "runc", "NetworkMode": "n1",
        "Annotations": { "org.oci-link.links": "db" },
    });
    site.container_of("noted", json!({}), &annotated);
    // These need nothing.
    site.container_of("db", json!({}), &host("runc", "bridge", &[]));
    site.container_of("none", json!({}), &host("runc", "none", &["db:x"]));
    site.container_of("ours", json!({}), &host("oci-link", "bridge", &["db:mysql"]));
    site.container_of("default", json!({}), &host("", "bridge", &["db:mysql"]));
    let expected = [
        "docker 28.5.2 makes the variables of its links itself; docker 29 makes none",
        "3 containers with links keep another runtime; create again:",
        "  noted (runc): docker rm -f noted, then the docker run of noted again",
        "  shop-api-1 (runc): cd /srv/shop && docker compose -p shop up -d --force-recreate api",
        "  web (runc): docker rm -f web, then the docker run of web again",
        "3 containers without links: another runtime until created again",
    ];
    let dry = site.configure("docker --default --dry-run").ok();
    assert_eq!(advice(&dry), expected);
    assert_eq!(advice(&site.configure("docker --default").ok()), expected);
    // The list is there for as long as there is something to do.
    let again = site.configure("docker --default").ok();
    assert_eq!(again, format!("nothing to change\n{}\n", expected.join("\n")));
    // Only the default runtime changes what they would get.
    assert_eq!(site.configure("docker").ok(), "nothing to change\n");
    let removed = site.configure("docker --remove").ok();
    assert!(!removed.contains("noted"), "{removed}");
}

#[test]
fn what_docker_does_itself_depends_on_its_version() {
    for (version, expected) in [
        ("20.10.24+dfsg1", "docker 20.10.24+dfsg1 makes the variables of its links itself"),
        ("29.7.0", "docker 29.7.0 makes no variables of links: only containers whose runtime is"),
    ] {
        let site = Site::new();
        site.dockerd(version);
        let said = site.configure("docker --default").ok();
        let lines = advice(&said);
        assert!(lines.len() == 1 && lines[0].starts_with(expected), "{said}");
    }
    let site = Site::new();
    site.write("/usr/bin/dockerd", "not a program");
    let said = site.configure("docker --default").ok();
    assert_eq!(advice(&said), [""; 0]);
}

#[test]
fn another_data_root_and_files_that_cannot_be_read() {
    let site = Site::new();
    site.write(FILE, "{\"data-root\": \"/srv/docker\"}\n");
    let place = "/srv/docker/containers";
    let linked = host("runc", "default", &["db"]).to_string();
    site.write(&format!("{place}/a/config.v2.json"), "{\"Name\": \"/a\\u001b[31m b\"}");
    site.write(&format!("{place}/a/hostconfig.json"), &linked);
    for (id, config, host) in
        [("b", "{", "{}"), ("c", "{\"Name\": 1}", "{}"), ("d", "{\"Name\": \"/d\"}", "[")]
    {
        site.write(&format!("{place}/{id}/config.v2.json"), config);
        site.write(&format!("{place}/{id}/hostconfig.json"), host);
    }
    site.write(&format!("{place}/file"), "");
    let said = site.configure("docker --default").ok();
    let again = r"docker rm -f 'a\u{1b}[31m b', then the docker run of 'a\u{1b}[31m b' again";
    assert_eq!(
        advice(&said),
        [
            "1 container with links keeps another runtime; create again:",
            &format!(r"  a\u{{1b}}[31m b (runc): {again}"),
        ]
    );
}
