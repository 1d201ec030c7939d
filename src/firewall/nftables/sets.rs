//! The sets of the table, and the timeout with which elements go.

use crate::model::{Family, Flow};
use crate::sys::net::netlink::message::Body;
use crate::sys::net::netlink::uapi::NFTA_SET_ELEM_TIMEOUT;

/// How often the kernel frees elements that have lapsed, in milliseconds. Until then they take memory only.
pub(crate) const FREE_EVERY: u32 = 60_000;
/// The time in milliseconds that an element has left when it lapses. The kernel rounds it up to a tick.
const LEAST_TIMEOUT: u64 = 1;

/// The longest time in milliseconds that such an element has left. The kernel counts 100 ticks in a second, or more.
pub(crate) const LONGEST_TICK: u64 = 10;

/// Writes the timeout of an element that lapses.
pub(crate) fn write_lapse(item: &mut Body<'_>) {
    item.bytes(NFTA_SET_ELEM_TIMEOUT, &LEAST_TIMEOUT.to_be_bytes());
}

/// One of our sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NftSet {
    /// The address family of its flows.
    pub(crate) family: Family,
    /// Whether its flows are bound to a bridge. The key then begins with the name of the bridge.
    pub(crate) bridged: bool,
    /// Whether they are also tied to ports of the bridge. Their packets need the mark of the bridge table.
    pub(crate) by_port: bool,
}

impl NftSet {
    /// All our sets.
    pub(crate) const ALL: [Self; 6] = [
        Self { family: Family::V4, bridged: true, by_port: true },
        Self { family: Family::V4, bridged: true, by_port: false },
        Self { family: Family::V4, bridged: false, by_port: false },
        Self { family: Family::V6, bridged: true, by_port: true },
        Self { family: Family::V6, bridged: true, by_port: false },
        Self { family: Family::V6, bridged: false, by_port: false },
    ];

    /// The set that a flow belongs to.
    pub(crate) fn of(flow: &Flow) -> Self {
        let by_port = flow.bridge.is_some_and(|on| on.by_port);
        Self { family: Family::of(flow.from), bridged: flow.bridge.is_some(), by_port }
    }

    /// The name of the set.
    pub(crate) fn name(self) -> &'static str {
        match (self.family, self.bridged, self.by_port) {
            (Family::V4, _, true) => "ported4",
            (Family::V4, true, false) => "bridged4",
            (Family::V4, false, false) => "links4",
            (Family::V6, _, true) => "ported6",
            (Family::V6, true, false) => "bridged6",
            (Family::V6, false, false) => "links6",
        }
    }
}
