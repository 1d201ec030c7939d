//! Addresses and names that belong to another container, and containers without a network of their own.

use super::scene::{Scene, isolated};
use crate::support::{OPEN, Proto, SHUT, each_runtime};
use crate::{
    backends::each_backend,
    cast::{inspect, ls},
    lifecycle::host_with,
};
use serde_json::Value;
use std::process::Command;

/// What dockerd says.
const HOST_NETWORK: &str = "conflicting options: host type networking can't be used with links. \
                            This would result in undefined behavior";

/// The container shares the host's network.
fn host_network(config: &mut Value) {
    let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
    namespaces.retain(|namespace| namespace["type"] != "network");
}

fn change_address(scene: &Scene, change: &str, address: &str) {
    let mut ip = Command::new("ip");
    ip.args(["-netns", scene.web.netns().name(), "addr", change, address, "dev", "eth0"]);
    scene.host.run(&mut ip).ok();
}

/// Each of the addresses that identify no container, beside those that it has: web starts, and the
/// address is not recorded.
#[track_caller]
fn no_containers_addresses(scene: &Scene) {
    scene.host.run(Command::new("ip").args(["addr", "add", "10.99.0.1/32", "dev", "lo"])).ok();
    for address in [
        "127.0.0.2/8",
        "127.255.0.1/32",
        "0.1.2.3/8",
        "169.254.1.1/16",
        "224.0.0.5/32",
        "239.1.2.3/32",
        "240.0.0.1/32",
        "::ffff:10.0.0.1/128",
        "10.77.0.1/32", // the host's own, on the bridge
        "10.99.0.1/32", // and elsewhere
        "fd77::1/128",
    ] {
        change_address(scene, "add", address);
        scene.accepted();
        let recorded = inspect(scene.host, "web")["addresses"].clone();
        let own: Vec<String> = scene.web.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(recorded, serde_json::json!(own), "{address}");
        change_address(scene, "del", address);
    }
}

each_backend! {
    /// The first container of a name keeps it while it lives, rules and all.
    fn a28_a_name_has_one_owner(backend) {
        let host = host_with(backend);
        let container = |id: &str| host.container(id).annotate("ports", "3306").annotate("name", "db").hooks().build();
        let (db, thief) = (container("first"), container("second"));
        db.run().ok();
        let link = |id: &str| {
            let web = host.container(id).annotate("links", "db").hooks().build();
            web.run().ok();
            web
        };
        let early = link("early");
        thief.run().ok();
        let late = link("late");
        for web in [&early, &late] {
            assert!(web.hosts().contains(&format!("{}\tdb first\n", db.addresses()[0])), "{}", web.hosts());
            assert!(!web.hosts().contains(&thief.addresses()[0].to_string()), "{}", web.hosts());
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
            assert_eq!(web.reach(&thief, Proto::Tcp, 3306), SHUT);
        }
    }
}

each_runtime! {
    /// Neither one that is linked to another, nor one that others may be linked to.
    fn a26_addresses_that_no_container_has(runtime) {
        for source in [false, true] {
            let host = isolated(runtime);
            let scene = Scene::open(&host);
            if source {
                let ports = serde_json::json!({ "org.oci-link.ports": "80" });
                scene.edit(|config| config["annotations"] = ports);
            }
            no_containers_addresses(&scene);
        }
    }

    /// Whatever the files say, and whatever the addresses were a moment ago.
    fn a26_addresses_are_those_of_the_live_namespace(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let old = scene.web.addresses()[0].to_string();
        change_address(&scene, "del", &format!("{old}/24"));
        change_address(&scene, "add", "10.77.0.99/24");
        scene.edit(|config| config["annotations"]["io.kubernetes.cri.pod-ips"] = "10.77.0.98".into());
        scene.accepted();
        let told = inspect(&host, "web").to_string();
        assert!(told.contains("10.77.0.99"), "{told}");
        assert!(!told.contains("10.77.0.98") && !told.contains(&format!("{old}/")), "{told}");
    }

    /// Without links that is no obstacle: see `harmless_values`.
    fn a26_a_recipient_has_no_other_address(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let flush = ["-netns", scene.web.netns().name(), "addr", "flush", "dev", "eth0"];
        host.run(Command::new("ip").args(flush)).ok();
        scene.refused(9, "has no address, and links need one");
        for (address, word) in [
            ("169.254.1.1/16", "address \"169.254.1.1\": a link-local address: links need another"),
            ("10.77.0.1/32", "address \"10.77.0.1\": is the host's own: links need another"),
        ] {
            change_address(&scene, "add", address);
            scene.refused(5, word);
            change_address(&scene, "del", address);
        }
        scene.start_fails();
    }

    fn a42_a_recipient_on_the_hosts_network(runtime) {
        let host = isolated(runtime);
        let scene = Scene::with(&host, host_network);
        scene.refused(5, HOST_NETWORK);
        scene.start_fails();
    }

    fn a42_a_source_on_the_hosts_network(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let proxy = host.container("proxy").annotate("ports", "80").edit(host_network).hooks().build();
        proxy.run().ok();
        scene.edit(|config| config["annotations"]["org.oci-link.links"] = "proxy".into());
        scene.refused(5, HOST_NETWORK);
        scene.prepare_refused(5, HOST_NETWORK);
    }

    /// Published, and nothing else: it can be seen, but not be linked to.
    fn a42_the_hosts_network_without_links(runtime) {
        let host = isolated(runtime);
        let rules = host.rules();
        let proxy = host.container("proxy").annotate("ports", "80").edit(host_network).hooks().build();
        proxy.run().ok();
        let listed = host.run(&mut host.oci_link(&["ls", "--format=json"])).ok();
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        assert_eq!((&listed[0]["name"], &listed[0]["network"]), (&"proxy".into(), &"host".into()));
        assert_eq!(host.rules(), rules);
        proxy.kill();
        proxy.delete().ok();
        host.assert_nothing_left();
    }

    /// The id of a container that runs belongs to another one too: its record stays as it is.
    fn a23_the_id_of_a_container_that_runs(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let before = inspect(&host, "db");
        let mut state = scene.state();
        state["id"] = "db".into();
        scene.edit(|config| config["annotations"]["org.oci-link.links"] = "none".into());
        state["annotations"] = scene.config()["annotations"].clone();
        host.feed(&mut scene.command(), state.to_string().as_bytes()).ok();
        assert_eq!(inspect(&host, "db"), before);
        assert_eq!(ls(&host).len(), 2);
    }
}
