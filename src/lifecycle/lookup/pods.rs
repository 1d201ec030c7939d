//! Sources of containers in pods of Kubernetes.
//!
//! Containers of several pods have one name, for example each replica of a Deployment. A link without a slash
//! looks in its own pod first, then in its own namespace, then among the containers that admit this
//! namespace. Several of one step are ambiguous.

use super::Search;
use crate::error::Result;
use crate::lifecycle::alive::is_running;
use crate::link::{Candidate, Refusal};
use crate::model::{ContainerId, Pod, PodKey, Record, Reference};
use crate::store::{Found, Store};

/// Finds the only container that is called `reference`, in whatever namespace.
pub(super) fn look_up(store: &dyn Store, reference: &Reference, pod: &str) -> Result<Record> {
    let mut found = store.listed(PodKey::Pod(pod))?;
    found.retain(|record| record.is_named(reference));
    match found.pop() {
        None => Err(Refusal::NoSuchContainer(reference.clone()).into()),
        Some(record) if found.is_empty() => Ok(record),
        Some(record) => {
            found.push(record);
            let namespace = |record: &Record| {
                let namespace = record.pod.as_ref().map(|pod| pod.namespace.to_string());
                format!("{} in {}", record.id.short(), namespace.unwrap_or_default())
            };
            let all = found.iter().map(namespace).collect();
            Err(Refusal::Several { source: reference.clone(), all }.into())
        }
    }
}

impl Search<'_> {
    /// Whether the container may link to `record`.
    pub(super) fn may_have(&self, record: &Record) -> bool {
        let admits = record.admits(self.me.pod);
        if let (false, Some(pod)) = (admits, self.me.pod) {
            log::info!(
                "{}: container {} is in another namespace, and its org.oci-link.from does not admit {}",
                self.me.name,
                record.id.short(),
                pod.namespace
            );
        }
        admits && !record.is_pod_infra
    }

    /// Resolves a link of a container in a pod for the first time: an id, a name, the beginning of an id.
    pub(super) fn first_of_pod(&self, reference: &Reference) -> Result<Candidate> {
        if self.me.has_id(reference) {
            return Ok(Candidate::Itself);
        }
        if reference.in_pod().is_none() {
            if let Some(record) = self.store.get(&ContainerId::new(reference.as_str())?)? {
                return self.seen(record);
            }
        }
        match self.named_in_pods(reference)? {
            Candidate::Missing => {}
            found => return Ok(found),
        }
        match self.store.find(reference)? {
            Found::One(record) if reference.begins(&record.id) => self.seen(*record),
            Found::Several => Ok(Candidate::Ambiguous),
            Found::One(_) | Found::Nothing => Ok(Candidate::Missing),
        }
    }

    /// The candidate for a link by a name, of a container in a pod.
    pub(super) fn named_in_pods(&self, reference: &Reference) -> Result<Candidate> {
        let Some(own) = self.me.pod else { return Ok(Candidate::Missing) };
        let name = reference.as_str();
        let (mine, others) = match reference.in_pod() {
            Some((pod, _)) => {
                let mut all = self.store.listed(PodKey::Pod(pod))?;
                all.retain(|record| record.is_named(reference));
                all.into_iter().partition(|record| is_in_namespace(record, own))
            }
            None => (
                self.store.listed(PodKey::Namespace(&own.namespace, name))?,
                self.store.listed(PodKey::Admitting(name))?,
            ),
        };
        let of_pod = |record: &Record| record.pod.as_ref().is_some_and(|pod| pod.name == own.name);
        let (pod, namespace): (Vec<_>, Vec<_>) = mine.into_iter().partition(of_pod);
        let others = others.into_iter().filter(|record| !is_in_namespace(record, own)).collect();
        for (group, is_named) in
            [(pod, self.me.is_named(reference)), (namespace, false), (others, false)]
        {
            match self.one_of(group, is_named)? {
                Candidate::Missing => {}
                found => return Ok(found),
            }
        }
        Ok(Candidate::Missing)
    }

    /// The candidate of a name that `records` have, and the container itself if `is_named`.
    fn one_of(&self, records: Vec<Record>, is_named: bool) -> Result<Candidate> {
        let (mut running, mut stopped) = (Vec::new(), None);
        for record in records {
            if Some(&record.id) == self.me.id || !self.may_have(&record) {
                continue;
            }
            if is_running(&record, self.boot)? {
                running.push(record);
            } else {
                stopped = Some(record.name);
            }
        }
        if running.len() + usize::from(is_named) > 1 {
            let pods = running.iter().filter_map(|record| record.pod.as_ref());
            let pods = pods.chain(self.me.pod.filter(|_| is_named));
            let mut all: Vec<String> = pods.map(shown).collect();
            all.sort();
            return Ok(Candidate::Several(all));
        }
        Ok(match (running.pop(), stopped) {
            (Some(record), _) => Candidate::Running(Box::new(record)),
            (None, _) if is_named => Candidate::Itself,
            (None, Some(name)) => Candidate::Stopped(name),
            (None, None) => Candidate::Missing,
        })
    }
}

fn is_in_namespace(record: &Record, own: &Pod) -> bool {
    record.pod.as_ref().is_some_and(|pod| pod.namespace == own.namespace)
}

fn shown(pod: &Pod) -> String {
    format!("{}/{}", pod.name, pod.container)
}
