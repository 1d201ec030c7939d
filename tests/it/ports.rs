//! Links are tied to the bridge ports of both containers (`firewall.bind`): a neighbour on the same bridge that
//! takes an address gains nothing by it.

mod frames;
mod repair;

use crate::{
    backends::each_backend,
    cast::{end, inspect, permissions, recipient, source},
    lifecycle::{by_hand, call, host_with, in_pod_of},
    support::{Container, Forged, Host, OPEN, Proto, SHUT},
};
use oci_link::testing::BackendName;
use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

const PORT: u16 = 3306;
/// The recipient's port of a connection that stands.
const CLIENT: u16 = 41_000;
const BINDS: [&str; 4] = ["auto", "port", "bridge", "none"];

/// A host on which only links let packets through, and links are tied as `bind` says.
fn host_bound(backend: BackendName, bind: &str) -> Host {
    let host = host_with(backend);
    set(&host, bind);
    host
}

/// Sets `firewall.bind` in config.toml.
fn set(host: &Host, bind: &str) {
    let path = host.path("config.toml");
    let text = fs::read_to_string(&path).expect("a file");
    let lines = text.lines().filter(|line| !line.starts_with("bind = "));
    let lines = lines.map(|line| match line {
        "[firewall]" => format!("[firewall]\nbind = \"{bind}\""),
        line => line.to_owned(),
    });
    fs::write(path, lines.collect::<Vec<_>>().join("\n") + "\n").expect("written");
}

fn at(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}

/// A container without links, on the bridge of all others.
fn neighbour<'h>(host: &'h Host, id: &str) -> Container<'h> {
    let neighbour = host.container(id).hooks().build();
    neighbour.run().ok();
    neighbour
}

/// `thief` takes the addresses of `victim` too, and talks with them.
fn takes(thief: &Container, victim: &Container) {
    let [v4, v6] = victim.addresses();
    thief.ip(&format!("addr add {v4}/32 dev eth0\naddr add {v6}/128 dev eth0 nodad"));
}

/// `thief` gives the addresses of `victim` back, and all forget where they were.
fn gives_back(thief: &Container, victim: &Container, all: &[&Container]) {
    let [v4, v6] = victim.addresses();
    thief.ip(&format!("addr del {v4}/32 dev eth0\naddr del {v6}/128 dev eth0"));
    for container in all {
        container.ip("neigh flush all");
    }
}

/// What passes from `sender` to `to`, as if it came from the addresses of `from`.
fn passing(
    sender: &Container,
    from: (&Container, u16),
    to: (&Container, u16),
) -> Vec<(IpAddr, Forged)> {
    let ends = from.0.addresses().into_iter().zip(to.0.addresses());
    let all = ends.flat_map(|ends| Forged::ALL.map(|packet| (ends, packet)));
    let passes = |((source, target), packet): &((IpAddr, IpAddr), Forged)| {
        let there = (to.0.netns(), at(*target, to.1));
        packet.passes((sender.netns(), at(*source, from.1)), there)
    };
    all.filter(passes).map(|((source, _), packet)| (source, packet)).collect()
}

/// The number of packets that [`passing`] tries.
const TRIED: usize = 2 * Forged::ALL.len();

/// The ends of a container's links at their bridge ports, by `inspect`.
fn ends(host: &Host, name: &str) -> Vec<String> {
    let told = inspect(host, name)["rules"]["ports"].take();
    serde_json::from_value(told).expect("a list")
}

/// The elements of the bridge table.
fn seats(host: &Host) -> String {
    let mut nft = std::process::Command::new("nft");
    let text = host.run(nft.args(["list", "table", "bridge", "oci-link"])).ok();
    text.lines()
        .filter(|line| line.contains("comment \"") && !line.contains("oci-link: "))
        .collect()
}

#[track_caller]
fn assert_well(host: &Host) {
    assert_eq!(call(host, "sync --check").ended(0), "");
}

const PORTS: &str = "3306, 3306/udp, 7000-7001/tcp";

