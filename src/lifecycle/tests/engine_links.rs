//! Links that only the container's engine declares.

use super::db;
use crate::lifecycle::concern::Concern;
use crate::lifecycle::fakes::{Fault, Scene, every_failure, own};
use crate::lifecycle::replan::replan;
use crate::model::{DeclaredBy, Record};

fn declared(mut record: Record, declared_by: &str) -> Record {
    for link_state in &mut record.links {
        link_state.declared_by = DeclaredBy::parse(declared_by).unwrap();
    }
    record
}

fn web() -> Record {
    declared(own("web", "none", &["10.0.0.3/24"]).linked(&["db:mysql"]), "docker")
}

fn source_of(scene: &Scene, name: &str) -> Option<String> {
    scene.store.record(name).unwrap().links[0].source.as_ref().map(ToString::to_string)
}

#[test]
fn a_start_with_a_link_of_the_engine() {
    every_failure(|scene| scene.start(&db()).unwrap(), |scene| scene.start(&web()));
}

/// Whatever fails, the container is not refused, and its links can be made later.
#[test]
fn no_failure_refuses_it() {
    assert_eq!(Concern::of_record(&web()), Concern::Unlinked);
    let scene = Scene::new();
    scene.start(&db()).unwrap();
    scene.journal.restart();
    scene.start(&web()).unwrap();
    let calls = scene.journal.count();
    let mut recorded = 0;
    for number in 1..=calls {
        let scene = Scene::new();
        scene.start(&db()).unwrap();
        scene.journal.restart();
        scene.journal.fail(Fault::ALL[0], number);
        let started = scene.start(&web());
        scene.journal.restart();
        if started.is_ok() {
            recorded += 1;
            let me = scene.store.record("web").unwrap();
            replan(&scene.host.lock().unwrap(), &me).unwrap();
            assert_eq!(source_of(&scene, "web").as_deref(), Some("db"), "{number}");
            assert!(scene.hosts_text("web").contains("10.0.0.2\tmysql"), "{number}");
        }
    }
    assert!(recorded > 1, "{recorded} of {calls}");
}

#[test]
fn a_source_that_is_missing_is_linked_when_it_starts() {
    let scene = Scene::new();
    scene.start(&web()).unwrap();
    assert_eq!(source_of(&scene, "web"), None);
    scene.start(&db()).unwrap();
    assert_eq!(source_of(&scene, "web").as_deref(), Some("db"));
    assert_eq!(scene.permitted().len(), 1);
    scene.end_process("db");
    scene.stop("db").unwrap();
    assert_eq!((source_of(&scene, "web"), scene.permitted().len()), (None, 0));
}

/// A link that no network carries waits, also where the host routes between the two.
#[test]
fn a_link_does_not_leave_its_network() {
    let scene = Scene::new();
    scene.start(&own("db", "80", &["10.1.0.2/24"])).unwrap();
    scene.start(&web()).unwrap();
    assert_eq!((source_of(&scene, "web"), scene.permitted().len()), (None, 0));
    let plain = own("plain", "none", &["10.0.0.4/24"]).linked(&["db"]);
    scene.start(&plain).unwrap();
    assert_eq!(scene.permitted().len(), 1, "a link of an annotation is routed");
    // On two networks, without files that tell which is meant, there is no link.
    scene.start(&own("two", "80", &["10.0.0.5/24", "10.1.0.5/24"])).unwrap();
    let both = own("both", "none", &["10.0.0.6/24", "10.1.0.6/24"]).linked(&["two"]);
    scene.start(&declared(both, "docker:n1")).unwrap();
    assert_eq!(source_of(&scene, "both"), None);
}
