//! Tests of plans, as data.

mod no_bridge;

use super::*;
use crate::model::Network;
use crate::model::sample::record;
use crate::model::{BridgeName, ContainerId, ContainerName, Engine, Inode};
use std::path::PathBuf;

fn world(sources: &[Record], content: Option<&str>) -> World {
    let place =
        HostsPlace::Mount { path: PathBuf::from("/h"), inode: Inode { device: 1, number: 2 } };
    let content = content.map(|text| text.as_bytes().to_vec());
    World {
        candidates: sources.iter().map(|s| Candidate::Running(Box::new(s.clone()))).collect(),
        hosts: Some(HostsInput { place, content, ipv6: true, shared: vec![] }),
        routing: Routing::default(),
    }
}

fn text(plan: &Plan) -> String {
    String::from_utf8(plan.hosts_content.clone().unwrap()).unwrap()
}

#[test]
fn lines_in_the_order_of_the_links_then_our_own() {
    let db = record("mysql", "3306", &["10.0.0.2/24", "fd00::2/64"]);
    let cache = record("cache", "none", &["10.0.0.3/24"]);
    let web = record("web", "none", &["10.0.0.4/24", "fd00::4/64"]);
    let web = web.linked(&["cache", "mysql:db", "mysql:sql"]);
    let world = world(&[cache, db.clone(), db], Some("10.0.0.4\tengine\n"));
    let plan = plan(&web, &world, OnMissing::Refuse).unwrap();
    assert_eq!(
        text(&plan),
        "10.0.0.4\tengine\n# BEGIN oci-link\n10.0.0.3\tcache cache\n\
         10.0.0.2\tdb mysql mysql\nfd00::2\tdb mysql mysql\n\
         10.0.0.2\tsql mysql mysql\nfd00::2\tsql mysql mysql\n\
         fd00::4\tweb\n# END oci-link\n"
    );
    let flows: Vec<_> = plan.record.flows.iter().map(ToString::to_string).collect();
    assert_eq!(flows, ["10.0.0.4 -> 10.0.0.2 3306/tcp", "fd00::4 -> fd00::2 3306/tcp"]);
}

