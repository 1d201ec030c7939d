//! Where hooks and the wrapper enter: takes the host lock, or leaves a note if that takes too long.

use crate::error::{Cause, Error, Kind, Result};
use crate::firewall::xtables::allowance::{self, Allowance};
use crate::host::{Host, Locked};
use crate::lifecycle::absent::{Moment, Search};
use crate::lifecycle::adopt::adopt;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::guests;
use crate::lifecycle::lookup::{Requester, candidates, is_linked};
use crate::lifecycle::notes::{A_FEW, record_notes, work_off, work_off_others};
use crate::lifecycle::privileges::AfterHook;
use crate::lifecycle::routing::{gap_to, with_addresses};
use crate::lifecycle::start::start_locked;
use crate::lifecycle::starting::StartingContainer;
use crate::lifecycle::stop::stop_locked;
use crate::lifecycle::wait::PAUSE;
use crate::model::{ContainerId, Missing, Phase, Record, Share};
use crate::oci::hooks::start_timeout;
use crate::store::notes::Note;
use crate::sys::net::netns::Process;
use std::time::{Duration, Instant};

/// How long a start or an end without links waits for the host lock, with [`RETRY`] at most 250 ms. It
/// can be recorded later.
const UNLINKED: Duration = Duration::from_millis(200);
/// How long a start waits for it whose links only its engine declares.
const ENGINE_LINKED: Duration = Duration::from_secs(2);
/// How long an end with links waits for the host lock. The next holder removes what it left.
const END: Duration = Duration::from_secs(3);
/// How often an end waits that long while the lock changes hands. Our hooks have a timeout of 30 s.
const END_ROUNDS: u32 = 6;
/// How long the lock is tried again after a note was left.
const RETRY: Duration = Duration::from_millis(50);
/// How long a process with links may live on after the runtime reported its end.
const DYING: Duration = Duration::from_secs(1);
/// How long one of several processes is waited for before the next.
const TURN: Duration = Duration::from_millis(10);
/// How often a start looks for its sources again that ended while it waited for the host lock.
const ROUNDS: u32 = 3;

/// Publishes a container and makes its links, once the sources that it waits for are running.
///
/// A container that can start without links does not wait long for a lock that another process holds: it
/// leaves a note. One without links does not wait for programs of the firewall that hang either, see
/// [`allowance::UNLINKED`]. A failure at a later stage is logged only: the container runs, and its links stand.
pub(crate) fn start(host: &Host, container: StartingContainer, after: AfterHook) -> Result<()> {
    let record = container.record.clone();
    let _programs = (!record.needs_us()).then(|| Allowance::begin(allowance::UNLINKED));
    match lock_and_start(host, container, after) {
        Err(error) if error.cause == Cause::LockHeld && !record.needs_us() => {
            log::info!("{}: recorded later: {error}", record.id.brief());
            leave(host, &Note::started(&record))
        }
        Err(error) if is_later_stage(host, &record) => {
            log::error!(
                "{}: its links stand as they were; run oci-link sync: {error}",
                record.id.brief()
            );
            Ok(())
        }
        done => done,
    }
}

/// Leaves a note. The last holder of the lock may have looked for notes before, so the lock is tried
/// again.
fn leave(host: &Host, note: &Note) -> Result<()> {
    host.notes().leave(note)?;
    if let Ok(host) = host.lock_within(RETRY) {
        work_off(&host, A_FEW);
    }
    Ok(())
}

fn lock_and_start(host: &Host, mut container: StartingContainer, after: AfterHook) -> Result<()> {
    let record = &container.record;
    if !record.links.is_empty() {
        adopt(host, Requester::of(record), &record.links, &container.listing);
    }
    let record = &container.record;
    let host = &if record.links.is_empty() && !record.needs_us() {
        host.lock_within(UNLINKED)?
    } else if !record.needs_us() {
        host.lock_within(ENGINE_LINKED)?
    } else if record.links.is_empty() || is_later_stage(host, record) {
        host.lock()?
    } else {
        lock_when_ready(host, &mut container)?
    };
    work_off(host, A_FEW);
    let id = container.record.id.clone();
    let started = start_locked(host, container, after);
    look_again(host, &id, after);
    started
}

/// Works off notes that were left while this process held the lock: their links would wait for another event. A hook
/// cannot, because it has dropped its privileges.
fn look_again(host: &Locked<'_>, own: &ContainerId, after: AfterHook) {
    if after == AfterHook::Continue {
        work_off_others(host, A_FEW, Some(own));
    }
}

/// Whether an earlier stage of the same container made its links.
fn is_later_stage(host: &Host, record: &Record) -> bool {
    let known = host.store.namesakes(&record.id).unwrap_or_default();
    known.iter().any(|known| known.instance == record.instance && known.phase == Phase::Ready)
}

