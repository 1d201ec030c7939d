//! Finds records: by name or id, the sources of links, and the recipients of a source.

mod pods;

use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::remote::Elsewhere;
use crate::link::{Candidate, Refusal};
use crate::model::{
    ContainerId, ContainerName, DeclaredBy, LinkState, Meaning, Pod, Record, Reference,
};
use crate::store::{Found, Store};
use std::collections::HashSet;

/// Finds exactly one container. Several matches or none are an error.
pub(crate) fn look_up(store: &dyn Store, reference: &Reference) -> Result<Record> {
    if let Some((pod, _)) = reference.in_pod() {
        return pods::look_up(store, reference, pod);
    }
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
    if !record.network.is_own() {
        return Ok(Vec::new());
    }
    let mut found = store.recipients_of(&record.id)?;
    for reference in record.answers_to() {
        found.extend(store.recipients_naming(&reference)?);
    }
    found.extend(store.unresolved_by_prefix(&record.id)?);
    let mut known = HashSet::from([record.id.clone()]);
    found.retain(|recipient| known.insert(recipient.id.clone()));
    Ok(found)
}

/// The container whose links are resolved. It may have no record yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Requester<'a> {
    /// Its id, if it is known.
    pub(crate) id: Option<&'a ContainerId>,
    /// Its name.
    pub(crate) name: &'a ContainerName,
    /// The name that its engine gave it, if that is another one.
    pub(crate) engine_name: Option<&'a ContainerName>,
    /// Its pod, if Kubernetes created it.
    pub(crate) pod: Option<&'a Pod>,
}

impl<'a> Requester<'a> {
    /// The container of `record`.
    pub(crate) fn of(record: &'a Record) -> Self {
        let (engine_name, pod) = (record.engine_name.as_ref(), record.pod.as_ref());
        Self { id: Some(&record.id), name: &record.name, engine_name, pod }
    }

    fn is_named(&self, reference: &Reference) -> bool {
        let mut names = std::iter::once(self.name).chain(self.engine_name);
        names.any(|name| name.as_str() == reference.as_str())
            || self.pod.is_some_and(|pod| pod.is_named(reference))
    }

    /// Whether `reference` is the container's own id.
    fn has_id(&self, reference: &Reference) -> bool {
        self.id.is_some_and(|id| id.as_str() == reference.as_str())
    }
}

/// The candidate for each link of `me`, in the same order.
pub(crate) fn candidates(
    host: &Host,
    me: Requester<'_>,
    links: &[LinkState],
) -> Result<Vec<Candidate>> {
    let (store, boot) = (host.store.as_ref(), host.boot);
    let search = Search { store, boot, me, elsewhere: Elsewhere::new(host) };
    links.iter().map(|link_state| search.candidate(link_state)).collect()
}

/// The recipient whose links are resolved, and the store.
struct Search<'a> {
    store: &'a dyn Store,
    boot: u128,
    me: Requester<'a>,
    elsewhere: Elsewhere<'a>,
}

