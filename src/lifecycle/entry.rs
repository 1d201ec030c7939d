//! Where hooks and the wrapper enter: takes the host lock, or leaves a note if that takes too long.

use crate::error::{Cause, Error, Kind, Result};
use crate::host::{Host, Locked};
use crate::lifecycle::alive::is_running;
use crate::lifecycle::lookup::{Requester, candidates};
use crate::lifecycle::notes::{A_FEW, work_off};
use crate::lifecycle::privileges::AfterHook;
use crate::lifecycle::start::start_locked;
use crate::lifecycle::starting::StartingContainer;
use crate::lifecycle::stop::stop_locked;
use crate::lifecycle::wait::{PAUSE, Patience};
use crate::link::Candidate;
use crate::model::{ContainerId, Phase, Record};
use crate::store::notes::Note;
use crate::sys::net::netns::Process;
use std::time::Duration;

/// How long a container without links waits for the host lock. Its record can be published later.
const UNLINKED: Duration = Duration::from_millis(250);
/// How long an end waits for the host lock. The next holder removes what it left.
const END: Duration = Duration::from_secs(2);
/// How long a process may live on after the runtime reported its end, in milliseconds.
const DYING: u16 = 1000;

/// Publishes a container and makes its links, once the sources that it waits for are running.
///
/// A container without links does not wait for a lock that another process holds: it leaves a note. A
/// failure at a later stage is logged only: the container runs, and its links stand.
pub(crate) fn start(host: &Host, container: StartingContainer, after: AfterHook) -> Result<()> {
    let record = container.record.clone();
    match lock_and_start(host, container, after) {
        Err(error) if error.cause == Cause::LockHeld && record.links.is_empty() => {
            log::info!("{}: recorded later: {error}", record.id);
            host.notes().leave(&Note::started(&record))
        }
        Err(error) if is_later_stage(host, &record) => {
            log::error!("{}: its links stand as they were; run oci-link sync: {error}", record.id);
            Ok(())
        }
        done => done,
    }
}

fn lock_and_start(host: &Host, container: StartingContainer, after: AfterHook) -> Result<()> {
    let host = &if container.record.links.is_empty() {
        host.lock_within(UNLINKED)?
    } else {
        lock_when_ready(host, &container.record, &container.process, container.patience.as_ref())?
    };
    work_off(host, A_FEW);
    start_locked(host, container, after)
}

/// Whether an earlier stage of the same container made its links.
fn is_later_stage(host: &Host, record: &Record) -> bool {
    let known = host.store.get(&record.id).ok().flatten();
    known.is_some_and(|known| known.instance == record.instance && known.phase == Phase::Ready)
}

/// Takes the host lock as soon as the awaited sources are running or the wait is over. The lock is
/// not held while waiting.
fn lock_when_ready<'h>(
    host: &'h Host,
    container: &Record,
    process: &Process,
    patience: Option<&Patience>,
) -> Result<Locked<'h>> {
    let Some(patience) = patience else { return host.lock() };
    log::debug!("{}: waits for its sources, as its annotation says", container.id);
    let absent = || {
        let requester = Requester::of(container);
        let candidates = candidates(host.store.as_ref(), host.boot, requester, &container.links)?;
        Ok(candidates.iter().any(Candidate::is_absence))
    };
    let pause = u16::try_from(PAUSE.as_millis()).unwrap_or(u16::MAX);
    let pause = || {
        if process.ended(pause) {
            let message = format!("{}: ended while it waited for its sources", container.id);
            return Err(Error::new(Kind::Namespace, message));
        }
        Ok(())
    };
    loop {
        patience.wait(absent, pause)?;
        let locked = host.lock()?;
        // A source may have ended while this process waited for the lock.
        if !patience.lasts() || !absent()? {
            return Ok(locked);
        }
    }
}

/// Undoes everything of the container `id`. Idempotent; an unknown id is not an error.
///
/// If another process holds the host lock for too long, a note is left and the end goes through.
pub(crate) fn stop(host: &Host, id: &ContainerId, after: AfterHook) -> Result<()> {
    // A runtime may report the end a moment before the process is gone.
    if let Some(record) =
        host.store.get(id)?.filter(|record| matches!(is_running(record, host.boot), Ok(true)))
    {
        let _ = Process::pin(record.instance.pid).map(|process| process.ended(DYING));
    }
    match host.lock_within(END) {
        Ok(host) => {
            host.notes().remove_started(id)?;
            work_off(&host, A_FEW);
            stop_locked(&host, id, after)
        }
        Err(error) if error.cause == Cause::LockHeld => {
            log::info!("{id}: its links are removed later: {error}");
            host.notes().leave(&Note::ended(id, host.boot))
        }
        Err(error) => Err(error),
    }
}
