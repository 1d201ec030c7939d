//! Exposed ports, such as `3306/tcp, 33060, 7000-7010/udp`.

use super::Invalid;
use std::collections::BTreeSet;
use std::fmt;

/// Limit of exposed ports, above that of real images. With iptables each port costs two rules.
const MAX_PORTS: usize = 4096;

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

/// One exposed port. Ordered by number, then protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// 1 to 65535.
    pub number: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

/// The ports that a container exposes, without duplicates, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortSet(BTreeSet<Port>);

impl PortSet {
    /// Parses a list separated by commas or white space. `none` and an empty list expose nothing.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        let mut ports = BTreeSet::new();
        if value.trim() == "none" {
            return Ok(Self(ports));
        }
        for item in value.split([',', ' ', '\t', '\n']).filter(|item| !item.is_empty()) {
            let (first, last, protocol) = parse_item(item)?;
            if usize::from(last - first) >= MAX_PORTS {
                return Err(Invalid::new("ports", item, "more than 4096 ports"));
            }
            ports.extend((first..=last).map(|number| Port { number, protocol }));
            if ports.len() > MAX_PORTS {
                return Err(Invalid::new("ports", value, "more than 4096 ports"));
            }
        }
        Ok(Self(ports))
    }

    /// Iterates in order of number, then protocol.
    pub fn iter(&self) -> impl Iterator<Item = Port> + '_ {
        self.0.iter().copied()
    }

    /// Whether nothing is exposed.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for PortSet {
    /// Writes the form that `parse` accepts, with ranges for consecutive ports:
    /// `53/udp,7000-7010/tcp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(Port, u16)> = Vec::new();
        for port in self.iter() {
            let goes_on = |(first, last): &&mut (Port, u16)| {
                first.protocol == port.protocol && last.checked_add(1) == Some(port.number)
            };
            match runs.iter_mut().find(goes_on) {
                Some((_, last)) => *last = port.number,
                None => runs.push((port, port.number)),
            }
        }
        for (at, (first, last)) in runs.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            if *last == first.number {
                write!(f, "{first}")?;
            } else {
                write!(f, "{}-{last}/{}", first.number, first.protocol)?;
            }
        }
        Ok(())
    }
}

impl FromIterator<Port> for PortSet {
    fn from_iter<I: IntoIterator<Item = Port>>(ports: I) -> Self {
        Self(ports.into_iter().collect())
    }
}

/// Parses one `number[-number][/protocol]` into first port, last port and protocol. The default
/// protocol is tcp.
fn parse_item(item: &str) -> Result<(u16, u16, Protocol), Invalid> {
    let refuse = |why| Err(Invalid::new("port", item, why));
    let (range, protocol) = item.split_once('/').unwrap_or((item, "tcp"));
    let Some(protocol) = Protocol::parse(protocol) else {
        return refuse("the protocol must be tcp, udp or sctp");
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last, protocol)),
        (Some(_), Some(_)) => refuse("the range ends before it begins"),
        _ => refuse("want a number from 1 to 65535"),
    }
}

/// Parses a port number, digits only: `u16::from_str` would accept a plus sign.
fn number(value: &str) -> Option<u16> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    value.parse().ok().filter(|number| digits && *number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(value: &str) -> Option<Vec<String>> {
        PortSet::parse(value).ok().map(|ports| ports.iter().map(|port| port.to_string()).collect())
    }

    #[test]
    fn lists_and_ranges() {
        let ports = list("3306/tcp, 33060\t7000-7002/UDP,7001/udp 53/sctp").unwrap_or_default();
        assert_eq!(ports, ["53/sctp", "3306/tcp", "7000/udp", "7001/udp", "7002/udp", "33060/tcp"]);
        assert_eq!(list("none"), Some(vec![]));
        assert_eq!(list(""), Some(vec![]));
    }

    #[test]
    fn runs_are_written_as_ranges() {
        for (ports, written) in [
            ("none", ""),
            ("3306,53/udp", "53/udp,3306/tcp"),
            ("80-82,81/udp,84", "80-82/tcp,81/udp,84/tcp"),
            ("65534-65535/sctp", "65534-65535/sctp"),
        ] {
            let set = PortSet::parse(ports);
            assert_eq!(set.as_ref().map(ToString::to_string).as_deref(), Ok(written));
            assert_eq!(PortSet::parse(written), set, "it is read back");
        }
    }

    #[test]
    fn protocols_go_by_the_numbers_that_packets_carry() {
        for (protocol, number) in [(Protocol::Tcp, 6), (Protocol::Udp, 17), (Protocol::Sctp, 132)] {
            assert_eq!(protocol.number(), number);
            assert_eq!(Protocol::from_number(number), Some(protocol));
        }
        assert_eq!(Protocol::from_number(1), None, "that is icmp");
    }

    #[test]
    fn what_is_not_a_port() {
        for bad in
            ["0", "65536", "+80", "-1", "80/icmp", "80/", "2-1", "1-", "a", "80\0", "1-65535"]
        {
            assert_eq!(list(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_bound_counts_all_items() {
        assert!(list("1-4096").is_some());
        assert_eq!(list("1-4096,5000"), None);
        assert_eq!(list("1-3000/tcp,1-3000/udp"), None);
    }
}
