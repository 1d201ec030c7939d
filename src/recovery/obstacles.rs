//! What other programs put in the way of links: no repair of ours can remove it.

use crate::error::Result;
use crate::firewall::foreign::{Obstacle, Sample, obstacles as find};
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::model::{BackendName, Record};

/// Packets that are tried; a few differ in more than their addresses.
const MAX_PACKETS: usize = 256;

/// Finds chains of other programs that drop the packets of links of running containers.
pub(crate) fn obstacles(host: &Host) -> Result<Vec<Obstacle>> {
    let mut running = host.store.all()?;
    running.retain(|record| is_running(record, host.boot).is_ok_and(|runs| runs));
    let packets = packets(&running);
    if packets.is_empty() { Ok(Vec::new()) } else { find(&packets) }
}

/// The packets that links of these containers permit, each with its backend.
pub(crate) fn packets(records: &[Record]) -> Vec<(BackendName, Sample)> {
    let mut packets = Vec::new();
    for record in records.iter().filter(|record| record.backend != BackendName::None) {
        for flow in record.flows.iter().take(MAX_PACKETS - packets.len()) {
            packets.push((record.backend, Sample::of(flow)));
        }
    }
    packets
}
