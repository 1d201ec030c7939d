//! `connect` and `disconnect`: links of running containers. They change hosts files and rules. The
//! environment of a running process cannot be changed.

use crate::engine::{self, Clues, Listing};
use crate::error::{Context, Error, Failures, Kind, Result};
use crate::host::{Host, Locked};
use crate::lifecycle::addresses::follow_with_sources;
use crate::lifecycle::adopt::adopt;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::apply::carry_out;
use crate::lifecycle::disputes::must_agree;
use crate::lifecycle::home;
use crate::lifecycle::lookup::{Requester, candidates, look_up};
use crate::lifecycle::planning::{conflicts, no_ports, plan};
use crate::lifecycle::remove;
use crate::lifecycle::replan::{replan, settle};
use crate::lifecycle::routing;
use crate::lifecycle::starting::hosts_file;
use crate::link::{OnMissing, RecipientNames, Refusal, resolve};
use crate::model::{
    Alias, DeclaredBy, Engine, Invalid, Link, LinkState, MAX_LINKS, Record, Reference,
};
use crate::oci::spec::{MAX_CONFIG, Spec};
use crate::store::{Commit, Found};
use crate::sys::file;
use crate::sys::hosts::HostsFile;
use crate::sys::net::netns::{Namespace, Process};
use std::io::{Write, stderr};

/// Links a running container to another running one. Idempotent.
///
/// Fails with [`Kind::Source`] if either container is missing or dead, and undoes a link that could
/// be made only in part.
pub(crate) fn connect(host: &Host, recipient: &Reference, link: Link) -> Result<()> {
    find_in_files(host, recipient, &link);
    let host = &host.lock()?;
    home::check(host)?;
    let me = running(host, recipient)?;
    if !me.network.is_own() {
        return Err(Refusal::of_network(&me).into());
    }
    let links = [me.links.as_slice(), &[LinkState::waiting(link.clone())]].concat();
    let me = follow_with_sources(host, me, &links)?;
    if is_there(host, &me, &link)? {
        return replan(host, &me);
    }
    let process = Process::pin(me.instance.pid)?;
    if process.started() != me.instance.started {
        return Err(not_running(&me));
    }
    let ipv6 = Namespace::of(&process)?.ipv6_loopback;
    let file = find_hosts_file(host, &me)?;
    host.isolate()?;
    let mut linked = me.clone();
    if me.links.is_empty() && me.flows.is_empty() {
        linked.backend = host.firewall.name();
    }
    let same_alias = |known: &LinkState| known.link.alias.same_host(link.alias.as_str());
    // A waiting link is made anew: it may wait for another container than the one that is meant now.
    linked.links.retain(|known| !same_alias(known));
    let declared_by = DeclaredBy::Connect;
    linked.links.push(LinkState { declared_by, ..LinkState::waiting(link) });
    let plan = plan(host, &linked, Some(&file), ipv6, OnMissing::Leave)?;
    if let Some(waiting) = plan.record.links.last().filter(|it| !it.is_connected()) {
        // `is_there` has found the source, so only the recipient can have ended since.
        if process.ended(0) {
            return Err(not_running(&me));
        }
        let refusal = routing::refusal(host, &linked, waiting)?;
        return Err(refusal.map_or_else(|| too_many(host, &linked), Into::into));
    }
    must_agree(host, &plan, file.place(), OnMissing::Refuse)?;
    match host.effects(linked.backend, |effects| carry_out(effects, &plan, Some(file))) {
        Ok(Commit::Done(_)) => {}
        Ok(Commit::Conflict) => return Err(conflicts(&me.id)),
        Err(error) => return Err(without(host, &me, error)),
    }
    if process.ended(0) {
        remove(host, &plan.record)?;
        return Err(not_running(&me));
    }
    warn_of_no_ports(host, &plan.record);
    Ok(())
}

/// Looks for the source of `link` in Docker's files, if the recipient is a container of Docker. The host lock
/// must not be held.
fn find_in_files(host: &Host, recipient: &Reference, link: &Link) {
    let Ok(Found::One(me)) = host.store.find(recipient) else { return };
    let listing = me.engine_files.clone().map(Listing::Docker).or_else(|| {
        let bundle = me.bundle.as_ref().filter(|_| me.engine == Some(Engine::Docker))?;
        let path = bundle.join("config.json");
        let config = file::follow(&path, MAX_CONFIG, Kind::Hosts).ok()?;
        let spec = Spec::parse(bundle, &config.bytes).ok()?;
        Some(engine::listing(&Clues { id: &me.id, bundle, spec: &spec }))
    });
    if let Some(listing) = listing {
        adopt(host, Requester::of(&me), &[LinkState::waiting(link.clone())], &listing);
    }
}

