//! Containers of a rootless engine that are on no bridge.

use super::*;
use crate::model::NoBridge;

#[test]
fn without_a_bridge_only_links_are_refused() {
    let apart =
        |name: &str, on| Record { network: Network::NoBridge(on), ..record(name, "80", &[]) };
    let nothing = World { candidates: vec![], hosts: None, routing: Routing::default() };
    let refused = |me: &Record, source: Record, absent| {
        let there = World { hosts: None, ..world(&[source], None) };
        plan(me, &there, absent).unwrap_err().to_string()
    };
    let (db, web) = (record("db", "80", &["10.0.0.2/24"]), record("web", "80", &["10.0.0.3/24"]));
    for on in [NoBridge::Host, NoBridge::Pasta, NoBridge::Slirp4netns, NoBridge::Nothing] {
        let words = |name: &str| {
            let fix = "start both with --network bridge, or --network and a network of your own";
            format!("{name} is on {}: {fix}", on.reason())
        };
        assert!(plan(&apart("web", on), &nothing, OnMissing::Refuse).is_ok());
        let recipient = apart("web", on).linked(&["db"]);
        for absent in [OnMissing::Refuse, OnMissing::Defer, OnMissing::Leave] {
            assert_eq!(refused(&recipient, db.clone(), absent), words("web"));
        }
        let linked = web.clone().linked(&["db"]);
        for absent in [OnMissing::Refuse, OnMissing::Defer] {
            assert_eq!(refused(&linked, apart("db", on), absent), words("db"));
        }
    }
}
