//! What two running containers claim at once: a name, or an alias in a hosts file that they share.

use crate::error::Result;
use crate::host::Locked;
use crate::lifecycle::alive::is_running;
use crate::link::shared::{disputed_alias, have_two_sources};
use crate::link::{OnMissing, Plan, Refusal};
use crate::model::{Alias, ContainerName, HostsPlace, Inode, LinkState, Record};
use crate::store::{Store, pod_peers};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A container that is not found under one of its names, because another one owns the name, or owned
/// it when this one started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NameDispute<'a> {
    /// The name.
    pub(crate) name: &'a ContainerName,
    /// The container that owns the name. With `None` its owner has ended.
    pub(crate) owner: Option<&'a Record>,
    /// The container that claims it too.
    pub(crate) claimant: &'a Record,
}

/// Two recipients that share a hosts file and have one alias for two sources.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AliasDispute<'a> {
    /// The alias.
    pub(crate) alias: &'a Alias,
    /// The two recipients, in the order of `records`.
    pub(crate) recipients: [&'a Record; 2],
}

/// Returns all disputes about names among `records`.
pub(crate) fn about_names<'a>(
    store: &dyn Store,
    records: &'a [Record],
) -> Result<Vec<NameDispute<'a>>> {
    let mut by_name: BTreeMap<&ContainerName, Vec<&Record>> = BTreeMap::new();
    for record in records {
        for name in record.names() {
            by_name.entry(name).or_default().push(record);
        }
    }
    let mut disputes = Vec::new();
    for (name, claimants) in by_name {
        let mut owner = None;
        if let Some(reference) = name.reference() {
            for claimant in &claimants {
                if store.owns(claimant, &reference)? {
                    owner = Some(*claimant);
                    break;
                }
            }
        }
        let is_owner = |record: &Record| owner.is_some_and(|owner| owner.id == record.id);
        let others = claimants.into_iter().filter(|record| !is_owner(record));
        disputes.extend(others.map(|claimant| NameDispute { name, owner, claimant }));
    }
    Ok(disputes)
}

/// Returns the first dispute about an alias of each pair of `records`.
///
/// Containers that share a file and have the same sources are not compared with each other.
pub(crate) fn about_aliases(records: &[Record]) -> Vec<AliasDispute<'_>> {
    let with_file =
        records.iter().filter_map(|record| Some((&record.hosts.as_ref()?.place, record)));
    let mut files: HashMap<(bool, Inode), Sharing<'_>> = HashMap::new();
    let mut disputes = Vec::new();
    for (place, second) in with_file {
        let file = files.entry(key_of(place)).or_default();
        for first in file.opponents(second) {
            if let Some(alias) = disputed_alias(first, second) {
                disputes.push(AliasDispute { alias, recipients: [first, second] });
            }
        }
        file.add(second);
    }
    disputes
}

/// Which file it is: two places with one key are the same file.
fn key_of(place: &HostsPlace) -> (bool, Inode) {
    match place {
        HostsPlace::Mount { inode, .. } => (true, *inode),
        HostsPlace::Rootfs { inode, .. } => (false, *inode),
    }
}

/// The recipients that share one hosts file.
#[derive(Default)]
struct Sharing<'a> {
    records: Vec<&'a Record>,
    /// For each alias, in lower case, its sources, and the places of the recipients with this source.
    sources: HashMap<String, Vec<(&'a LinkState, Vec<usize>)>>,
}

impl<'a> Sharing<'a> {
    /// The recipients that have another source under an alias of `record`, in order.
    fn opponents(&self, record: &Record) -> Vec<&'a Record> {
        let mut found = BTreeSet::new();
        for link in &record.links {
            for (other, places) in self.sources.get(&alias_key(link)).into_iter().flatten() {
                if have_two_sources(other, link) {
                    found.extend(places);
                }
            }
        }
        found.into_iter().filter_map(|at: usize| self.records.get(at).copied()).collect()
    }

    fn add(&mut self, record: &'a Record) {
        let at = self.records.len();
        self.records.push(record);
        for link in &record.links {
            let sources = self.sources.entry(alias_key(link)).or_default();
            let is_same = |(other, _): &&mut (&LinkState, Vec<usize>)| {
                other.source == link.source && other.link.source == link.link.source
            };
            match sources.iter_mut().find(is_same) {
                Some((_, places)) => places.push(at),
                None => sources.push((link, vec![at])),
            }
        }
    }
}

fn alias_key(link: &LinkState) -> String {
    link.link.alias.as_str().to_ascii_lowercase()
}

/// Refuses a plan with an alias that a running pod peer has for another source in the same hosts file.
///
/// Recipients that share a file without being pod peers are not looked for here: `ls` and `doctor` read
/// all records.
pub(crate) fn must_agree(
    host: &Locked<'_>,
    plan: &Plan,
    place: &HostsPlace,
    absent: OnMissing,
) -> Result<()> {
    if absent == OnMissing::Leave {
        return Ok(());
    }
    for peer in pod_peers(host.store.as_ref(), &plan.record)? {
        let shares = peer.hosts.as_ref().is_some_and(|edit| edit.place.is_same_file(place));
        let disputed = || disputed_alias(&plan.record, &peer);
        let Some(alias) = shares.then(disputed).flatten() else { continue };
        // Unknown is not dead.
        if is_running(&peer, host.boot).unwrap_or(true) {
            let (alias, peer) = (alias.clone(), peer.name.clone());
            return Err(Refusal::SharedHosts { alias, peer }.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContainerId, HostsEdit, sample};

    /// A recipient whose alias is `link`, connected to the container `source`.
    fn sharing(name: &str, link: &str, source: &str) -> Record {
        let place =
            HostsPlace::Mount { path: "/hosts".into(), inode: Inode { device: 1, number: 2 } };
        let mut record = sample::record(name, "", &[]).linked(&[link]);
        record.links[0].source = Some(ContainerId::new(source).unwrap());
        record.hosts = Some(HostsEdit { place, block: String::new(), previous: Vec::new() });
        record
    }

    /// Recipients of one source in a shared file are not compared with each other, however many they are.
    #[test]
    fn only_recipients_with_another_source_are_compared() {
        let mut records: Vec<Record> =
            (0..5000).map(|number| sharing(&format!("web{number}"), "db:db", "db")).collect();
        records.push(sharing("api", "db2:DB", "db2"));
        let found = about_aliases(&records);
        assert_eq!(found.len(), 5000);
        let named = |dispute: &AliasDispute<'_>| {
            dispute.recipients.map(|record| record.name.as_str().to_owned())
        };
        assert_eq!(named(&found[0]), ["web0", "api"]);
        assert_eq!(named(&found[4999]), ["web4999", "api"]);
        let mut file = Sharing::default();
        records.iter().take(5000).for_each(|record| file.add(record));
        assert_eq!(file.opponents(&records[0]).len(), 0);
        assert_eq!(file.opponents(&records[5000]).len(), 5000);
    }
}