/// Logs and prints a warning if the last link of `linked` opens no port.
fn warn_of_no_ports(host: &Locked<'_>, linked: &Record) {
    let Some(LinkState { link, source: Some(id), .. }) = linked.links.last() else { return };
    let source = host.store.get(id).ok().flatten();
    if let Some(warning) = source.and_then(|source| no_ports(linked, link, &source)) {
        log::warn!("{warning}");
        let _ = writeln!(stderr(), "oci-link: {warning}");
    }
}

/// Why the last link of `linked` has too many ports: those of its source, or those of all links together.
fn too_many(host: &Locked<'_>, linked: &Record) -> Error {
    let alone =
        Record { links: linked.links.last().cloned().into_iter().collect(), ..linked.clone() };
    let refused = plan(host, &alone, None, true, OnMissing::Refuse);
    refused.err().unwrap_or_else(|| Refusal::TooManyFlows.into())
}

/// Ends the link with this alias, whether an annotation or `connect` made it.
pub(crate) fn disconnect(host: &Host, recipient: &Reference, alias: &Alias) -> Result<()> {
    let host = &host.lock()?;
    home::check(host)?;
    let me = running(host, recipient)?;
    let links = me.links.clone();
    let mut me = follow_with_sources(host, me, &links)?;
    let is_it = |link_state: &LinkState| link_state.link.alias.same_host(alias.as_str());
    let Some(at) = me.links.iter().position(is_it) else {
        let message = format!("container {}: has no link with the alias {alias}", me.name);
        return Err(Error::new(Kind::Source, message));
    };
    me.links.remove(at);
    settle(host, &me, &[])
}

/// Whether `link` exists already. An impossible link is an error.
fn is_there(host: &Locked<'_>, me: &Record, link: &Link) -> Result<bool> {
    let wanted = [LinkState::waiting(link.clone())];
    let candidates = candidates(host, Requester::of(me), &wanted)?;
    let links = std::slice::from_ref(link);
    let source = resolve(RecipientNames::of(me), links, &candidates, OnMissing::Refuse)?;
    let source = source.first().copied().flatten();
    let is_it = |known: &LinkState| {
        let now = known.connected(source);
        (&now.source, &now.there) == (&known.source, &known.there)
    };
    let same_alias = |link_state: &&LinkState| link_state.link.alias.same_host(link.alias.as_str());
    match me.links.iter().find(same_alias) {
        Some(known) if is_it(known) => Ok(true),
        Some(known) if known.link == *link => Ok(known.is_connected()),
        Some(LinkState { link: known, .. }) => {
            let both =
                format!("{}:{} and {}:{}", known.source, known.alias, link.source, link.alias);
            Err(Invalid::new("links", &both, "two sources have the same alias").into())
        }
        None if me.links.len() >= MAX_LINKS => {
            Err(Invalid::new("links", link.alias.as_str(), "more than 256 links").into())
        }
        None => Ok(false),
    }
}

/// Finds the container of `reference`. A container that is not running is an error.
fn running(host: &Locked<'_>, reference: &Reference) -> Result<Record> {
    let record = look_up(host.store.as_ref(), reference)?;
    if is_running(&record, host.boot)? { Ok(record) } else { Err(not_running(&record)) }
}

fn not_running(record: &Record) -> Error {
    Error::new(Kind::Source, format!("container {}: does not run", record.name))
}

/// Opens the hosts file of the record. A container that started without links has none recorded;
/// its config.json names the file.
fn find_hosts_file(host: &Locked<'_>, me: &Record) -> Result<HostsFile> {
    let state = &host.config.state_dir;
    if let Some(edit) = &me.hosts {
        if let Some(file) = HostsFile::again(&edit.place, state)? {
            return Ok(file);
        }
    }
    let what = || format!("hosts file of {}", me.name);
    let Some(bundle) = &me.bundle else {
        let message = "unknown: the container was started by an earlier oci-link; start it again";
        return Err(Error::new(Kind::Hosts, format!("{}: {message}", what())));
    };
    let config = file::follow(&bundle.join("config.json"), MAX_CONFIG, Kind::Hosts);
    let config = config.context(Kind::Hosts, || format!("{}: its bundle was removed", what()))?;
    hosts_file(&Spec::parse(bundle, &config.bytes)?, state)
}

/// Restores the links that `me` had before the failed change, and returns `error` with any new
/// failure.
fn without(host: &Locked<'_>, me: &Record, error: Error) -> Error {
    let mut failures = Failures::default();
    failures.note(Err(error));
    let now = host.store.get(&me.id);
    failures.note(now.and_then(|now| match now {
        Some(now) => settle(host, &Record { links: me.links.clone(), ..now }, &[]),
        None => Ok(()),
    }));
    match failures.into_result() {
        Err(error) => error,
        Ok(()) => conflicts(&me.id),
    }
}
