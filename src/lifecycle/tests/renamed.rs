//! A container gets another name while it runs: `docker rename`.

use crate::error::{Error, Kind, Result};
use crate::lifecycle::adopt::record_all;
use crate::lifecycle::fakes::{Scene, every_failure, own};
use crate::lifecycle::privileges::AfterHook::Continue;
use crate::model::{ContainerName, DeclaredBy, Missing, Record};

const IDS: [&str; 2] = [
    "0123456789ab1111111111111111111111111111111111111111111111111111",
    "0123456789ab2222222222222222222222222222222222222222222222222222",
];

fn named(number: usize, name: &str) -> Record {
    let name = ContainerName::new(name).unwrap();
    let address = format!("10.0.0.{}/24", number + 2);
    Record { name, ..own(IDS[number], "80", &[&address]) }
}

fn web(id: &str, host: u8, link: &str) -> Record {
    own(id, "none", &[&format!("10.0.0.{host}/24")]).linked(&[link])
}

/// Records the names that Docker has now.
fn rename(scene: &Scene, names: &[(usize, &str)]) -> Result<()> {
    let news = names.iter().map(|(number, name)| {
        let known = scene.store.record(IDS[*number]).unwrap();
        let now = Record { name: ContainerName::new(name).unwrap(), ..known.clone() };
        known.renamed_to(&now)
    });
    if record_all(&scene.host, &news.collect::<Vec<_>>()) {
        return Ok(());
    }
    Err(Error::new(Kind::State, "logged"))
}

/// What the first link of `recipient` is connected to, as the number of the container.
fn source(scene: &Scene, recipient: &str) -> Option<usize> {
    let source = scene.store.record(recipient).unwrap().links[0].source.clone()?;
    IDS.iter().position(|id| *id == source.as_str())
}

/// A container `db` with a recipient, and one that waits for the name `old`.
fn prepared(scene: &Scene) {
    scene.start(&named(0, "db")).unwrap();
    scene.start(&web("web", 11, "db")).unwrap();
    scene.start_with(&web("api", 12, "old:x"), Missing::Defer, Continue).unwrap();
    scene.use_all_flows();
}

#[test]
fn every_failing_call_of_a_new_name() {
    every_failure(prepared, |scene| rename(scene, &[(0, "old")]));
}

#[test]
fn every_failing_call_of_names_that_are_exchanged() {
    every_failure(
        |scene| {
            prepared(scene);
            scene.start(&named(1, "other")).unwrap();
        },
        |scene| rename(scene, &[(0, "other"), (1, "db")]),
    );
}

#[test]
fn a_link_that_stands_stays_and_one_that_waits_is_made() {
    let scene = Scene::new();
    prepared(&scene);
    rename(&scene, &[(0, "old")]).unwrap();
    assert_eq!((source(&scene, "web"), source(&scene, "api")), (Some(0), Some(0)));
    let former: Vec<ContainerName> = vec![ContainerName::new("db").unwrap()];
    assert_eq!(scene.store.record(IDS[0]).unwrap().former_names, former);
    // The next container of the name gets it.
    scene.start(&named(1, "db")).unwrap();
    scene.start(&web("last", 13, "db")).unwrap();
    assert_eq!((source(&scene, "last"), source(&scene, "web")), (Some(1), Some(0)));
    // A link by a name means the name again once its source has ended.
    scene.end_process(IDS[0]);
    scene.stop(IDS[0]).unwrap();
    assert_eq!((source(&scene, "web"), source(&scene, "api")), (Some(1), None));
}

#[test]
fn exchanged_names_are_those_of_the_other() {
    let scene = Scene::new();
    prepared(&scene);
    scene.start(&named(1, "other")).unwrap();
    rename(&scene, &[(0, "other"), (1, "db")]).unwrap();
    for (host, (link, expected)) in (13..).zip([("db", 1), ("other", 0)]) {
        scene.start(&web(&format!("of-{link}"), host, link)).unwrap();
        assert_eq!(source(&scene, &format!("of-{link}")), Some(expected), "{link}");
    }
    assert_eq!(source(&scene, "web"), Some(0));
}

/// Docker made such a link to the container, and keeps the old name in its file.
#[test]
fn only_a_link_of_docker_on_its_default_bridge_means_a_former_name() {
    let scene = Scene::new();
    prepared(&scene);
    rename(&scene, &[(0, "old")]).unwrap();
    for (host, (declared_by, expected)) in
        (13..).zip([("docker", Some(0)), ("docker:n1", None), ("connect", None)])
    {
        let name = format!("by-{host}");
        let mut recipient = web(&name, host, "db:x");
        recipient.links[0].declared_by = DeclaredBy::parse(declared_by).unwrap();
        scene.start_with(&recipient, Missing::Defer, Continue).unwrap();
        assert_eq!(source(&scene, &name), expected, "{declared_by}");
    }
}
