//! Rules of other programs that hide a recipient's address from its source, and such that do not.

use super::{assert_well, doctor, paste};
use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    configure::site::Site,
    lifecycle::{
        by_hand, call, host_of,
        networks::{far_source, second},
    },
    support::{Container, Host, Runtime},
};
use std::{
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

/// How a rule is made: by `nft -f`, or by lines of the tables nat of iptables.
enum Rules {
    Nft(&'static str),
    Iptables(&'static [&'static str]),
}
use Rules::{Iptables, Nft};

const WAY: &str = "it hides the address of the recipient from the source on the way from \
                   10.77.0.0/24 to 10.78.0.0/24, by the rule";

/// Docker's matches in the order of iptables 1.8.11, and in that of 1.8.9.
const ORDERS: [&str; 2] =
    ["ip saddr 10.77.0.0/24 oifname != \"br0\"", "oifname != \"br0\" ip saddr 10.77.0.0/24"];

/// What engines and administrators make for `br0`, which hits what is routed to `br1`; its table, and
/// what is said of its rule.
const ROUTED: [(Rules, &str, &str); 6] = [
    // Docker's, for each of its networks.
    (
        Iptables(&["-A POSTROUTING -s 10.77.0.0/24 ! -o br0 -j MASQUERADE"]),
        "ip nat",
        ": ip saddr 10.77.0.0/24 oifname != \"br0\" masquerade",
    ),
    // netavark's, and CNI's.
    (
        Iptables(&[
            "-N NETAVARK-1D8721804F16F",
            "-A NETAVARK-1D8721804F16F -d 10.77.0.0/24 -j ACCEPT",
            "-A NETAVARK-1D8721804F16F ! -d 224.0.0.0/4 -j MASQUERADE",
            "-A POSTROUTING -s 10.77.0.0/24 -j NETAVARK-1D8721804F16F",
        ]),
        "ip nat",
        " in its chain NETAVARK-1D8721804F16F: ip daddr != 224.0.0.0/4 masquerade",
    ),
    (
        Nft("table inet netavark {
            chain POSTROUTING { type nat hook postrouting priority srcnat;
                meta mark & 0x2000 == 0x2000 masquerade
                ip saddr 10.77.0.0/24 jump nv_2f259bab_10_77_0_0_nm24;
            }
            chain nv_2f259bab_10_77_0_0_nm24 {
                ip daddr 10.77.0.0/24 accept
                ip daddr != 224.0.0.0/4 masquerade;
            };
        }"),
        "inet netavark",
        " in its chain nv_2f259bab_10_77_0_0_nm24: ip daddr != 224.0.0.0/4 masquerade",
    ),
    (
        Nft("table inet firewalld {
            chain nat_POSTROUTING { type nat hook postrouting priority srcnat + 10;
                iifname \"br0\" oifname \"br1\" jump nat_POST_public;
            }
            chain nat_POST_public { meta nfproto ipv4 oifname != \"lo\" masquerade;
            };
        }"),
        "inet firewalld",
        " in its chain nat_POST_public: meta nfproto ipv4 oifname != \"lo\" masquerade",
    ),
    (
        Nft("table ip own { chain out { type nat hook postrouting priority 90;
            oifname { \"eth0\", \"br1\" } ip daddr != 192.0.2.1 snat to 10.78.0.1;
        }; }"),
        "ip own",
        "ip daddr != 192.0.2.1 snat",
    ),
    (
        Nft("table ip earlier { chain out { type nat hook postrouting priority 10; policy accept;
            ip saddr 10.77.0.0/24 accept;
        }; }
        table ip everything { chain out { type nat hook postrouting priority 110; masquerade;
        }; }"),
        "ip everything",
        ": masquerade",
    ),
];

