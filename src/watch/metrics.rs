//! Metrics of this host in `OpenMetrics` text, for the textfile collector of `node_exporter`. There is no socket.
//!
//! The file is written after work that `watch` does anyway, and only if its text differs: no timer is needed, and an
//! idle `watch` sleeps. With `[cluster]` the age of what is known of other hosts grows while nothing happens: only then
//! a timer writes the file too. The ages are those at the time of the file.

use super::debounce::Debounce;
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::model::{BackendName, Phase, Record};
use crate::recovery::journal::Repairs;
use crate::sys::file::{publish, shown, withdraw};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Many containers may start at once.
const CHANGES: Debounce = Debounce::new(Duration::from_millis(300), Duration::from_secs(2));
/// After the file was written, rest so many times as long as that took.
const REST: u32 = 20;
/// The shortest and the longest rest.
const RESTS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(15)];

/// How often the file is written with `[cluster]`.
const PULSE: Duration = Duration::from_secs(30);

/// The file, and when it is written again.
pub(super) struct Metrics<'a> {
    host: &'a Host,
    path: PathBuf,
    changes: Debounce,
    /// When the file is written again although nothing changed; only with `[cluster]`.
    again: Option<Instant>,
    written: String,
    /// Whether the last attempt failed, which is logged once.
    failed: bool,
}

impl<'a> Metrics<'a> {
    /// Metrics in the file at `path`, which are written soon.
    pub(super) fn at(host: &'a Host, path: &Path, now: Instant) -> Self {
        let mut changes = CHANGES;
        changes.notify(now);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { host, path, changes, again: None, written: String::new(), failed: false }
    }

    /// Notes that something may have changed.
    pub(super) fn notify(&mut self, now: Instant) {
        self.changes.notify(now);
    }

    /// When the file is written, if anything has changed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.changes.due().into_iter().chain(self.again).min()
    }

    /// Writes the file if that is due. `age` is the age of the news of other hosts.
    pub(super) fn act(&mut self, now: Instant, age: Option<Duration>) {
        if !self.changes.is_over(now) && self.again.is_none_or(|again| again > now) {
            return;
        }
        self.again = self.host.config.cluster.as_ref().map(|_| now + PULSE);
        let written = self.write(age);
        let then = Instant::now();
        let [shortest, longest] = RESTS;
        self.changes.rest(then + (then.duration_since(now) * REST).clamp(shortest, longest));
        match written {
            Ok(()) => self.failed = false,
            Err(error) if !self.failed => {
                log::error!("metrics: {error}");
                self.failed = true;
            }
            Err(_) => {}
        }
    }

    fn write(&mut self, age: Option<Duration>) -> Result<()> {
        let mut found = Found::default();
        // One record is in memory at a time. One that cannot be read is named elsewhere.
        for id in self.host.store.ids()? {
            if let Ok(Some(record)) = self.host.store.get(&id) {
                found.add(&record, self.host.boot);
            }
        }
        found.repairs = Repairs::read(self.host.directory()).total;
        if let Some(cluster) = &self.host.config.cluster {
            let others = cluster.hosts.networks.keys().filter(|name| **name != cluster.hosts.name);
            found.ages = others.filter_map(|name| Some((name.to_string(), age?))).collect();
        }
        let text = found.text();
        if text != self.written || !self.path.exists() {
            publish(&self.path, text.as_bytes())?;
            self.written = text;
        }
        Ok(())
    }

    /// Removes the file: what it says will not be true.
    pub(super) fn end(&self) {
        if let Err(error) = withdraw(&self.path) {
            log::warn!("metrics: {}: {error}", shown(&self.path));
        }
    }
}

/// What the metrics are about.
#[derive(Debug, Default)]
struct Found {
    /// Containers, by state.
    containers: BTreeMap<&'static str, usize>,
    /// Links, by state.
    links: BTreeMap<&'static str, usize>,
    /// Permitted flows, by backend.
    flows: BTreeMap<&'static str, usize>,
    repairs: u64,
    /// The age of what is known of other hosts.
    ages: Vec<(String, Duration)>,
}