#[test]
fn a_missing_file_is_made_as_docker_makes_it() {
    let db = record("db", "none", &["10.0.0.2/24"]);
    let web = record("web", "none", &["10.0.0.4/24"]).linked(&["db"]);
    let plan = plan(&web, &world(&[db], None), OnMissing::Refuse).unwrap();
    assert!(text(&plan).starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost"));
    assert!(text(&plan).ends_with("10.0.0.2\tdb db\n10.0.0.4\tweb\n# END oci-link\n"));
}

#[test]
fn planning_again_changes_nothing() {
    let db = record("db", "80", &["10.0.0.2/24"]);
    let web = record("web", "none", &["10.0.0.4/24"]).linked(&["db"]);
    let first =
        plan(&web, &world(std::slice::from_ref(&db), Some("x\n")), OnMissing::Refuse).unwrap();
    let again = world(std::slice::from_ref(&db), Some(&text(&first)));
    let second = plan(&first.record, &again, OnMissing::Refuse).unwrap();
    assert_eq!(second.hosts_content, None);
    assert_eq!(second.record, first.record);
    let neighbours = hosts::block(b"", &["10.0.0.9\tother".to_owned()]);
    let shared = world(&[db], Some(&(text(&first) + &neighbours)));
    let third = plan(&first.record, &shared, OnMissing::Refuse).unwrap();
    assert_eq!(third.hosts_content, None, "nor does a block that came behind ours");
}

#[test]
fn a_source_that_goes_takes_its_rules_and_line_along() {
    let db = record("db", "80", &["10.0.0.2/24"]);
    let web = record("web", "none", &["10.0.0.4/24"]).linked(&["db"]);
    let linked = plan(&web, &world(&[db], Some("x\n")), OnMissing::Refuse).unwrap();
    let mut gone = world(&[], Some(&text(&linked)));
    gone.candidates = vec![Candidate::Stopped(ContainerName::new("db").unwrap())];
    let plan = plan(&linked.record, &gone, OnMissing::Leave).unwrap();
    assert!(plan.record.flows.is_empty());
    assert_eq!(text(&plan), "x\n# BEGIN oci-link\n10.0.0.4\tweb\n# END oci-link\n");
    assert_eq!(plan.pending().flows, linked.record.flows, "until it is done");
    assert_eq!((plan.pending().phase, plan.record.phase), (Phase::Pending, Phase::Ready));
    let before = linked.record.hosts.unwrap().block;
    assert_eq!(plan.pending().hosts.unwrap().previous, [before]);
}

#[test]
fn the_own_line_is_removed_with_the_last_link() {
    let db = record("db", "80", &["10.0.0.2/24"]);
    let web = record("web", "none", &["10.0.0.4/24"]).linked(&["db"]);
    let linked = plan(&web, &world(&[db], Some("x\n")), OnMissing::Refuse).unwrap();
    let unlinked = linked.record.clone().linked(&[]);
    let plan = plan(&unlinked, &world(&[], Some(&text(&linked))), OnMissing::Leave).unwrap();
    assert_eq!(text(&plan), "x\n");
}

#[test]
fn of_several_networks_the_shared_one_counts() {
    let db = record("db", "80", &["10.1.0.2/24", "10.0.0.2/24"]);
    let web = record("web", "none", &["10.2.0.4/24", "10.0.0.4/24"]).linked(&["db"]);
    let plan = plan(&web, &world(&[db], Some("")), OnMissing::Refuse).unwrap();
    assert_eq!(plan.record.flows[0].to_string(), "10.0.0.4 -> 10.0.0.2 80/tcp");
    assert!(text(&plan).contains("10.0.0.2\tdb db\n"));
}

#[test]
fn refusals_say_what_docker_says() {
    let web = record("web", "none", &["10.0.0.4/24"]).linked(&["db:sql"]);
    let refused = |candidate: Candidate| {
        let world = World { candidates: vec![candidate], hosts: None, routing: Routing::default() };
        plan(&web, &world, OnMissing::Refuse).unwrap_err().to_string()
    };
    assert_eq!(
        refused(Candidate::Missing),
        "could not get container for db: No such container: db"
    );
    assert_eq!(
        refused(Candidate::Stopped(ContainerName::new("db").unwrap())),
        "Cannot link to a non running container: /db AS /web/sql"
    );
    assert_eq!(refused(Candidate::Ambiguous), "multiple IDs found with provided prefix: db");
    let mut on_host = record("db", "80", &[]);
    on_host.network = Network::Host;
    assert!(refused(Candidate::Running(Box::new(on_host))).starts_with("conflicting options"));
}

#[test]
fn on_the_hosts_network_only_links_are_refused() {
    let on_host = Record { network: Network::Host, ..record("web", "none", &[]) };
    let nothing = World { candidates: vec![], hosts: None, routing: Routing::default() };
    assert!(plan(&on_host, &nothing, OnMissing::Refuse).is_ok());
    let linked = on_host.linked(&["db"]);
    let db = record("db", "80", &["10.0.0.2/24"]);
    let there = World { hosts: None, ..world(&[db], None) };
    for absent in [OnMissing::Refuse, OnMissing::Leave] {
        assert_eq!(plan(&linked, &there, absent), Err(Refusal::HostNetwork));
    }
}

#[test]
fn a_host_name_takes_no_name_of_another() {
    let line = |hostname: &str| {
        let mut evil = record("evil", "none", &["10.0.0.2/24"]);
        evil.hostname = Hostname::new(hostname).ok();
        let db = record("db", "none", &["10.0.0.3/24"]);
        let web = record("web", "none", &["10.0.0.4/24"]).linked(&["evil:e", "db"]);
        let plan = plan(&web, &world(&[evil, db], Some("")), OnMissing::Refuse).unwrap();
        text(&plan).lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(line("other"), "10.0.0.2\te other evil");
    for taken in ["db", "DB", "localhost", "ip6-loopback", "web"] {
        assert_eq!(line(taken), "10.0.0.2\te evil", "{taken}");
    }
    assert_eq!(line("e"), "10.0.0.2\te e evil", "its alias is its own, as in Docker");
}

/// One name has the address of one source: aliases come first, then names, then host names.
#[test]
fn no_name_has_the_addresses_of_two_sources() {
    let lines = |links: &[&str], hostnames: [&str; 2]| {
        let mut cache = record("cache", "none", &["10.0.0.2/24"]);
        let mut mysql = record("mysql", "none", &["10.0.0.3/24"]);
        for (source, hostname) in [&mut cache, &mut mysql].into_iter().zip(hostnames) {
            source.hostname = Hostname::new(hostname).ok();
        }
        let web = record("web", "none", &["10.0.0.4/24"]).linked(links);
        let plan = plan(&web, &world(&[cache, mysql], Some("")), OnMissing::Refuse).unwrap();
        let text = text(&plan);
        [1, 2].map(|at| text.lines().nth(at).unwrap().split_once('\t').unwrap().1.to_owned())
    };
    assert_eq!(lines(&["cache:c", "mysql:db"], ["mysql", "h"]), ["c cache", "db h mysql"]);
    assert_eq!(lines(&["cache:mysql", "mysql:db"], ["c", "mysql"]), ["mysql c cache", "db"]);
    assert_eq!(lines(&["cache:Mysql", "mysql:db"], ["c", "h"]), ["Mysql c cache", "db h"]);
    assert_eq!(lines(&["cache:c", "mysql:db"], ["app", "APP"]), ["c app cache", "db mysql"]);
}

/// A source that does not run yet will have the name by which the link names it.
#[test]
fn a_host_name_is_not_the_name_of_a_source_that_is_awaited() {
    let mut cache = record("cache", "none", &["10.0.0.2/24"]);
    cache.hostname = Hostname::new("mysql").ok();
    let web = record("web", "none", &["10.0.0.4/24"]).linked(&["cache:c", "mysql:db"]);
    let mut world = world(&[cache], Some(""));
    world.candidates.push(Candidate::Missing);
    let plan = plan(&web, &world, OnMissing::Defer).unwrap();
    assert_eq!(text(&plan).lines().nth(1), Some("10.0.0.2\tc cache"));
}

/// Aliases and names of sources come before host names, whatever the order of the links.
#[test]
fn a_host_name_is_not_the_name_of_another_source() {
    let mut cache = record("cache", "none", &["10.0.0.2/24"]);
    let mysql = record("mysql", "none", &["10.0.0.3/24"]);
    for hostname in ["mysql", "MySQL", "db", "c2"] {
        cache.hostname = Hostname::new(hostname).ok();
        for links in [["cache:c", "mysql:db"], ["mysql:db", "cache:c"]] {
            let sources = links.map(|link| match link.split_once(':') {
                Some(("cache", _)) => cache.clone(),
                _ => mysql.clone(),
            });
            let web = record("web", "none", &["10.0.0.4/24"]).linked(&links);
            let plan = plan(&web, &world(&sources, Some("")), OnMissing::Refuse).unwrap();
            let own = if hostname == "c2" { "c c2 cache" } else { "c cache" };
            let lines = text(&plan);
            assert!(lines.contains(&format!("10.0.0.2\t{own}\n")), "{hostname}: {lines}");
            assert!(lines.contains("10.0.0.3\tdb mysql mysql\n"), "{hostname}: {lines}");
        }
    }
}

#[test]
fn what_is_no_host_name_is_in_no_line() {
    let id = ContainerId::new("a b").unwrap();
    let named = ContainerName::from(&id);
    let mut db = Record { id, name: named, ..record("db", "80", &["10.0.0.2/24"]) };
    db.hostname = None;
    let mut web = record("web", "none", &["10.0.0.4/24"]).linked(&["db:sql"]);
    web.hostname = None;
    let plan = plan(&web, &world(&[db], Some("")), OnMissing::Refuse).unwrap();
    assert_eq!(text(&plan), "# BEGIN oci-link\n10.0.0.2\tsql\n# END oci-link\n");
    assert_eq!(plan.record.flows.len(), 1, "it is linked all the same");
}

#[test]
fn an_alias_that_is_the_own_name_is_refused() {
    let web = record("web", "none", &["10.0.0.4/24"]).linked(&["db:WEB"]);
    let world =
        World { candidates: vec![Candidate::Missing], hosts: None, routing: Routing::default() };
    assert!(matches!(plan(&web, &world, OnMissing::Leave), Err(Refusal::OwnHostname(_))));
}

/// Returns the record in a network namespace of its own, as a container of Docker on `bridge`.
fn of_docker(mut record: Record, netns: u64, bridge: &str) -> Record {
    let bridge = BridgeName::new(bridge).ok();
    let addresses = record.network.addresses().iter().map(|address| address.on(bridge));
    record.network = Network::Own(addresses.collect());
    record.instance.netns = netns;
    Record { engine: Some(Engine::Docker), ..record }
}

#[test]
fn a_link_that_cannot_carry_is_refused_or_waits() {
    let web = record("web", "none", &["10.0.0.4/24", "fd00::4/64"]).linked(&["mysql:db"]);
    let web = of_docker(web, 7, "docker0");
    let far = of_docker(record("mysql", "3306", &["10.1.0.2/24"]), 8, "br-0123456789ab");
    let nowhere = of_docker(record("mysql", "3306", &[]), 8, "");
    for (source, cause) in [
        (&far, "web is on 10.0.0.0/24 and fd00::/64, mysql on 10.1.0.0/24: docker network connect"),
        (&nowhere, "mysql has no address: docker network connect bridge mysql"),
    ] {
        let world = world(std::slice::from_ref(source), Some("x\n"));
        let refused = plan(&web, &world, OnMissing::Refuse).unwrap_err().to_string();
        assert!(refused.starts_with(cause), "{refused}");
        for absent in [OnMissing::Defer, OnMissing::Leave] {
            let plan = plan(&web, &world, absent).unwrap();
            assert_eq!((&plan.record.links, plan.record.flows.len()), (&web.links, 0));
            let lines = text(&plan);
            assert!(!lines.contains("db") && lines.contains("10.0.0.4\tweb"), "{lines}");
        }
    }
}

/// A link that is ready in one family has no line of the other one, by which no packet gets through.
#[test]
fn a_family_that_cannot_carry_has_no_line() {
    let web = record("web", "none", &["10.0.0.4/24", "fd00::4/64"]).linked(&["mysql:db"]);
    let web = of_docker(web, 7, "docker0");
    let mut db = of_docker(record("mysql", "3306", &["10.0.0.2/24"]), 8, "docker0");
    let other = Address::parse("fd01::2/64").unwrap().on(BridgeName::new("br-0123456789ab").ok());
    db.network = Network::Own([db.network.addresses(), &[other]].concat());
    let plan = plan(&web, &world(&[db], Some("")), OnMissing::Refuse).unwrap();
    let flows: Vec<_> = plan.record.flows.iter().map(ToString::to_string).collect();
    assert_eq!(flows, ["10.0.0.4 -> 10.0.0.2 3306/tcp on docker0"]);
    assert!(!text(&plan).contains("fd01::2"), "{}", text(&plan));
    assert_eq!(plan.record.links[0].source.as_ref().map(ContainerId::as_str), Some("mysql"));
}

fn declared(mut record: Record, declared_by: &str) -> Record {
    for link_state in &mut record.links {
        link_state.declared_by = DeclaredBy::parse(declared_by).unwrap();
    }
    record
}

#[test]
fn a_link_of_the_engine_takes_the_place_of_its_line() {
    let db = record("db", "3306", &["172.17.0.2/16"]);
    let web = record("web", "none", &["172.17.0.4/16"]).linked(&["db:mysql"]);
    let web = declared(web, "docker");
    let docker = "172.17.0.9\tmysql 0a0b db\n172.17.0.4\tweb\n";
    let there = world(std::slice::from_ref(&db), Some(docker));
    let first = plan(&web, &there, OnMissing::Leave).unwrap();
    let block = "# BEGIN oci-link\n172.17.0.2\tmysql db db\n# END oci-link\n";
    assert_eq!(text(&first), format!("172.17.0.4\tweb\n{block}"));
    assert_eq!(first.record.flows.len(), 1);
    // Docker may write its line again while the block is there.
    let again = world(std::slice::from_ref(&db), Some(&format!("{docker}{block}")));
    let second = plan(&first.record, &again, OnMissing::Leave).unwrap();
    assert_eq!(text(&second), format!("172.17.0.4\tweb\n{block}"));
    let gone = World { candidates: vec![Candidate::Missing], ..there };
    let waiting = plan(&web, &gone, OnMissing::Leave).unwrap();
    assert_eq!(waiting.hosts_content, None, "Docker's line stays until the link is made");
}

#[test]
fn a_link_of_another_network_has_rules_and_no_line() {
    let db = record("db", "3306", &["172.18.0.2/16"]);
    let web = record("web", "none", &["172.18.0.4/16"]).linked(&["db:mysql"]);
    let plan = plan(
        &declared(web, "docker:n1"),
        &world(&[db], Some("172.18.0.4\tweb\n172.18.0.2\tmysql 0a db\n")),
        OnMissing::Leave,
    )
    .unwrap();
    assert_eq!((plan.record.flows.len(), plan.hosts_content), (1, None));
    assert_eq!(plan.record.hosts.unwrap().block, "");
}

/// Whatever is wrong with a link of the engine, it waits. No route to another network is used.
#[test]
fn a_link_of_the_engine_is_never_refused() {
    let web = record("web", "none", &["172.18.0.4/16"]).linked(&["db:mysql"]);
    let web = declared(web, "docker");
    let mut far = record("db", "80", &["172.17.0.2/16"]);
    far.instance.netns = 9;
    let host = Record { network: Network::Host, ..far.clone() };
    let [far, on_host] = [far, host].map(|source| Candidate::Running(Box::new(source)));
    for candidate in [Candidate::Missing, Candidate::Ambiguous, Candidate::Itself, on_host, far] {
        let world =
            World { candidates: vec![candidate.clone()], hosts: None, routing: Routing::default() };
        let plan = plan(&web, &world, OnMissing::Leave).unwrap();
        assert_eq!((&plan.record.links[0].source, plan.record.flows.len()), (&None, 0));
    }
    let on_host = Record { network: Network::Host, ..web };
    let world =
        World { candidates: vec![Candidate::Missing], hosts: None, routing: Routing::default() };
    assert!(plan(&on_host, &world, OnMissing::Leave).is_ok());
}
