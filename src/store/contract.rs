//! Test cases that every store must pass. Each takes an empty store.

use super::{Change, Commit, Found, Store, StoreEvent};
use crate::model::sample::{record, reference};
use crate::model::{
    ContainerId, ContainerName, Instance, Meaning, NetworkName, NetworkNames, Record,
};
use std::time::Duration;

/// A name and a function that takes an empty store.
type Case = (&'static str, fn(&dyn Store));

/// Runs every case on an empty store of its own, which `open` returns with what it depends on.
pub(crate) fn every_case<S: Store, D>(open: impl Fn(&str) -> (S, D)) {
    let cases: [Case; 12] = [
        ("references", references_mean_what_they_mean_to_docker),
        ("names", the_first_owner_keeps_a_name),
        ("both-names", a_container_is_found_under_both_names),
        ("renamed", a_name_is_free_after_its_owner_changed_it),
        ("claimed", a_name_that_was_lost_goes_to_the_one_that_claims_it),
        ("aliases", an_alias_is_that_of_each_container_on_its_network),
        ("indexes", indexes_follow_the_record),
        ("odd-ids", odd_ids_are_found_like_others),
        ("namesakes", containers_of_one_id_have_a_record_each),
        ("revisions", a_commit_with_an_old_revision_changes_nothing),
        ("epochs", a_store_is_complete_in_one_epoch_only),
        ("events", a_subscription_reports_each_change_once),
    ];
    for (name, case) in cases {
        let (store, _keep) = open(name);
        case(&store);
    }
}

/// Writes a record and returns it with its new revision.
fn put(store: &dyn Store, record: &Record) -> Record {
    match commit(store, &Change::Put(record), record.revision) {
        Commit::Done(revision) => Record { revision, ..record.clone() },
        Commit::Conflict => panic!("a conflict at {}", record.id),
    }
}

fn commit(store: &dyn Store, change: &Change<'_>, seen: u64) -> Commit {
    store.commit(&store.lock(Duration::ZERO).unwrap(), change, seen).unwrap()
}

fn found(store: &dyn Store, name: &str) -> Option<String> {
    match store.find(&reference(name)).unwrap() {
        Found::One(record) => Some(record.id.to_string()),
        Found::Several => Some("several".to_owned()),
        Found::Nothing => None,
    }
}

fn ids(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.id.as_str()).collect()
}

fn named(id: &str, name: &str) -> Record {
    Record { name: record(name, "", &[]).name, ..record(id, "", &[]) }
}

fn references_mean_what_they_mean_to_docker(store: &dyn Store) {
    let long = |end: &str| format!("abcdef0123456{}{end}", "7".repeat(50));
    let [one, two] = [long("1"), long("2")];
    let other = "0123456789ab".repeat(6)[..64].to_owned();
    for id in [&one, &two, "abx", "a", "mysql", "mysql-backup0", "abcdefabcdefabcdef"] {
        put(store, &record(id, "", &[]));
    }
    put(store, &named(&other, "abx"));
    assert_eq!(found(store, "abx").as_deref(), Some("abx"), "an id before a name");
    assert_eq!(found(store, "mysql").as_deref(), Some("mysql"));
    assert_eq!(found(store, &one[..12]), Some("several".into()));
    assert_eq!(found(store, &one[..63]), Some("several".into()));
    assert_eq!(found(store, &two), Some(two.clone()));
    assert_eq!(found(store, &other[..12]), Some(other.clone()));
    assert_eq!(found(store, &other[..63]), Some(other.clone()));
    for short in [&other[..11], &other[..3], "m", "ab", "mysql-backup", "abcdefabcdef", "x"] {
        assert_eq!(found(store, short), None, "{short} begins an id, and is no prefix");
    }
    assert_eq!(found(store, &format!("{}f", &other[..12])), None);
    put(store, &named("id9", &other[..12]));
    assert_eq!(found(store, &other[..12]).as_deref(), Some("id9"), "a name before a prefix");
}

