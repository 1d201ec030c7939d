//! Certificates, made by the commands of docs/cluster.md.

use crate::documented::script;
use crate::machine::succeed;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The addresses of all members.
const ADDRESSES: &str = "IP:10.99.0.1,IP:10.99.0.2,IP:10.99.0.3";

/// An authority, and the certificates that it signed.
#[derive(Debug)]
pub(crate) struct Pki(PathBuf);

impl Pki {
    /// An authority whose files are in `directory`.
    pub(crate) fn new(directory: &Path) -> Self {
        fs::create_dir_all(directory).expect("a directory");
        let pki = Self(directory.to_owned());
        pki.run(&script("authority"), "");
        pki
    }

    /// A file in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Signs `member.pem`, and makes its key.
    pub(crate) fn sign_member(&self) {
        self.run(&script("member"), "member");
    }

    /// Signs `NAME.pem` for the host `name`, and makes its key. It ends after so many days.
    pub(crate) fn sign(&self, name: &str, days: i32) {
        let script = script("host");
        assert!(script.contains("-days 365"), "{script}");
        self.run(&script.replace("-days 365", &format!("-days {days}")), name);
    }

    fn run(&self, script: &str, name: &str) {
        let mut command = Command::new("sh");
        command.args(["-euc", script]).current_dir(&self.0);
        command.env("host", name).env("member", name).env("addresses", ADDRESSES);
        succeed(&mut command, script);
    }
}
