//! A snapshot of the host: all records, and the rules of all backends by owner tag.

use crate::error::Result;
use crate::firewall::InstalledRules;
use crate::host::Locked;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::home;
use crate::model::{BackendName, Flow, FlowIndex, Origin, OwnerTag, Record, StateId};
use crate::store::NewerRecord;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

/// All records and rules at one moment.
pub(crate) struct HostSnapshot {
    /// Records of running containers.
    pub(crate) living: Vec<Record>,
    /// Records of dead containers.
    pub(crate) dead: Vec<Record>,
    /// Records of a newer version. Their rules are left alone.
    pub(crate) newer: Vec<NewerRecord>,
    /// The rules of each backend that could be read.
    pub(crate) rules: Vec<(BackendName, BTreeMap<OwnerTag, InstalledRules>)>,
    /// Whether all backends could be read.
    pub(crate) is_complete: bool,
    /// The tags of all records; that of a running container with the backend that has its rules.
    owners: HashMap<OwnerTag, Option<BackendName>>,
    /// The flows that the rules of running containers permit, by backend and recipient. Made when they are
    /// asked for first.
    permitted: OnceCell<Permitted>,
}

/// Flows with the owner of their rules.
type Permitted = HashMap<(BackendName, IpAddr), Vec<(OwnerTag, Flow)>>;

/// Whether the container of `record` is running.
pub(crate) fn lives(host: &Locked<'_>, record: &Record) -> Result<bool> {
    is_running(record, host.boot)
}

impl HostSnapshot {
    /// Reads all records and rules. A backend that fails is skipped if no record uses it. A record that
    /// was made in other namespaces is an error.
    pub(crate) fn read(host: &Locked<'_>) -> Result<Self> {
        let (mut living, mut dead) = (Vec::new(), Vec::new());
        for record in host.store.all()? {
            home::check_record(host, &record)?;
            if lives(host, &record)? { &mut living } else { &mut dead }.push(record);
        }
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
        let newer = host.store.newer()?;
        let backends = living.iter().map(|record: &Record| (record, Some(record.backend)));
        let all = dead.iter().map(|record| (record, None)).chain(backends);
        let owners = all.map(|(record, backend)| (record.owner.clone(), backend)).collect();
        let permitted = OnceCell::new();
        Ok(Self { living, dead, newer, rules, is_complete, owners, permitted })
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
    /// record has too. Pod peers share flows.
    pub(crate) fn own_flows(&self, backend: BackendName, owner: &OwnerTag) -> Vec<Flow> {
        let permitted = self.permitted.get_or_init(|| self.permitted());
        let own = self.installed(backend, owner).into_iter().flat_map(|installed| &installed.flows);
        let theirs = |flow: &Flow| {
            let all = permitted.get(&(backend, flow.from)).into_iter().flatten();
            FlowIndex::of(all.filter(|(tag, _)| tag != owner).map(|(_, flow)| *flow))
        };
        let mut index: HashMap<IpAddr, FlowIndex> = HashMap::new();
        own.flat_map(|flow| index.entry(flow.from).or_insert_with(|| theirs(flow)).rest_of(flow))
            .collect()
    }

    fn permitted(&self) -> Permitted {
        let newer = self.newer.iter().filter_map(|record| record.owner.as_ref());
        let tags: HashSet<&OwnerTag> =
            self.living.iter().map(|record| &record.owner).chain(newer).collect();
        let mut all = Permitted::new();
        for (backend, owners) in &self.rules {
            for (owner, installed) in owners.iter().filter(|(owner, _)| tags.contains(owner)) {
                for flow in &installed.flows {
                    all.entry((*backend, flow.from)).or_default().push((owner.clone(), *flow));
                }
            }
        }
        all
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
