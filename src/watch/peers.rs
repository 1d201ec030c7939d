//! Other hosts: their records in the spool, and those of this host for them. Only with `[cluster]`.

use super::between::Between;
use super::debounce::Debounce;
use crate::cluster::mirror::Mirror;
use crate::cluster::spool::{self, SPOOL, VIEW};
use crate::cluster::view::{BootClock, Freshness};
use crate::config::ClusterConfig;
use crate::error::{Cause, Error, Kind, Result};
use crate::host::Host;
use crate::recovery::links::settle_guests;
use crate::recovery::offers::publish;
use crate::recovery::peers::{Refreshed, Seen, refresh};
use crate::sys::daemon::epoll::Waiting;
use crate::sys::daemon::inotify::{Notice, Notices, Watched};
use crate::sys::daemon::signals::{Pending, Signals};
use crate::sys::file::shown;
use crate::sys::spool::Spool;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A courier writes many files at once.
const RECORDS: Debounce = Debounce::new(Duration::from_millis(30), Duration::from_millis(150));
/// A starting container writes its record twice.
const OWN: Debounce = Debounce::new(Duration::from_millis(10), Duration::from_millis(100));
/// How soon a missing spool is looked for again, or a failed step is tried again.
const LATER: Duration = Duration::from_secs(5);
/// After a look, rest so many times its duration: whatever a courier writes, looks take at most 20 % of a processor.
const REST: u32 = 4;
/// Size limit of the view in bytes.
const MAX_VIEW: u64 = 64 << 10;

/// Follows the spool, and publishes the containers of this host.
pub(crate) struct Peers<'a> {
    host: &'a Host,
    cluster: &'a ClusterConfig,
    spool: PathBuf,
    notices: Notices,
    watched: Option<Watched>,
    records: Debounce,
    own: Debounce,
    view_is_new: bool,
    looks_at_age: bool,
    again: Option<Instant>,
    seen: Seen,
    freshness: Freshness,
    between: Between<'a>,
    /// The problem that was logged last. An unchanged one is not logged again.
    said: String,
    /// The files that were put aside last, each with the reason.
    aside: Vec<(String, String)>,
    signals: Option<Pending>,
}

impl<'a> Peers<'a> {
    /// Returns `None` without `[cluster]`: then there is no timer and no notification. Long work ends when one of the
    /// `signals` waits.
    pub(crate) fn of(host: &'a Host, signals: &Signals, now: Instant) -> Result<Option<Self>> {
        let Some(cluster) = &host.config.cluster else { return Ok(None) };
        let peers = Self::at(host, cluster, Path::new(SPOOL), now)?;
        Ok(Some(Self { signals: Some(signals.pending()?), ..peers }))
    }

    fn at(host: &'a Host, cluster: &'a ClusterConfig, spool: &Path, now: Instant) -> Result<Self> {
        let mut freshness = Freshness::default();
        let known = Mirror::open(host.directory())?.view()?;
        if let Some(bytes) = known {
            // One of an earlier boot is no news.
            let _ = freshness.take(&bytes, host.boot, &BootClock);
        }
        let mut own = OWN;
        own.notify(now);
        Ok(Self {
            host,
            cluster,
            spool: spool.to_owned(),
            notices: Notices::new()?,
            watched: None,
            records: RECORDS,
            own,
            view_is_new: false,
            looks_at_age: false,
            again: Some(now),
            seen: Seen::default(),
            freshness,
            between: Between::new(host, cluster.hosts.patience)?,
            said: String::new(),
            aside: Vec::new(),
            signals: None,
        })
    }

