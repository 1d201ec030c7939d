//! Limits links: those of an engine to their network, and those to sources whose end no hook reports.

use crate::engine::Networks;
use crate::host::Host;
use crate::link::Candidate;
use crate::link::carry::{self, Gap};
use crate::link::limit::{are_of_one_network, assumed, on_network};
use crate::model::{
    Address, ContainerId, ContainerName, LinkState, Network, PortSet, Record, Routing,
};
use crate::store::Store;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

/// Returns `me` with the networks of its engine's links, and the candidates with their addresses there.
/// All other links stay as they are.
pub(crate) fn limited(me: &Record, mut candidates: Vec<Candidate>) -> (Record, Vec<Candidate>) {
    let mut me = me.clone();
    let mut files = Files::new(me.engine_files.as_deref());
    let (id, ours) = (me.id.clone(), me.network.addresses().to_vec());
    for (link_state, candidate) in me.links.iter_mut().zip(&mut candidates) {
        let Candidate::Running(source) = candidate else { continue };
        let is_peer = me.instance.shares_namespace(&source.instance);
        if !link_state.declared_by.is_engine() || !source.network.is_own() || is_peer {
            continue;
        }
        if link_state.on.is_empty() {
            link_state.on = files.of_link(link_state, (&id, &ours), source);
        }
        source.network = Network::Own(on_network(source.network.addresses(), &link_state.on));
    }
    (me, candidates)
}

/// Returns why a link of an engine to the running `source` cannot carry now.
pub(crate) fn gap(me: &Record, link_state: &LinkState, source: &Record) -> Option<Gap> {
    let me = Record { links: vec![link_state.clone()], ..me.clone() };
    let (me, found) = limited(&me, vec![Candidate::Running(Box::new(source.clone()))]);
    let gap = found.iter().find_map(|candidate| match candidate {
        Candidate::Running(there) => carry::gap(&me, there, &Routing::default().closed()),
        _ => None,
    });
    match gap {
        Some(Gap::SourceAddress) if !carry::has_no_address(source) => Some(Gap::Network),
        gap => gap,
    }
}

/// Takes the ports from sources that no hook reports the end of, unless `watch` runs.
pub(crate) fn guarded(host: &Host, mut found: Vec<Candidate>) -> Vec<Candidate> {
    let is_unguarded =
        |candidate: &Candidate| matches!(candidate, Candidate::Running(source) if source.by_engine);
    if !found.iter().any(is_unguarded) || host.is_watched() {
        return found;
    }
    for candidate in &mut found {
        match candidate {
            Candidate::Running(source) if source.by_engine => source.ports = PortSet::default(),
            _ => {}
        }
    }
    found
}

/// Logs the links of an engine that wait after the start of the container `name`.
pub(crate) fn report_waiting(store: &dyn Store, name: &ContainerName, links: &[LinkState]) {
    let waiting =
        |link_state: &&LinkState| link_state.declared_by.is_engine() && link_state.source.is_none();
    for link_state in links.iter().filter(waiting) {
        let LinkState { link, declared_by, .. } = link_state;
        let (source, alias) = (&link.source, &link.alias);
        let with_alias = |network| store.with_alias(network, source).unwrap_or_default();
        if link_state.user_network().is_some_and(|network| with_alias(network).len() > 1) {
            log::warn!(
                "{name}: link {source}:{alias} of {declared_by} waits: several containers have the alias \
                 {source} on that network"
            );
            continue;
        }
        log::warn!(
            "{name}: link {source}:{alias} of {declared_by} waits for a source on that network under \
             oci-link"
        );
    }
}

/// What Docker's files say about networks. Each file is read once.
pub(crate) struct Files<'a> {
    containers: Option<&'a Path>,
    read: HashMap<String, Option<Networks>>,
}

impl<'a> Files<'a> {
    /// `containers` has a directory for each container, if Docker is the engine.
    pub(crate) fn new(containers: Option<&'a Path>) -> Self {
        Self { containers, read: HashMap::new() }
    }

    fn of(&mut self, id: &ContainerId) -> Option<&Networks> {
        let containers = self.containers?;
        let read = self.read.entry(id.as_str().to_owned()).or_insert_with(|| {
            let networks = Networks::of(containers, id.as_str());
            networks.inspect_err(|error| log::debug!("{}: its networks: {error}", id.brief())).ok()
        });
        read.as_ref()
    }

    /// Returns addresses on the network of a link. The recipient has the addresses `ours`; its file has
    /// none while it starts.
    fn of_link(
        &mut self,
        link_state: &LinkState,
        (id, ours): (&ContainerId, &[Address]),
        source: &Record,
    ) -> Vec<Address> {
        let name = link_state.declared_by.network().unwrap_or_default();
        match self.of(id).map(|networks| networks.on(name)) {
            Some(None) => return Vec::new(),
            Some(Some(given)) => {
                let known = having(ours, given);
                if !known.is_empty() {
                    return known;
                }
            }
            None => {}
        }
        if are_of_one_network(ours) {
            return ours.to_vec();
        }
        self.of_source(link_state, source, Some(ours))
    }

    /// Returns addresses on the network of a link, by the file of its source.
    pub(crate) fn of_source(
        &mut self,
        link_state: &LinkState,
        source: &Record,
        ours: Option<&[Address]>,
    ) -> Vec<Address> {
        let name = link_state.declared_by.network().unwrap_or_default();
        let theirs = source.network.addresses();
        match self.of(&source.id).map(|networks| networks.on(name)) {
            Some(None) => return Vec::new(),
            Some(Some(given)) => {
                let known = having(theirs, given);
                if !known.is_empty() {
                    return known;
                }
            }
            None => {}
        }
        assumed(&link_state.declared_by, ours, theirs)
    }
}

/// The addresses of a container that its file names. Another one is of an earlier start.
fn having(all: &[Address], given: &[IpAddr]) -> Vec<Address> {
    all.iter().filter(|address| given.contains(&address.ip())).copied().collect()
}
