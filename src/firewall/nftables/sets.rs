//! The sets of the table, and the timeout with which elements go.

use crate::model::{Crossing, Family, Flow};
use crate::sys::net::netlink::message::Body;
use crate::sys::net::netlink::uapi::NFTA_SET_ELEM_TIMEOUT;
use std::time::Duration;

/// How often the kernel frees elements that have lapsed, in milliseconds. Until then they take memory only.
pub(crate) const FREE_EVERY: u32 = 60_000;
/// Tells `nft` how to print keys of one interface (`NFTNL_UDATA_SET_KEYBYTEORDER`): type, length, value. Without it
/// `nft` lists a name as `""`, which it cannot read again.
pub(crate) const HOST_BYTE_ORDER: [u8; 6] = {
    let [a, b, c, d] = 1_u32.to_ne_bytes();
    [0, 4, a, b, c, d]
};
/// The time that an element has left when it lapses. The kernel rounds it up to a tick.
const LEAST_TIMEOUT: Duration = Duration::from_millis(1);

/// The longest time that such an element has left. The kernel counts 100 ticks in a second, or more.
pub(crate) const LONGEST_TICK: Duration = Duration::from_millis(10);

/// Writes the timeout of an element that lapses.
pub(crate) fn write_lapse(item: &mut Body<'_>) {
    write_timeout(item, LEAST_TIMEOUT);
}

/// Writes the time after which an element ends. The kernel counts from the moment at which it is added.
pub(crate) fn write_timeout(item: &mut Body<'_>, left: Duration) {
    // Zero would be no timeout.
    let left = left.max(LEAST_TIMEOUT).as_millis();
    item.bytes(NFTA_SET_ELEM_TIMEOUT, &u64::try_from(left).unwrap_or(u64::MAX).to_be_bytes());
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
    /// Whether they are between hosts. Their elements have a timeout, and the bridge is that of the end on this host.
    pub(crate) crossing: Crossing,
}

impl NftSet {
    /// The sets of flows on this host.
    pub(crate) const ALL: [Self; 6] = [
        Self::within(Family::V4, true, true),
        Self::within(Family::V4, true, false),
        Self::within(Family::V4, false, false),
        Self::within(Family::V6, true, true),
        Self::within(Family::V6, true, false),
        Self::within(Family::V6, false, false),
    ];
    /// The sets of flows between hosts. They are made with the first such flow.
    pub(crate) const BETWEEN_HOSTS: [Self; 4] = [
        Self::across(Family::V4, Crossing::Leaves),
        Self::across(Family::V4, Crossing::Enters),
        Self::across(Family::V6, Crossing::Leaves),
        Self::across(Family::V6, Crossing::Enters),
    ];

    /// A set of flows on this host.
    pub(crate) const fn within(family: Family, bridged: bool, by_port: bool) -> Self {
        Self { family, bridged, by_port, crossing: Crossing::Within }
    }

    /// A set of flows between hosts.
    pub(crate) const fn across(family: Family, crossing: Crossing) -> Self {
        Self { family, bridged: true, by_port: false, crossing }
    }

    /// Every set of flows.
    pub(crate) fn every() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(Self::BETWEEN_HOSTS)
    }

    /// The set that a flow belongs to.
    pub(crate) fn of(flow: &Flow) -> Self {
        let by_port = flow.bridge.is_some_and(|on| on.by_port);
        let crossing = flow.bridge.map(|on| on.crossing).unwrap_or_default();
        Self { family: Family::of(flow.from), bridged: flow.bridge.is_some(), by_port, crossing }
    }

    /// The name of the set.
    pub(crate) fn name(self) -> &'static str {
        match (self.family, self.crossing) {
            (Family::V4, Crossing::Leaves) => return "leaves4",
            (Family::V4, Crossing::Enters) => return "enters4",
            (Family::V6, Crossing::Leaves) => return "leaves6",
            (Family::V6, Crossing::Enters) => return "enters6",
            (_, Crossing::Within) => {}
        }
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

/// Formats a flow to a single port as `nft list set` prints it.
pub(super) fn show(flow: &Flow) -> String {
    let Flow { from, to, ports, bridge } = flow;
    let set = NftSet::of(flow).name();
    let bridge = bridge.map(|on| format!("\"{}\" . ", on.name)).unwrap_or_default();
    format!("{set} {bridge}{from} . {to} . {} . {}", ports.protocol(), ports.first())
}