const CONTAINER_STATES: [&str; 4] = ["ready", "pending", "dead", "unknown"];
const LINK_STATES: [&str; 3] = ["ready", "waiting", "stale"];

impl Found {
    fn add(&mut self, record: &Record, boot: u128) {
        let state = match (is_running(record, boot), record.phase) {
            (Err(_), _) => "unknown",
            (Ok(false), _) => "dead",
            (Ok(true), Phase::Ready) => "ready",
            (Ok(true), Phase::Pending) => "pending",
        };
        *self.containers.entry(state).or_default() += 1;
        for link in &record.links {
            let state = if link.source.is_some() { "ready" } else { "waiting" };
            *self.links.entry(state).or_default() += 1;
        }
        *self.flows.entry(record.backend.as_str()).or_default() += record.flows.len();
    }

    fn text(&self) -> String {
        let backends = BackendName::ALL.map(BackendName::as_str);
        let mut text = String::new();
        gauge(&mut text, "oci_link_links", "Links of containers, by state.", |text| {
            values(text, "oci_link_links", "state", &LINK_STATES, &self.links);
        });
        gauge(&mut text, "oci_link_containers", "Containers with a record, by state.", |text| {
            values(text, "oci_link_containers", "state", &CONTAINER_STATES, &self.containers);
        });
        gauge(&mut text, "oci_link_flows", "Flows that links permit, by backend.", |text| {
            values(text, "oci_link_flows", "backend", &backends, &self.flows);
        });
        head(
            &mut text,
            "oci_link_repairs",
            "counter",
            "Problems that sync, gc and watch repaired.",
        );
        // A String takes all that is written to it.
        let _ = writeln!(text, "oci_link_repairs_total {}", self.repairs);
        if !self.ages.is_empty() {
            const AGE: &str = "oci_link_view_age_seconds";
            head(
                &mut text,
                AGE,
                "gauge",
                "Age of what is known of another host, when this file was written.",
            );
            let _ = writeln!(text, "# UNIT {AGE} seconds");
            for (host, age) in &self.ages {
                let _ = writeln!(text, "{AGE}{{host=\"{host}\"}} {}", age.as_secs());
            }
        }
        text.push_str("# EOF\n");
        text
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(text, "# TYPE {name} {kind}\n# HELP {name} {help}\n");
}

fn gauge(text: &mut String, name: &str, help: &str, values: impl FnOnce(&mut String)) {
    head(text, name, "gauge", help);
    values(text);
}

/// One line for each of `known`, with 0 for what was not found.
fn values(
    text: &mut String,
    name: &str,
    label: &str,
    known: &[&str],
    found: &BTreeMap<&'static str, usize>,
) {
    for value in known {
        let count = found.get(value).copied().unwrap_or_default();
        let _ = writeln!(text, "{name}{{{label}=\"{value}\"}} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::record;

    #[test]
    fn all_states_and_backends_have_a_value() {
        let mut found = Found { repairs: 7, ..Found::default() };
        found.add(&record("web", "80", &["10.0.0.2/24"]).linked(&["db", "mq"]), 0);
        let text = found.text();
        for line in [
            "# TYPE oci_link_links gauge",
            "oci_link_links{state=\"waiting\"} 2",
            "oci_link_links{state=\"ready\"} 0",
            "oci_link_containers{state=\"dead\"} 1",
            "oci_link_flows{backend=\"nftables\"} 0",
            "# TYPE oci_link_repairs counter",
            "oci_link_repairs_total 7",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        }
        assert!(text.ends_with("\n# EOF\n") && !text.contains("view_age"), "{text}");
        found.ages.push(("b".to_owned(), Duration::from_millis(61_900)));
        assert!(found.text().contains("\noci_link_view_age_seconds{host=\"b\"} 61\n"));
    }
}
