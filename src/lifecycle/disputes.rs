//! What two running containers claim at once: a name, or an alias in a hosts file that they share.

use crate::error::Result;
use crate::host::Locked;
use crate::lifecycle::alive::is_running;
use crate::link::shared::disputed_alias;
use crate::link::{OnMissing, Plan, Refusal};
use crate::model::{Alias, ContainerName, HostsPlace, Inode, Record};
use crate::store::{Store, pod_peers};
use std::collections::{BTreeMap, HashMap};

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
        let found = name.reference().map(|name| store.named(&name)).transpose()?.flatten();
        let is_owner = |record: &Record| found.as_ref().is_some_and(|found| found.id == record.id);
        let owner = claimants.iter().copied().find(|record| is_owner(record));
        let others = claimants.into_iter().filter(|record| !is_owner(record));
        disputes.extend(others.map(|claimant| NameDispute { name, owner, claimant }));
    }
    Ok(disputes)
}

/// Returns the first dispute about an alias of each pair of `records`.
pub(crate) fn about_aliases(records: &[Record]) -> Vec<AliasDispute<'_>> {
    let with_file =
        records.iter().filter_map(|record| Some((&record.hosts.as_ref()?.place, record)));
    let mut sharing: HashMap<Inode, Vec<(&HostsPlace, &Record)>> = HashMap::new();
    let mut disputes = Vec::new();
    for (place, second) in with_file {
        let earlier = sharing.entry(inode(place)).or_default();
        for (_, first) in earlier.iter().filter(|(other, _)| place.is_same_file(other)) {
            if let Some(alias) = disputed_alias(first, second) {
                disputes.push(AliasDispute { alias, recipients: [first, second] });
            }
        }
        earlier.push((place, second));
    }
    disputes
}

fn inode(place: &HostsPlace) -> Inode {
    match place {
        HostsPlace::Mount { inode, .. } | HostsPlace::Rootfs { inode, .. } => *inode,
    }
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