fn a_container_is_found_under_both_names(store: &dyn Store) {
    let both = |id: &str, name: &str, engine_name: &str| Record {
        engine_name: Some(ContainerName::new(engine_name).unwrap()),
        ..named(id, name)
    };
    let owner =
        |name: &str| store.named(&reference(name)).unwrap().map(|record| record.id.to_string());
    let first = put(store, &both("id1", "db", "shop-db-1"));
    put(store, &both("id2", "mysql", "db"));
    for (name, id) in [("db", "id1"), ("shop-db-1", "id1"), ("mysql", "id2")] {
        assert_eq!(found(store, name).as_deref(), Some(id), "{name}");
        assert_eq!(owner(name).as_deref(), Some(id), "{name}");
    }
    assert_eq!(owner("id1"), None, "an id is no name here");
    let moved = Record { revision: first.revision, ..both("id1", "db", "shop-db-2") };
    let first = put(store, &moved);
    assert_eq!((found(store, "shop-db-1"), owner("shop-db-2")), (None, Some("id1".into())));
    assert_eq!(commit(store, &Change::Remove(&first), first.revision), Commit::Done(0));
    assert_eq!((owner("db"), owner("shop-db-2")), (None, None));
}

fn the_first_owner_keeps_a_name(store: &dyn Store) {
    let first = put(store, &named("id1", "db"));
    put(store, &named("id2", "db"));
    assert_eq!(found(store, "db").as_deref(), Some("id1"));
    assert_eq!(commit(store, &Change::Remove(&first), first.revision), Commit::Done(0));
    assert_eq!(found(store, "db"), None);
    assert_eq!(found(store, "id2").as_deref(), Some("id2"));
}

fn a_name_is_free_after_its_owner_changed_it(store: &dyn Store) {
    let first = put(store, &named("id1", "db"));
    put(store, &Record { revision: first.revision, ..named("id1", "sql") });
    assert_eq!(found(store, "db"), None);
    put(store, &named("id2", "db"));
    assert_eq!(found(store, "db").as_deref(), Some("id2"));
    assert_eq!(found(store, "sql").as_deref(), Some("id1"));
}

fn a_name_that_was_lost_goes_to_the_one_that_claims_it(store: &dyn Store) {
    let last = || store.formerly_named(&reference("db")).unwrap().map(|it| it.id.to_string());
    let lock = || store.lock(Duration::ZERO).unwrap();
    let first = put(store, &named("id1", "db"));
    let second = put(store, &named("id2", "db"));
    store.claim_names(&lock(), &second).unwrap();
    assert_eq!((found(store, "db"), last()), (Some("id1".to_owned()), None), "it is owned");
    let renamed = first.renamed_to(&named("id1", "old"));
    let first = put(store, &renamed);
    assert_eq!((found(store, "db"), last()), (None, Some("id1".to_owned())));
    assert_eq!(store.leftovers(&lock()).unwrap(), [""; 0]);
    store.claim_names(&lock(), &second).unwrap();
    assert_eq!((found(store, "db"), last()), (Some("id2".to_owned()), None));
    for gone in [&first, &second] {
        assert_eq!(commit(store, &Change::Remove(gone), gone.revision), Commit::Done(0));
    }
    // A former name goes with its container.
    let first = put(store, &Record { revision: 0, ..renamed });
    assert_eq!(commit(store, &Change::Remove(&first), first.revision), Commit::Done(0));
    assert_eq!(store.leftovers(&lock()).unwrap(), [""; 0]);
}

fn an_alias_is_that_of_each_container_on_its_network(store: &dyn Store) {
    let network = |name: &str| NetworkName::new(name).unwrap();
    let of = |name: &str, alias: &str| {
        ids(&store.with_alias(&network(name), &reference(alias)).unwrap()).join(" ")
    };
    let on = |id: &str, name: &str, aliases: &[&str]| {
        let aliases = aliases.iter().map(|alias| reference(alias)).collect();
        let networks = vec![NetworkNames { network: network(name), aliases }];
        put(store, &Record { networks, ..record(id, "", &[]) })
    };
    let one = on("id1", "n1", &["db", "sql"]);
    on("id2", "n1", &["db"]);
    on("id3", "n2", &["db"]);
    let long = "x".repeat(200);
    let unlisted = on("id4", &long, &[&long]);
    assert_eq!(
        (of("n1", "db"), of("n1", "sql"), of("n2", "db")),
        ("id1 id2".into(), "id1".into(), "id3".into())
    );
    assert_eq!((of("n2", "sql"), of("n1", "id1")), (String::new(), String::new()));
    let one = put(store, &Record { networks: Vec::new(), ..one });
    assert_eq!(of("n1", "db"), "id2");
    for gone in [&one, &unlisted] {
        assert_eq!(commit(store, &Change::Remove(gone), gone.revision), Commit::Done(0));
    }
    assert_eq!(store.leftovers(&store.lock(Duration::ZERO).unwrap()).unwrap(), [""; 0]);
}

