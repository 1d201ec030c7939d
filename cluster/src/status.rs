//! `oci-link-cluster status`: what the running courier does, from the files in its spool.

use crate::clock::{boot_id, boottime_ms};
use crate::error::{Error, Result};
use crate::spool::Seen;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// What is shown.
#[derive(Debug, Serialize)]
struct Status {
    running: bool,
    host: Option<String>,
    pid: Option<u32>,
    endpoint: Option<String>,
    version: Option<String>,
    cluster: Option<String>,
    lease: Option<String>,
    revision: Option<i64>,
    published: bool,
    own: usize,
    records: usize,
    dropped: u64,
    resyncs: u64,
    /// Milliseconds since the copies were proved complete; `None`: never in this boot.
    age_ms: Option<u64>,
    patience_ms: Option<u64>,
    problem: Option<String>,
}

/// Prints the state. An error says in one line what is wrong with it: no courier runs, the copies are
/// older than `patience`, own records are not published, or another problem.
pub(crate) fn run(spool: &Path, json: bool) -> Result<()> {
    let seen = Seen::read(spool);
    let seen = seen.map_err(|cause| Error::cluster(format!("{}: {cause}", spool.display())))?;
    let status = Status::of(seen, &boot_id(), boottime_ms());
    let text = if json {
        serde_json::to_string_pretty(&status).unwrap_or_default() + "\n"
    } else {
        status.table()
    };
    crate::print(&text);
    status.fault().map_or(Ok(()), |fault| Err(Error::cluster(fault)))
}

impl Status {
    fn of(seen: Seen, boot: &str, now: u64) -> Self {
        let Seen { runs, view, report, .. } = seen;
        let view = view.filter(|view| view.boot == boot);
        let fresh = view.as_ref().and_then(|view| view.fresh_ms).filter(|at| *at <= now);
        Self {
            running: runs,
            host: report.as_ref().map(|report| report.host.clone()),
            pid: report.as_ref().filter(|_| runs).map(|report| report.pid),
            endpoint: report.as_ref().and_then(|report| report.endpoint.clone()),
            version: report.as_ref().and_then(|report| report.version.clone()),
            cluster: report.as_ref().and_then(|report| report.cluster.clone()),
            lease: report.as_ref().and_then(|report| report.lease.clone()),
            revision: report.as_ref().map(|report| report.revision),
            published: runs && view.as_ref().is_some_and(|view| view.published),
            own: report.as_ref().map_or(0, |report| report.own),
            records: report.as_ref().map_or(0, |report| report.records),
            dropped: report.as_ref().map_or(0, |report| report.dropped),
            resyncs: report.as_ref().map_or(0, |report| report.resyncs),
            age_ms: fresh.map(|at| now - at),
            patience_ms: report.as_ref().map(|report| report.patience_ms),
            problem: view.and_then(|view| view.problem),
        }
    }

    /// What is wrong, in one line.
    fn fault(&self) -> Option<String> {
        let is_old = match (self.age_ms, self.patience_ms) {
            (Some(age), Some(patience)) => age > patience,
            _ => true,
        };
        if !self.running {
            Some("no courier runs: systemctl start oci-link-cluster".to_owned())
        } else if let Some(problem) = &self.problem {
            Some(problem.clone())
        } else if is_old {
            Some("the copies are older than patience".to_owned())
        } else if !self.published {
            Some("own records are not published".to_owned())
        } else {
            None
        }
    }

    fn table(&self) -> String {
        let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<10} {value}");
        };
        let running = self.pid.map_or("no".to_owned(), |pid| format!("yes, pid {pid}"));
        row("host", or_none(&self.host));
        row("running", running);
        let version = self.version.as_deref().map_or(String::new(), |v| format!(", etcd {v}"));
        row("endpoint", or_none(&self.endpoint) + &version);
        row("cluster", or_none(&self.cluster));
        row("lease", or_none(&self.lease));
        row("revision", self.revision.map_or("-".to_owned(), |revision| revision.to_string()));
        let published = if self.published { "yes" } else { "no" };
        row("published", format!("{published}, {} records", self.own));
        row("records", format!("{}, {} dropped", self.records, self.dropped));
        let age = self.age_ms.map_or("never fresh".to_owned(), seconds);
        let patience = self.patience_ms.map_or("-".to_owned(), seconds);
        row("age", format!("{age}, patience {patience}"));
        row("problem", self.problem.clone().unwrap_or_else(|| "none".to_owned()));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{Report, View};

    fn seen(runs: bool, fresh: Option<u64>) -> Seen {
        let mut view = View::new("boot".to_owned(), fresh);
        view.published = true;
        let report = Some(Report::new("a", 10_000));
        Seen { runs, view: Some(view), report, incarnation: None }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fault = |seen| Status::of(seen, "boot", 20_000).fault().unwrap_or_default();
        assert_eq!(fault(seen(true, Some(10_000))), "");
        assert!(fault(seen(true, Some(9_999))).contains("older than patience"));
        assert!(fault(seen(true, None)).contains("older than patience"));
        assert!(fault(seen(true, Some(20_001))).contains("older than patience"));
        assert!(fault(seen(false, Some(20_000))).contains("no courier runs"));
        let mut with_problem = seen(true, Some(20_000));
        if let Some(view) = &mut with_problem.view {
            view.problem = Some("full".to_owned());
        }
        assert_eq!(fault(with_problem), "full");
    }

    #[test]
    fn a_view_of_another_boot_says_nothing() {
        let status = Status::of(seen(true, Some(1)), "other", 20_000);
        assert!(status.age_ms.is_none() && !status.published);
        assert!(status.table().contains("age        never fresh, patience 10.0 s\n"));
    }
}
