//! Repairs rules that another program changed, when no more changes come, and records what processes
//! noted without the lock.

use super::debounce::{Debounce, pause_after};
use crate::error::Result;
use crate::firewall::concerns;
use crate::host::Host;
use crate::recovery::{self, Repaired};
use crate::sys::net::netlink::subscription::NetlinkSubscription;
use std::time::{Duration, Instant};

/// A firewall reload makes hundreds of changes.
const RULES: Debounce = Debounce::new(Duration::from_millis(100), Duration::from_millis(500));
/// After a check, rest four times its duration: the host lock is held at most 20 % of the time.
const REST: u32 = 4;
/// Upper bound for that rest.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Checks the host when rules change, and repairs what it finds.
pub(crate) struct Repair<'a> {
    host: &'a Host,
    changes: Option<NetlinkSubscription>,
    debounce: Debounce,
    /// When a failed repair is tried again, and how often it has failed.
    again: Option<Instant>,
    failed: u32,
    /// The problems that were logged last. Unchanged problems are not logged again.
    said: String,
}

impl<'a> Repair<'a> {
    /// Subscribes to rule changes. Without a subscription, flushed rules are found by other checks
    /// only.
    pub(crate) fn of(host: &'a Host) -> Self {
        let changes = NetlinkSubscription::open().map_err(|error| {
            log::warn!("flushed firewall rules will not be noticed: {error}");
        });
        let changes = changes.ok();
        Self { host, changes, debounce: RULES, again: None, failed: 0, said: String::new() }
    }

    /// The subscription to rule changes, if the kernel supports it.
    pub(crate) fn changes(&self) -> Option<&NetlinkSubscription> {
        self.changes.as_ref()
    }

    /// Reads rule changes. Those that concern our tables cause a check.
    pub(crate) fn hear(&mut self, now: Instant) -> Result<()> {
        if self.has_heard()? {
            self.debounce.notify(now);
        }
        Ok(())
    }

    /// Schedules a check: a start or an end could not be recorded.
    pub(crate) fn notify(&mut self, now: Instant) {
        self.debounce.notify(now);
    }

    fn has_heard(&mut self) -> Result<bool> {
        self.changes.as_mut().map_or(Ok(false), |changes| changes.take(concerns))
    }

    /// When the next check is due, if one is.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.debounce.due().into_iter().chain(self.again).min()
    }

    /// Whether the last check left no problems.
    pub(crate) fn is_done(&self) -> bool {
        self.again.is_none()
    }

    /// Checks the whole host and repairs it. Problems that remain are logged, and the check is
    /// repeated after a pause.
    pub(crate) fn act(&mut self, now: Instant) {
        log::debug!("watch: checks everything");
        self.debounce.is_over(now);
        let trouble = self.repair().unwrap_or_else(|error| error.to_string());
        let then = Instant::now();
        self.debounce.rest(then + (then.duration_since(now) * REST).min(LONGEST_REST));
        if trouble != self.said {
            self.failed = 0;
            if !trouble.is_empty() {
                log::error!("some problems could not be repaired: {trouble}");
            }
        }
        self.again = None;
        if !trouble.is_empty() {
            self.failed = self.failed.saturating_add(1);
            self.again = Some(then + pause_after(self.failed));
        }
        self.said = trouble;
    }

    /// Repairs the host and returns a description of the problems that remain.
    fn repair(&mut self) -> Result<String> {
        let repaired = recovery::sync(self.host);
        if repaired.as_ref().is_ok_and(Repaired::is_nothing) {
            return Ok(String::new());
        }
        // Our own changes are reported to us as well. They are discarded, or a repair that fails
        // would cause the next one forever. The audit below finds changes that other programs made
        // meanwhile.
        self.has_heard()?;
        let repaired = repaired?;
        for finding in &repaired.findings {
            log::info!("{}: {finding}", finding.outcome());
        }
        let mut trouble: Vec<String> =
            recovery::audit(self.host)?.iter().map(ToString::to_string).collect();
        trouble.extend(repaired.failures.into_result().err().map(|error| error.to_string()));
        Ok(trouble.join("; "))
    }
}
