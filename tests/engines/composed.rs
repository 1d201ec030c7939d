//! Compose files with links, converted, and run by podman-compose and docker compose.

use crate::each_engine;
use crate::rig::{Engine, Rig, With};
use serde_json::Value;

const FILE: &str = "\
version: '2'
services:
  web:
    image: docker.io/library/db
    command: sleep 86400
    links:
      - db:database   # as the application knows it
  db:
    image: docker.io/library/db
    command: [sh, -c, 'httpd -p 9999; exec httpd -f -p 3306']
    environment:
      USER_SET: 1
";

const VERSION_1: &str = "\
web:
  image: db
  command: sleep 86400
  links: ['db:database']
  external_links: ['outside:posts']
db:
  image: db
  command: [sh, -c, 'httpd -p 9999; exec httpd -f -p 3306']
";

/// There is no systemd, and little that may be opened.
const CONTAINERS: &str = "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
                          [containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";

fn compose(rig: &Rig, project: &str, command: &str) -> String {
    rig.machine.sh(&format!("cd /root && podman-compose -p {project} {command}")).ok()
}

each_engine! {
    fn links_of_a_file_work_in_every_project(engine) on [podman_5] {
        let rig = Rig::start(engine, With::Wrapper);
        // The runtime that the file names, and no other, is ours.
        rig.write("/etc/containers/containers.conf", CONTAINERS);
        rig.configure("podman");
        let file = rig.machine.feed("oci-link", &["compose", "--runtime"], FILE.as_bytes()).ok();
        rig.write("/root/compose.yaml", &format!("{file}\n"));
        for project in ["shop", "blog"] {
            compose(&rig, project, "up -d");
        }
        rig.machine.sh("for i in 1 2; do iptables -I FORWARD -i podman$i -o podman$i -j DROP; done").ok();
        rig.machine.sh("oci-link sync").ok();
        for project in ["shop", "blog"] {
            let (web, db) = (format!("{project}_web_1"), format!("{project}_db_1"));
            let address = rig.address(&db);
            let environ = rig.environ(&web);
            for entry in [
                format!("DATABASE_PORT=tcp://{address}:3306"),
                format!("DATABASE_NAME=/{web}/database"),
                "DATABASE_ENV_USER_SET=1".to_owned(),
            ] {
                assert!(environ.contains(&entry), "no {entry} in {environ:#?}");
            }
            let line = format!("{address}\tdatabase ");
            assert!(rig.hosts(&web).contains(&line), "{}", rig.hosts(&web));
            rig.assert_reaches(&web, "database", 3306);
            assert!(!rig.reaches(&web, "database", 9999), "another port");
            assert!(!rig.reaches(&db, &rig.address(&web).to_string(), 3306), "the other way");
        }
        for project in ["shop", "blog"] {
            compose(&rig, project, "down -t 0");
        }
        assert_eq!(rig.remains(), Vec::<String>::new());
        assert_eq!(rig.machine.sh("podman ps --all --quiet").ok(), "");
    }

    /// docker compose separates the words of a container's name by `-`, and the converted file by `_`: both
    /// names find the container.
    fn a_converted_file_of_version_1_under_docker_compose(engine) on [docker_28] {
        let rig = Rig::start(engine, With::Wrapper);
        rig.container("outside").run().ok();
        let file = rig.machine.feed("oci-link", &["compose"], VERSION_1.as_bytes()).ok();
        rig.machine.sh("mkdir /root/shopv1").ok();
        rig.write("/root/shopv1/compose.yaml", &format!("{file}\n"));
        let compose = |command: &str| {
            rig.machine.sh(&format!("cd /root/shopv1 && docker compose {command}")).ok()
        };
        compose("up -d");
        let shown = |name: &str| -> Value {
            let shown = rig.machine.sh(&format!("oci-link inspect {name} --format json")).ok();
            serde_json::from_str(&shown).expect("JSON")
        };
        for service in ["db", "web"] {
            let docker = shown(&format!("shopv1-{service}-1"));
            if service == "db" {
                assert_eq!(docker["id"], shown("shopv1_db_1")["id"]);
            }
            assert_eq!(docker["state"], "ready", "{docker}");
        }
        let listed = rig.machine.sh("oci-link ls").ok();
        let names = listed.lines().filter_map(|line| line.split_whitespace().nth(1));
        let of_db = names.filter(|name| name.starts_with("shopv1") && name.contains("db"));
        assert_eq!(of_db.count(), 1, "{listed}");
        let (address, outside) = (rig.address("shopv1-db-1"), rig.address("outside"));
        let environ = rig.environ("shopv1-web-1");
        for entry in [
            format!("DATABASE_PORT=tcp://{address}:3306"),
            format!("POSTS_PORT=tcp://{outside}:3306"),
        ] {
            assert!(environ.contains(&entry), "no {entry} in {environ:#?}");
        }
        for alias in ["database", "posts"] {
            rig.assert_reaches("shopv1-web-1", alias, 3306);
        }
        // A name of either form is a source.
        for (name, source) in [("one", "shopv1-db-1"), ("two", "shopv1_db_1")] {
            rig.container(name).option(format!("--annotation org.oci-link.links={source}:x")).run().ok();
            rig.assert_reaches(name, "x", 3306);
        }
        let pid = rig.pid("shopv1-web-1");
        compose("up -d");
        assert_eq!(rig.pid("shopv1-web-1"), pid, "created again");
        // Compose restarts the recipient with its source.
        compose("restart -t 0 db");
        assert_ne!(rig.pid("shopv1-web-1"), pid, "not restarted");
        rig.assert_reaches("shopv1-web-1", "database", 3306);
        for name in ["one", "two", "outside"] {
            rig.remove(name);
        }
        compose("down -t 0");
        assert_eq!(rig.remains(), Vec::<String>::new());
    }
}