fn indexes_follow_the_record(store: &dyn Store) {
    let db0 = ContainerId::new(&"db0123456789abcd".repeat(4)).unwrap();
    let by_prefix = &format!("{}:x", &db0.as_str()[..12]);
    let web = put(store, &record("web", "", &["10.0.0.2/24"]).linked(&["db", "mq", by_prefix]));
    let api = put(store, &record("api", "", &["10.0.0.2/24"]).linked(&["db", by_prefix]));
    let ip = "10.0.0.2".parse().unwrap();
    assert_eq!(ids(&store.holders_of(ip).unwrap()), ["api", "web"]);
    assert_eq!(ids(&store.other_holders_of(ip, &web.id).unwrap()), ["api"]);
    assert_eq!(ids(&store.recipients_naming(&reference("db")).unwrap()), ["api", "web"]);
    assert_eq!(ids(&store.unresolved_by_prefix(&db0).unwrap()), ["api", "web"]);
    let like_it = ContainerId::new(&db0.as_str()[..40]).unwrap();
    assert_eq!(store.unresolved_by_prefix(&like_it).unwrap(), [], "not an engine's id");

    let mut moved = record("web", "", &["10.0.0.3/24"]).linked(&["mq", by_prefix]);
    moved.links[0].source = Some(ContainerId::new("mq9").unwrap());
    // It was connected to that id before, and waits for it.
    moved.links[1].meaning = Some(Meaning::Id(ContainerId::new("mq8").unwrap()));
    let web = put(store, &Record { revision: web.revision, ..moved });
    assert_eq!(ids(&store.holders_of(ip).unwrap()), ["api"]);
    assert_eq!(store.other_holders_of(ip, &api.id).unwrap(), []);
    // Rules may still name an address that it had before.
    let web = put(store, &Record { former: vec![ip], ..web });
    assert_eq!(ids(&store.holders_of(ip).unwrap()), ["api", "web"]);
    let web = put(store, &Record { former: vec![], ..web });
    assert_eq!(ids(&store.holders_of(ip).unwrap()), ["api"]);
    assert_eq!(ids(&store.recipients_naming(&reference("db")).unwrap()), ["api"]);
    assert_eq!(ids(&store.recipients_naming(&reference("mq9")).unwrap()), ["web"]);
    assert_eq!(ids(&store.unresolved_by_prefix(&db0).unwrap()), ["api"]);
    let mq8 = ContainerId::new("mq8").unwrap();
    assert_eq!(ids(&store.recipients_of(&mq8).unwrap()), ["web"], "it waits for this id");
    assert_eq!(ids(&store.all().unwrap()), ["api", "web"]);
    assert_eq!(store.ids().unwrap().len(), 2);
    for gone in [&web, &api] {
        assert_eq!(commit(store, &Change::Remove(gone), gone.revision), Commit::Done(0));
        assert_eq!(store.get(&gone.id).unwrap(), None);
    }
    assert_eq!(store.all().unwrap(), []);
    assert_eq!(store.leftovers(&store.lock(Duration::ZERO).unwrap()).unwrap(), [""; 0]);
}

fn odd_ids_are_found_like_others(store: &dyn Store) {
    let odd = ["a,b", ".x", "a b", "\u{e9}", "~a", &"x".repeat(241)].map(|text| {
        let id = ContainerId::new(text).unwrap();
        let name = ContainerName::from(&id);
        put(store, &Record { id, name, ..record("web", "", &[]).linked(&["db"]) })
    });
    for record in &odd {
        assert_eq!(store.get(&record.id).unwrap().as_ref(), Some(record));
        assert_eq!(store.namesakes(&record.id).unwrap(), std::slice::from_ref(record));
        assert_eq!(store.unresolved_by_prefix(&record.id).unwrap(), []);
    }
    assert_eq!(store.ids().unwrap().len(), odd.len());
    assert_eq!(store.recipients_naming(&reference("db")).unwrap().len(), odd.len());
    assert_eq!(found(store, "a"), None, "no prefix of another id");
    assert_eq!(found(store, "x"), None, "no prefix of another id");
    let mut web = record("web", "", &[]).linked(&["db"]);
    web.links[0].source = Some(odd[0].id.clone());
    put(store, &web);
    assert_eq!(ids(&store.recipients_of(&odd[0].id).unwrap()), ["web"]);
    assert_eq!(store.recipients_of(&odd[1].id).unwrap(), []);
}

