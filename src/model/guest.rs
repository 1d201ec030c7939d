//! What this host has let in: a recipient of another host, to one of its own sources.

use super::{BackendName, ContainerId, ContainerName, Flow, Guest, OwnerTag, PeerRun, Phase};

/// The record of one recipient of another host that is linked to one source of this host.
///
/// It names everything that exists for it, and is written before that and removed after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GuestRecord {
    /// The recipient.
    pub(crate) recipient: PeerRun,
    /// Its name.
    pub(crate) name: ContainerName,
    /// The source, a container of this host.
    pub(crate) source: ContainerId,
    /// The owner tag of the source's run. Its next run gets a guest of its own.
    pub(crate) run: OwnerTag,
    /// Whether the rules are complete.
    pub(crate) phase: Phase,
    /// The tag of the rules.
    pub(crate) owner: OwnerTag,
    /// The backend that holds the rules.
    pub(crate) backend: BackendName,
    /// The flows that the rules permit. While pending, all flows that they may permit.
    pub(crate) flows: Vec<Flow>,
}

impl GuestRecord {
    /// Returns the receipt for the recipient's host, once its half is there.
    pub(crate) fn receipt(&self) -> Option<Guest> {
        let PeerRun { host, run, .. } = &self.recipient;
        let is_ready = self.phase == Phase::Ready;
        is_ready.then(|| Guest { host: host.clone(), run: run.clone() })
    }
}
