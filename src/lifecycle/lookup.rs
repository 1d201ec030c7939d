//! Finds records: by name or id, the sources of links, and the recipients of a source.

use crate::error::Result;
use crate::lifecycle::alive::is_running;
use crate::link::{Refusal, Sighting};
use crate::model::{ContainerId, ContainerName, Network, Record, Reference, Wired};
use crate::store::{Found, Store};

/// The one container that somebody means.
pub fn look_up(store: &dyn Store, reference: &Reference) -> Result<Record> {
    match store.find(reference)? {
        Found::One(record) => Ok(*record),
        Found::Several => Err(Refusal::Ambiguous(reference.clone()).into()),
        Found::Nothing => Err(Refusal::NoSuchContainer(reference.clone()).into()),
    }
}

/// Whether rules name this container's address.
pub fn is_linked(store: &dyn Store, record: &Record) -> Result<bool> {
    let connected = |other: &Record| other.alias_of(&record.id).is_some();
    Ok(!record.flows.is_empty() || recipients_of(store, record)?.iter().any(connected))
}

/// Whose links name `record`, or are connected to it.
pub fn recipients_of(store: &dyn Store, record: &Record) -> Result<Vec<Record>> {
    if record.network == Network::Host {
        return Ok(Vec::new());
    }
    let mut all: Vec<Record> = Vec::new();
    let [name, id] = record.answers_to();
    let mut found = store.wanting(&name)?;
    found.extend(store.wanting(&id)?);
    found.extend(store.hoping_for(&record.id)?);
    for recipient in found {
        let known = all.iter().any(|other| other.id == recipient.id);
        if !known && recipient.id != record.id {
            all.push(recipient);
        }
    }
    Ok(all)
}

/// Whose links are looked at. It may have no record yet.
#[derive(Debug, Clone, Copy)]
pub struct Seeker<'a> {
    /// Its id, where that is known.
    pub id: Option<&'a ContainerId>,
    /// Its name.
    pub name: &'a ContainerName,
}

impl<'a> Seeker<'a> {
    /// The container of this record.
    pub fn of(record: &'a Record) -> Self {
        Self { id: Some(&record.id), name: &record.name }
    }
}

/// What there is under the name of each link of `me`.
pub fn sightings(
    store: &dyn Store,
    boot: u128,
    me: Seeker<'_>,
    links: &[Wired],
) -> Result<Vec<Sighting>> {
    links.iter().map(|wired| sighting(store, boot, me, wired)).collect()
}

/// A name means what it would mean if `me` had its record already: an exact id comes before an
/// exact name, and that before a unique prefix of an id.
fn sighting(store: &dyn Store, boot: u128, me: Seeker<'_>, wired: &Wired) -> Result<Sighting> {
    let name = wired.link.source.as_str();
    let own_id = me.id.map(ContainerId::as_str);
    let own_prefix = own_id.is_some_and(|id| id.starts_with(name));
    let seen = |record: Box<Record>| -> Result<Sighting> {
        Ok(if is_running(&record, boot)? {
            Sighting::Running(record)
        } else {
            Sighting::Stopped(record.name)
        })
    };
    if own_id == Some(name) {
        return Ok(Sighting::Itself);
    }
    let found = match store.find(&wired.link.source)? {
        Found::One(record) if Some(&record.id) == me.id => return Ok(Sighting::Itself),
        found => found,
    };
    let found_by_id = matches!(&found, Found::One(other) if other.id.as_str() == name);
    Ok(match found {
        Found::One(record) if found_by_id => seen(record)?,
        // Who had the name first keeps it while it runs.
        Found::One(record) if record.name.as_str() == name => match seen(record)? {
            Sighting::Stopped(_) if me.name.as_str() == name => Sighting::Itself,
            seen => seen,
        },
        _ if me.name.as_str() == name => Sighting::Itself,
        Found::One(_) | Found::Several if own_prefix => Sighting::Ambiguous,
        Found::Nothing if own_prefix => Sighting::Itself,
        Found::One(record) => seen(record)?,
        Found::Several => connected(store, boot, wired)?.unwrap_or(Sighting::Ambiguous),
        Found::Nothing => Sighting::Missing,
    })
}

/// A link that stands is not torn down because another id has come to start like its source's.
fn connected(store: &dyn Store, boot: u128, wired: &Wired) -> Result<Option<Sighting>> {
    let Some(id) = &wired.source else { return Ok(None) };
    let meant = |record: &Record| record.id.as_str().starts_with(wired.link.source.as_str());
    let Some(record) = store.get(id)?.filter(meant) else { return Ok(None) };
    Ok(is_running(&record, boot)?.then(|| Sighting::Running(Box::new(record))))
}
