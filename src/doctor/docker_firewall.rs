//! Docker's nftables backend (docker 29). Docker's drops are in a table of its own then, and an accept in
//! another table does not undo them.

use super::HostContext;
use super::check::{Check, advice};
use super::engines::is_installed;
use crate::configure::Registration;
use crate::error::Kind;
use crate::sys::process::child;
use crate::sys::process::exec::DIRECTORIES;
use serde_json::Value;
use std::fs;
use std::path::Path;

const SUBJECT: &str = "docker's firewall backend";

/// The timeout of `nft list tables`, in milliseconds.
const PATIENCE: u16 = 5000;
/// The table of Docker's backend, in the families ip and ip6.
const TABLE: &str = "docker-bridges";

pub(super) fn examine(context: &HostContext) -> Option<Check> {
    let root = &context.question.root;
    if !is_installed(root, Registration::Docker) {
        return None;
    }
    let path = root.join("etc/docker/daemon.json");
    let text = fs::read_to_string(path).unwrap_or_default();
    judge(&serde_json::from_str(&text).unwrap_or_default(), has_table)
}

/// Whether the table is there: an option of dockerd can choose the backend too.
fn has_table() -> bool {
    let places = DIRECTORIES.iter().map(|directory| Path::new(directory).join("nft"));
    let Some(program) = places.into_iter().find(|path| path.is_file()) else { return false };
    let program = program.to_string_lossy();
    let listed = child::run(&program, &["list", "tables"], "", PATIENCE, Kind::Firewall);
    let listed = listed.map(|output| output.stdout).unwrap_or_default();
    listed.lines().any(|line| line.split_whitespace().next_back() == Some(TABLE))
}

/// Judges daemon.json. Networks with a setting of their own are judged by their rules
/// (`doctor/forward.rs`).
fn judge(daemon: &Value, has_table: impl FnOnce() -> bool) -> Option<Check> {
    if daemon["firewall-backend"].as_str() != Some("nftables") && !has_table() {
        return None;
    }
    if daemon["icc"].as_bool() != Some(false) {
        let detail = "nftables; on networks with enable_icc=false links open no port";
        return Some(Check::ok(SUBJECT, detail));
    }
    let cause = "is nftables, and icc is false: docker drops the packets of links on docker0, which \
                 no accept of oci-link undoes";
    let fix =
        "set \"firewall-backend\": \"iptables\" in /etc/docker/daemon.json, then restart docker";
    Some(Check::fault(SUBJECT, cause, advice(fix)))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use serde_json::json;

    #[test]
    fn drops_that_no_accept_undoes() {
        let verdict = |daemon: Value| judge(&daemon, || false).map(|check| check.verdict);
        let nftables = "nftables";
        assert_eq!(verdict(json!({})), None);
        assert_eq!(verdict(json!({ "icc": false })), None);
        assert_eq!(verdict(json!({ "icc": false, "firewall-backend": "iptables" })), None);
        assert_eq!(verdict(json!({ "firewall-backend": nftables })), Some(Verdict::Ok));
        let both = json!({ "icc": false, "firewall-backend": nftables });
        assert_eq!(verdict(both), Some(Verdict::Fault));
        let by_table = judge(&json!({ "icc": false }), || true);
        assert_eq!(by_table.map(|check| check.verdict), Some(Verdict::Fault));
    }
}
