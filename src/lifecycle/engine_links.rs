//! Links that only the container's engine declares: which are taken over at `create`, what variables
//! they get, and which addresses they connect.
//!
//! None of them keeps a container from starting. What cannot be taken over is logged, and a link whose
//! source cannot be reached waits.

use crate::engine::{Listing, Networks};
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::addresses::corrected;
use crate::lifecycle::adopt::adopt;
use crate::lifecycle::lookup::{Requester, candidates};
use crate::link::Candidate;
use crate::link::carry::{self, Gap};
use crate::link::env::{LinkVariables, link_variables, name_variable};
use crate::link::limit::{are_of_one_network, assumed, on_network};
use crate::model::{
    Address, Alias, ContainerId, ContainerName, DeclaredBy, EngineLink, LinkState, Network, Owner,
    Record, RecordedLink, Reference, Routing, Variable, taken_over,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

/// Decides which of the `recorded` links of a new container are taken over. A line in the log names each
/// that is left out.
pub(crate) fn choose(
    host: &Host,
    owner: Owner<'_>,
    recorded: &[RecordedLink],
    listing: &Listing,
) -> Vec<EngineLink> {
    let known: RefCell<HashMap<Reference, Option<Reference>>> = RefCell::default();
    let resolve = |source: &Reference| {
        let is_name = || host.store.named(source).is_ok_and(|found| found.is_some());
        let find = || if is_name() { None } else { listing.by_prefix(source) };
        known.borrow_mut().entry(source.clone()).or_insert_with(find).clone()
    };
    let (links, notes) = taken_over(recorded, owner, resolve);
    for note in notes {
        log::warn!("{}: left out of the links that its engine has recorded: {note}", owner.id);
    }
    links
}

/// Returns the variables for the links that are taken over, without those that the engine has set.
///
/// A link that the engine has described gets none: it has all of that engine's version. Sources that do
/// not run, or are not on the network of the link, have none. A failure is logged.
pub(crate) fn variables(
    host: &Host,
    me: Requester<'_>,
    links: &[EngineLink],
    own: &[Variable],
    listing: &Listing,
) -> Vec<Variable> {
    describe(host, me, links, own, listing).unwrap_or_else(|error| {
        log::warn!("{}: the links of its engine have no variables: {error}", me.name);
        Vec::new()
    })
}

fn describe(
    host: &Host,
    me: Requester<'_>,
    links: &[EngineLink],
    own: &[Variable],
    listing: &Listing,
) -> Result<Vec<Variable>> {
    let wants = |taken: &&EngineLink| {
        let is_wanted = taken.declared_by == DeclaredBy::Docker || host.config.network_env;
        is_wanted && !is_described(own, &taken.link.alias)
    };
    let mut wanted: Vec<LinkState> = Vec::new();
    for taken in links.iter().filter(wants) {
        wanted.push(taken.clone().into());
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    adopt(host, me, &wanted, listing);
    let found = candidates(host.store.as_ref(), host.boot, me, &wanted)?;
    let mut files = Files::new(listing.of_docker().map(AsRef::as_ref));
    let mut sources: Vec<(&Alias, Record)> = Vec::new();
    for (link_state, candidate) in wanted.iter().zip(corrected(host, found)) {
        let alias = &link_state.link.alias;
        let Candidate::Running(mut source) = candidate else { continue };
        let on = files.of_source(link_state, &source, None);
        let there = on_network(source.network.addresses(), &on);
        if !there.is_empty() && !sources.iter().any(|(known, _)| *known == alias) {
            source.network = Network::Own(there);
            sources.push((alias, *source));
        }
    }
    let connected = sources.iter().map(|(alias, source)| (*alias, source));
    let LinkVariables { variables, left_out } =
        link_variables(me.name, connected, own, host.config.dialect);
    for variable in left_out {
        log::warn!("{}: {variable}", me.name);
    }
    Ok(variables)
}

/// Whether the engine has set the variables of the link `alias` itself. Their values have the form
/// `/recipient/alias`.
fn is_described(own: &[Variable], alias: &Alias) -> bool {
    let (key, end) = (name_variable(alias), format!("/{alias}"));
    own.iter().any(|variable| {
        variable.key == key && variable.value.starts_with('/') && variable.value.ends_with(&end)
    })
}

/// Returns `me` with the networks of its engine's links, and the candidates with their addresses there.
/// All other links stay as they are.
pub(crate) fn limited(me: &Record, mut candidates: Vec<Candidate>) -> (Record, Vec<Candidate>) {
    let mut me = me.clone();
    let mut files = Files::new(me.engine_files.as_deref());
    let (id, ours) = (me.id.clone(), me.network.addresses().to_vec());
    for (link_state, candidate) in me.links.iter_mut().zip(&mut candidates) {
        let Candidate::Running(source) = candidate else { continue };
        let is_peer = me.instance.shares_namespace(&source.instance);
        if !link_state.declared_by.is_engine() || source.network == Network::Host || is_peer {
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
        Candidate::Running(there) => carry::gap(&me, there, &Routing::closed()),
        _ => None,
    });
    match gap {
        Some(Gap::SourceAddress) if !carry::has_no_address(source) => Some(Gap::Network),
        gap => gap,
    }
}

/// Logs the links of an engine that wait after the start of `me`.
pub(crate) fn report_waiting(name: &ContainerName, links: &[LinkState]) {
    let waiting =
        |link_state: &&LinkState| link_state.declared_by.is_engine() && link_state.source.is_none();
    for LinkState { link, declared_by, .. } in links.iter().filter(waiting) {
        let (source, alias) = (&link.source, &link.alias);
        log::warn!(
            "{name}: link {source}:{alias} of {declared_by} waits for a source on that network under \
             oci-link"
        );
    }
}

/// What Docker's files say about networks. Each file is read once.
struct Files<'a> {
    containers: Option<&'a Path>,
    read: HashMap<String, Option<Networks>>,
}

impl<'a> Files<'a> {
    fn new(containers: Option<&'a Path>) -> Self {
        Self { containers, read: HashMap::new() }
    }

    fn of(&mut self, id: &ContainerId) -> Option<&Networks> {
        let containers = self.containers?;
        let read = self.read.entry(id.as_str().to_owned()).or_insert_with(|| {
            let networks = Networks::of(containers, id.as_str());
            networks.inspect_err(|error| log::debug!("{id}: its networks: {error}")).ok()
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
    fn of_source(
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
