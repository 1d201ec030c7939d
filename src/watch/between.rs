//! Links between hosts, as the time passes: they are closed when nothing was heard for too long, opened again with the
//! next news, and their rules renewed meanwhile. The kernel ends every rule that is not renewed.

use crate::cluster::view::{BootClock, Clock, Freshness};
use crate::error::Result;
use crate::host::Host;
use crate::recovery::links::{Pause, follow_all, renew};
use crate::sys::daemon::boot_timer::BootTimer;
use std::time::{Duration, Instant};

/// How soon a failed step is tried again.
const LATER: Duration = Duration::from_secs(2);

/// What was done last.
pub(super) struct Between<'a> {
    host: &'a Host,
    patience: Duration,
    /// Expires when what is known becomes too old, also if the machine is suspended meanwhile.
    timer: BootTimer,
    /// Whether links were planned for news that are believed. `None` before the first look.
    is_open: Option<bool>,
    /// Until when the news of the last look were believed: a time since the boot.
    believed: Option<Duration>,
    /// Until when all rules last at least: a time since the boot.
    lasts: Option<Duration>,
    again: Option<Instant>,
}

impl<'a> Between<'a> {
    /// Nothing is known yet.
    pub(super) fn new(host: &'a Host, patience: Duration) -> Result<Self> {
        let timer = BootTimer::new()?;
        let (is_open, believed) = (None, None);
        Ok(Self { host, patience, timer, is_open, believed, lasts: None, again: None })
    }

    /// The timer.
    pub(super) fn timer(&self) -> &BootTimer {
        &self.timer
    }

    /// When the next work is due, without what the timer is for.
    pub(super) fn due(&self, freshness: &Freshness, now: Instant) -> Option<Instant> {
        let wait = self.until_renewal(freshness, BootClock.since_boot());
        self.again.or_else(|| wait.map(|wait| now + wait))
    }

    /// How long the rules need no renewal. `None` if a renewal would change nothing.
    fn until_renewal(&self, freshness: &Freshness, since_boot: Duration) -> Option<Duration> {
        let (until, lasts) = (freshness.until(self.patience)?, self.lasts?);
        let is_open = self.is_open == Some(true);
        let half = lasts.saturating_sub(self.patience / 2);
        (is_open && until > lasts).then(|| half.saturating_sub(since_boot))
    }

    /// Closes what nothing was heard of for too long, opens it with news, and renews rules. The age comes first: the
    /// machine may have been suspended. Calls `pause` before each lot. Returns whether guests were changed.
    pub(super) fn act(
        &mut self,
        freshness: &Freshness,
        now: Instant,
        pause: Pause<'_>,
    ) -> Result<bool> {
        self.timer.clear()?;
        if self.again.is_some_and(|again| again > now) {
            return Ok(false);
        }
        self.again = Some(now + LATER);
        let until = freshness.until(self.patience);
        let since_boot = BootClock.since_boot();
        let is_fresh = until.is_some_and(|until| until > since_boot);
        // News that came too late found links that were planned without any: by a hook, or by this process, which was
        // busy with many records meanwhile.
        let had_gap = self.believed.is_some_and(|believed| believed <= since_boot);
        let mut changed = false;
        if self.is_open != Some(is_fresh) || is_fresh && had_gap {
            if self.is_open == Some(true) && !is_fresh {
                log::error!("other hosts: nothing heard for too long: links to them are closed");
            }
            changed = follow_all(self.host, pause)? > 0;
            self.lasts = None;
            if is_fresh {
                // Hooks may have made rules that end sooner.
                renew(self.host)?;
                self.lasts = until;
            }
            self.is_open = Some(is_fresh);
        }
        self.believed = until;
        if self.until_renewal(freshness, BootClock.since_boot()) == Some(Duration::ZERO) {
            renew(self.host)?;
            self.lasts = until;
            log::debug!("other hosts: rules renewed");
        }
        self.timer.set(until.filter(|_| is_fresh))?;
        self.again = None;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests;
