//! A snapshot of the host: all records, and the rules of all backends by owner tag.

use crate::error::Result;
use crate::firewall::InstalledRules;
use crate::firewall::bridge::keys::Key;
use crate::host::Locked;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::{guests, home};
use crate::model::{BackendName, Flow, FlowIndex, GuestRecord, Origin, OwnerTag, Record, StateId};
use crate::store::NewerRecord;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};

/// All records and rules at one moment.
pub(crate) struct HostSnapshot {
    /// Records of running containers.
    pub(crate) living: Vec<Record>,
    /// Records of dead containers.
    pub(crate) dead: Vec<Record>,
    /// Recipients of other hosts that were let in.
    pub(crate) guests: Vec<GuestRecord>,
    /// Records of a newer version. Their rules are left alone.
    pub(crate) newer: Vec<NewerRecord>,
    /// The rules of each backend that could be read.
    pub(crate) rules: Vec<(BackendName, BTreeMap<OwnerTag, InstalledRules>)>,
    /// What the bridge table has of each container.
    pub(crate) ports: BTreeMap<OwnerTag, Vec<Key>>,
    all_ports: HashSet<Key>,
    /// Whether all backends could be read.
    pub(crate) is_complete: bool,
    /// The tags of all records; that of a running container with the backend that has its rules.
    owners: HashMap<OwnerTag, Option<BackendName>>,
    /// What the rules of each backend permit that stay.
    permitted: OnceCell<[(BackendName, FlowIndex); BackendName::ALL.len()]>,
}

/// Whether the container of `record` is running.
pub(crate) fn lives(host: &Locked<'_>, record: &Record) -> Result<bool> {
    is_running(record, host.boot)
}

impl HostSnapshot {
    /// Reads all records and rules. A backend that fails is skipped if no record uses it. A record that
    /// was made in other namespaces is an error.
    pub(crate) fn read(host: &Locked<'_>) -> Result<Self> {
        // A second list of all records would take as much memory again, and few containers are dead.
        let (mut living, newer) = host.store.everything()?;
        let (mut dead, mut run) = (Vec::new(), Vec::new());
        for record in &living {
            home::check_record(host, record)?;
            run.push(lives(host, record)?);
            if run.last() == Some(&false) {
                dead.push(record.clone());
            }
        }
        let mut run = run.into_iter();
        living.retain(|_| run.next() == Some(true));
        let (mut rules, mut is_complete) = (Vec::new(), true);
        for backend in BackendName::ALL {
            match host.backend(backend, |firewall| firewall.owners()) {
                Ok(owners) => rules.push((backend, owners)),
                // An unused backend may be broken or missing.
                Err(error) if !is_used(host, backend, living.iter().chain(&dead)) => {
                    log::debug!("firewall: cannot read the rules of {backend}: {error}");
                    is_complete = false;
                }
                Err(error) => return Err(error),
            }
        }
        let backends = living.iter().map(|record: &Record| (record, Some(record.backend)));
        let all = dead.iter().map(|record| (record, None)).chain(backends);
        let mut owners: HashMap<OwnerTag, Option<BackendName>> =
            all.map(|(record, backend)| (record.owner.clone(), backend)).collect();
        let guests = guests::all(host)?;
        owners.extend(guests.iter().map(|guest| (guest.owner.clone(), Some(guest.backend))));
        let (permitted, ports) = (OnceCell::new(), host.ports.owners()?);
        let all_ports = ports.values().flatten().copied().collect();
        Ok(Self {
            living,
            dead,
            guests,
            newer,
            rules,
            ports,
            all_ports,
            is_complete,
            owners,
            permitted,
        })
    }

    /// Whether a backend has rules with this tag.
    pub(crate) fn has_rules(&self, owner: &OwnerTag) -> bool {
        self.rules.iter().any(|(_, owners)| owners.contains_key(owner))
    }

    /// Whether the bridge table has this key, of whichever container.
    pub(crate) fn has_port(&self, key: Key) -> bool {
        self.all_ports.contains(&key)
    }

    /// The rules with this tag in one backend.
    pub(crate) fn installed(
        &self,
        backend: BackendName,
        owner: &OwnerTag,
    ) -> Option<&InstalledRules> {
        let (_, owners) = self.rules.iter().find(|(name, _)| *name == backend)?;
        owners.get(owner)
    }

    /// Whether rules with this tag may belong to a record of a newer version.
    pub(crate) fn may_be_newer(&self, owner: &OwnerTag) -> bool {
        self.newer.iter().any(|record| record.owner.as_ref().is_none_or(|own| own == owner))
    }

    /// Whether a record has this tag.
    pub(crate) fn is_recorded(&self, owner: &OwnerTag) -> bool {
        self.owners.contains_key(owner)
    }

    /// Whether a record accounts for rules with this tag in `backend`: that of a running container which
    /// uses this backend, that of any dead container, or one of a newer version.
    pub(crate) fn is_accounted_for(&self, backend: BackendName, owner: &OwnerTag) -> bool {
        let recorded = self.owners.get(owner).map(|used| used.is_none_or(|used| used == backend));
        recorded == Some(true) || self.may_be_newer(owner)
    }

    /// Rules whose tag no record has, without those of other state directories than `own`.
    pub(crate) fn orphans(
        &self,
        own: StateId,
    ) -> impl Iterator<Item = (BackendName, &OwnerTag, &InstalledRules)> {
        let all = self.rules.iter().flat_map(|(backend, owners)| {
            owners.iter().map(move |(owner, installed)| (*backend, owner, installed))
        });
        all.filter(move |(_, owner, _)| {
            owner.origin(own) != Origin::Other
                && !self.is_recorded(owner)
                && !self.may_be_newer(owner)
        })
    }

    /// The flows that rules of `owner` permit, except those that a running container or one of a newer
    /// record has too. Pod peers share flows. `owner` is none of them in this backend.
    ///
    /// The work for all owners together is linear in the number of all flows.
    pub(crate) fn own_flows(&self, backend: BackendName, owner: &OwnerTag) -> Vec<Flow> {
        let all = self
            .permitted
            .get_or_init(|| BackendName::ALL.map(|backend| (backend, self.permitted_in(backend))));
        let own = self.installed(backend, owner).into_iter().flat_map(|installed| &installed.flows);
        match all.iter().find(|(name, _)| *name == backend) {
            Some((_, theirs)) => own.flat_map(|flow| theirs.rest_of(flow)).collect(),
            None => own.copied().collect(),
        }
    }

    /// What the rules of running containers in their backend permit, and those of newer records.
    fn permitted_in(&self, backend: BackendName) -> FlowIndex {
        let newer = self.newer.iter().filter_map(|record| record.owner.as_ref());
        let living = self.living.iter().filter(|record| record.backend == backend);
        let guests = self.guests.iter().filter(|guest| guest.backend == backend);
        let guests = guests.map(|guest| &guest.owner);
        let tags = living.map(|record| &record.owner).chain(newer).chain(guests);
        let installed = tags.filter_map(|tag| self.installed(backend, tag));
        FlowIndex::of(installed.flat_map(|installed| &installed.flows).copied())
    }
}

fn is_used<'a>(
    host: &Locked<'_>,
    backend: BackendName,
    mut records: impl Iterator<Item = &'a Record>,
) -> bool {
    host.firewall.chosen() == Some(backend)
        || records.any(|record| record.backend == backend && !record.flows.is_empty())
}