    /// The age of what is known of other hosts. `None` if nothing was heard.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.freshness.age(&BootClock)
    }

    /// The subscription to changes of the spool, and the timer of what is known.
    pub(crate) fn add_to(&self, waiting: &Waiting) -> Result<()> {
        waiting.add(&self.notices)?;
        waiting.add(self.between.timer())
    }

    /// Whether one of those is readable by this descriptor.
    pub(crate) fn has(&self, source: RawFd) -> bool {
        let timer = self.between.timer().as_fd().as_raw_fd();
        [self.notices.as_fd().as_raw_fd(), timer].contains(&source)
    }

    /// Reads which files of the spool have changed.
    pub(crate) fn hear(&mut self, now: Instant) -> Result<()> {
        self.looks_at_age = true;
        for notice in self.notices.take()? {
            match notice {
                Notice::Left(_, name) if name == VIEW => self.view_is_new = true,
                // A temporary name.
                Notice::Left(_, name) if name.as_bytes().starts_with(b".") => {}
                Notice::Left(..) => self.records.notify(now),
                Notice::Gone(_) => {
                    self.watched = None;
                    self.again = Some(now);
                }
                Notice::Overflow => {
                    self.view_is_new = true;
                    self.records.notify(now);
                }
            }
        }
        Ok(())
    }

    /// Notes that a record of this host may have changed.
    pub(crate) fn notify(&mut self, now: Instant) {
        self.own.notify(now);
    }

    /// When the next work is due, if any is.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        // A view is believed after the records that came before it.
        let is_first = self.records.due().is_none();
        let view = (self.looks_at_age || self.view_is_new && is_first).then_some(now);
        let between = self.between.due(&self.freshness, now);
        let all = [view, self.records.due(), self.own.due(), self.again, between];
        all.into_iter().flatten().min()
    }

    /// Does what is due. A problem of one step does not keep the others from being done.
    pub(crate) fn act(&mut self, now: Instant) {
        let mut problems: Vec<String> = Vec::new();
        self.look_at_age(now, &mut problems);
        if self.again.is_some_and(|again| again <= now) {
            self.again = None;
            problems.extend(self.begin(now).err());
            self.view_is_new = true;
        }
        if self.records.is_over(now) {
            self.refresh(now, &mut problems);
        }
        if self.view_is_new && self.records.due().is_none() {
            self.view_is_new = false;
            match self.take_view(now) {
                Ok(()) => self.look_at_age(now, &mut problems),
                Err(error) => problems.push(error),
            }
        }
        if self.own.is_over(now) {
            self.publish(now, &mut problems);
        }
        if unless_called(self.signals.as_ref()).is_err() {
            return; // What is left is done by the next one.
        }
        let problems = problems.join("; ");
        if problems.is_empty() && self.again.is_some() {
            return;
        }
        if !problems.is_empty() && problems != self.said {
            log::error!("other hosts: {problems}");
        }
        self.said = problems;
    }

    fn look_at_age(&mut self, now: Instant, problems: &mut Vec<String>) {
        self.looks_at_age = false;
        let signals = self.signals.as_ref();
        match self.between.act(&self.freshness, now, &mut || unless_called(signals)) {
            Ok(true) => self.own.notify(now),
            Ok(false) => {}
            Err(error) => problems.push(error.to_string()),
        }
    }

    fn refresh(&mut self, now: Instant, problems: &mut Vec<String>) {
        let (begun, signals) = (Instant::now(), self.signals.as_ref());
        let pause = &mut || unless_called(signals);
        match refresh(self.host, self.cluster, &self.spool, &mut self.seen, pause) {
            Ok(refreshed) => {
                let refreshed = refreshed.unwrap_or_default();
                if refreshed.guests > 0 {
                    self.own.notify(now);
                }
                problems.extend(self.tell(refreshed).err().map(|error| error.to_string()));
            }
            Err(error) => {
                self.again = Some(now + LATER);
                problems.push(error.to_string());
            }
        }
        self.records.rest(rested(begun));
    }

    /// Lets the recipients of others in, and tells other hosts.
    fn publish(&mut self, now: Instant, problems: &mut Vec<String>) {
        let (begun, signals) = (Instant::now(), self.signals.as_ref());
        let settled = settle_guests(self.host, &mut || unless_called(signals));
        let published = publish(self.host, self.cluster);
        if let Ok(count @ 1..) = published {
            log::info!("other hosts: {count} records of this host written or removed");
        }
        for error in [settled.err(), published.err()].into_iter().flatten() {
            self.own.notify(now + LATER);
            problems.push(error.to_string());
        }
        self.own.rest(rested(begun));
    }

    /// Looks for the spool, and follows it. A missing one is looked for again later.
    fn begin(&mut self, now: Instant) -> std::result::Result<(), String> {
        let begun = match spool::open(&self.spool) {
            Ok(Some(spool)) => self.follow(&spool).map_err(|error| error.to_string()),
            Ok(None) => Err(format!("{} is missing: no courier runs", shown(&self.spool))),
            Err(error) => Err(error.to_string()),
        };
        match &begun {
            Ok(()) => self.records.notify(now),
            Err(_) => self.again = Some(now + LATER),
        }
        begun
    }

    fn follow(&mut self, spool: &Spool) -> Result<()> {
        if self.watched.is_none() {
            self.watched = Some(self.notices.add_with_arrivals(spool)?);
        }
        Ok(())
    }

    /// Reads the view, and keeps it for other processes. One that is no news changes nothing.
    ///
    /// The view says that the records were complete. Those that came before it must be in the mirror first, so one with
    /// records before it waits.
    fn take_view(&mut self, now: Instant) -> std::result::Result<(), String> {
        let text = |error: crate::error::Error| error.to_string();
        let Some(spool) = spool::open(&self.spool).map_err(text)? else { return Ok(()) };
        let Some(bytes) = spool.read(OsStr::new(VIEW), MAX_VIEW)? else { return Ok(()) };
        self.hear(now).map_err(text)?;
        if self.records.due().is_some() {
            self.view_is_new = true;
            return Ok(());
        }
        self.view_is_new = false;
        let before = self.freshness.clone();
        self.freshness
            .take(&bytes, self.host.boot, &BootClock)
            .map_err(|why| format!("{VIEW}: {why}"))?;
        if self.freshness != before {
            Mirror::open(self.host.directory()).and_then(|it| it.put_view(&bytes)).map_err(text)?;
        }
        Ok(())
    }

    /// Logs what a look into the spool changed. A file that stays aside is named once.
    fn tell(&mut self, refreshed: Refreshed) -> Result<()> {
        let Refreshed { written, removed, guests, turns, failures, aside } = refreshed;
        if guests > 0 {
            log::info!("other hosts: {guests} of their recipients let in or out");
        }
        if written + removed > 0 {
            log::info!("other hosts: {written} records written, {removed} removed");
            log::debug!("other hosts: the lock was taken {turns} times");
        }
        for (name, why) in aside.named.iter().filter(|file| !self.aside.contains(file)) {
            log::warn!("other hosts: {name}: put aside: {why}");
        }
        self.aside = aside.named;
        failures.into_result()
    }
}

/// Fails if a signal waits: what takes long is left then.
fn unless_called(signals: Option<&Pending>) -> Result<()> {
    if signals.is_some_and(Pending::is_any) {
        return Err(Error::new(Kind::Internal, "a signal waits").because(Cause::Interrupted));
    }
    Ok(())
}

/// When a step that has begun at `begun` and ends now may be repeated.
fn rested(begun: Instant) -> Instant {
    let then = Instant::now();
    then + (then.duration_since(begun) * REST).min(LATER)
}

#[cfg(test)]
mod tests;