impl Search<'_> {
    /// Resolves one link. Containers of this host come first.
    fn candidate(&self, link_state: &LinkState) -> Result<Candidate> {
        if let Some(name) = link_state.link.source.host() {
            return self.elsewhere.on(link_state, &name);
        }
        let found = self.here(link_state)?;
        // A link by an id means that container alone.
        let is_open = !matches!(link_state.meaning, Some(Meaning::Id(_))) && self.me.pod.is_none();
        if found != Candidate::Missing || !is_open {
            return Ok(found);
        }
        Ok(self.elsewhere.anywhere(link_state)?.unwrap_or(found))
    }

    /// Resolves one link on this host. While its source lives, no other container takes the link over. After that
    /// the name or the id is looked for by which the source was found first.
    fn here(&self, link_state: &LinkState) -> Result<Candidate> {
        if let Some(record) = self.living_source(link_state)? {
            return Ok(Candidate::Running(Box::new(record)));
        }
        match &link_state.meaning {
            Some(Meaning::Name) if self.me.pod.is_some() => {
                self.named_in_pods(&link_state.link.source)
            }
            // Docker's name server may know the name from an alias now.
            Some(Meaning::Name) if link_state.user_network().is_some() => self.first(link_state),
            Some(Meaning::Name) => {
                let owner = self.store.named(&link_state.link.source)?;
                self.owner(owner, &link_state.link.source)
            }
            Some(Meaning::Id(id)) => self.of_id(id),
            None => self.first(link_state),
        }
    }

    /// The source that the link is connected to, if its container runs.
    fn living_source(&self, link_state: &LinkState) -> Result<Option<Record>> {
        let Some(id) = &link_state.source else { return Ok(None) };
        let record = self.store.get(id)?.filter(|record| link_state.stays_with(record));
        let Some(record) = record.filter(|record| Some(&record.id) != self.me.id) else {
            return Ok(None);
        };
        Ok((self.may_have(&record) && is_running(&record, self.boot)?).then_some(record))
    }

    /// Resolves a link for the first time as if `me` had its record already: an exact id wins over an
    /// exact name, and a name over the beginning of an id.
    ///
    /// If no container has the name, a link on a network of Docker's means the one with that alias there. One on
    /// the default bridge means the container that had the name: Docker made the link to that one.
    fn first(&self, link_state: &LinkState) -> Result<Candidate> {
        let reference = &link_state.link.source;
        if self.me.pod.is_some() {
            return self.first_of_pod(reference);
        }
        if self.me.has_id(reference) {
            return Ok(Candidate::Itself);
        }
        let own_prefix = self.me.id.is_some_and(|id| reference.begins(id));
        let found = match self.store.find(reference)? {
            Found::One(record) if Some(&record.id) == self.me.id => return Ok(Candidate::Itself),
            found => found,
        };
        if let Some(candidate) = self.by_alias(link_state, &found)? {
            return Ok(candidate);
        }
        match found {
            Found::One(record) if record.id.as_str() == reference.as_str() => self.seen(*record),
            Found::One(record) if record.is_named(reference) => {
                self.owner(Some(*record), reference)
            }
            Found::Nothing if link_state.declared_by == DeclaredBy::Docker => {
                let last = self.store.formerly_named(reference)?;
                let last = last.filter(|last| Some(&last.id) != self.me.id);
                last.map_or_else(|| Ok(self.none(reference, own_prefix)), |last| self.seen(last))
            }
            _ if self.me.is_named(reference) => Ok(Candidate::Itself),
            Found::One(_) | Found::Several if own_prefix => Ok(Candidate::Ambiguous),
            Found::One(record) => self.seen(*record),
            Found::Several => Ok(Candidate::Ambiguous),
            Found::Nothing => Ok(self.none(reference, own_prefix)),
        }
    }

    /// The candidate where no record was found.
    fn none(&self, reference: &Reference, own_prefix: bool) -> Candidate {
        let is_own = own_prefix || self.me.is_named(reference);
        if is_own { Candidate::Itself } else { Candidate::Missing }
    }

    /// The candidate for a link on a network of Docker's by an alias there, unless `found` is its source.
    fn by_alias(&self, link_state: &LinkState, found: &Found) -> Result<Option<Candidate>> {
        let reference = &link_state.link.source;
        let Some(network) = link_state.user_network() else { return Ok(None) };
        let is_it = |record: &Record| {
            let is_id = record.id.as_str() == reference.as_str();
            is_id || record.is_named(reference) && record.may_be_on(network)
        };
        if matches!(found, Found::One(record) if is_it(record)) {
            return Ok(None);
        }
        let mut running = Vec::new();
        for record in self.store.with_alias(network, reference)? {
            if Some(&record.id) != self.me.id && is_running(&record, self.boot)? {
                running.push(record);
            }
        }
        Ok(match running.pop() {
            None => None,
            Some(record) if running.is_empty() => Some(Candidate::Running(Box::new(record))),
            Some(_) => Some(Candidate::Ambiguous),
        })
    }

    /// The candidate for a link by a name that `owner` owns. The first container of a name keeps it
    /// while it is running.
    fn owner(&self, owner: Option<Record>, name: &Reference) -> Result<Candidate> {
        let found = match owner {
            Some(owner) if Some(&owner.id) == self.me.id => return Ok(Candidate::Itself),
            Some(owner) => self.seen(owner)?,
            None => Candidate::Missing,
        };
        let is_free = matches!(found, Candidate::Stopped(_) | Candidate::Missing);
        Ok(if is_free && self.me.is_named(name) { Candidate::Itself } else { found })
    }

    /// The candidate for a link by an id.
    fn of_id(&self, id: &ContainerId) -> Result<Candidate> {
        if self.me.id.is_some_and(|own| own.as_str() == id.as_str()) {
            return Ok(Candidate::Itself);
        }
        let mut all = self.store.namesakes(id)?;
        match all.iter().position(|record| record.id.tag().is_none()) {
            Some(first) => self.seen(all.swap_remove(first)),
            None if all.len() > 1 => Ok(Candidate::Ambiguous),
            None => all.pop().map_or(Ok(Candidate::Missing), |record| self.seen(record)),
        }
    }

    /// The candidate for `record`. One that the container may not link to counts as missing.
    fn seen(&self, record: Record) -> Result<Candidate> {
        if !self.may_have(&record) {
            return Ok(Candidate::Missing);
        }
        Ok(if is_running(&record, self.boot)? {
            Candidate::Running(Box::new(record))
        } else {
            Candidate::Stopped(record.name)
        })
    }
}
