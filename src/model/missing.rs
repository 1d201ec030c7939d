//! The annotation `org.oci-link.missing`: what a start does if a source does not run.

use super::Invalid;
use std::time::Duration;

/// Longest wait: longer than services take to start, shorter than a person waits for an answer.
const LONGEST: Duration = Duration::from_secs(600);

/// What a starting container does if a source does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Missing {
    /// It does not start, unless the engine will start the source by itself.
    #[default]
    Auto,
    /// It does not start, as in Docker.
    Fail,
    /// It starts, and is linked as soon as the source runs.
    Defer,
    /// It waits at most this long for its sources. It does not start if one is still missing then.
    /// Without a time, config.toml says how long.
    Wait(Option<Duration>),
}

impl Missing {
    /// Parses `auto`, `fail`, `defer`, `wait`, or `wait=` with a time in ms, s or m, from 1ms to
    /// 10m.
    pub(crate) fn parse(value: &str) -> Result<Self, Invalid> {
        let refuse = |why| Invalid::new("missing", value, why);
        match value.trim() {
            "auto" => Ok(Self::Auto),
            "fail" => Ok(Self::Fail),
            "defer" => Ok(Self::Defer),
            "wait" => Ok(Self::Wait(None)),
            other => match other.strip_prefix("wait=") {
                Some(time) => Ok(Self::Wait(Some(parse_wait(time).map_err(refuse)?))),
                None => Err(refuse("want auto, fail, defer, wait or wait=10s")),
            },
        }
    }
}

/// Parses a time to wait in ms, s or m, from 1ms to 10m.
pub(crate) fn parse_wait(time: &str) -> Result<Duration, &'static str> {
    let unit = time.trim_start_matches(|c: char| c.is_ascii_digit());
    let Some(scale) = milliseconds(unit) else { return Err("want a time like 500ms, 10s or 2m") };
    let number: u64 = match time[..time.len() - unit.len()].parse() {
        Ok(number) => number,
        Err(_) => return Err("want a time like 500ms, 10s or 2m"),
    };
    match number.checked_mul(scale).map(Duration::from_millis) {
        Some(time) if !time.is_zero() && time <= LONGEST => Ok(time),
        _ => Err("want a time from 1ms to 10m"),
    }
}

/// How many milliseconds a unit has.
fn milliseconds(unit: &str) -> Option<u64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        let wait = |ms| Ok(Missing::Wait(Some(Duration::from_millis(ms))));
        assert_eq!(Missing::parse("auto"), Ok(Missing::Auto));
        assert_eq!(Missing::default(), Missing::Auto);
        assert_eq!(Missing::parse("fail"), Ok(Missing::Fail));
        assert_eq!(Missing::parse(" defer "), Ok(Missing::Defer));
        assert_eq!(Missing::parse("wait"), Ok(Missing::Wait(None)));
        assert_eq!(Missing::parse("wait=1ms"), wait(1));
        assert_eq!(Missing::parse("wait=10s"), wait(10_000));
        assert_eq!(Missing::parse("wait=10m"), wait(600_000));
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "Fail",
            "Auto",
            "auto=10s",
            "waits",
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
