//! A link is resolved once: by name it stays with the name, by id with the id.

use super::{db, web};
use crate::error::Kind;
use crate::lifecycle::addresses::follow_with_sources;
use crate::lifecycle::fakes::{Scene, again, own};
use crate::lifecycle::privileges::AfterHook::Continue;
use crate::lifecycle::replan::replan;
use crate::link::hosts::{BEGIN, END};
use crate::model::{Address, ContainerName, Meaning, Missing, Network, Record};
use crate::store::Store;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Ids as an engine draws them, of which two begin alike.
const LONG: [&str; 2] = [
    "0123456789ab1111111111111111111111111111111111111111111111111111",
    "0123456789ab2222222222222222222222222222222222222222222222222222",
];
const PREFIX: &str = "0123456789ab";

/// The container `id`, called `name`, with an address of its own.
fn named(id: &str, name: &str, host: u8) -> Record {
    let name = ContainerName::new(name).unwrap();
    Record { name, ..own(id, "80", &[&format!("10.0.0.{host}/24")]) }
}

/// The id that a link of `web` is connected to.
fn connected(scene: &Scene, link: usize) -> Option<String> {
    let web = scene.store.record("web").unwrap();
    web.links[link].source.as_ref().map(ToString::to_string)
}

/// A scene in which `web` waits for the sources of `links`.
fn waiting(links: &[&str]) -> Scene {
    let scene = Scene::new();
    scene.start_with(&web().linked(links), Missing::Defer, Continue).unwrap();
    scene
}

fn end(scene: &Scene, id: &str) {
    scene.end_process(id);
    scene.stop(id).unwrap();
}

#[test]
fn a_short_word_is_no_prefix() {
    let scene = waiting(&["db", "01234567:x"]);
    for (host, id) in (5..).zip(["db-backup", "dbx", LONG[0]]) {
        scene.start(&named(id, id, host)).unwrap();
    }
    assert_eq!((connected(&scene, 0), connected(&scene, 1)), (None, None));
    let api = own("api", "none", &["10.0.0.4/24"]).linked(&["db"]);
    let error = scene.start(&api).unwrap_err();
    assert!(error.to_string().contains("No such container: db"), "{error}");
}

/// After the end of its source a link is not taken over at any later start.
#[test]
fn the_end_of_a_source_leaves_its_link_to_no_other_id() {
    let scene = waiting(&["db"]);
    scene.start(&db()).unwrap();
    end(&scene, "db");
    scene.start(&named("db-backup", "db-backup", 5)).unwrap();
    assert_eq!(connected(&scene, 0), None);
    assert_eq!(scene.permitted(), []);
}

#[test]
fn a_link_by_id_waits_for_that_id() {
    for link in [format!("{PREFIX}:db"), format!("{}:db", LONG[0])] {
        let scene = waiting(&[&link]);
        let source = named(LONG[0], "mysql", 5);
        scene.start(&source).unwrap();
        assert_eq!(connected(&scene, 0).as_deref(), Some(LONG[0]));
        let word = link.split(':').next().unwrap();
        // Neither a container of that name nor another id with this beginning takes it.
        scene.start(&named("thief", word, 6)).unwrap();
        assert_eq!(connected(&scene, 0).as_deref(), Some(LONG[0]), "{link}");
        end(&scene, LONG[0]);
        scene.start(&named(LONG[1], "other", 7)).unwrap();
        scene.start(&named("thief2", "mysql", 8)).unwrap();
        assert_eq!((connected(&scene, 0), scene.permitted()), (None, vec![]), "{link}");
        scene.start(&again(&source)).unwrap();
        assert_eq!(connected(&scene, 0).as_deref(), Some(LONG[0]), "{link}");
    }
}

#[test]
fn a_link_by_name_waits_for_that_name() {
    let scene = waiting(&["db"]);
    scene.start(&named("x1", "db", 5)).unwrap();
    scene.start(&named("db", "other", 6)).unwrap();
    assert_eq!(connected(&scene, 0).as_deref(), Some("x1"), "its source lives");
    end(&scene, "x1");
    assert_eq!(connected(&scene, 0), None, "an id is not the name");
    scene.start(&named("x2", "db", 7)).unwrap();
    assert_eq!(connected(&scene, 0).as_deref(), Some("x2"));
}

/// runc and crun give a container one word, which is its id and its name.
#[test]
fn a_link_by_one_word_is_open_until_a_successor_has_only_the_name() {
    let scene = waiting(&["db"]);
    scene.start(&db()).unwrap();
    assert_eq!(scene.store.record("web").unwrap().links[0].meaning, None);
    scene.start(&named("x1", "db", 5)).unwrap();
    assert_eq!(connected(&scene, 0).as_deref(), Some("db"), "its source lives");
    end(&scene, "db");
    end(&scene, "x1");
    scene.start(&named("x2", "db", 6)).unwrap();
    assert_eq!(connected(&scene, 0).as_deref(), Some("x2"));
    scene.start(&named("db", "other", 7)).unwrap();
    assert_eq!(connected(&scene, 0).as_deref(), Some("x2"));
    assert_eq!(scene.store.record("web").unwrap().links[0].meaning, Some(Meaning::Name));
}

