//! A program of a few lines that a test makes up.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// Copies a program to where it can be executed at once, see [`script`].
pub(crate) fn install(program: &Path, at: &Path) {
    let copied = Command::new("install").args(["-m", "755"]).arg(program).arg(at).status();
    assert!(copied.is_ok_and(|status| status.success()), "{}", at.display());
}

/// Writes `text` where it can be executed at once. Had we had it open ourselves, a child that another
/// test has just forked could have it open still: the kernel executes nothing that is open for
/// writing.
pub(crate) fn script(path: &Path, text: &str) {
    let mut install = Command::new("install");
    install.args(["-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut install = install.spawn().expect("install is there");
    let written = install.stdin.take().expect("piped").write_all(text.as_bytes());
    assert!(install.wait().expect("waited for").success(), "{}", path.display());
    written.expect("read");
}
