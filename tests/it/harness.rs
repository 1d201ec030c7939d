//! The harness itself: before it may judge links, it must tell an open way from a shut one.

use crate::support::{Container, Flow, Host, Listener, OPEN, Proto, SHUT, each_runtime, patiently};
use serde_json::json;
use std::{
    fs,
    io::{ErrorKind, Read},
    panic::{self, AssertUnwindSafe},
    process::Command,
    thread,
    time::Duration,
};

const PROTOCOLS: [Proto; 3] = [Proto::Tcp, Proto::Udp, Proto::Sctp];

fn running<'h>(host: &'h Host, id: &str) -> Container<'h> {
    let container = host.container(id).build();
    container.run().ok();
    container
}

/// Makes (`-I`) or deletes (`-D`) what opens port 3306 of `to`, in both families.
fn link_by_hand(host: &Host, change: &str, from: &Container, to: &Container, proto: Proto) {
    let proto = format!("{proto:?}").to_lowercase();
    for (family, iptables) in ["iptables", "ip6tables"].into_iter().enumerate() {
        let [from, to] = [from, to].map(|container| container.addresses()[family]);
        for rule in [
            format!("-s {from} -d {to} -p {proto} --dport 3306"),
            format!("-s {to} -d {from} -p {proto} --sport 3306 -m conntrack --ctstate ESTABLISHED"),
        ] {
            let mut command = Command::new(iptables);
            command.args([change, "FORWARD"]).args(rule.split(' ')).args(["-j", "ACCEPT"]);
            host.run(&mut command).ok();
        }
    }
}

/// IPv4 finds its neighbours by ARP, which is none of iptables' business; IPv6 does it by ICMP, and
/// a DROP between containers stops that as well.
fn let_neighbours_be_found(host: &Host) {
    for kind in ["neighbour-solicitation", "neighbour-advertisement"] {
        let rule = ["-I", "FORWARD", "-p", "icmpv6", "--icmpv6-type", kind, "-j", "ACCEPT"];
        host.run(Command::new("ip6tables").args(rule)).ok();
    }
}

