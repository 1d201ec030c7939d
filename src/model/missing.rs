//! The annotation `org.oci-link.missing`: what a start does if a source does not run.

use super::Invalid;
use std::time::Duration;

/// Longest wait: longer than services take to start, shorter than a person waits for an answer.
const LONGEST: Duration = Duration::from_secs(600);

/// What a starting container does if a source does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Missing {
    /// It does not start, as in Docker.
    #[default]
    Fail,
    /// It starts, and is linked as soon as the source runs.
    Defer,
    /// It waits at most this long for its sources. It does not start if one is still missing then.
    Wait(Duration),
}

impl Missing {
    /// Parses `fail`, `defer`, or `wait=` with a time in ms, s or m, from 1ms to 10m.
    pub(crate) fn parse(value: &str) -> Result<Self, Invalid> {
        let refuse = |why| Err(Invalid::new("missing", value, why));
        match value.trim() {
            "fail" => return Ok(Self::Fail),
            "defer" => return Ok(Self::Defer),
            _ => {}
        }
        let Some(time) = value.trim().strip_prefix("wait=") else {
            return refuse("want fail, defer or wait=10s");
        };
        let unit = time.trim_start_matches(|c: char| c.is_ascii_digit());
        let number: Option<u64> = time[..time.len() - unit.len()].parse().ok();
        let milliseconds = match (number, unit) {
            (Some(number), "ms") => Some(number),
            (Some(number), "s") => number.checked_mul(1000),
            (Some(number), "m") => number.checked_mul(60_000),
            _ => return refuse("want a time like 500ms, 10s or 2m"),
        };
        match milliseconds.map(Duration::from_millis) {
            Some(time) if !time.is_zero() && time <= LONGEST => Ok(Self::Wait(time)),
            _ => refuse("want a time from 1ms to 10m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        let wait = |ms| Ok(Missing::Wait(Duration::from_millis(ms)));
        assert_eq!(Missing::parse("fail"), Ok(Missing::Fail));
        assert_eq!(Missing::parse(" defer "), Ok(Missing::Defer));
        assert_eq!(Missing::parse("wait=1ms"), wait(1));
        assert_eq!(Missing::parse("wait=10s"), wait(10_000));
        assert_eq!(Missing::parse("wait=10m"), wait(600_000));
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "Fail",
            "wait",
            "wait=",
            "wait=s",
            "wait=10",
            "wait=10 s",
            "wait=-1s",
            "wait=1.5s",
            "wait=0s",
            "wait=11m",
            "wait=600001ms",
            "wait=10h",
            "wait=99999999999999999999s",
            "wait=18446744073709551615m",
            "wait=1s\n2s",
            "wait=٣s",
        ] {
            assert!(Missing::parse(bad).is_err(), "{bad:?}");
        }
    }
}
