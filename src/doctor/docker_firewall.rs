//! Docker's nftables backend (docker 29). Docker's drops are in a table of its own then, and an accept in
//! another table does not undo them.

use super::HostContext;
use super::check::Check;
use serde_json::Value;
use std::fs;

const SUBJECT: &str = "docker's firewall backend";

pub(super) fn examine(context: &HostContext) -> Option<Check> {
    let text = fs::read_to_string(context.question.root.join("etc/docker/daemon.json")).ok()?;
    judge(&serde_json::from_str(&text).ok()?)
}

/// Judges daemon.json. Networks with a setting of their own are judged by their rules
/// (`doctor/forward.rs`).
fn judge(daemon: &Value) -> Option<Check> {
    if daemon["firewall-backend"].as_str() != Some("nftables") {
        return None;
    }
    if daemon["icc"].as_bool() != Some(false) {
        let detail = "nftables; on networks with enable_icc=false links open no port";
        return Some(Check::ok(SUBJECT, detail));
    }
    let cause = "is nftables, and icc is false: docker drops the packets of links on docker0, which \
                 no accept of oci-link undoes";
    let fix = "in /etc/docker/daemon.json: \"firewall-backend\": \"iptables\"; then systemctl \
               restart docker";
    Some(Check::fault(SUBJECT, cause, fix))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use serde_json::json;

    #[test]
    fn drops_that_no_accept_undoes() {
        let verdict = |daemon: Value| judge(&daemon).map(|check| check.verdict);
        let nftables = "nftables";
        assert_eq!(verdict(json!({})), None);
        assert_eq!(verdict(json!({ "icc": false })), None);
        assert_eq!(verdict(json!({ "icc": false, "firewall-backend": "iptables" })), None);
        assert_eq!(verdict(json!({ "firewall-backend": nftables })), Some(Verdict::Ok));
        let both = json!({ "icc": false, "firewall-backend": nftables });
        assert_eq!(verdict(both), Some(Verdict::Fault));
    }
}
