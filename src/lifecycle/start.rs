//! A container starts: its record is published, its links are made, and the containers that are
//! linked to it are planned again.

use crate::error::{Error, Failures, Kind, Result};
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::apply::{carry_out, take_back};
use crate::lifecycle::lookup::{Seeker, is_linked, recipients_of, sightings};
use crate::lifecycle::planning::{conflicts, plan};
use crate::lifecycle::privileges::{Afterwards, confine};
use crate::lifecycle::replan::{ATTEMPTS, rewire, tolerate};
use crate::lifecycle::starting::Newcomer;
use crate::lifecycle::stop::{forget, part, retire};
use crate::lifecycle::wait::{PAUSE, Patience};
use crate::lifecycle::{debug_log, orphans};
use crate::link::{Absent, Sighting};
use crate::model::{Missing, Record, Reference, Stage};
use crate::store::{Commit, Found};
use crate::sys::hosts::HostsFile;
use crate::sys::net::netns::Process;
use crate::sys::process::lock::Lock;

/// Publishes a container and makes its links; or leaves nothing of it.
pub fn start(host: &Host, newcomer: Newcomer, afterwards: Afterwards) -> Result<()> {
    let Newcomer { mut record, process, mut hosts, ipv6_loopback, missing, patience } = newcomer;
    let _lock = lock_when_ready(host, &record, &process, patience.as_ref())?;
    host.isolate()?;
    // Who has no links needs no rules, and nothing need be set up for them.
    if !record.links.is_empty() {
        record.backend = host.firewall.name();
    }
    debug_log::turn(&record, &host.config.firewall);
    let (record, cleared) = make_room(host, record)?;
    orphans::purge_from(host, &record)?;
    // It was opened before the lock was taken, and those who went may have had lines in it.
    if let Some(hosts) = hosts.as_mut().filter(|_| cleared || patience.is_some()) {
        hosts.look_again()?;
    }
    if let (None, Some(edit)) = (&hosts, &record.hosts) {
        // It has links only because somebody connected it since an earlier stage.
        hosts = HostsFile::again(&edit.place, &host.config.state_dir)?;
    }
    let absent = match (record.stage, missing) {
        (Stage::Ready, _) => Absent::Leave,
        (Stage::Pending, Missing::Defer) => Absent::Defer,
        (Stage::Pending, Missing::Fail | Missing::Wait(_)) => Absent::Refuse,
    };
    let id = record.id.clone();
    let recipients = living_recipients(host, &record);
    if afterwards == Afterwards::Ends {
        let place = hosts.as_ref().map(HostsFile::place);
        confine(host, recipients.iter().chain([&record]), place);
    }
    let started = publish(host, record, hosts, ipv6_loopback, absent).and_then(|()| {
        if process.ended(0) {
            return Err(Error::new(Kind::Namespace, format!("{id}: ended while it was started")));
        }
        Ok(())
    });
    if let Err(error) = started {
        let mut failures = Failures::default();
        failures.note(Err(match &patience {
            Some(patience) => patience.explain(error),
            None => error,
        }));
        failures.note(host.store.get(&id).and_then(|record| match record {
            Some(record) => host.at(record.backend, |site| take_back(site, &record)),
            None => Ok(()),
        }));
        // An earlier stage may have linked others to it.
        rewire_all(host, &recipients);
        return failures.into_result();
    }
    debug_log::neighbours(&id, &recipients);
    rewire_all(host, &recipients);
    Ok(())
}

fn rewire_all(host: &Host, recipients: &[Record]) {
    for recipient in recipients {
        tolerate(recipient, rewire(host, recipient));
    }
}

/// Who is linked to a newcomer. A dead one goes first: it must not be given rules, because its
/// address may be another's next.
fn living_recipients(host: &Host, newcomer: &Record) -> Vec<Record> {
    let mut recipients = recipients_of(host.store.as_ref(), newcomer).unwrap_or_else(|error| {
        let id = &newcomer.id;
        log::error!("{id}: who is linked to it is unknown, and left for sync: {error}");
        Vec::new()
    });
    recipients.retain(|recipient| match is_running(recipient, host.boot) {
        Ok(true) => true,
        Ok(false) => {
            tolerate(recipient, retire(host, recipient));
            false
        }
        Err(error) => {
            tolerate(recipient, Err(error));
            false
        }
    });
    recipients
}

