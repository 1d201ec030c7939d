//! Flows, fillers and aliases.

use super::*;
use crate::model::BridgeName;
use crate::model::sample::{port, record};

#[test]
fn a_connection_knows_of_no_bridge() {
    let [from, to] = ["10.0.0.2", "10.0.0.3"].map(|ip| ip.parse().unwrap());
    let ports = port("80");
    let flow = Flow { from, to, ports, bridge: BridgeName::new("br0").ok().map(OnBridge::from) };
    assert_eq!(flow.anywhere(), Flow { from, to, ports, bridge: None });
    assert_ne!(flow.anywhere(), flow);
}

#[test]
fn a_filler_is_a_comment_of_any_length() {
    for (length, expected) in [(0, ""), (1, "#"), (2, "#\n"), (4, "###\n")] {
        assert_eq!(filler(length), expected.as_bytes());
    }
}

#[test]
fn a_source_has_the_alias_of_its_first_link() {
    let [db, cache, other] = ["db", "cache", "other"].map(|id| ContainerId::new(id).unwrap());
    let mut web = record("web", "none", &[]).linked(&["cache", "db:sql", "db:again", "other"]);
    for (link_state, source) in web.links.iter_mut().zip([&cache, &db, &db]) {
        link_state.source = Some(source.clone());
    }
    assert_eq!(web.alias_of(&db).map(Alias::as_str), Some("sql"));
    assert_eq!(web.alias_of(&cache).map(Alias::as_str), Some("cache"));
    assert_eq!(web.alias_of(&other), None, "it is not connected");
}

#[test]
fn every_backend_is_in_all() {
    // A new variant does not compile here until it is added to the chain and to `ALL`.
    let after = |name: BackendName| match name {
        BackendName::None => Some(BackendName::Ipset),
        BackendName::Ipset => Some(BackendName::Iptables),
        BackendName::Iptables => Some(BackendName::Nftables),
        BackendName::Nftables => None,
    };
    let chain: Vec<_> =
        std::iter::successors(after(BackendName::None), |name| after(*name)).collect();
    assert_eq!(chain, BackendName::ALL);
    for name in chain {
        assert_eq!(BackendName::parse(name.as_str()), Ok(name));
    }
}

#[test]
fn a_file_is_known_by_its_inode() {
    let inode = |number| Inode { device: 1, number };
    let mount = |path: &str, n| HostsPlace::Mount { path: PathBuf::from(path), inode: inode(n) };
    assert!(mount("/a", 1).is_same_file(&mount("/b", 1)));
    assert!(!mount("/a", 1).is_same_file(&mount("/a", 2)));
    let rootfs = |created| HostsPlace::Rootfs { path: "/a".into(), inode: inode(1), created };
    assert!(rootfs(Created::File).is_same_file(&rootfs(Created::Nothing)));
    assert!(!rootfs(Created::File).is_same_file(&mount("/a", 1)));
}
