//! Frames that the chains of IPv4 and IPv6 do not see do not pass around an isolation.

use super::{Server, call_doctor, isolated, neighbour, open_host, reaches};
use crate::{
    backends::each_backend,
    support::{Container, Host},
};
use std::{fs, net::IpAddr};

/// Tagged frames pass by the chains.
fn tags_are_not_filtered(host: &Host) {
    host.netns().enter(|| {
        for switch in ["vlan", "pppoe"] {
            let path = format!("/proc/sys/net/bridge/bridge-nf-filter-{switch}-tagged");
            fs::write(path, "0").expect("a switch");
        }
    });
}

/// Gives the container an interface that sends frames with a tag, and returns its addresses.
fn tagged(container: &Container, name: &str, tag: &str, number: u8) -> [IpAddr; 2] {
    let host = container.number();
    container.ip(&format!(
        "link add link eth0 name {name} type vlan {tag}
         link set {name} up
         addr add 10.{number}.0.{host}/24 dev {name}
         addr add fd{number}::{host:x}/64 dev {name} nodad"
    ));
    [
        IpAddr::from([10, number, 0, host]),
        format!("fd{number}::{host:x}").parse().expect("an address"),
    ]
}

each_backend! {
    fn frames_with_a_tag_do_not_pass(backend) {
        let host = open_host(backend);
        tags_are_not_filtered(&host);
        let other = neighbour(&host, "other");
        let db = isolated(&host, "db", "both").build();
        let tags = [
            ("q", "id 5", 91),
            ("ad", "proto 802.1ad id 6", 92),
            ("prio", "id 0", 93),
        ];
        let ways = tags.map(|(name, tag, number)| {
            [&db, &other].map(|container| tagged(container, name, tag, number))
        });
        let _servers = [&db, &other].map(|it| Server::new(it.netns()));
        for [to_db, to_other] in ways {
            assert!(reaches(other.netns(), to_db, 80) && reaches(db.netns(), to_other, 80));
        }
        db.run().ok();
        for [to_db, to_other] in ways {
            assert!(!reaches(other.netns(), to_db, 80), "{to_db:?}");
            assert!(!reaches(db.netns(), to_other, 80), "{to_other:?}");
        }
        let doctor = call_doctor(&host);
        for switch in ["vlan", "pppoe"] {
            let name = format!("bridge-nf-filter-{switch}-tagged");
            assert!(doctor.contains(&name), "{doctor}");
        }
        db.delete_by_force().ok();
        for [to_db, to_other] in ways {
            assert!(reaches(other.netns(), to_db, 80) && reaches(db.netns(), to_other, 80));
        }
    }
}
