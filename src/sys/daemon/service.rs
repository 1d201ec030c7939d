//! Status messages to the service manager (the `sd_notify(3)` protocol).
//!
//! The manager passes its socket in `NOTIFY_SOCKET`, the only environment variable that is read.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager's socket, or `None` if `NOTIFY_SOCKET` is not set.
#[derive(Debug)]
pub(crate) struct Manager(Option<(UnixDatagram, SocketAddr)>);

impl Manager {
    /// Finds the service manager that started this process.
    pub(crate) fn find() -> Self {
        let address = std::env::var_os("NOTIFY_SOCKET").and_then(|place| address(&place));
        let socket = UnixDatagram::unbound().ok();
        Self(socket.zip(address))
    }

    /// Sends lines of the form `KEY=value`. Does not block; a failure is only logged.
    pub(crate) fn tell(&self, lines: &str) {
        if let Self(Some((socket, manager))) = self {
            let sent = socket
                .set_nonblocking(true)
                .and_then(|()| socket.send_to_addr(lines.as_bytes(), manager));
            if let Err(error) = sent {
                log::warn!("service manager: {error}");
            }
        }
    }
}

/// Parses a socket address: an absolute path, or `@` and a name in the abstract namespace.
fn address(place: &OsStr) -> Option<SocketAddr> {
    match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(place).ok(),
        _ => None,
    }
}
