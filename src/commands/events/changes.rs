//! What is new in the records: the difference between two looks. Pure.

use crate::model::{ContainerId, Instance, KnownRecords, Phase, Record};
use std::collections::BTreeMap;

/// A link of a container, as far as events are about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// The source as the link names it.
    pub(super) source: String,
    /// The id of the source; `None` while the link waits.
    pub(super) connected: Option<ContainerId>,
}

/// A container at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    /// Its name.
    pub(super) name: String,
    instance: Instance,
    links: BTreeMap<String, Link>,
}

/// All containers at one look.
pub(super) type Look = BTreeMap<ContainerId, Container>;

/// What happened to a container or to one of its links, which its alias names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// The container started.
    Started,
    /// The container ended.
    Ended,
    /// The link is ready.
    Linked(String, Link),
    /// The link waits for its source.
    Waiting(String, Link),
    /// The link is gone, with its container or by itself.
    Closed(String, Link),
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// The id of the container.
    pub(super) id: ContainerId,
    /// Its name.
    pub(super) name: String,
    /// What happened.
    pub(super) what: What,
}

/// Returns the look at these records. A container whose start or change is not finished looks as `before`.
pub(super) fn look(records: &[Record], before: &Look) -> Look {
    let known = KnownRecords::of(records);
    let mut look = Look::new();
    for record in records {
        if record.phase == Phase::Pending {
            if let Some(earlier) = before.get(&record.id) {
                look.insert(record.id.clone(), earlier.clone());
            }
            continue;
        }
        let links = record.links.iter().map(|it| {
            let source = it.link.source.as_str();
            // A link by an id is shown by the name of its source.
            let shown = it.source.as_ref().and_then(|id| known.get(id));
            let source = match shown {
                Some(other) if other.id.as_str().starts_with(source) => other.name.as_str(),
                _ => source,
            };
            let link = Link { source: source.to_owned(), connected: it.source.clone() };
            (it.link.alias.as_str().to_owned(), link)
        });
        let container = Container {
            name: record.name.to_string(),
            instance: record.instance.clone(),
            links: links.collect(),
        };
        look.insert(record.id.clone(), container);
    }
    look
}

/// Returns what changed between two looks. What ended comes first: a container that was started again has ended.
pub(super) fn between(before: &Look, after: &Look) -> Vec<Event> {
    let (mut ended, mut changed, mut started) = (Vec::new(), Vec::new(), Vec::new());
    for (id, old) in before {
        let event = |what| Event { id: id.clone(), name: old.name.clone(), what };
        let now = after.get(id).filter(|now| now.instance == old.instance);
        for (alias, link) in &old.links {
            if now.is_none_or(|now| !now.links.contains_key(alias)) {
                ended.push(event(What::Closed(alias.clone(), link.clone())));
            }
        }
        if now.is_none() {
            ended.push(event(What::Ended));
        }
    }
    for (id, now) in after {
        let event = |what| Event { id: id.clone(), name: now.name.clone(), what };
        let old = before.get(id).filter(|old| old.instance == now.instance);
        let events = if old.is_none() { &mut started } else { &mut changed };
        if old.is_none() {
            events.push(event(What::Started));
        }
        for (alias, link) in &now.links {
            let earlier = old.and_then(|old| old.links.get(alias));
            if earlier.is_some_and(|earlier| earlier.connected == link.connected) {
                continue;
            }
            let what = if link.connected.is_some() { What::Linked } else { What::Waiting };
            events.push(event(what(alias.clone(), link.clone())));
        }
    }
    // A source that starts connects the links of others.
    ended.into_iter().chain(started).chain(changed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample;

    fn record(id: &str, ports: &str, addresses: &[&str]) -> Record {
        Record { phase: Phase::Ready, ..sample::record(id, ports, addresses) }
    }

    fn words(events: &[Event]) -> Vec<String> {
        let word = |event: &Event| {
            let (word, link) = match &event.what {
                What::Started => ("started", None),
                What::Ended => ("ended", None),
                What::Linked(alias, link) => ("linked", Some((alias, link))),
                What::Waiting(alias, link) => ("waiting", Some((alias, link))),
                What::Closed(alias, link) => ("closed", Some((alias, link))),
            };
            let link = link.map(|(alias, link)| format!(" {}:{alias}", link.source));
            format!("{word} {}{}", event.name, link.unwrap_or_default())
        };
        events.iter().map(word).collect()
    }

    fn web(connected: Option<&Record>) -> Record {
        let mut web = record("web", "80", &["10.0.0.3/24"]).linked(&["db:mysql"]);
        web.links[0].source = connected.map(|source| source.id.clone());
        web
    }

    #[test]
    fn a_link_waits_is_made_and_ends() {
        let db = record("db", "3306", &["10.0.0.2/24"]);
        let steps: [(&[Record], &[&str]); 6] = [
            (&[web(None)], &["started web", "waiting web db:mysql"]),
            (&[web(Some(&db)), db.clone()], &["started db", "linked web db:mysql"]),
            (&[web(Some(&db)), db.clone()], &[]),
            (&[web(None)], &["ended db", "waiting web db:mysql"]),
            (&[record("web", "80", &["10.0.0.3/24"])], &["closed web db:mysql"]),
            (&[], &["ended web"]),
        ];
        let mut before = Look::new();
        for (records, expected) in steps {
            let after = look(records, &before);
            assert_eq!(words(&between(&before, &after)), expected);
            before = after;
        }
    }

    #[test]
    fn what_is_not_finished_is_no_news() {
        let db = record("db", "3306", &["10.0.0.2/24"]);
        let pending = Record { phase: Phase::Pending, ..web(Some(&db)) };
        let before = look(std::slice::from_ref(&db), &Look::new());
        let begun = look(&[db.clone(), pending.clone()], &before);
        assert_eq!(words(&between(&before, &begun)), [""; 0]);
        let ready = look(&[db.clone(), web(Some(&db))], &begun);
        assert_eq!(words(&between(&begun, &ready)), ["started web", "linked web db:mysql"]);
        let again = look(&[db.clone(), pending], &ready);
        assert_eq!(words(&between(&ready, &again)), [""; 0]);
    }

    #[test]
    fn a_container_of_the_same_id_is_another_one() {
        let db = record("db", "3306", &["10.0.0.2/24"]);
        let before = look(&[db.clone(), web(Some(&db))], &Look::new());
        let mut later = web(Some(&db));
        later.instance.started += 1;
        let after = look(&[db, later], &before);
        let expected = ["closed web db:mysql", "ended web", "started web", "linked web db:mysql"];
        assert_eq!(words(&between(&before, &after)), expected);
    }
}
