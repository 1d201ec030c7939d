//! What the courier says of itself: `view`, `.status`, the log and the service manager.

use super::{milliseconds, say_once};
use crate::clock::{boot_id, boottime_ms};
use crate::config::Config;
use crate::config::endpoint::Endpoint;
use crate::etcd::Failure;
use crate::log::say;
use crate::notify;
use crate::spool::{Report, Spool, View};

/// The problem before the first attempt; not worth a line in the log.
const NOT_YET: &str = "not connected yet";

/// The state that is reported.
pub(crate) struct Desk {
    view: View,
    report: Report,
    /// Why there is no connection.
    connection: Option<String>,
    /// Why own records are not out.
    publishing: Option<String>,
    is_published: bool,
    /// Until when own records live without news of this host, in ms since boot.
    out_until: u64,
    proofs: u64,
    said: Option<String>,
    has_failed: bool,
}

impl Desk {
    /// Goes on with the view of an earlier courier of this boot: its proof is still true.
    pub(crate) fn new(config: &Config, spool: &Spool) -> Self {
        let boot = boot_id();
        let earlier = spool.view().filter(|view| view.boot == boot);
        let fresh = earlier.and_then(|view| view.fresh_ms).filter(|at| *at <= boottime_ms());
        Self {
            view: View::new(boot, fresh),
            report: Report::new(&config.name, milliseconds(config.patience)),
            connection: Some(NOT_YET.to_owned()),
            publishing: None,
            is_published: false,
            out_until: 0,
            proofs: 0,
            said: Some(NOT_YET.to_owned()),
            has_failed: false,
        }
    }

    /// Notes when the certificate ends, in seconds since 1970.
    pub(super) fn certificate_ends(&mut self, at: i64) {
        self.view.certificate_ends = Some(at);
    }

    /// A member answers.
    pub(super) fn connected(&mut self, endpoint: &Endpoint, version: Option<String>) {
        self.report.endpoint = Some(endpoint.to_string());
        self.report.version = version;
    }

    /// The connection is of no use any more.
    pub(super) fn connection_lost(&mut self, endpoint: &Endpoint, failure: &Failure) {
        self.connection = Some(format!("etcd {endpoint}: {failure}"));
    }

    /// It is proved that the spool was complete at `at`, in ms since boot.
    pub(super) fn fresh(&mut self, at: u64) {
        self.connection = None;
        self.proofs += 1;
        self.view.fresh_ms = self.view.fresh_ms.max(Some(at));
    }

    /// How many proofs there were.
    pub(super) fn proofs(&self) -> u64 {
        self.proofs
    }

    /// The spool is of this revision.
    pub(super) fn revision(&mut self, revision: i64) {
        self.report.revision = revision;
    }

    /// Everything is read again, from the cluster with this id, at this revision.
    pub(super) fn resync(&mut self, cluster: u64, revision: i64) {
        let cluster = format!("{cluster:x}");
        let is_other = self.report.cluster.as_ref().is_some_and(|known| *known != cluster);
        if is_other || revision < self.report.revision {
            say("the cluster is another one, or was restored: its records replace the copies");
        }
        self.report.cluster = Some(cluster);
        self.report.revision = revision;
        self.report.resyncs += 1;
        self.report.dropped = 0;
    }

    /// A key or value of another host is not in the spool.
    pub(super) fn dropped(&mut self) {
        self.report.dropped += 1;
    }

    /// The lease that own records hang on lives until `until`, in ms since boot.
    pub(super) fn lease(&mut self, lease: i64, until: u64) {
        self.report.lease = Some(format!("{lease:x}"));
        self.out_until = until;
    }

    /// Own records are out.
    pub(super) fn published(&mut self) {
        self.is_published = true;
        self.publishing = None;
    }

    /// Own records are not out, or not all of them.
    pub(super) fn not_published(&mut self, problem: Option<String>) {
        self.is_published = false;
        if problem.is_some() {
            self.publishing = problem;
        }
    }

    /// Writes the files. `own` is how many own records are out.
    pub(super) fn write(&mut self, spool: &Spool, own: usize) {
        self.view.published = self.is_published && boottime_ms() < self.out_until;
        self.view.problem = self.connection.clone().or_else(|| self.publishing.clone());
        let version = self.report.version.as_ref().map_or(String::new(), |v| format!(" {v}"));
        self.view.by = format!("etcd{version} rev {}", self.report.revision);
        self.report.own = own;
        self.report.records = spool.len();
        let written = spool.report(&self.view, &self.report);
        if let Err(cause) = &written {
            if !self.has_failed {
                say(&format!("the spool cannot be written: {cause}"));
            }
        }
        self.has_failed = written.is_err();
        if self.said.as_deref() != self.view.problem.as_deref() {
            let state = self.view.problem.as_deref().unwrap_or("connected");
            notify::tell(&format!("STATUS={}", crate::error::one_line(state)));
        }
        say_once(&mut self.said, self.view.problem.as_deref());
    }
}