/// Rules for `br0` that hit nothing between two of its containers, with their tables.
const ON_ONE_BRIDGE: [(Rules, &str); 7] = [
    (
        Iptables(&[
            "-A POSTROUTING -s 10.77.0.0/24 ! -o br0 -j MASQUERADE",
            "-A POSTROUTING -s 10.77.0.11/32 -d 10.77.0.11/32 -p tcp --dport 3306 -j MASQUERADE",
            "-A POSTROUTING -o br0 -m addrtype --src-type LOCAL -j MASQUERADE",
        ]),
        "ip nat",
    ),
    (
        Iptables(&[
            "-N NETAVARK-HOSTPORT-MASQ",
            "-N NETAVARK-1D8721804F16F",
            "-A NETAVARK-HOSTPORT-MASQ -m comment --comment netavark -m mark --mark 0x2000/0x2000 \
             -j MASQUERADE",
            "-A NETAVARK-1D8721804F16F -d 10.77.0.0/24 -j ACCEPT",
            "-A NETAVARK-1D8721804F16F ! -d 224.0.0.0/4 -j MASQUERADE",
            "-A POSTROUTING -j NETAVARK-HOSTPORT-MASQ",
            "-A POSTROUTING -s 10.77.0.0/24 -j NETAVARK-1D8721804F16F",
        ]),
        "ip nat",
    ),
    (
        Iptables(&[
            "-N CNI-0123456789abcdef01234567",
            "-A CNI-0123456789abcdef01234567 -d 10.77.0.0/24 -j ACCEPT",
            "-A CNI-0123456789abcdef01234567 ! -d 224.0.0.0/4 -j MASQUERADE",
            "-A POSTROUTING -s 10.77.0.12/32 -j CNI-0123456789abcdef01234567",
        ]),
        "ip nat",
    ),
    (
        Iptables(&[
            "-N KUBE-POSTROUTING",
            "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
            "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
            "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
            "-A POSTROUTING -j KUBE-POSTROUTING",
        ]),
        "ip nat",
    ),
    (
        Nft("table inet netavark {
            chain POSTROUTING { type nat hook postrouting priority srcnat;
                meta mark & 0x2000 == 0x2000 masquerade
                ip saddr 10.77.0.0/24 jump nv_2f259bab_10_77_0_0_nm24;
            }
            chain nv_2f259bab_10_77_0_0_nm24 {
                ip daddr 10.77.0.0/24 accept
                ip daddr != 224.0.0.0/4 masquerade;
            };
        }"),
        "inet netavark",
    ),
    (
        Nft("table inet firewalld {
            chain nat_POSTROUTING { type nat hook postrouting priority srcnat + 10;
                iifname \"br0\" oifname \"eth0\" jump nat_POST_public
                oifname \"eth0\" jump nat_POST_public;
            }
            chain nat_POST_public { meta nfproto ipv4 oifname != \"lo\" masquerade;
            };
        }"),
        "inet firewalld",
    ),
    (
        Nft("table ip home {
            chain unused { masquerade; }
            chain in { type nat hook prerouting priority dstnat; tcp dport 8080 dnat to 10.77.0.11; }
            chain out { type nat hook postrouting priority srcnat; oifname \"eth0\" masquerade;
            };
        }"),
        "ip home",
    ),
];

fn load(host: &Host, rules: &Rules) {
    match rules {
        Nft(text) => {
            host.feed(Command::new("nft").args(["-f", "-"]), text.as_bytes()).ok();
        }
        Iptables(lines) => {
            for line in *lines {
                by_hand(host, &[&format!("iptables -t nat {line}")]);
            }
        }
    }
}

fn unload(host: &Host, table: &str) {
    by_hand(host, &[&format!("nft delete table {table}")]);
}

/// `rule` with its matches in the order in which the kernel has them.
fn in_order(host: &Host, table: &str, rule: &str) -> String {
    let mut list = Command::new("nft");
    let listed = host.run(list.args(["list", "table"]).args(table.split(' '))).ok();
    let [order, earlier] = ORDERS;
    if listed.contains(earlier) { rule.replace(order, earlier) } else { rule.to_owned() }
}

/// The address that `db` sees when `web` connects to `ip`; `None` if it cannot connect.
fn seen(web: &Container, db: &Container, ip: IpAddr) -> Option<IpAddr> {
    let target = SocketAddr::new(ip, 3306);
    let listener = db.netns().enter(|| TcpListener::bind(target)).expect("listens");
    let dial = || TcpStream::connect_timeout(&target, Duration::from_secs(2));
    let _stream = web.netns().enter(dial).ok()?;
    Some(listener.accept().expect("accepts").1.ip())
}

