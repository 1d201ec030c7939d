//! Exposed ports, such as `3306/tcp, 33060, 7000-7010/udp`.

use super::Invalid;
use std::fmt;
use std::ops::RangeInclusive;

/// Limit of single ports and ranges that a container exposes, above that of real images. With iptables
/// each costs two rules.
const MAX_RANGES: usize = 4096;
/// The most neighbours that stay apart in a set.
const MAX_NEIGHBOURS: usize = 16;

/// A transport protocol that Docker can expose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Returns the lower-case name, as iptables and Docker write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// Returns the IP protocol number.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// Returns the protocol with this IP protocol number, if Docker can expose it.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp].into_iter().find(|protocol| protocol.number() == number)
    }

    fn parse(value: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp]
            .into_iter()
            .find(|protocol| value.eq_ignore_ascii_case(protocol.as_str()))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Consecutive ports of one protocol; a single port is a range whose first port is its last.
///
/// Ordered by first port, then last port, then protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// 1 to `last`.
    first: u16,
    /// `first` to 65535.
    last: u16,
    protocol: Protocol,
}

impl PortRange {
    /// The ports from `first` to `last`; `None` for port 0, or if `last` is below `first`.
    pub fn new(first: u16, last: u16, protocol: Protocol) -> Option<Self> {
        (0 < first && first <= last).then_some(Self { first, last, protocol })
    }

    /// A single port; `None` for port 0.
    pub fn single(number: u16, protocol: Protocol) -> Option<Self> {
        Self::new(number, number, protocol)
    }

    /// Parses one `number[-number][/protocol]`. The default protocol is tcp.
    pub(crate) fn parse(item: &str) -> Result<Self, Invalid> {
        let refuse = |why| Err(Invalid::new("port", item, why));
        let (range, protocol) = item.split_once('/').unwrap_or((item, "tcp"));
        let Some(protocol) = Protocol::parse(protocol) else {
            return refuse("the protocol must be tcp, udp or sctp");
        };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (number(first), number(last)) {
            (Some(first), Some(last)) => Self::new(first, last, protocol)
                .map_or_else(|| refuse("the range ends before it begins"), Ok),
            _ => refuse("want a number from 1 to 65535"),
        }
    }

    /// Returns the first port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// Returns the last port.
    pub fn last(self) -> u16 {
        self.last
    }

    /// Returns the protocol.
    pub fn protocol(self) -> Protocol {
        self.protocol
    }

    /// Whether this is one port.
    pub fn is_single(self) -> bool {
        self.first == self.last
    }

    /// Returns the number of ports.
    pub(crate) fn count(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// Iterates over the port numbers.
    pub(crate) fn numbers(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }

    /// Whether all ports of `other` are in this range.
    fn covers(self, other: Self) -> bool {
        self.protocol == other.protocol && self.first <= other.first && other.last <= self.last
    }

    /// Whether `next` begins right after this range.
    fn touches(self, next: Self) -> bool {
        self.protocol == next.protocol && self.last.checked_add(1) == Some(next.first)
    }
}

impl fmt::Display for PortRange {
    /// Writes `80/tcp` or `7000-7010/udp`, which `parse` accepts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            write!(f, "{}/{}", self.first, self.protocol)
        } else {
            write!(f, "{}-{}/{}", self.first, self.last, self.protocol)
        }
    }
}

/// The ports that a container exposes, as ranges in order that do not overlap.
///
/// A range stays one range, and a single port stays single. Ranges that overlap become one. So do
/// neighbours if there are more than 16, because engines list the ports of a range
/// one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortSet(Vec<PortRange>);

impl PortSet {
    /// Parses a list separated by commas or white space. `none` and an empty list expose nothing.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        if value.trim() == "none" {
            return Ok(Self::default());
        }
        let items = value.split([',', ' ', '\t', '\n']).filter(|item| !item.is_empty());
        let set: Self = items.map(PortRange::parse).collect::<Result<_, _>>()?;
        if set.0.len() > MAX_RANGES {
            return Err(Invalid::new("ports", value, "more than 4096 ports and ranges"));
        }
        Ok(set)
    }

    /// Returns the set of as many of `ranges` as a set may have, the lowest ones, and how many ranges
    /// are left out.
    pub(crate) fn fitting(ranges: impl IntoIterator<Item = PortRange>) -> (Self, usize) {
        let mut set: Self = ranges.into_iter().collect();
        let left_out = set.0.len().saturating_sub(MAX_RANGES);
        set.0.truncate(MAX_RANGES);
        (set, left_out)
    }

    /// Iterates in order of first port, last port, then protocol.
    pub fn iter(&self) -> impl Iterator<Item = PortRange> + '_ {
        self.0.iter().copied()
    }

    /// Whether nothing is exposed.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of ports.
    pub(crate) fn count(&self) -> usize {
        self.iter().map(PortRange::count).sum()
    }

    /// Whether one range of the set has all ports of `range`.
    pub(crate) fn covers(&self, range: PortRange) -> bool {
        self.iter().any(|own| own.covers(range))
    }
}

impl fmt::Display for PortSet {
    /// Writes a form that `parse` accepts, with ranges for consecutive ports: `53/udp,7000-7010/tcp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges = self.0.clone();
        ranges.sort_unstable_by_key(|range| by_protocol(*range));
        let mut ranges = joined(&ranges, 1);
        ranges.sort_unstable();
        for (at, range) in ranges.iter().enumerate() {
            write!(f, "{}{range}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromIterator<PortRange> for PortSet {
    fn from_iter<I: IntoIterator<Item = PortRange>>(ranges: I) -> Self {
        let mut all: Vec<PortRange> = ranges.into_iter().collect();
        all.sort_unstable_by_key(|range| by_protocol(*range));
        all.dedup_by(|next, range| {
            let overlap = range.protocol == next.protocol && next.first <= range.last;
            if overlap {
                range.last = range.last.max(next.last);
            }
            overlap
        });
        let mut set = joined(&all, MAX_NEIGHBOURS);
        if set.len() > MAX_RANGES {
            set = joined(&all, 1);
        }
        set.sort_unstable();
        Self(set)
    }
}

/// Sort key that puts neighbours side by side.
fn by_protocol(range: PortRange) -> (Protocol, u16, u16) {
    (range.protocol, range.first, range.last)
}

/// Joins each run of more than `most` neighbours to one range. `sorted` is sorted by [`by_protocol`].
fn joined(sorted: &[PortRange], most: usize) -> Vec<PortRange> {
    let mut all = Vec::new();
    for run in sorted.chunk_by(|range, next| range.touches(*next)) {
        match run {
            [first, .., last] if run.len() > most => {
                all.push(PortRange { last: last.last, ..*first });
            }
            few => all.extend(few),
        }
    }
    all
}

/// Parses a port number, digits only: `u16::from_str` would accept a plus sign.
fn number(value: &str) -> Option<u16> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    value.parse().ok().filter(|number| digits && *number != 0)
}

#[cfg(test)]
mod tests;
