//! The commands of docs/cluster.md, which set the tests up, and the files that it says are installed.

use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The script that the document says the tests run by this word.
pub(crate) fn script(word: &str) -> String {
    let text = fs::read_to_string(format!("{ROOT}/docs/cluster.md")).expect("docs/cluster.md");
    let comment =
        format!("<!-- not run: the tests of the courier run it, by the word {word:?} -->\n");
    let block = text.split(&comment).nth(1).unwrap_or_else(|| panic!("no block {word}"));
    let block = block.strip_prefix("```sh\n").expect("a block of sh");
    block.split("```").next().expect("an end").to_owned()
}

/// Each message in the table of errors is one of the program's.
#[test]
fn the_table_of_errors_is_true() {
    let text = fs::read_to_string(format!("{ROOT}/docs/cluster.md")).expect("docs/cluster.md");
    let table = text.split("\n## Errors\n").nth(1).expect("a table");
    let source = source(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));
    let mut checked = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let messages = row.split(" | ").next().expect("a cell");
        for message in messages.split('`').skip(1).step_by(2) {
            for part in message.split('…').map(|part| part.trim_matches([' ', ':'])) {
                assert!(source.contains(part), "no message: {part}");
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "{checked}");
}

/// All of the source, in one.
fn source(directory: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all += &source(&path);
        } else if path.extension().is_some_and(|end| end == "rs") {
            all += &fs::read_to_string(&path).expect("a file");
        }
    }
    all
}

/// The unit lets the courier do nothing but its work.
#[test]
fn the_unit_is_hardened() {
    let unit = fs::read_to_string(format!("{ROOT}/packaging/systemd/oci-link-cluster.service"));
    let unit = unit.expect("a unit");
    for line in [
        "Type=notify",
        "User=oci-link-cluster",
        "ExecStart=/usr/local/bin/oci-link-cluster run",
        "Restart=always",
        "RuntimeDirectory=oci-link-cluster/peers",
        "RuntimeDirectoryMode=0750",
        "RuntimeDirectoryPreserve=yes",
        "ReadWritePaths=/run/oci-link-cluster/peers",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelLogs=yes",
        "ProtectControlGroups=yes",
        "RestrictNamespaces=yes",
        "MemoryDenyWriteExecute=yes",
        "SystemCallFilter=@system-service",
        "MemoryMax=128M",
    ] {
        assert!(unit.lines().any(|there| there == line), "the unit lacks {line}");
    }
    let user = fs::read_to_string(format!("{ROOT}/packaging/sysusers.d/oci-link-cluster.conf"));
    assert!(user.expect("a user").contains("\nu oci-link-cluster - "));
}
