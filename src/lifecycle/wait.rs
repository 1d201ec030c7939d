//! How long a start waits for its sources, and which sources it waits for.

use crate::error::{Cause, Error, Kind, Result};
use std::fmt::Display;
use std::os::unix::process::parent_id;
use std::time::{Duration, Instant};

/// The pause between two look-ups.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);
/// The part of a hook's timeout that is kept for the refusal: a runtime kills a late hook.
const REFUSAL: Duration = Duration::from_secs(1);

/// How long a starting container may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    begun: Instant,
    asked: Duration,
    timeout: Option<Duration>,
}

impl Patience {
    /// `timeout` is the hook's timeout, in seconds.
    pub(crate) fn of(asked: Duration, timeout: Option<u64>) -> Self {
        Self { begun: Instant::now(), asked, timeout: timeout.map(Duration::from_secs) }
    }

    /// Whether there is time left.
    pub(crate) fn lasts(&self) -> bool {
        self.begun.elapsed() < self.allowed()
    }

    fn allowed(&self) -> Duration {
        let allowed = self.timeout.map(|timeout| timeout.saturating_sub(REFUSAL));
        allowed.map_or(self.asked, |allowed| allowed.min(self.asked))
    }

    /// Adds to a refusal how long the container waited.
    pub(crate) fn explain(&self, error: Error) -> Error {
        if error.cause != Cause::MissingSource || self.lasts() {
            return error;
        }
        let (asked, allowed) = (shown(self.asked), shown(self.allowed()));
        let waited = match self.timeout {
            Some(timeout) if self.allowed() < self.asked => {
                let timeout = shown(timeout);
                format!(
                    "waited {allowed} of {asked}, because the timeout of this hook in config.json \
                     is {timeout}"
                )
            }
            _ => format!("waited {asked}"),
        };
        Error::new(error.kind, format!("{error}: {waited}")).because(error.cause)
    }
}

/// The process that called this one. A wait is for its sake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller(u32);

impl Caller {
    /// The present parent of this process.
    pub(crate) fn of_this_process() -> Self {
        Self(parent_id())
    }

    /// Fails if the caller has ended. The kernel then gives this process another parent.
    pub(crate) fn must_live(self, name: &impl Display) -> Result<()> {
        if parent_id() == self.0 {
            return Ok(());
        }
        let message = format!("{name}: its caller ended while it waited for its sources");
        Err(Error::new(Kind::Namespace, message))
    }
}

fn shown(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(asked: u64, timeout: Option<u64>) -> Patience {
        let asked = Duration::from_millis(asked);
        Patience::of(asked, timeout)
    }

    #[test]
    fn a_hook_keeps_a_second_for_its_refusal() {
        assert_eq!(patience(10_000, Some(5)).allowed(), Duration::from_secs(4));
        assert_eq!(patience(10_000, Some(1)).allowed(), Duration::ZERO);
        assert_eq!(patience(500, Some(5)).allowed(), Duration::from_millis(500));
        assert_eq!(patience(500, None).allowed(), Duration::from_millis(500));
    }

    #[test]
    fn a_refusal_says_how_long_it_was_put_off() {
        let refusal = || Error::new(Kind::Source, "no").because(Cause::MissingSource);
        let late = |mut patience: Patience| {
            patience.begun = Instant::now().checked_sub(Duration::from_secs(20)).unwrap();
            patience.explain(refusal()).to_string()
        };
        assert_eq!(late(patience(1500, None)), "no: waited 1500 ms");
        assert_eq!(
            late(patience(10_000, Some(5))),
            "no: waited 4 s of 10 s, because the timeout of this hook in config.json is 5 s"
        );
        assert_eq!(patience(10_000, None).explain(refusal()).to_string(), "no", "at once");
        let other = Error::new(Kind::Firewall, "no");
        assert_eq!(patience(1, Some(1)).explain(other).to_string(), "no");
    }
}
