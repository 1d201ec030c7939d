//! The Quadlet units of docs/rootless.md: podman's generator makes services of them, and what these
//! run is run. There is no systemd on the machines: the order of the units is asked of the services.

use crate::each_engine;
use crate::rig::Engine;
use crate::user::{Rootless, User};
use std::collections::BTreeMap;
use std::fs;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rootless.md");
const PLACE: &str = ".config/containers/systemd/";
const GENERATOR: &str = "/usr/libexec/podman/quadlet -dryrun -user";

/// The images of the units: names, exposed ports, commands.
const IMAGES: [[&str; 3]; 2] = [
    ["library/mysql:8.4", r#""3306/tcp":{}"#, r#""httpd","-f","-p","3306""#],
    ["library/nginx:1.27", r#""80/tcp":{}"#, r#""httpd","-f","-p","80""#],
];

/// Files of the document by their names: blocks that begin with a comment that names the file.
fn units() -> BTreeMap<String, String> {
    let text = fs::read_to_string(DOCUMENT).expect("the document");
    let blocks = text.split("```ini\n").skip(1).filter_map(|rest| rest.split("```").next());
    let named = blocks.filter_map(|block| {
        let name = block.lines().next()?.strip_prefix("# ~/")?.strip_prefix(PLACE)?;
        Some((name.to_owned(), block.to_owned()))
    });
    named.collect()
}

/// Services by their names, as the generator prints them.
fn services(alice: &User) -> BTreeMap<String, String> {
    let printed = alice.sh(GENERATOR).ok();
    let parts = format!("\n{printed}");
    let parts = parts.split("\n---").skip(1).filter_map(|part| part.split_once("---\n"));
    parts.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// The command of a service, as a shell's: without a control group of systemd's, and without the ten seconds
/// that podman gives a server that ignores SIGTERM.
fn command(service: &str, key: &str) -> String {
    let line = service.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let line = line.unwrap_or_else(|| panic!("no {key} in {service}"));
    line.replace("--cgroups=split ", "")
        .replace("\\x20", " ")
        .replace("podman rm ", "podman rm -t 0 ")
}

fn has(service: &str, key: &str, value: &str) -> bool {
    let values = service.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.flat_map(str::split_whitespace).any(|word| word == value)
}

each_engine! {
    fn units_of_the_document(engine) on [podman_5] {
        let units = units();
        let names: Vec<&str> = units.keys().map(String::as_str).collect();
        assert_eq!(names, ["mysql.container", "shop.network", "web.container"]);
        let rig = Rootless::start(engine);
        let alice = rig.user("alice");
        for [name, ports, run] in IMAGES {
            rig.machine.script("image.sh", &["/home/image.tar", name, ports, run]).ok();
            alice.engine("load --quiet --input /home/image.tar").ok();
        }
        for (name, text) in &units {
            alice.write(&format!("{PLACE}{name}"), text);
        }
        let services = services(&alice);
        let (network, db, web) =
            (&services["shop-network.service"], &services["mysql.service"], &services["web.service"]);
        for (service, before) in [(db, "shop-network.service"), (web, "mysql.service")] {
            assert!(has(service, "Requires", before) && has(service, "After", before), "{service}");
        }
        assert!(has(db, "Type", "notify") && db.contains("--sdnotify=conmon"), "started means started");

        alice.sh(&command(network, "ExecStart")).ok();
        let complaint = alice.sh(&command(web, "ExecStart")).refused();
        assert!(complaint.contains("mysql"), "in this order there is no source: {complaint}");
        alice.sh(&command(db, "ExecStart")).ok();
        alice.sh(&command(web, "ExecStart")).ok();
        let address = alice.address("mysql", "-4");
        let environ = alice.environ("web");
        for alias in ["db", "database"] {
            let entry = format!("{}_PORT=tcp://{address}:3306", alias.to_uppercase());
            assert!(environ.contains(&entry), "no {entry} in {environ:#?}");
            alice.assert_reaches("web", alias, 3306);
        }
        assert_eq!(alice.recorded(), ["mysql", "web"]);
        // What systemd does with `Requires=` at `systemctl --user restart mysql`.
        for (service, key) in [(web, "ExecStop"), (db, "ExecStop"), (db, "ExecStart"), (web, "ExecStart")] {
            alice.sh(&command(service, key)).ok();
        }
        alice.assert_reaches("web", "db", 3306);
        for service in [web, db] {
            alice.sh(&command(service, "ExecStop")).ok();
        }
        assert_eq!(alice.recorded(), Vec::<String>::new());

        // Without the default, a line in both units names the runtime.
        alice.sh("oci-link configure podman --remove && oci-link configure podman").ok();
        let line = "GlobalArgs=--runtime=oci-link";
        assert!(fs::read_to_string(DOCUMENT).expect("the document").contains(line));
        for name in ["mysql.container", "web.container"] {
            let text = units[name].replace("[Container]\n", &format!("[Container]\n{line}\n"));
            alice.write(&format!("{PLACE}{name}"), &text);
        }
        let services = self::services(&alice);
        for name in ["mysql.service", "web.service"] {
            alice.sh(&command(&services[name], "ExecStart")).ok();
        }
        alice.assert_reaches("web", "db", 3306);
        for name in ["web.service", "mysql.service"] {
            alice.sh(&command(&services[name], "ExecStop")).ok();
        }
        assert_eq!(alice.recorded(), Vec::<String>::new());
    }
}
