//! Addresses that identify no container, and addresses that two containers have.

use super::starts_and_ends;
use crate::cast::{end, inspect, iptables_host, link_rules};
use crate::support::{Container, Host, OPEN, Proto, SECOND_BRIDGE, SHUT, each_runtime};
use std::process::Command;

/// `ip` in the container's namespace.
fn ip(host: &Host, container: &Container, words: &str) {
    let mut ip = Command::new("ip");
    ip.args(["-netns", container.netns().name()]).args(words.split(' '));
    host.run(&mut ip).ok();
}

fn recorded(host: &Host, name: &str) -> Vec<String> {
    let addresses = inspect(host, name)["addresses"].clone();
    serde_json::from_value(addresses).expect("a list of addresses")
}

/// Whether a rule names an address of `container`.
fn is_named(host: &Host, container: &Container) -> bool {
    let named =
        |rule: &String| container.addresses().iter().any(|ip| rule.contains(&format!(" {ip}/")));
    link_rules(host).iter().any(named)
}

/// Asserts that no rule names an address of a container that started without links. Such a start does not wait
/// long for programs of the firewall: the log says whether one was too slow.
#[track_caller]
fn assert_unnamed(host: &Host, container: &Container) {
    let log = std::fs::read_to_string(host.path("log")).expect("readable");
    assert!(!is_named(host, container), "{:?}\n{log}", link_rules(host));
}

/// Moves the host's end of the container's wire to the second bridge.
fn move_to_second(host: &Host, container: &Container) {
    let name = container.netns().name();
    let show = ["-netns", name, "-o", "link", "show", "eth0"];
    let shown = host.run(Command::new("ip").args(show)).ok();
    let index = shown.split("@if").nth(1).and_then(|rest| rest.split(':').next()).expect("a peer");
    let all = host.run(Command::new("ip").args(["-o", "link"])).ok();
    let line = all.lines().find(|line| line.starts_with(&format!("{index}:"))).expect("there");
    let name = line.split([' ', '@']).find(|word| !word.is_empty() && !word.contains(':'));
    let name = name.expect("a name");
    host.run(Command::new("ip").args(["link", "set", name, "master", SECOND_BRIDGE])).ok();
}