/// A record of an earlier version does not say what the link means. A container with that word as its
/// id takes nothing over.
#[test]
fn a_link_of_an_old_record_stays_with_its_living_source() {
    let scene = waiting(&["db"]);
    scene.start(&named("x1", "db", 5)).unwrap();
    scene.store.alter("web", |record| record.links[0].meaning = None);
    scene.start(&named("db", "other", 6)).unwrap();
    assert_eq!(connected(&scene, 0).as_deref(), Some("x1"));
}

#[test]
fn a_container_is_found_under_the_name_of_its_engine() {
    let scene = waiting(&["shop-db-1:db"]);
    let mut source = named("x1", "db", 5);
    source.engine_name = ContainerName::new("shop-db-1").ok();
    scene.start(&source).unwrap();
    assert_eq!(connected(&scene, 0).as_deref(), Some("x1"));
    let mut me = own("api", "none", &["10.0.0.4/24"]).linked(&["shop-api-1:me"]);
    me.engine_name = ContainerName::new("shop-api-1").ok();
    let error = scene.start(&me).unwrap_err();
    assert!(error.to_string().contains("cannot be linked to itself"), "{error}");
}

/// The first running owner keeps a name. A dead one makes room, under either of its names.
#[test]
fn a_dead_owner_of_a_name_makes_room() {
    let scene = waiting(&["db"]);
    let mut first = named("x1", "other", 5);
    first.engine_name = ContainerName::new("db").ok();
    scene.start(&first).unwrap();
    scene.end_process("x1");
    scene.start(&named("x2", "db", 6)).unwrap();
    assert_eq!(connected(&scene, 0).as_deref(), Some("x2"));
    assert_eq!(scene.store.record("x1"), None);
    scene.start(&first).unwrap();
    assert_eq!(connected(&scene, 0).as_deref(), Some("x2"), "x2 is the owner now");
}

#[test]
fn a_waiting_link_is_made_anew_for_the_container_that_is_meant_now() {
    let scene = waiting(&[&format!("{PREFIX}:db")]);
    scene.start(&named(LONG[0], "mysql", 5)).unwrap();
    end(&scene, LONG[0]);
    scene.start(&named(LONG[1], "mysql", 6)).unwrap();
    assert_eq!(connected(&scene, 0), None);
    scene.connect("web", &format!("{PREFIX}:db")).unwrap();
    assert_eq!(connected(&scene, 0).as_deref(), Some(LONG[1]));
    assert_eq!(scene.store.record("web").unwrap().links.len(), 1);
}