/// Takes the host lock as soon as the awaited sources are running or the wait is over. The lock is
/// not held while waiting. What was found out about absent sources is left in the container.
fn lock_when_ready<'h>(host: &'h Host, container: &mut StartingContainer) -> Result<Locked<'h>> {
    let StartingContainer { record, process, .. } = &*container;
    let search = Search {
        host,
        me: Requester::of(record),
        links: &record.links,
        missing: container.missing,
        listing: &container.listing,
        moment: Moment::Start,
        refresh: &|| {
            record_notes(host);
            adopt(host, Requester::of(record), &record.links, &container.listing);
        },
        lacks: &|source| gap_to(record, &with_addresses(host, source)).is_some(),
    };
    let pause = u16::try_from(PAUSE.as_millis()).unwrap_or(u16::MAX);
    let pause = || {
        if process.ended(pause) {
            let message = format!("{}: ended while it waited for its sources", record.id);
            return Err(Error::new(Kind::Namespace, message));
        }
        Ok(())
    };
    let mut rounds = 0;
    let (locked, absences) = loop {
        let absences = search.settle(|| start_timeout(&container.config), pause)?;
        let locked = host.lock()?;
        rounds += 1;
        let waits = absences.waited || matches!(container.missing, Missing::Wait(_));
        if !waits || rounds == ROUNDS {
            break (locked, absences);
        }
        // A source may have ended while this process waited for the lock.
        let now = candidates(host, Requester::of(record), &record.links)?;
        if absences.covers(&record.links, &now) {
            break (locked, absences);
        }
    };
    container.absences = absences;
    Ok(locked)
}

/// Undoes everything of the container `id`. Idempotent; an unknown id is not an error.
///
/// If another process holds the host lock for too long, a note is left and the end goes through.
pub(crate) fn stop(host: &Host, id: &ContainerId, after: AfterHook) -> Result<()> {
    let records = host.store.namesakes(id)?;
    wait_for_an_end(host, &records);
    let locked = lock_for_an_end(host, id, &records);
    end_with(host, id, locked, after)
}

/// Undoes everything of the container `id` if its process is gone: its engine may report that much later.
/// A running container, or one that cannot be seen, costs no more than a look.
///
/// The lock is waited for as little as at a start without links: engines ask for states often.
pub(crate) fn retire(host: &Host, id: &ContainerId) -> Result<()> {
    let records = host.store.namesakes(id)?;
    // Unknown is not dead.
    let is_gone = |record: &Record| matches!(is_running(record, host.boot), Ok(false));
    if !records.iter().any(is_gone) {
        return Ok(());
    }
    end_with(host, id, host.lock_within(UNLINKED), AfterHook::Continue)
}

fn end_with(
    host: &Host,
    id: &ContainerId,
    locked: Result<Locked<'_>>,
    after: AfterHook,
) -> Result<()> {
    match locked {
        Ok(host) => {
            host.notes().remove_started(id)?;
            work_off(&host, A_FEW);
            let stopped = stop_locked(&host, id, after);
            look_again(&host, id, after);
            stopped
        }
        Err(error) if error.cause == Cause::LockHeld => {
            log::info!("{}: its links are removed later: {error}", id.brief());
            leave(host, &Note::ended(id, host.boot))
        }
        Err(error) => Err(error),
    }
}

/// Takes the host lock for an end.
///
/// A container to which no rule belongs waits as little as at its start. So does the second end of one
/// `delete`, which the wrapper reports after the hook left a note. Every other end waits longer while the
/// lock changes hands, as it does when a host stops all its containers: then its turn comes.
fn lock_for_an_end<'h>(host: &'h Host, id: &ContainerId, records: &[Record]) -> Result<Locked<'h>> {
    let first = host.lock_within(UNLINKED);
    let is_held = matches!(&first, Err(error) if error.cause == Cause::LockHeld);
    if !is_held || host.notes().has_ended(id) || !have_rules(host, records) {
        return first;
    }
    for _ in 1..END_ROUNDS {
        let turns = host.store.lock_turns();
        match host.lock_within(END) {
            Err(error) if error.cause == Cause::LockHeld && host.store.lock_turns() != turns => {}
            locked => return locked,
        }
    }
    host.lock_within(END)
}

/// Whether rules name an address or a port of one of `records`. If that cannot be read, they may.
fn have_rules(host: &Host, records: &[Record]) -> bool {
    let have = |record: &Record| {
        let has_guests = || guests::there(host, &record.id).map_or(true, |all| !all.is_empty());
        record.share != Share::None && has_guests()
            || record.isolation.is_some()
            || is_linked(host.store.as_ref(), record).unwrap_or(true)
    };
    records.iter().any(have)
}

/// Waits until one of `records` has ended, for [`DYING`] at most. All have one id, and the runtime has
/// just reported the end of one of them, a moment before its process is gone.
///
/// A container to which no rule belongs is waited for as long as at its start: if its process lives on,
/// only its record stays until the next start or `gc`.
fn wait_for_an_end(host: &Host, records: &[Record]) {
    let live = || records.iter().all(|record| matches!(is_running(record, host.boot), Ok(true)));
    if records.is_empty() || !live() {
        return;
    }
    let longest = if have_rules(host, records) { DYING } else { UNLINKED };
    let deadline = Instant::now() + longest;
    // With several, each is looked at in turn.
    let turn = if records.len() == 1 { longest } else { TURN };
    while live() {
        for record in records {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(process) = Process::pin(record.instance.pid) else { continue };
            process.ended(u16::try_from(left.min(turn).as_millis()).unwrap_or(u16::MAX));
        }
        if Instant::now() >= deadline {
            return;
        }
    }
}