each_runtime! {
    fn h05_addresses_that_identify_no_container(runtime) {
        let host = Host::isolated(runtime);
        for address in [
            "169.254.7.7/16", "0.1.2.3/8", "127.0.0.2/8", "240.0.0.1/32", "10.77.0.1/32",
            "fd77::1/128", "::ffff:10.0.0.1/128",
        ] {
            let alone = host.container("alone").hooks().build();
            ip(&host, &alone, "addr flush dev eth0");
            ip(&host, &alone, &format!("addr add {address} dev eth0"));
            starts_and_ends(&host, &alone, address);
        }
        let plain = host.container("plain").hooks().build();
        ip(&host, &plain, "addr flush dev eth0");
        starts_and_ends(&host, &plain, "no address");
    }

    fn h05_one_such_address_beside_a_usable_one(runtime) {
        let host = Host::isolated(runtime);
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        let web = host.container("web").annotate("links", "db").hooks().build();
        for container in [&db, &web] {
            ip(&host, container, "addr add 169.254.7.7/16 dev eth0");
            container.run().ok();
        }
        assert_eq!(recorded(&host, "web"), web.addresses().map(|ip| ip.to_string()));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        end(&web);
        end(&db);
        host.assert_nothing_left();
    }

    fn h05_a_recipient_without_any_address_is_refused(runtime) {
        let host = Host::isolated(runtime);
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        db.run().ok();
        let web = host.container("web").annotate("links", "db").hooks().build();
        ip(&host, &web, "addr flush dev eth0");
        assert!(!web.run().succeeded());
        let log = std::fs::read_to_string(host.path("log")).expect("readable");
        assert!(log.contains("web: has no address, and links need one: connect it to a network"), "{log}");
    }

    /// Docker inside a pod: its bridge has the host bridge's address, and is no way to the pod.
    fn h07_a_bridge_inside(runtime) {
        let host = Host::isolated(runtime);
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        let web = host.container("web").annotate("links", "db").hooks().build();
        for container in [&db, &web] {
            ip(&host, container, "link add docker0 type bridge");
            ip(&host, container, "addr add 172.17.0.1/16 dev docker0");
            ip(&host, container, "link set docker0 up");
            ip(&host, container, "link add v0 type veth peer name v1");
            ip(&host, container, "addr add 172.19.0.1/16 dev v0");
            container.run().ok();
        }
        assert_eq!(recorded(&host, "web"), web.addresses().map(|ip| ip.to_string()));
        assert_eq!(recorded(&host, "db"), db.addresses().map(|ip| ip.to_string()));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        end(&web);
        end(&db);
        host.assert_nothing_left();
    }

    /// A container gave itself the addresses of its neighbours: they start, and no rule names them.
    fn h06_a_neighbours_addresses(runtime) {
        let host = iptables_host(runtime);
        let victim = host.container("victim").hooks().build();
        let number = victim.number();
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        db.run().ok();
        let thief = host.container("thief").annotate("ports", "80").annotate("links", "db").hooks().build();
        // The borrowed one is the first, so it is the one of the rules.
        ip(&host, &thief, "-4 addr flush dev eth0");
        ip(&host, &thief, &format!("addr add 10.77.0.{number}/24 dev eth0"));
        for other in 100..250 {
            ip(&host, &thief, &format!("addr add 10.77.0.{other}/24 dev eth0"));
        }
        thief.run().ok();
        assert!(recorded(&host, "thief").len() <= 64);
        assert!(is_named(&host, &victim), "{:?}", link_rules(&host));
        victim.run().ok();
        assert_unnamed(&host, &victim);
        assert_eq!(recorded(&host, "victim"), victim.addresses().map(|ip| ip.to_string()));
        assert_eq!(victim.reach(&db, Proto::Tcp, 3306), SHUT);
        // A linked one is refused, and says whose address it is.
        let late = host.container("late").number(150).annotate("links", "db").hooks().build();
        assert!(!late.run().succeeded());
        for container in [&victim, &thief, &db] {
            end(container);
        }
        host.assert_nothing_left();
    }

    /// The address was given back without a hook: the record and the rules are corrected.
    fn h06_an_address_that_was_given_back(runtime) {
        for linked in [false, true] {
            let host = iptables_host(runtime);
            let db = host.container("db").annotate("ports", "3306").hooks().build();
            db.run().ok();
            let web = host.container("web").annotate("links", "db").hooks().build();
            web.run().ok();
            let [v4, v6] = web.addresses();
            ip(&host, &web, &format!("addr del {v4}/24 dev eth0"));
            ip(&host, &web, &format!("addr del {v6}/64 dev eth0"));
            ip(&host, &web, "addr add 10.77.0.200/24 dev eth0");
            let successor = host.container("successor").number(web.number());
            let successor = if linked { successor.annotate("links", "db") } else { successor };
            let successor = successor.hooks().build();
            successor.run().ok();
            assert_eq!(recorded(&host, "web"), ["10.77.0.200"]);
            assert_eq!(is_named(&host, &successor), linked, "{:?}", link_rules(&host));
            assert_eq!(successor.reach(&db, Proto::Tcp, 3306), if linked { OPEN } else { SHUT });
            let follows = link_rules(&host).iter().any(|rule| rule.contains(" 10.77.0.200/"));
            assert!(follows, "{:?}", link_rules(&host));
            for container in [&successor, &web, &db] {
                end(container);
            }
            host.assert_nothing_left();
        }
    }

    /// Two bridges with one network: rules that are bound to the holder's bridge stay, because no
    /// packet of the other matches them. On one bridge they go.
    fn h06_two_bridges_with_one_network(runtime) {
        for apart in [true, false] {
            let host = iptables_host(runtime);
            host.lay_second_bridge();
            let db = host.container("db").annotate("ports", "3306").hooks().build();
            db.run().ok();
            let web = host.container("web").annotate("links", "db").hooks().build();
            web.run().ok();
            let before = link_rules(&host);
            let flows = inspect(&host, "web")["flows"].clone();
            let flows = flows.as_array().expect("a list");
            assert!(!flows.is_empty() && flows.iter().all(|flow| flow["bridge"] == "br0"), "{flows:?}");
            let twin = host.container("twin").number(web.number()).hooks().build();
            if apart {
                move_to_second(&host, &twin);
            }
            twin.run().ok();
            if apart {
                assert_eq!(link_rules(&host), before);
            } else {
                assert_unnamed(&host, &twin);
            }
            assert_eq!(twin.reach(&db, Proto::Tcp, 3306), SHUT);
            for container in [&twin, &web, &db] {
                end(container);
            }
            host.assert_nothing_left();
        }
    }
}
