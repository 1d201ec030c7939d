//! The terminal at standard output.

#![allow(unsafe_code)] // One block, with its reason.

use nix::libc;
use std::io::{IsTerminal, stdout};
use std::os::fd::AsRawFd;

/// The number of characters in a line of the terminal. `None` if standard output is no terminal, or its size is not
/// known.
pub(crate) fn width() -> Option<usize> {
    let stdout = stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel writes a winsize to the address of one.
    let answer = unsafe { libc::ioctl(stdout.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (answer == 0 && size.ws_col > 0).then(|| usize::from(size.ws_col))
}
