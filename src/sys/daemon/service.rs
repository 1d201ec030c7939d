//! What a service tells its manager (`sd_notify`): that it is ready, how it is, that it ends.
//!
//! The manager says where in `NOTIFY_SOCKET`, the only variable of the environment that is read.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The manager; or nobody, if nobody asked to be told.
#[derive(Debug)]
pub(crate) struct Manager(Option<(UnixDatagram, SocketAddr)>);

impl Manager {
    /// The one who started this process.
    pub(crate) fn find() -> Self {
        let address = std::env::var_os("NOTIFY_SOCKET").and_then(|place| address(&place));
        let socket = UnixDatagram::unbound().ok();
        Self(socket.zip(address))
    }

    /// Tells it lines of `KEY=value`. It may be gone, or not read: nobody waits for it.
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

/// A path, or a name in the kernel's own list of sockets.
fn address(place: &OsStr) -> Option<SocketAddr> {
    match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(place).ok(),
        _ => None,
    }
}