each_backend! {
    fn a_masquerade_between_two_networks_is_named_with_the_rule_and_the_fix(backend) {
        let (host, site) = (host_of(backend, Runtime::Runc), Site::new());
        host.lay_second_bridge();
        let db = far_source(&host, "db");
        let web = recipient(&host, "web", "db");
        let [own, _] = web.addresses();
        assert_eq!(seen(&web, &db, second(&db)), Some(own));
        assert_well(&host, &site);
        for (rules, table, rule) in &ROUTED {
            load(&host, rules);
            let hidden = IpAddr::from([10, 78, 0, 1]);
            assert_eq!(seen(&web, &db, second(&db)), Some(hidden), "{table}");
            let report = doctor(&host, &site, 11);
            assert_eq!(report.troubles(), ["warning masquerade"], "{table}");
            let said = report.of("masquerade");
            let fix = said.is("warning", &format!("table {table}, chain ")).fix().to_owned();
            said.is("warning", WAY).is("warning", &in_order(&host, table, rule));
            let told = call(&host, "sync --check").ended(13);
            assert!(told.contains(WAY) && told.contains("1 problem found; run oci-link doctor"), "{told}");
            if fix.is_empty() {
                assert_eq!(*table, "inet firewalld", "{fix}");
            } else {
                paste(&host, &site, &fix);
                assert_eq!(seen(&web, &db, second(&db)), Some(own), "{fix}");
                assert_well(&host, &site);
            }
            unload(&host, table);
        }
        unload(&host, "ip earlier");
        assert_well(&host, &site);
        [&web, &db].into_iter().for_each(end);
    }

    fn what_engines_make_for_a_bridge_hits_nothing_on_it(backend) {
        let (host, site) = (host_of(backend, Runtime::Crun), Site::new());
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let [own, _] = web.addresses();
        for (rules, table) in &ON_ONE_BRIDGE {
            load(&host, rules);
            assert_eq!(seen(&web, &db, db.addresses()[0]), Some(own), "{table}");
            assert_well(&host, &site);
            assert_eq!(call(&host, "sync --check").ended(0), "", "{table}");
            unload(&host, table);
        }
    }

    fn a_masquerade_within_a_bridge_is_named(backend) {
        let (host, site) = (host_of(backend, Runtime::Runc), Site::new());
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let [own, own6] = web.addresses();
        for (rule, family) in [
            ("iptables -t nat -A POSTROUTING -s 10.77.0.0/24 -j MASQUERADE", "ip"),
            ("ip6tables -t nat -A POSTROUTING -o br0 -j MASQUERADE", "ip6"),
        ] {
            by_hand(&host, &[rule]);
            let [v4, v6] = db.addresses();
            // Some packets of such a connection get lost.
            assert_eq!(seen(&web, &db, v4) == Some(own), family == "ip6");
            assert_eq!(seen(&web, &db, v6) == Some(own6), family == "ip");
            let report = doctor(&host, &site, 11);
            assert_eq!(report.troubles(), ["warning masquerade"], "{rule}");
            let named = format!("table {family} nat, chain POSTROUTING, hook postrouting, priority 100");
            let said = report.of("masquerade");
            let fix = said.is("warning", &named).is("warning", "from the source on br0, by").fix();
            paste(&host, &site, fix);
            let both = (seen(&web, &db, v4), seen(&web, &db, v6));
            assert_eq!(both, (Some(own), Some(own6)), "{fix}");
            assert_well(&host, &site);
            unload(&host, &format!("{family} nat"));
        }
        // Rules for IP do not see what stays on a bridge without the switch.
        by_hand(&host, &["iptables -t nat -A POSTROUTING -s 10.77.0.0/24 -j MASQUERADE"]);
        let switch = |value: &str| {
            let path = "/proc/sys/net/bridge/bridge-nf-call-iptables";
            host.netns().enter(|| std::fs::write(path, value)).expect("a switch");
        };
        switch("0");
        assert_eq!(seen(&web, &db, db.addresses()[0]), Some(own));
        assert_eq!(call(&host, "sync --check").ended(0), "");
        switch("1");
        assert!(call(&host, "sync --check").ended(13).contains("on br0, by the rule: "));
    }
}

/// Before the first link it is asked for packets on the bridges of engines.
#[test]
fn a_fresh_host_has_the_rules_of_engines() {
    let (host, site) = (Host::open(Runtime::Runc), Site::new());
    by_hand(
        &host,
        &[
            "ip link add docker0 type bridge",
            "iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
            "iptables -t nat -A POSTROUTING -s 10.88.0.0/16 -j MASQUERADE",
        ],
    );
    assert_well(&host, &site);
    by_hand(&host, &["iptables -t nat -A POSTROUTING -o docker0 -j MASQUERADE"]);
    let report = doctor(&host, &site, 11);
    let said = report
        .of("masquerade")
        .is("warning", "from the source on docker0, by the rule: ")
        .fix()
        .to_owned();
    assert_eq!(said, "iptables -t nat -I POSTROUTING -o docker0 -j ACCEPT");
    paste(&host, &site, &said);
    assert_well(&host, &site);
}
