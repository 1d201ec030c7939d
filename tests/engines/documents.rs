//! What the documents tell their reader to type under an engine, typed: tests/it/documents says how.
//! The images that they name are stand-ins of busybox: nothing is pulled.

#[path = "../it/documents/blocks.rs"]
mod blocks;

use crate::each_engine;
use crate::rig::{Engine, Rig, With};
use std::fs;
use std::path::Path;

/// There is no systemd on the machines.
const STAND_INS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engines/rigs");

/// The images that the documents run: names, exposed ports, commands.
const IMAGES: [[&str; 3]; 3] = [
    ["library/mysql:8.4", MYSQL_PORTS, MYSQL],
    ["library/busybox:1.36", "", r#""sh""#],
    ["library/nginx:1.27", r#""80/tcp":{}"#, r#""httpd","-f","-p","80""#],
];
const MYSQL_PORTS: &str = r#""3306/tcp":{},"33060/tcp":{}"#;
/// As the real one, it speaks first.
const MYSQL: &str = r#""nc","-ll","-p","3306","-e","/bin/echo","8.4.0""#;

/// Runs all blocks for `name`, each document's on a machine of its own.
fn play(engine: Engine, with: With, name: &str) {
    let mut any = false;
    for document in blocks::documents() {
        let all = blocks::of(&document);
        let session = blocks::session(&all, name);
        if session.is_empty() {
            continue;
        }
        any = true;
        let rig = Rig::start(engine, with);
        let before = traces(&rig);
        for [name, ports, command] in IMAGES {
            rig.add_image(name, ports, command);
        }
        for name in ["systemctl", "reboot"] {
            let script = format!("{STAND_INS}/{name}.sh");
            rig.machine.install(Path::new(&script), &format!("/usr/local/bin/{name}"));
        }
        rig.machine.sh("mkdir /root/said").ok();
        let script = blocks::script(&session, "/root/said");
        rig.machine.feed("bash", &["-s"], format!("cd /root\n{script}").as_bytes()).ok();
        blocks::assert_true(&session, |file| {
            let file = rig.machine.path(&format!("/root/said/{file}"));
            fs::read_to_string(file).unwrap_or_default()
        });
        // A document that leads back leaves what it names, and that is not listed here.
        if name.ends_with("-back") {
            assert_eq!(traces(&rig), before, "{document}");
        }
    }
    assert!(any, "no document has a block for {name}");
}

/// Rules, sets, tables and files of oci-link, and Docker's configuration. The state directory stays until the
/// next boot.
fn traces(rig: &Rig) -> String {
    let rules = "iptables -S; ip6tables -S; ipset list -n; nft list tables";
    let files = "find /etc /usr -name '*oci-link*'";
    let script = format!(
        "{{ {rules}; {files}; }} | grep -i oci-link; cat /etc/docker/daemon.json 2>/dev/null; true"
    );
    rig.machine.sh(&script).ok()
}

each_engine! {
    fn the_documents_are_true(engine) on [docker_20, docker_28, podman_4, podman_5, containerd_1] {
        match engine {
            _ if engine.is_docker() => {
                // Docker has annotations since version 24.
                if engine == Engine::docker_28 {
                    play(engine, With::Installed, "docker");
                }
                play(engine, With::Installed, "docker-link");
                play(engine, With::Installed, "docker-back");
                play(engine, With::Configured, "docker-configured");
            }
            _ if engine.is_podman() => {
                play(engine, With::Installed, "podman");
                play(engine, With::Configured, "podman-configured");
            }
            _ => play(engine, With::Installed, "containerd"),
        }
    }
}
