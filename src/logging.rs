//! Logging to a file or to syslog.
//!
//! Errors are written to the log as well as to standard error, because runtimes hide the output of
//! hooks (crun sends it to /dev/null). Environment variables such as `RUST_LOG` have no effect.

use crate::config::{Config, Overrides};
use crate::error::{Context, Error, Kind, Result};
use crate::sys::file::{open_with, shown};
use crate::sys::process::fill_standard_streams;
use env_logger::{Builder, Target};
use log::{Level, LevelFilter};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The socket on which syslogd and journald listen.
pub(crate) const SYSLOG: &str = "/dev/log";
/// Days from the first of March of the year 0 to the first of January 1970.
const DAYS_BEFORE_1970: u64 = 719_468;
/// The syslog facility "daemon" (RFC 5424).
const DAEMON: u8 = 3;

/// Sets up the log according to `config`. Never fails: a log must not keep a container from starting
/// or ending. If the log file cannot be opened, syslog is used, and standard error without syslog.
pub(crate) fn init(config: &Config) {
    init_with(config, true);
}

/// Sets up the log as [`init`] does, but standard error is never written to.
pub(crate) fn init_quietly(config: &Config) {
    init_with(config, false);
}

fn init_with(config: &Config, or_stderr: bool) {
    let opened = config.log_file.as_deref().map(open).transpose();
    let (file, refused) = match opened {
        Ok(file) => (file, None),
        Err(refused) => (None, Some(refused)),
    };
    let _ = begin(config.log_level, file, or_stderr && refused.is_some());
    if let Some(refused) = refused {
        log::warn!("{refused}: logged to syslog instead");
    }
}

/// Sets up the log from the command-line flags, to report an error before or during [`init`].
///
/// config.toml is not consulted because it may be the cause of the error. Does nothing if a log is
/// already set up.
pub(crate) fn init_by_flags(flags: &Overrides) {
    if log::max_level() != LevelFilter::Off || fill_standard_streams().is_err() {
        return;
    }
    // If the log file cannot be opened, syslog is used instead.
    let file = flags.log_file.as_deref().and_then(|path| open(path).ok());
    let _ = begin(flags.log_level.unwrap_or(LevelFilter::Info), file, false);
}

/// Without `file`, lines go to syslog. With `or_stderr` they go to standard error if there is no syslog.
fn begin(
    level: LevelFilter,
    file: Option<File>,
    or_stderr: bool,
) -> std::result::Result<(), log::SetLoggerError> {
    let mut builder = Builder::new();
    builder.filter_level(level);
    let pid = std::process::id();
    match file {
        Some(file) => {
            builder.target(Target::Pipe(Box::new(file)));
            builder.format(move |to, record| {
                let at = rfc_3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
                let level = record.level().as_str().to_lowercase();
                writeln!(to, "{at} {level} oci-link[{pid}]: {}", record.args())
            });
        }
        None => {
            builder.target(Target::Pipe(Box::new(Syslog { or_stderr })));
            builder.format(move |to, record| {
                let priority = DAEMON * 8 + severity(record.level());
                write!(to, "<{priority}>oci-link[{pid}]: {}", record.args())
            });
        }
    }
    builder.try_init()
}

/// Prints an error on standard error and logs it.
pub(crate) fn report(error: &Error) {
    log::error!("{error}");
    let _ = writeln!(io::stderr(), "oci-link: {error}");
}

fn open(path: &Path) -> Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_APPEND | OFlag::O_NOFOLLOW;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    open_with(path, flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, mode)
        .context(Kind::Input, || format!("log file {}", shown(path)))
}

/// The time `since` 1970 in UTC, such as `2026-11-22T17:48:07.511679Z`.
pub(crate) fn rfc_3339(since: Duration) -> String {
    let (days, second) = (since.as_secs() / 86400, since.as_secs() % 86400);
    // Years that begin in March, so that the leap day is the last one; eras have 400 years.
    let days = days + DAYS_BEFORE_1970;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!(
        "{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        era * 400 + year + later,
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_micros()
    )
}

/// `<27>oci-link[1]: text` as `oci-link: text`, the form of all our lines on standard error.
fn without_priority(line: &[u8]) -> Vec<u8> {
    let text = line.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or(line);
    [b"oci-link: ", text, b"\n"].concat()
}

fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// A writer that sends each line to syslog as one datagram.
///
/// The send does not block, so a busy log daemon cannot delay a container. A line that cannot be
/// sent is lost.
struct Syslog {
    /// Whether lines go to standard error if there is no syslog.
    or_stderr: bool,
}

impl Write for Syslog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to(line, SYSLOG)
        });
        if self.or_stderr && sent.is_err() {
            let _ = io::stderr().write_all(&without_priority(line));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000007Z"),
            (951_782_399, "2000-02-28T23:59:59.000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000007Z"),
            (951_868_800, "2000-03-01T00:00:00.000007Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000007Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000007Z"),
            (1_795_369_687, "2026-11-22T17:48:07.000007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000007Z"),
        ] {
            assert_eq!(rfc_3339(Duration::new(seconds, 7000)), expected);
        }
    }
}