/// The store's lock, once the sources that the newcomer waits for are there or its time is over. It
/// is not held while waiting.
fn lock_when_ready(
    host: &Host,
    newcomer: &Record,
    process: &Process,
    patience: Option<&Patience>,
) -> Result<Lock> {
    let Some(patience) = patience else { return host.store.lock() };
    log::debug!("{}: waits for its sources, as its annotation says", newcomer.id);
    let absent = || {
        let seeker = Seeker::of(newcomer);
        let sightings = sightings(host.store.as_ref(), host.boot, seeker, &newcomer.links)?;
        Ok(sightings.iter().any(Sighting::is_absence))
    };
    let pause = u16::try_from(PAUSE.as_millis()).unwrap_or(u16::MAX);
    let pause = || {
        if process.ended(pause) {
            let message = format!("{}: ended while it waited for its sources", newcomer.id);
            return Err(Error::new(Kind::Namespace, message));
        }
        Ok(())
    };
    loop {
        patience.wait(absent, pause)?;
        let lock = host.store.lock()?;
        // One may have gone while we waited for the lock.
        if !patience.lasts() || !absent()? {
            return Ok(lock);
        }
    }
}

fn publish(
    host: &Host,
    mut record: Record,
    hosts: Option<HostsFile>,
    ipv6_loopback: bool,
    absent: Absent,
) -> Result<()> {
    let mut hosts = hosts;
    for _ in 0..ATTEMPTS {
        let plan = plan(host, &record, hosts.as_ref(), ipv6_loopback, absent)?;
        if let Commit::Done(_) =
            host.at(record.backend, |site| carry_out(site, &plan, hosts.take()))?
        {
            return Ok(());
        }
        (record, _) = make_room(host, record)?;
    }
    Err(conflicts(&record.id))
}

/// Clears away those whose id, address or name the newcomer has, as far as they are dead. What the
/// newcomer itself left in an earlier stage is where it goes on from. Says whether anybody went.
fn make_room(host: &Host, newcomer: Record) -> Result<(Record, bool)> {
    let (mut newcomer, mut cleared) = (newcomer, false);
    newcomer.revision = 0;
    if let Some(old) = host.store.get(&newcomer.id)? {
        if old.instance == newcomer.instance {
            newcomer.revision = old.revision;
            newcomer.flows = old.flows;
            newcomer.hosts = old.hosts;
            newcomer.backend = old.backend;
            if old.stage == Stage::Ready {
                // It has started. What it declared may have been changed by hand since.
                newcomer.stage = old.stage;
                newcomer.links = old.links;
            }
        } else if is_running(&old, host.boot)? {
            let message = format!("container id \"{}\": belongs to a container that runs", old.id);
            return Err(Error::new(Kind::Unsafe, message));
        } else {
            succeed(host, &old)?;
            cleared = true;
        }
    }
    for address in newcomer.network.addresses() {
        for holder in host.store.holders_of(address.ip())? {
            let shared = holder.instance.boot == newcomer.instance.boot
                && holder.instance.netns == newcomer.instance.netns;
            if shared || holder.id == newcomer.id {
                continue;
            }
            if !is_running(&holder, host.boot)? {
                match retire(host, &holder) {
                    // Its rules have gone, and its file is its own trouble.
                    Err(error) if error.kind == Kind::Hosts => tolerate(&holder, Err(error)),
                    retired => retired?,
                }
                cleared = true;
            } else if is_linked(host.store.as_ref(), &holder)? {
                let message = format!(
                    "address \"{}\": belongs to container {}, which runs and has links",
                    address.ip(),
                    holder.id
                );
                return Err(Error::new(Kind::Unsafe, message));
            }
        }
    }
    if let Found::One(other) = host.store.find(&Reference::from(&newcomer.name))? {
        let same_name = other.name == newcomer.name && other.id != newcomer.id;
        if same_name && !is_running(&other, host.boot)? {
            succeed(host, &other)?;
            cleared = true;
        }
    }
    Ok((newcomer, cleared))
}

/// The same for the sake of one that takes its place. It does not wait for neighbours whose firewall
/// fails: what their rules still let through is in their records, where `sync` finds it.
fn succeed(host: &Host, record: &Record) -> Result<()> {
    if let Err(error) = part(host, record)?.into_result() {
        log::error!("{}: its end is left for sync: {error}", record.id);
    }
    forget(host, record)
}
