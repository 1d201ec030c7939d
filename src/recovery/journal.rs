//! The last repairs: what `sync`, `gc` and `watch` found and did. `events` prints them, and the metrics of `watch`
//! count them.
//!
//! They are one small file in the state directory, which goes with the records. No start and no end of a container
//! writes it.

use super::finding::Finding;
use crate::error::{Context, Kind, Result};
use crate::host::Host;
use crate::model::ContainerId;
use crate::sys::private_dir::Directory;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// The name of the file.
pub(crate) const FILE: &str = "repairs";
/// The repairs that are kept. More are counted.
const KEPT: usize = 128;
/// The characters of a text that are kept.
const LONGEST: usize = 400;
/// Size limit of the file in bytes.
const MAX: u64 = 1 << 20;
/// How long a repair that is done waits for the lock, to be written down.
const PATIENCE: Duration = Duration::from_secs(1);

/// One repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Repair {
    /// `repaired` or `removed`.
    pub(crate) outcome: String,
    /// What was found.
    pub(crate) text: String,
    /// The id of the container that it was about.
    pub(crate) container: Option<String>,
}

/// The last repairs, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Repairs {
    /// How many there were.
    pub(crate) total: u64,
    last: VecDeque<Repair>,
}

impl Repairs {
    /// Reads the file in the state directory. Without a file, or with one that cannot be read, there were none.
    pub(crate) fn read(state: &Directory) -> Self {
        let bytes = state.read(FILE, MAX).ok().flatten();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// The repairs that came after the first `seen` ones, as far as they are kept.
    pub(crate) fn since(&self, seen: u64) -> impl Iterator<Item = &Repair> {
        let new = usize::try_from(self.total.saturating_sub(seen)).unwrap_or(usize::MAX);
        self.last.iter().skip(self.last.len().saturating_sub(new))
    }

    fn add(&mut self, findings: &[Finding]) {
        self.total = self.total.saturating_add(findings.len() as u64);
        // Of many only the last are kept, so the others are not formatted.
        for finding in &findings[findings.len().saturating_sub(KEPT)..] {
            self.last.push_back(Repair {
                outcome: finding.outcome().to_owned(),
                text: finding.to_string().chars().take(LONGEST).collect(),
                container: finding.container().map(ContainerId::as_str).map(str::to_owned),
            });
        }
        self.last.drain(..self.last.len().saturating_sub(KEPT));
    }
}

/// Writes repairs down. A failure changes nothing about the repairs, and is logged. Takes the host lock.
pub(super) fn note(host: &Host, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    if let Err(error) = write(host, findings) {
        log::debug!("the repairs are not written down: {error}");
    }
}

fn write(host: &Host, findings: &[Finding]) -> Result<()> {
    let host = host.lock_within(PATIENCE)?;
    let mut repairs = Repairs::read(host.directory());
    repairs.add(findings);
    let bytes = serde_json::to_vec(&repairs).context(Kind::Internal, || "JSON")?;
    host.directory().write(FILE, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept_and_all_are_counted() {
        let mut repairs = Repairs::default();
        let leftover = |number: usize| Finding::Leftover(number.to_string());
        repairs.add(&[leftover(0)]);
        let texts = |repairs: &Repairs, seen| -> Vec<String> {
            repairs.since(seen).map(|repair| repair.text.clone()).collect()
        };
        assert_eq!((repairs.total, texts(&repairs, 1).len()), (1, 0));
        assert_eq!(texts(&repairs, 0), [leftover(0).to_string()]);
        repairs.add(&[leftover(1), leftover(2)]);
        assert_eq!(texts(&repairs, 1), [1, 2].map(|number| leftover(number).to_string()));
        let many: Vec<Finding> = (3..1000).map(leftover).collect();
        repairs.add(&many);
        assert_eq!((repairs.total, texts(&repairs, 0).len()), (1000, KEPT));
        assert_eq!(texts(&repairs, 998), [998, 999].map(|number| leftover(number).to_string()));
        // A file that begins again.
        assert_eq!(texts(&Repairs::default(), 7), [""; 0]);
        repairs.add(&[Finding::Leftover("x".repeat(10_000))]);
        assert!(texts(&repairs, 1000)[0].len() <= LONGEST);
        let bytes = serde_json::to_vec(&repairs).unwrap();
        assert!((bytes.len() as u64) < MAX / 4, "{}", bytes.len());
        assert_eq!(serde_json::from_slice::<Repairs>(&bytes).unwrap(), repairs);
    }
}
