//! Rules that somebody changed: looked at when it is quiet again, and mended.

use super::debounce::{Debounce, pause_after};
use crate::error::Result;
use crate::firewall::concerns;
use crate::host::Host;
use crate::recovery::{self, Repaired};
use crate::sys::net::netlink::subscription::NetlinkSubscription;
use std::time::{Duration, Instant};

/// Reloading a firewall is hundreds of changes.
const RULES: Debounce = Debounce::new(Duration::from_millis(100), Duration::from_millis(500));
/// Looking takes no more than every fifth moment, however much is changed: others need the lock.
const REST: u32 = 4;
/// But nobody waits longer than this for it.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct Repair<'a> {
    host: &'a Host,
    changes: Option<NetlinkSubscription>,
    debounce: Debounce,
    /// When what could not be mended is tried again, and how often it was.
    again: Option<Instant>,
    failed: u32,
    /// What is wrong still: it is said once.
    said: String,
}

impl<'a> Repair<'a> {
    /// Listens from now on.
    pub(crate) fn of(host: &'a Host) -> Self {
        let changes = NetlinkSubscription::open().map_err(|error| {
            log::warn!("flushed firewall rules will not be noticed: {error}");
        });
        let changes = changes.ok();
        Self { host, changes, debounce: RULES, again: None, failed: 0, said: String::new() }
    }

    /// Where changes are told of, if the kernel can.
    pub(crate) fn changes(&self) -> Option<&NetlinkSubscription> {
        self.changes.as_ref()
    }

    /// Takes note of changes.
    pub(crate) fn hear(&mut self, now: Instant) -> Result<()> {
        if self.has_heard()? {
            self.debounce.notify(now);
        }
        Ok(())
    }

    fn has_heard(&mut self) -> Result<bool> {
        self.changes.as_mut().map_or(Ok(false), |changes| changes.take(concerns))
    }

    /// When to look.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.debounce.due().into_iter().chain(self.again).min()
    }

    /// Whether all was well when it was last looked at.
    pub(crate) fn is_done(&self) -> bool {
        self.again.is_none()
    }

    /// Looks at everything, and mends it.
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

    /// Says what is wrong still.
    fn repair(&mut self) -> Result<String> {
        let repaired = recovery::sync(self.host);
        if repaired.as_ref().is_ok_and(Repaired::is_nothing) {
            return Ok(String::new());
        }
        // What we do ourselves is told to us as well. Somebody else's change among it is found by
        // looking once more; without that, mending in vain would make us mend for ever.
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
