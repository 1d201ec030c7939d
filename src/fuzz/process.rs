//! Fuzz target for a line of /proc/PID/stat, in which the process chooses its own name.

use crate::sys::process::state_and_start;

/// Parses any line. Fields after the name must be found whatever the name is.
pub fn process_stat(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = state_and_start(&text);
    let zeros = "0 ".repeat(18);
    let line = format!("42 ({text}) S {zeros}1234 0 0\n");
    assert_eq!(state_and_start(&line), Some(("S", 1234)), "{line}");
}
