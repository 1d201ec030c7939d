//! The rules that accept neighbor discovery of IPv6, which replaces ARP.
//!
//! A bridge that filters lets ARP pass but not ICMPv6. Without these rules no container finds the link-layer address
//! of another. They permit no connection.
//!
//! A routed packet of these types is never legitimate (RFC 4861, 7.1): the rules accept it only if no router lowered
//! its hop limit. A host without that match uses the one for bridged packets, and a host without both accepts none.

use crate::model::Family;
use std::path::Path;

/// The types of solicitations and of advertisements.
const TYPES: [u8; 2] = [135, 136];
/// There if `br_netfilter` is loaded. The kernel loads it for the match for bridged packets.
const FILTER: &str = "/proc/sys/net/bridge";

/// What the line of a cache entry begins with.
const LINE: &str = "discovery by ";

/// What a packet must show besides its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Discovery {
    /// The hop limit that it was sent with.
    #[default]
    HopLimit,
    /// That it is bridged.
    Bridged,
    /// None is accepted.
    Nothing,
}

impl Discovery {
    const ALL: [Self; 3] = [Self::HopLimit, Self::Bridged, Self::Nothing];

    /// The name in the line of a cache entry.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HopLimit => "hop limit",
            Self::Bridged => "bridge",
            Self::Nothing => "nothing",
        }
    }

    /// Finds the line in a cache entry. Without one, it is the first choice.
    pub(super) fn noted(entry: &str) -> Self {
        let noted = entry.lines().find_map(|line| line.strip_prefix(LINE));
        Self::ALL.into_iter().find(|it| Some(it.name()) == noted).unwrap_or_default()
    }

    /// Returns a cache entry with the line for this one. `None` if that changes nothing.
    pub(super) fn note(self, entry: &str) -> Option<String> {
        if Self::noted(entry) == self {
            return None;
        }
        let others = entry.lines().filter(|line| !line.starts_with(LINE));
        let lines: Vec<String> = others.map(|line| format!("{line}\n")).collect();
        Some(format!("{}{LINE}{}\n", lines.concat(), self.name()))
    }

    /// This one and those to try after it on this host, in order.
    pub(super) fn from(first: Self, family: Family) -> Vec<Self> {
        let all = Self::ALL.into_iter().skip_while(move |it| *it != first);
        let of_v6 = all.filter(|it| *it != Self::Bridged || Path::new(FILTER).exists());
        match family {
            Family::V4 => vec![Self::default()],
            Family::V6 => of_v6.collect(),
        }
    }

    /// What the rules in the listing `there` ask for. `None` if they are not complete.
    pub(super) fn found(family: Family, there: &[String]) -> Option<Self> {
        let is_there = |it: &Self| {
            let rules = it.rules(family);
            !rules.is_empty() && rules.iter().all(|rule| there.contains(rule))
        };
        Self::ALL.into_iter().find(is_there)
    }

    /// The rules as `iptables -S` prints them.
    pub(super) fn rules(self, family: Family) -> Vec<String> {
        let test = match (family, self) {
            (Family::V4, _) | (_, Self::Nothing) => return Vec::new(),
            (Family::V6, Self::HopLimit) => "-m hl --hl-eq 255 ",
            (Family::V6, Self::Bridged) => "-m physdev --physdev-is-bridged ",
        };
        with(test)
    }

    /// The number of these rules.
    pub(super) fn count(self, family: Family) -> usize {
        match (family, self) {
            (Family::V4, _) | (_, Self::Nothing) => 0,
            (Family::V6, Self::HopLimit | Self::Bridged) => TYPES.len(),
        }
    }

    /// The rules that do not stay beside these: the other ones, and those of earlier versions.
    pub(super) fn outdated(self, family: Family) -> Vec<String> {
        let others = Self::ALL.into_iter().filter(|it| *it != self);
        let others = others.flat_map(|it| it.rules(family));
        let earlier = if family == Family::V6 { with("") } else { Vec::new() };
        others.chain(earlier).collect()
    }
}

fn with(test: &str) -> Vec<String> {
    let rule =
        |kind| format!("-A OCI-LINK -p ipv6-icmp -m icmp6 --icmpv6-type {kind} {test}-j ACCEPT");
    TYPES.map(rule).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_found_as_they_are_made() {
        for it in [Discovery::HopLimit, Discovery::Bridged] {
            let rules = it.rules(Family::V6);
            assert_eq!(Discovery::found(Family::V6, &rules), Some(it));
            assert_eq!(Discovery::found(Family::V6, &rules[1..]), None);
            let outdated = it.outdated(Family::V6);
            assert_eq!(outdated.len(), 4, "{outdated:?}");
            assert!(rules.iter().all(|rule| !outdated.contains(rule)));
            assert!(it.rules(Family::V4).is_empty() && it.outdated(Family::V4).is_empty());
        }
        let earlier = with("");
        assert_eq!(Discovery::found(Family::V6, &earlier), None);
        for it in Discovery::ALL {
            let outdated = it.outdated(Family::V6);
            assert!(earlier.iter().all(|rule| outdated.contains(rule)), "{it:?} leaves it open");
        }
        assert!(Discovery::Nothing.rules(Family::V6).is_empty());
        assert_eq!(Discovery::noted("ipset\n"), Discovery::HopLimit);
        assert_eq!(Discovery::HopLimit.note("ipset\n"), None);
        let bridged = Discovery::Bridged.note("ipset\n").unwrap();
        assert_eq!(bridged, "ipset\ndiscovery by bridge\n");
        assert_eq!(Discovery::noted(&bridged), Discovery::Bridged);
        let nothing = Discovery::Nothing.note(&bridged).unwrap();
        assert_eq!(nothing, "ipset\ndiscovery by nothing\n");
        assert_eq!(Discovery::noted(&nothing), Discovery::Nothing);
    }

    #[test]
    fn a_host_that_lacks_a_match_takes_the_next() {
        let after = |first| Discovery::from(first, Family::V6);
        assert_eq!(after(Discovery::HopLimit).first(), Some(&Discovery::HopLimit));
        for first in Discovery::ALL {
            assert_eq!(after(first).last(), Some(&Discovery::Nothing));
            assert_eq!(Discovery::from(first, Family::V4), [Discovery::HopLimit]);
        }
    }
}
