//! Records as they are written and read again.

use super::*;
use crate::model::sample::{record, reference};
use crate::model::{Crossing, DeclaredBy, NetworkName, NetworkNames, OnBridge};

#[test]
fn what_declared_a_link_and_where_it_leads_is_kept() {
    let mut web = record("web", "80", &["172.18.0.2/16"]).linked(&["db", "x:y", "z"]);
    let bridge = BridgeName::new("br-1").ok();
    web.links[1].declared_by = DeclaredBy::parse("docker:n1").unwrap();
    web.links[1].on = vec![Address::parse("172.18.0.2/16").unwrap().on(bridge)];
    web.links[2].declared_by = DeclaredBy::Connect;
    web.engine_files = Some("/var/lib/docker/containers".into());
    web.by_engine = true;
    web.share = crate::model::Share::parse("b,c").unwrap();
    web.former_names = vec![ContainerName::new("old").unwrap()];
    let aliases = vec![reference("b"), reference("a")];
    let network = |name: &str| NetworkName::new(name).unwrap();
    web.networks.push(NetworkNames { network: network("n1"), aliases });
    web.networks.push(NetworkNames { network: network("n2"), aliases: Vec::new() });
    assert_eq!(decode(&encode(&web).unwrap()).unwrap(), web);
}

/// The previous version takes it for a container on the host's network, where links cannot be made.
#[test]
fn a_container_without_a_bridge_is_kept() {
    for on in [NoBridge::Host, NoBridge::Pasta, NoBridge::Slirp4netns, NoBridge::Nothing] {
        let web = Record { network: Network::NoBridge(on), ..record("web", "80", &[]) };
        let bytes = encode(&web).unwrap();
        assert_eq!(decode(&bytes).unwrap(), web);
        assert!(String::from_utf8(bytes).unwrap().contains("\"addresses\":null"));
    }
}

/// An older program must not take them for flows on one bridge.
#[test]
fn flows_between_hosts_are_kept_and_need_the_third_version() {
    let flow = |crossing| Flow {
        from: "10.10.1.2".parse().unwrap(),
        to: "10.10.2.2".parse().unwrap(),
        ports: crate::model::sample::port("80"),
        bridge: BridgeName::new("br0").ok().map(|name| OnBridge { crossing, ..name.into() }),
    };
    for (crossing, version) in [(Crossing::Within, 1), (Crossing::Leaves, 3), (Crossing::Enters, 3)]
    {
        let web = Record { flows: vec![flow(crossing)], ..record("web", "80", &[]) };
        let text = String::from_utf8(encode(&web).unwrap()).unwrap();
        assert_eq!(decode(text.as_bytes()).unwrap(), web);
        assert!(text.starts_with(&format!("{{\"version\":{version},")), "{text}");
        assert_eq!(text.contains("crossing"), version == 3);
        let junk = text.replace(crossing.as_str(), "out");
        assert_eq!(decode(junk.as_bytes()).is_err(), version == 3);
    }
}

/// A record without links of an engine is what the previous version wrote.
#[test]
fn a_record_of_the_previous_version_has_none_of_it() {
    let web = record("web", "80", &["172.18.0.2/16"]).linked(&["db"]);
    let text = String::from_utf8(encode(&web).unwrap()).unwrap();
    let new = "declared_by \"on\" engine_files by_engine former_names networks share";
    for new in new.split(' ') {
        assert!(!text.contains(new), "{new}: {text}");
    }
    let old = decode(text.as_bytes()).unwrap();
    assert_eq!((old.by_engine, &old.links[0].declared_by), (false, &DeclaredBy::Annotation));
}