/// Containers of one pod have one address, and here one hosts file.
#[test]
fn one_alias_for_two_sources_in_a_shared_hosts_file_is_refused() {
    let scene = waiting(&["db"]);
    for (id, host) in [("db", 5), ("other", 6)] {
        scene.start(&named(id, id, host)).unwrap();
    }
    let peer = |links: &[&str]| {
        let mut peer = own("peer", "none", &["10.0.0.3/24"]).linked(links);
        peer.instance.netns = web().instance.netns;
        peer
    };
    scene.share_hosts("peer", "web");
    let error = scene.start(&peer(&["other:DB"])).unwrap_err();
    assert_eq!(error.kind, Kind::Input, "{error}");
    assert!(error.to_string().contains("container web shares this hosts file"), "{error}");
    assert_eq!(scene.store.record("peer"), None);
    scene.start(&peer(&["db", "other"])).unwrap();
    let error = scene.connect("peer", "other:sql").and_then(|()| scene.connect("web", "db:sql"));
    assert_eq!(error.unwrap_err().kind, Kind::Input);
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// What a link may be connected to by the model: nothing is known before the first connection.
#[derive(Debug, Clone, Default)]
struct Model {
    source: Option<String>,
    meaning: Option<Meaning>,
}

const IDS: [&str; 6] = [LONG[0], LONG[1], "db", "db-backup", "mysql", "x1"];
const NAMES: [&str; 4] = ["db", "mysql", PREFIX, LONG[0]];
const LINKS: [&str; 4] = ["db", "0123456789ab:p", "mysql:m", "01234567:s"];

/// Compares each link with the model: it is connected only to a running container that it means, and
/// stays with it while that runs.
fn check(scene: &Scene, running: &BTreeMap<String, Record>, model: &mut [Model], step: &str) {
    let record = scene.store.record("web").unwrap();
    let holders = |ip| running.values().filter(|record| ip_of(record) == ip).count();
    // A link waits while an address of one end belongs to another running container too.
    let carries = |id: &str| {
        running.get(id).is_some_and(|source| holders(ip_of(source)) == 1)
            && holders(ip_of(&running["web"])) == 1
    };
    for (link_state, model) in record.links.iter().zip(model) {
        let word = &link_state.link.source;
        let now = link_state.source.as_ref().map(ToString::to_string);
        let stays = model.source.as_ref().filter(|id| running.contains_key(*id));
        let waits = now.is_none() && stays.is_some_and(|id| !carries(id));
        assert!(waits || stays.is_none() || stays == now.as_ref(), "{step}: {word} was taken over");
        if let Some(source) = &now {
            let found = running.get(source);
            let found =
                found.unwrap_or_else(|| panic!("{step}: {word} is connected to a dead one"));
            let fits = match &model.meaning {
                Some(Meaning::Name) => found.is_named(word),
                Some(Meaning::Id(id)) => found.id == *id,
                None => {
                    let is_word = found.id.as_str() == word.as_str() || found.is_named(word);
                    is_word || word.begins(&found.id)
                }
            };
            assert!(fits, "{step}: {word} was {:?}, and is {source}", model.meaning);
            model.meaning = model.meaning.clone().or_else(|| Meaning::of(word, found));
        } else if let Some(Meaning::Id(id)) = &model.meaning {
            assert!(!carries(id.as_str()), "{step}: {word} does not follow");
        } else if model.meaning == Some(Meaning::Name) {
            let owner = scene.store.named(word).unwrap().map(|owner| owner.id.to_string());
            let waits = owner.is_none_or(|owner| !carries(&owner));
            assert!(waits, "{step}: {word} does not follow its name");
        }
        model.source = now;
    }
    let sources = record.links.iter().filter_map(|link_state| link_state.source.as_ref());
    let sources: Vec<IpAddr> =
        sources.filter_map(|id| running.get(id.as_str())).map(ip_of).collect();
    let own = ip_of(&running["web"]);
    for flow in scene.permitted() {
        let is_one = flow.from == own && sources.contains(&flow.to);
        assert!(is_one, "{step}: {flow} leads to no source");
        assert_eq!((holders(flow.from), holders(flow.to)), (1, 1), "{step}: {flow} is ambiguous");
    }
    let text = scene.hosts_text("web");
    let block = text.lines().skip_while(|line| *line != BEGIN).skip(1).take_while(|l| *l != END);
    for line in block {
        let ip: IpAddr = line.split('\t').next().unwrap().parse().unwrap();
        assert!(ip == own || sources.contains(&ip), "{step}: {line} leads to no source");
    }
}

/// The address that the container has now.
fn ip_of(record: &Record) -> IpAddr {
    record.network.addresses()[0].ip()
}

/// Gives a running container the address `10.0.0.HOST`, of which its record knows nothing.
fn move_one(scene: &Scene, running: &mut BTreeMap<String, Record>, id: &str, host: usize) {
    let address = format!("10.0.0.{host}/24");
    scene.move_to(id, &[&address]);
    if let Some(record) = running.get_mut(id) {
        record.network = Network::Own(vec![Address::parse(&address).unwrap()]);
    }
}

/// Random starts under random names, ends with and without a hook, moves to other addresses, and looks of
/// `sync`. A rule or a line of a link exists only if the container that it was resolved to lives and has
/// that address now.
#[test]
fn a_link_is_connected_only_to_what_it_was_resolved_to() {
    let mut numbers = Numbers(18);
    let (mut connections, mut ends, mut moves) = (0, 0, 0);
    for round in 0..40 {
        let scene = waiting(&LINKS);
        let mut running = BTreeMap::from([("web".to_owned(), web())]);
        let mut model = vec![Model::default(); LINKS.len()];
        for step in 0..30 {
            let at = numbers.below(IDS.len());
            let id = IDS[at];
            if running.contains_key(id) && numbers.below(2) == 0 {
                // Perhaps to the address of another, or away from one.
                let (moved, host) = (numbers.below(4) == 0, 10 + numbers.below(9));
                move_one(&scene, &mut running, if moved { "web" } else { id }, host);
                moves += 1;
            } else if let Some(record) = running.remove(id) {
                scene.end_process(record.id.as_str());
                ends += 1;
                if numbers.below(3) > 0 {
                    scene.stop(id).unwrap();
                }
            } else {
                let name = match numbers.below(NAMES.len() + 2) {
                    choice if choice < NAMES.len() => NAMES[choice],
                    _ => id,
                };
                let mut record = named(id, name, u8::try_from(10 + at).unwrap());
                if numbers.below(4) == 0 {
                    let engine_name = ContainerName::new(NAMES[numbers.below(2)]).ok();
                    record.engine_name = engine_name.filter(|name| *name != record.name);
                }
                scene.start(&record).unwrap();
                running.insert(id.to_owned(), record);
            }
            let host = scene.host.lock().unwrap();
            replan(&host, &web()).unwrap();
            for record in scene.store.records() {
                let links = record.links.clone();
                if running.contains_key(record.id.as_str()) {
                    follow_with_sources(&host, record, &links).unwrap();
                }
            }
            drop(host);
            check(&scene, &running, &mut model, &format!("round {round}, step {step}"));
            connections += model.iter().filter(|link| link.source.is_some()).count();
        }
    }
    let all = format!("{connections} connections, {ends} ends, {moves} moves");
    assert!(connections > 500 && ends > 200 && moves > 200, "{all}: nothing was tried");
}
