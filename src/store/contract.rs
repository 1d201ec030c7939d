//! Test cases that every store must pass. Each takes an empty store.

use super::{Change, Commit, Found, Store, StoreEvent};
use crate::model::sample::{record, reference};
use crate::model::{ContainerId, ContainerName, Instance, Record};
use std::time::Duration;

/// A name and a function that takes an empty store.
type Case = (&'static str, fn(&dyn Store));

/// Runs every case on an empty store of its own, which `open` returns with what it depends on.
pub(crate) fn every_case<S: Store, D>(open: impl Fn(&str) -> (S, D)) {
    let cases: [Case; 9] = [
        ("references", references_mean_what_they_mean_to_docker),
        ("names", the_first_owner_keeps_a_name),
        ("renamed", a_name_is_free_after_its_owner_changed_it),
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
    for id in ["abcdef01", "abcdef02", "abx", "a", "mysql"] {
        put(store, &record(id, "", &[]));
    }
    put(store, &named("0123456789abcdef", "abx"));
    assert_eq!(found(store, "abx").as_deref(), Some("abx"), "an id before a name");
    assert_eq!(found(store, "mysql").as_deref(), Some("mysql"));
    assert_eq!(found(store, "abcdef"), Some("several".into()));
    assert_eq!(found(store, "abcdef0"), Some("several".into()));
    assert_eq!(found(store, "abcdef02").as_deref(), Some("abcdef02"));
    assert_eq!(found(store, "012").as_deref(), Some("0123456789abcdef"));
    assert_eq!(found(store, "m").as_deref(), Some("mysql"));
    assert_eq!(found(store, "a").as_deref(), Some("a"), "exact before prefix");
    assert_eq!(found(store, "abcdef012"), None);
    assert_eq!(found(store, "x"), None);
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

fn indexes_follow_the_record(store: &dyn Store) {
    let web = put(store, &record("web", "", &["10.0.0.2/24"]).linked(&["db", "mq"]));
    let api = put(store, &record("api", "", &["10.0.0.2/24"]).linked(&["db"]));
    let ip = "10.0.0.2".parse().unwrap();
    let db0 = ContainerId::new("db0").unwrap();
    assert_eq!(ids(&store.holders_of(ip).unwrap()), ["api", "web"]);
    assert_eq!(ids(&store.recipients_naming(&reference("db")).unwrap()), ["api", "web"]);
    assert_eq!(ids(&store.unresolved_by_prefix(&db0).unwrap()), ["api", "web"]);

    let mut moved = record("web", "", &["10.0.0.3/24"]).linked(&["mq"]);
    moved.links[0].source = Some(ContainerId::new("mq9").unwrap());
    let web = put(store, &Record { revision: web.revision, ..moved });
    assert_eq!(ids(&store.holders_of(ip).unwrap()), ["api"]);
    assert_eq!(ids(&store.recipients_naming(&reference("db")).unwrap()), ["api"]);
    assert_eq!(ids(&store.recipients_naming(&reference("mq9")).unwrap()), ["web"]);
    assert_eq!(ids(&store.unresolved_by_prefix(&db0).unwrap()), ["api"]);
    let mq9 = ContainerId::new("mq9").unwrap();
    assert_eq!(store.unresolved_by_prefix(&mq9).unwrap(), [], "the link is connected");
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