fn containers_of_one_id_have_a_record_each(store: &dyn Store) {
    let first = put(store, &named("id1", "db"));
    let again = |netns: u64| {
        let instance = Instance { netns, ..first.instance.clone() };
        put(
            store,
            &Record { id: first.id.namesake(&instance), instance, revision: 0, ..first.clone() },
        )
    };
    let (second, third) = (again(8), again(9));
    let all = || {
        let mut netns: Vec<u64> =
            store.namesakes(&third.id).unwrap().iter().map(|one| one.instance.netns).collect();
        netns.sort_unstable();
        netns
    };
    let remove = |gone: &Record| {
        assert_eq!(commit(store, &Change::Remove(gone), gone.revision), Commit::Done(0));
    };
    let find = |name: &str| store.find(&reference(name)).unwrap();
    assert_eq!(all(), [2, 8, 9]);
    assert_eq!(store.namesakes(&first.id).unwrap()[0], first);
    assert_eq!(store.ids().unwrap().len(), 3);
    for name in ["id1", "db"] {
        assert_eq!(find(name), Found::One(Box::new(first.clone())));
    }
    let mut web = record("web", "", &[]).linked(&["id1"]);
    web.links[0].source = Some(second.id.clone());
    let web = put(store, &web);
    assert_eq!(ids(&store.recipients_of(&second.id).unwrap()), ["web"]);
    assert_eq!(ids(&store.recipients_of(&first.id).unwrap()), ["web"], "by its name");
    assert_eq!(store.recipients_of(&third.id).unwrap(), []);
    remove(&web);
    remove(&first);
    assert_eq!((all(), store.get(&first.id).unwrap()), (vec![8, 9], None));
    assert_eq!((find("id1"), find("db")), (Found::Several, Found::Nothing));
    remove(&second);
    assert_eq!(find("id1"), Found::One(Box::new(third.clone())));
    remove(&third);
    assert_eq!((all(), find("id1")), (vec![], Found::Nothing));
}

fn a_commit_with_an_old_revision_changes_nothing(store: &dyn Store) {
    let first = put(store, &record("web", "", &[]));
    assert_eq!(first.revision, 1);
    let late = record("web", "80", &[]);
    assert_eq!(commit(store, &Change::Put(&late), 0), Commit::Conflict);
    let second = put(store, &first);
    assert_eq!(second.revision, 2);
    assert_eq!(commit(store, &Change::Remove(&first), first.revision), Commit::Conflict);
    assert_eq!(commit(store, &Change::Remove(&late), 9), Commit::Conflict);
    assert_eq!(store.get(&first.id).unwrap(), Some(second));
    let absent = record("api", "", &[]);
    assert_eq!(commit(store, &Change::Put(&absent), 1), Commit::Conflict);
    assert_eq!(commit(store, &Change::Remove(&absent), 0), Commit::Done(0), "idempotent");
}

fn a_store_is_complete_in_one_epoch_only(store: &dyn Store) {
    assert!(!store.is_complete("one").unwrap());
    store.mark_complete(&store.lock(Duration::ZERO).unwrap(), "one").unwrap();
    assert!(store.is_complete("one").unwrap() && !store.is_complete("two").unwrap());
}

fn a_subscription_reports_each_change_once(store: &dyn Store) {
    put(store, &record("early", "", &[]));
    let mut subscription = store.subscribe().unwrap();
    assert_eq!(subscription.poll().unwrap(), StoreEvent::Nothing);
    let web = put(store, &record("web", "", &[]));
    assert_eq!(subscription.poll().unwrap(), StoreEvent::Written);
    assert_eq!(subscription.poll().unwrap(), StoreEvent::Nothing);
    assert_eq!(commit(store, &Change::Remove(&web), web.revision), Commit::Done(0));
    assert_eq!(subscription.poll().unwrap(), StoreEvent::Written);
}