each_runtime! {
    fn containers_reach_each_other_on_an_open_host(runtime) {
        let host = Host::open(runtime);
        let (web, db) = (running(&host, "web"), running(&host, "db"));
        for proto in PROTOCOLS {
            assert_eq!(web.reach(&db, proto, 3306), OPEN, "{proto:?}");
            assert_eq!(db.reach_from(3306, &web, proto, 40_000), OPEN, "{proto:?} from 3306");
        }
    }

    /// As a child of another test holds what has been closed, until it executes its program.
    fn a_port_that_is_held_for_a_moment_is_waited_for(runtime) {
        let host = Host::open(runtime);
        let (web, db) = (running(&host, "web"), running(&host, "db"));
        for proto in [Proto::Tcp, Proto::Udp] {
            let held = Listener::new(&db, proto, 3306);
            thread::scope(|scope| {
                scope.spawn(move || {
                    thread::sleep(Duration::from_millis(100));
                    drop(held);
                });
                assert_eq!(db.reach_from(3306, &web, proto, 40_000), OPEN, "{proto:?}");
            });
        }
    }

    fn containers_do_not_reach_each_other_on_an_isolated_host(runtime) {
        let host = Host::isolated(runtime);
        let (web, db) = (running(&host, "web"), running(&host, "db"));
        for proto in PROTOCOLS {
            assert_eq!(web.reach(&db, proto, 3306), SHUT, "{proto:?}");
        }
    }

    /// One pair of rules as a link will make them, per protocol: only what they name gets through.
    fn a_pair_of_rules_opens_one_port_one_way(runtime) {
        let host = Host::isolated(runtime);
        let (web, db) = (running(&host, "web"), running(&host, "db"));
        let_neighbours_be_found(&host);
        for proto in PROTOCOLS {
            link_by_hand(&host, "-I", &web, &db, proto);
            assert_eq!(web.reach(&db, proto, 3306), OPEN, "{proto:?}");
            assert_eq!(web.reach(&db, proto, 3307), SHUT, "{proto:?}, another port");
            assert_eq!(db.reach(&web, proto, 3306), SHUT, "{proto:?}, the other way");
            assert_eq!(db.reach_from(3306, &web, proto, 40_000), SHUT, "{proto:?} from 3306");
        }
    }

    fn a_flow_dies_with_its_rules(runtime) {
        let host = Host::isolated(runtime);
        let (web, db) = (running(&host, "web"), running(&host, "db"));
        link_by_hand(&host, "-I", &web, &db, Proto::Tcp);
        let mut flow = Flow::open(&web, &db, 3306);
        assert!(flow.is_alive());
        link_by_hand(&host, "-D", &web, &db, Proto::Tcp);
        assert!(!flow.is_alive());
        host.assert_nothing_left();
    }

    fn an_address_can_be_given_to_another(runtime) {
        let host = Host::open(runtime);
        let (web, db) = (running(&host, "web"), running(&host, "db"));
        web.kill();
        web.unplug();
        let successor = host.container("successor").number(web.number()).build();
        successor.run().ok();
        assert_eq!(successor.addresses(), web.addresses());
        assert_eq!(successor.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
    }

    fn a_container_lives_step_by_step(runtime) also youki {
        let host = Host::open(runtime);
        let hosts_file = host.path("hosts");
        fs::write(&hosts_file, "10.9.8.7\tmounted\n").expect("written");
        let web = host
            .container("web")
            .env("COLOUR=green")
            .annotate("name", "www")
            .bind(&hosts_file, "/etc/hosts")
            .edit(|config| config["hostname"] = "www".into())
            .hooks()
            .build();
        web.prepare().ok();
        web.create().ok();
        assert_eq!(web.state()["status"], "created");
        assert_eq!(web.state()["bundle"], web.bundle().display().to_string());
        web.start().ok();
        assert_eq!(web.state()["annotations"]["org.oci-link.name"], "www");
        assert!(web.environ().contains(&"COLOUR=green".into()));
        assert!(web.hosts().contains("10.9.8.7\tmounted\n"));
        assert_eq!(web.exec(&["hostname"]).ok(), "www\n");
        web.kill();
        web.delete().ok();
        host.assert_nothing_left();
    }

    fn the_shipped_bundles_run(runtime) also youki {
        let host = Host::open(runtime);
        let [db, web] = ["db", "web"].map(|name| {
            let container = host.container(name).shipped(name).build();
            container.run().ok();
            container
        });
        let mut greeting = String::new();
        // An application takes a moment from its start to its first `listen`.
        let dial = || web.dial((db.addresses()[0], 3306).into());
        patiently(ErrorKind::ConnectionRefused, dial)
            .expect("db listens")
            .read_to_string(&mut greeting)
            .expect("db speaks first");
        assert_eq!(greeting, "oci-link-db: welcome\n");
    }

    fn a_refusal_is_reported_in_full(runtime) {
        let host = Host::open(runtime);
        let web = host.container("web").edit(|config| config["process"]["args"] = json!(["gone"]));
        let complaint = web.build().run().within(Duration::from_secs(10)).refused(1);
        assert!(complaint.contains("gone"), "{complaint}");
    }

    fn what_is_left_behind_is_noticed(runtime) {
        let host = Host::isolated(runtime);
        for rule in ["-N OCI-LINK", "-I FORWARD -j OCI-LINK", "-N OCI-LINK-ISOLATE"] {
            host.run(Command::new("iptables").args(rule.split(' '))).ok();
        }
        host.assert_nothing_left();

        fs::write(host.state_dir().join("record"), "").expect("written");
        assert_eq!(host.state_files(), ["record"]);
        host.run(Command::new("iptables").args(["-N", "OCI-LINK-0123"])).ok();
        assert!(host.rules().contains(&"-N OCI-LINK-0123".into()));
        let ipset = b"create oci-link4 hash:ip\nadd oci-link4 10.77.0.11\n";
        host.feed(Command::new("ipset").arg("restore"), ipset).ok();
        let nft = b"table inet oci-link { set v4 { type ipv4_addr; elements = { 10.77.0.12 }; }; }";
        host.feed(Command::new("nft").args(["-f", "-"]), nft).ok();
        assert_eq!(host.set_elements(), ["add oci-link4 10.77.0.11", "\"10.77.0.12\""]);
    }

    fn nothing_survives_a_test_that_panics(runtime) also youki {
        let mut traces = Vec::new();
        let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
            let host = Host::open(runtime);
            let web = running(&host, "web");
            let process = format!("/proc/{}/root/bin", web.state()["pid"]);
            let places = [host.netns().path(), web.netns().path(), host.state_dir()];
            traces.extend(places.into_iter().chain([process.into()]));
            assert!(traces.iter().all(|trace| trace.exists()), "{traces:?}");
            panic!("as planned");
        }));
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"as planned"));
        traces.retain(|trace| trace.exists());
        assert!(traces.is_empty(), "still there: {traces:?}");
    }
}
