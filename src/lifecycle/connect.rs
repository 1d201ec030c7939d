//! Links of containers that run: made and ended as they are when containers start and end. Only the
//! environment stays what it was; a process's is its own.

use crate::error::{Context, Error, Failures, Kind, Result};
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::apply::carry_out;
use crate::lifecycle::lookup::{Requester, candidates, look_up};
use crate::lifecycle::planning::{conflicts, plan};
use crate::lifecycle::remove;
use crate::lifecycle::replan::{replan, settle};
use crate::lifecycle::starting::hosts_file;
use crate::link::{OnMissing, RecipientNames, Refusal, resolve};
use crate::model::{Alias, Invalid, Link, LinkState, MAX_LINKS, Network, Record, Reference};
use crate::oci::spec::{MAX_CONFIG, Spec};
use crate::store::Commit;
use crate::sys::file;
use crate::sys::hosts::HostsFile;
use crate::sys::net::netns::{Namespace, Process};

/// Links a container that runs to another that runs. To do it twice is to do it once.
pub(crate) fn connect(host: &Host, recipient: &Reference, link: Link) -> Result<()> {
    let _lock = host.store.lock()?;
    let me = running(host, recipient)?;
    if me.network == Network::Host {
        return Err(Refusal::HostNetwork.into());
    }
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
    linked.links.push(LinkState::waiting(link));
    let plan = plan(host, &linked, Some(&file), ipv6, OnMissing::Leave)?;
    if plan.record.links.last().is_some_and(|link_state| link_state.source.is_none()) {
        // It runs and may be linked to, as was seen above; unless the recipient has ended since.
        let ended = process.ended(0);
        return Err(if ended { not_running(&me) } else { Refusal::TooManyFlows.into() });
    }
    match host.effects(linked.backend, |effects| carry_out(effects, &plan, Some(file))) {
        Ok(Commit::Done(_)) => {}
        Ok(Commit::Conflict) => return Err(conflicts(&me.id)),
        Err(error) => return Err(without(host, &me, error)),
    }
    if process.ended(0) {
        remove(host, &plan.record)?;
        return Err(not_running(&me));
    }
    Ok(())
}

/// Ends the link that a container knows by `alias`, wherever it was declared.
pub(crate) fn disconnect(host: &Host, recipient: &Reference, alias: &Alias) -> Result<()> {
    let _lock = host.store.lock()?;
    let mut me = running(host, recipient)?;
    let is_it = |link_state: &LinkState| link_state.link.alias.same_host(alias.as_str());
    let Some(at) = me.links.iter().position(is_it) else {
        let message = format!("container {}: is not linked to anybody as {alias}", me.name);
        return Err(Error::new(Kind::Source, message));
    };
    me.links.remove(at);
    settle(host, &me, &[])
}

/// Whether `link`, which must be possible, is there already.
fn is_there(host: &Host, me: &Record, link: &Link) -> Result<bool> {
    let wanted = [LinkState::waiting(link.clone())];
    let candidates = candidates(host.store.as_ref(), host.boot, Requester::of(me), &wanted)?;
    let links = std::slice::from_ref(link);
    let source = resolve(RecipientNames::of(me), links, &candidates, OnMissing::Refuse)?;
    let source = source.first().copied().flatten().map(|source| &source.id);
    let same_alias = |link_state: &&LinkState| link_state.link.alias.same_host(link.alias.as_str());
    match me.links.iter().find(same_alias) {
        Some(known) if known.link == *link || known.source.as_ref() == source => Ok(true),
        Some(LinkState { link: known, .. }) => {
            let both =
                format!("{}:{} and {}:{}", known.source, known.alias, link.source, link.alias);
            Err(Invalid::new("links", &both, "one alias for two sources").into())
        }
        None if me.links.len() >= MAX_LINKS => {
            Err(Invalid::new("links", link.alias.as_str(), "more than 256 links").into())
        }
        None => Ok(false),
    }
}

/// A container that runs.
fn running(host: &Host, reference: &Reference) -> Result<Record> {
    let record = look_up(host.store.as_ref(), reference)?;
    if is_running(&record, host.boot)? { Ok(record) } else { Err(not_running(&record)) }
}

fn not_running(record: &Record) -> Error {
    Error::new(Kind::Source, format!("container {}: does not run", record.name))
}

/// The hosts file of its record, or, if it had no links when it started, of its config.json.
fn find_hosts_file(host: &Host, me: &Record) -> Result<HostsFile> {
    let state = &host.config.state_dir;
    if let Some(edit) = &me.hosts {
        if let Some(file) = HostsFile::again(&edit.place, state)? {
            return Ok(file);
        }
    }
    let what = || format!("hosts file of {}", me.name);
    let Some(bundle) = &me.bundle else {
        let message = "not known: the container started under an earlier oci-link";
        return Err(Error::new(Kind::Hosts, format!("{}: {message}", what())));
    };
    let config = file::read(&bundle.join("config.json"), MAX_CONFIG, Kind::Hosts);
    let config = config.context(Kind::Hosts, || format!("{}: its bundle is gone", what()))?;
    hosts_file(&Spec::parse(bundle, &config)?, state)
}

/// Back to the links that `me` had, after the `error` of one more.
fn without(host: &Host, me: &Record, error: Error) -> Error {
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
