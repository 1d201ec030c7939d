//! The log: a file, else the system's log. Runtimes hide what hooks print (crun sends it to
//! /dev/null), so errors go here as well as to standard error. Nothing of the environment counts.

use crate::config::Config;
use crate::error::{Context, Error, Kind, Result};
use crate::sys::file::shown;
use env_logger::{Builder, Target};
use log::Level;
use nix::libc;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where syslogd and journald listen.
pub const SYSLOG: &str = "/dev/log";
/// The facility "daemon" (RFC 5424).
const DAEMON: u8 = 3;

/// Sets the log up as `config` wants it.
pub fn init(config: &Config) -> Result<()> {
    let mut builder = Builder::new();
    builder.filter_level(config.log_level);
    let pid = std::process::id();
    match &config.log_file {
        Some(path) => {
            builder.target(Target::Pipe(Box::new(open(path)?)));
            builder.format(move |to, record| {
                let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let at = format!("{}.{:06}", seconds.as_secs(), seconds.subsec_micros());
                let level = record.level().as_str().to_lowercase();
                writeln!(to, "{at} {level} oci-link[{pid}]: {}", record.args())
            });
        }
        None => {
            builder.target(Target::Pipe(Box::new(Syslog)));
            builder.format(move |to, record| {
                let priority = DAEMON * 8 + severity(record.level());
                write!(to, "<{priority}>oci-link[{pid}]: {}", record.args())
            });
        }
    }
    builder.try_init().context(Kind::Internal, || "log")
}

/// Says an error to the one who called and to the log.
pub fn report(error: &Error) {
    log::error!("{error}");
    let _ = writeln!(io::stderr(), "oci-link: {error}");
}

fn open(path: &Path) -> Result<std::fs::File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
        .open(path)
        .context(Kind::Input, || format!("log file {}", shown(path)))
}

fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// One datagram per line; a host without a log loses it, no container waits for one.
struct Syslog;

impl Write for Syslog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Ok(socket) = UnixDatagram::unbound() {
            let _ = socket.set_nonblocking(true).and_then(|()| socket.send_to(line, SYSLOG));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
