//! Certificates, made by openssl.

use crate::machine::succeed;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SETTINGS: &str = "\
[req]
distinguished_name = name
x509_extensions = authority
[name]
[authority]
basicConstraints = critical, CA:TRUE
[host]
extendedKeyUsage = clientAuth
[member]
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = IP:10.99.0.1, IP:10.99.0.2, IP:10.99.0.3
";

/// An authority, and the certificates that it signed.
#[derive(Debug)]
pub(crate) struct Pki(PathBuf);

impl Pki {
    /// An authority whose files are in `directory`.
    pub(crate) fn new(directory: &Path) -> Self {
        fs::create_dir_all(directory).expect("a directory");
        let pki = Self(directory.to_owned());
        fs::write(pki.path("settings"), SETTINGS).expect("settings");
        pki.openssl(
            "req -x509 -config settings -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
             -days 30 -subj /CN=authority -keyout ca.key -out ca.pem",
        );
        pki
    }

    /// A file in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Signs `FILE.pem` and makes `FILE.key`, for the common name `name`. `kind` is `host` or `member`.
    pub(crate) fn sign(&self, file: &str, name: &str, kind: &str, days: i32) {
        self.openssl(&format!(
            "req -new -config settings -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
             -subj /CN={name} -keyout {file}.key -out {file}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {file}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} \
             -extfile settings -extensions {kind} -out {file}.pem"
        ));
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(&self.0);
        succeed(&mut command, arguments);
    }
}
