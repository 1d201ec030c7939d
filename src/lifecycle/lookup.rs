//! Finds records: by name or id, the sources of links, and the recipients of a source.

use crate::error::Result;
use crate::lifecycle::alive::is_running;
use crate::link::{Candidate, Refusal};
use crate::model::{ContainerId, ContainerName, LinkState, Network, Record, Reference};
use crate::store::{Found, Store};

/// Finds exactly one container. Several matches or none are an error.
pub(crate) fn look_up(store: &dyn Store, reference: &Reference) -> Result<Record> {
    match store.find(reference)? {
        Found::One(record) => Ok(*record),
        Found::Several => Err(Refusal::Ambiguous(reference.clone()).into()),
        Found::Nothing => Err(Refusal::NoSuchContainer(reference.clone()).into()),
    }
}

/// Whether rules name an address of this container.
pub(crate) fn is_linked(store: &dyn Store, record: &Record) -> Result<bool> {
    let connected = |other: &Record| other.alias_of(&record.id).is_some();
    Ok(!record.flows.is_empty() || recipients_of(store, record)?.iter().any(connected))
}

/// The containers with a link that names `record`, or that is connected to it.
pub(crate) fn recipients_of(store: &dyn Store, record: &Record) -> Result<Vec<Record>> {
    if record.network == Network::Host {
        return Ok(Vec::new());
    }
    let mut all: Vec<Record> = Vec::new();
    let mut found = store.recipients_of(&record.id)?;
    for reference in record.answers_to() {
        found.extend(store.recipients_naming(&reference)?);
    }
    found.extend(store.unresolved_by_prefix(&record.id)?);
    for recipient in found {
        let known = all.iter().any(|other| other.id == recipient.id);
        if !known && recipient.id != record.id {
            all.push(recipient);
        }
    }
    Ok(all)
}

/// The container whose links are resolved. It may have no record yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Requester<'a> {
    /// Its id, if it is known.
    pub(crate) id: Option<&'a ContainerId>,
    /// Its name.
    pub(crate) name: &'a ContainerName,
}

impl<'a> Requester<'a> {
    /// The container of `record`.
    pub(crate) fn of(record: &'a Record) -> Self {
        Self { id: Some(&record.id), name: &record.name }
    }
}

/// The candidate for each link of `me`, in the same order.
pub(crate) fn candidates(
    store: &dyn Store,
    boot: u128,
    me: Requester<'_>,
    links: &[LinkState],
) -> Result<Vec<Candidate>> {
    links.iter().map(|link_state| candidate(store, boot, me, link_state)).collect()
}

/// Resolves one link as if `me` had its record already: an exact id wins over an exact name, and a
/// name over a unique prefix of an id.
fn candidate(
    store: &dyn Store,
    boot: u128,
    me: Requester<'_>,
    link_state: &LinkState,
) -> Result<Candidate> {
    let name = link_state.link.source.as_str();
    let own_id = me.id.map(ContainerId::as_str);
    let own_prefix = own_id.is_some_and(|id| id.starts_with(name));
    let seen = |record: Box<Record>| -> Result<Candidate> {
        Ok(if is_running(&record, boot)? {
            Candidate::Running(record)
        } else {
            Candidate::Stopped(record.name)
        })
    };
    if own_id == Some(name) {
        return Ok(Candidate::Itself);
    }
    let found = match store.find(&link_state.link.source)? {
        Found::One(record) if Some(&record.id) == me.id => return Ok(Candidate::Itself),
        found => found,
    };
    let found_by_id = matches!(&found, Found::One(other) if other.id.as_str() == name);
    Ok(match found {
        Found::One(record) if found_by_id => seen(record)?,
        // The first container of a name keeps it while it is running.
        Found::One(record) if record.name.as_str() == name => match seen(record)? {
            Candidate::Stopped(_) if me.name.as_str() == name => Candidate::Itself,
            seen => seen,
        },
        _ if me.name.as_str() == name => Candidate::Itself,
        Found::One(_) | Found::Several if own_prefix => Candidate::Ambiguous,
        Found::Nothing if own_prefix => Candidate::Itself,
        Found::One(record) => seen(record)?,
        Found::Several => connected(store, boot, link_state)?.unwrap_or(Candidate::Ambiguous),
        Found::Nothing => Candidate::Missing,
    })
}

/// Keeps a connected link although its prefix has become ambiguous through another container.
fn connected(store: &dyn Store, boot: u128, link_state: &LinkState) -> Result<Option<Candidate>> {
    let Some(id) = &link_state.source else { return Ok(None) };
    let meant = |record: &Record| record.id.as_str().starts_with(link_state.link.source.as_str());
    let Some(record) = store.get(id)?.filter(meant) else { return Ok(None) };
    Ok(is_running(&record, boot)?.then(|| Candidate::Running(Box::new(record))))
}
