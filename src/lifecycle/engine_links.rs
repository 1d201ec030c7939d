//! Links that only the container's engine declares: which are taken over at `create`, and what variables
//! they get.
//!
//! None of them keeps a container from starting. What cannot be taken over is logged, and a link whose
//! source cannot be reached waits.

use crate::engine::Listing;
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::addresses::corrected;
use crate::lifecycle::adopt::adopt;
use crate::lifecycle::limited::Files;
use crate::lifecycle::lookup::{Requester, candidates};
use crate::link::Candidate;
use crate::link::env::{LinkVariables, link_variables, name_variable};
use crate::link::limit::on_network;
use crate::model::{
    Alias, DeclaredBy, EngineLink, LinkState, Network, Owner, Record, RecordedLink, Reference,
    Variable, taken_over,
};
use std::cell::RefCell;
use std::collections::HashMap;

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
        log::warn!(
            "{}: left out of the links that its engine has recorded: {note}",
            owner.id.brief()
        );
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
    let found = candidates(host, me, &wanted)?;
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
