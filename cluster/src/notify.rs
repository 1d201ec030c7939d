//! Status messages to the service manager (the `sd_notify(3)` protocol).

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends lines of the form `KEY=value` to the manager that started this process. Does not block; without
/// a manager, and when it does not listen, nothing happens.
pub(crate) fn tell(lines: &str) {
    let place = std::env::var_os("NOTIFY_SOCKET").and_then(|place| address(&place));
    if let (Some(manager), Ok(socket)) = (place, UnixDatagram::unbound()) {
        let _ = socket.set_nonblocking(true);
        let _ = socket.send_to_addr(lines.as_bytes(), &manager);
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