each_backend! {
    fn a_neighbour_with_the_address_of_an_end_gains_nothing(backend) {
        for bind in BINDS {
            let host = host_bound(backend, bind);
            let (db, thief) = (source(&host, "db", PORTS), neighbour(&host, "thief"));
            let web = recipient(&host, "web", "db");
            for (proto, port) in [(Proto::Tcp, PORT), (Proto::Udp, PORT), (Proto::Tcp, 7001)] {
                assert_eq!(web.reach(&db, proto, port), OPEN, "{bind} {proto:?} {port}");
                assert_eq!(thief.reach(&db, proto, port), SHUT, "{bind} {proto:?} {port}");
            }
            // A connection that stands: the way back is open.
            assert_eq!(passing(&web, (&web, CLIENT), (&db, PORT)).len(), TRIED, "{bind}");
            assert_well(&host);
            takes(&thief, &web);
            let by_port = ["auto", "port"].contains(&bind);
            let anew = passing(&thief, (&web, 42_000), (&db, PORT));
            assert_eq!(anew.len(), if by_port { 0 } else { TRIED }, "{bind}: {anew:?}");
            let range = passing(&thief, (&web, 42_000), (&db, 7001));
            assert_eq!(range.is_empty(), by_port, "{bind}: {range:?}");
            if by_port {
                assert_eq!(passing(&thief, (&web, CLIENT), (&db, PORT)), [], "{bind}");
                takes(&thief, &db);
                assert_eq!(passing(&thief, (&db, PORT), (&web, CLIENT)), [], "{bind}: back");
                assert!(!seats(&host).is_empty());
            }
            let flows = inspect(&host, "web")["flows"].clone();
            let mut flows = flows.as_array().expect("flows").iter();
            assert!(flows.all(|flow| flow["bridge"].is_null() == (bind == "none")), "{bind}");
            assert_eq!(ends(&host, "web").len(), if by_port { 4 } else { 0 }, "{bind}");
            [&web, &db, &thief].into_iter().for_each(end);
            host.assert_nothing_left();
        }
    }

    /// An unlinked container reaches what it reached before, whatever links its neighbours have.
    fn an_open_bridge_stays_open(backend) {
        let host = Host::open(crate::support::Runtime::Runc.turned());
        let text = format!("[firewall]\nbackend = \"{}\"\n", backend.as_str());
        fs::write(host.path("config.toml"), text).expect("written");
        let (db, one, other) =
            (source(&host, "db", PORTS), neighbour(&host, "one"), neighbour(&host, "other"));
        let web = recipient(&host, "web", "db");
        for to in [&db, &web, &other] {
            assert_eq!(one.reach(to, Proto::Tcp, 8080), OPEN);
        }
        assert_eq!(web.reach(&db, Proto::Tcp, 8080), OPEN);
        [&web, &db, &one, &other].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// The ends have new veths, and each their address, or another one.
    fn both_ends_restart_with_another_port(backend) {
        let host = host_bound(backend, "port");
        let db = source(&host, "db", PORTS);
        let web = recipient(&host, "web", "db");
        let before = seats(&host);
        let number = web.number();
        end(&web);
        web.unplug();
        let web = host.container("web").number(number).annotate("links", "db").hooks().build();
        web.run().ok();
        db.ip("neigh flush all");
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
        assert_ne!(seats(&host), before);
        let number = db.number();
        end(&db);
        db.unplug();
        let db = host.container("db").number(number).annotate("ports", PORTS).hooks().build();
        db.run().ok();
        web.ip("neigh flush all");
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
        assert_well(&host);
        let thief = neighbour(&host, "thief");
        takes(&thief, &web);
        assert_eq!(passing(&thief, (&web, 42_000), (&db, PORT)), []);
        [&web, &db, &thief].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// Both containers of a pod are behind one port. It stays tied until the last has ended.
    fn two_of_a_pod_behind_one_port(backend) {
        let host = host_bound(backend, "port");
        let db = source(&host, "db", PORTS);
        let web = recipient(&host, "web", "db");
        let side = in_pod_of(&web, host.container("side").annotate("links", "db"));
        let other = in_pod_of(&db, host.container("other").annotate("ports", "9000"));
        let user = recipient(&host, "user", "other");
        assert_eq!(user.reach(&db, Proto::Tcp, 9000), OPEN);
        assert_well(&host);
        end(&web);
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN, "of the other one");
        assert_well(&host);
        end(&other);
        assert_eq!(user.reach(&db, Proto::Tcp, 9000), SHUT);
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
        end(&side);
        assert_eq!(web.reach(&db, Proto::Tcp, PORT), SHUT);
        assert_well(&host);
        [&user, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// The gateway routes between two subnets of one bridge. A right source passes, a forged one does not.
    fn subnets_of_one_bridge_are_routed(backend) {
        let host = host_bound(backend, "port");
        by_hand(&host, &["ip addr add 10.76.0.1/24 dev br0", "ip addr add fd76::1/64 dev br0 nodad"]);
        host.netns().enter(|| {
            for name in ["all", "br0"] {
                for switch in ["rp_filter", "send_redirects"] {
                    let path = format!("/proc/sys/net/ipv4/conf/{name}/{switch}");
                    fs::write(path, "0").expect("a switch");
                }
            }
        });
        let db = host.container("db").annotate("ports", PORTS).hooks().build();
        db.ip(
            "addr flush dev eth0 scope global
             addr add 10.76.0.9/24 dev eth0
             addr add fd76::9/64 dev eth0 nodad
             route replace default via 10.76.0.1
             route replace default via fd76::1",
        );
        db.run().ok();
        let web = recipient(&host, "web", "db");
        let far: [IpAddr; 2] = ["10.76.0.9", "fd76::9"].map(|ip| ip.parse().expect("an address"));
        let thief = neighbour(&host, "thief");
        for (from, to) in web.addresses().into_iter().zip(far) {
            let passes = |sender: &Container, port| {
                let ends = ((sender.netns(), at(from, CLIENT)), (db.netns(), at(to, port)));
                Forged::Datagram.passes(ends.0, ends.1)
            };
            // A kernel asks for link-layer addresses once a second.
            assert!((0..20).any(|_| passes(&web, PORT)), "{from}");
            assert!(!passes(&web, PORT + 1), "{from}");
            let back = ((db.netns(), at(to, PORT)), (web.netns(), at(from, CLIENT)));
            assert!(Forged::Datagram.passes(back.0, back.1), "{from}: back");
            takes(&thief, &web);
            assert!(!passes(&thief, PORT), "{from}: forged");
            gives_back(&thief, &web, &[&thief]);
        }
        assert_well(&host);
        [&web, &db, &thief].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// Where bridged packets are not filtered, there is no tie to ports: `auto` takes the bridge and `port` refuses.
    fn without_a_filter_for_bridges(backend) {
        let host = host_bound(backend, "port");
        let db = source(&host, "db", PORTS);
        for (switch, family) in [("iptables", "IPv4"), ("ip6tables", "IPv6")] {
            by_hand(&host, &[&format!("sysctl -qw net.bridge.bridge-nf-call-{switch}=0")]);
            let web = host.container("web").annotate("links", "db").hooks().build();
            web.run().refused(1);
            let log = fs::read_to_string(host.path("log")).expect("a log");
            let line = format!(
                "link to db: firewall.bind is \"port\": net.bridge.bridge-nf-call-{switch} is off: \
                 sysctl -w net.bridge.bridge-nf-call-{switch}=1; or set it to \"auto\""
            );
            assert!(log.contains(&line), "{log}");
            let named = |line: &String| web.addresses().iter().any(|ip| line.contains(&ip.to_string()));
            assert!(!permissions(&host).iter().any(named), "{:?}", permissions(&host));
            let said = call(&host, "doctor").said();
            assert!(said.contains("links are refused: net.bridge"), "{said}");
            set(&host, "auto");
            let said = call(&host, "doctor").said();
            let why = format!("{family}: links on one bridge are tied to the bridge, because net.bridge");
            assert!(said.contains(&why), "{said}");
            let _ = web.delete_by_force();
            web.run().ok();
            let tied = ends(&host, "web");
            let other = if family == "IPv4" { "bridge ends6 " } else { "bridge ends4 " };
            assert!(tied.len() == 2 && tied.iter().all(|it| it.starts_with(other)), "{tied:?}");
            assert_well(&host);
            by_hand(&host, &[&format!("sysctl -qw net.bridge.bridge-nf-call-{switch}=1")]);
            call(&host, "sync --check").ended(13);
            call(&host, "sync").ended(0);
            assert_well(&host);
            assert_eq!(web.reach(&db, Proto::Tcp, PORT), OPEN);
            assert_eq!(ends(&host, "web").len(), 4);
            end(&web);
            set(&host, "port");
        }
        end(&db);
        host.assert_nothing_left();
    }
}
