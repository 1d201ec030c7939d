//! The network of a container, as far as links need it.

use super::Address;

/// The network of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// A network namespace of its own (or of its pod), with its addresses.
    ///
    /// They are in the order of the interfaces: IPv4 and global IPv6 addresses.
    Own(Vec<Address>),
    /// The host's network namespace. Links cannot be made there.
    Host,
    /// A container of a rootless engine that is on no bridge. Links cannot be made there.
    NoBridge(NoBridge),
}

/// What a container of a rootless engine has in place of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBridge {
    /// The host's network namespace.
    Host,
    /// The process pasta, which gives it the addresses of the host.
    Pasta,
    /// The process slirp4netns, which gives all containers one address.
    Slirp4netns,
    /// No interface.
    Nothing,
}

impl NoBridge {
    const ALL: [Self; 4] = [Self::Host, Self::Pasta, Self::Slirp4netns, Self::Nothing];

    /// The word in a record.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Pasta => "pasta",
            Self::Slirp4netns => "slirp4netns",
            Self::Nothing => "none",
        }
    }

    /// Parses the word of a record.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }

    /// Judges by the names of the container's interfaces. Those of pasta are named as the host's.
    pub(crate) fn of_interfaces<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut others = names.filter(|name| *name != "lo");
        match others.next() {
            None => Self::Nothing,
            Some("tap0") => Self::Slirp4netns,
            Some(_) => Self::Pasta,
        }
    }

    /// What a message calls it, and why it has no links.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Host => "the host's network, where links cannot be made",
            Self::Pasta => "pasta, where containers do not reach each other",
            Self::Slirp4netns => "slirp4netns, where containers do not reach each other",
            Self::Nothing => "no network, where containers do not reach each other",
        }
    }
}

impl Network {
    /// Returns the addresses that a link may use. There are none in the host's namespace, and none without a
    /// bridge.
    pub(crate) fn addresses(&self) -> &[Address] {
        match self {
            Self::Own(addresses) => addresses,
            Self::Host | Self::NoBridge(_) => &[],
        }
    }

    /// Whether links can be made there.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// The word for it in a list of containers, if links cannot be made there.
    pub(crate) fn word(&self) -> Option<&'static str> {
        match self {
            Self::Own(_) => None,
            Self::Host => Some("host"),
            Self::NoBridge(no_bridge) => Some(no_bridge.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_tell_what_a_container_without_a_bridge_is_on() {
        for (names, expected) in [
            (&["lo", "tap0"][..], NoBridge::Slirp4netns),
            (&["eth0", "lo"], NoBridge::Pasta),
            (&["lo"], NoBridge::Nothing),
            (&[], NoBridge::Nothing),
        ] {
            assert_eq!(NoBridge::of_interfaces(names.iter().copied()), expected, "{names:?}");
        }
        for known in NoBridge::ALL {
            assert_eq!(NoBridge::parse(known.as_str()), Some(known));
            assert_eq!(Network::NoBridge(known).word(), Some(known.as_str()));
            assert!(!Network::NoBridge(known).is_own());
        }
        assert_eq!(NoBridge::parse("bridge"), None);
        assert_eq!((Network::Host.word(), Network::Own(Vec::new()).word()), (Some("host"), None));
    }
}
