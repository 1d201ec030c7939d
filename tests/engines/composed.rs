//! Compose files with links, converted, and run by podman-compose.

use crate::each_engine;
use crate::rig::{Engine, Rig, With};

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
}
