//! Names of containers: names, host names and aliases.

use super::{ContainerId, Invalid, Reference};
use std::fmt;

/// Length limit of names. They become file names with a suffix, and a file name has at most
/// 255 bytes.
pub(super) const MAX_NAME: usize = 240;
/// Length limit of a namespace of Kubernetes: a DNS label.
const MAX_LABEL: usize = 63;
/// Length limit of a host name (RFC 1035).
const MAX_HOSTNAME: usize = 253;

/// Accepts ASCII letters, digits and `extra`, starting with a letter, a digit or an underscore.
///
/// This excludes every character with a special meaning in a hosts file, a rule, a path or a
/// terminal. Examples are white space, `#`, `/`, NUL, a leading `-` or `.`, and non-ASCII
/// characters.
pub(super) fn check(
    what: &'static str,
    value: &str,
    extra: &str,
    max: usize,
) -> Result<String, Invalid> {
    let refuse = |why| Err(Invalid::new(what, value, why));
    let Some(first) = value.bytes().next() else { return refuse("is empty") };
    if value.len() > max {
        return refuse("is too long");
    }
    if !first.is_ascii_alphanumeric() && first != b'_' {
        return refuse("must start with a letter, a digit or an underscore");
    }
    if !value.bytes().all(|b| b.is_ascii_alphanumeric() || extra.as_bytes().contains(&b)) {
        return refuse("has a character that is not allowed");
    }
    Ok(value.to_owned())
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $extra:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks `value`.
            pub fn new(value: &str) -> Result<Self, Invalid> {
                check($what, value, $extra, $max).map(Self)
            }

            /// Returns the text, which is safe wherever this kind of name is used.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_name!(
    /// The name that users give a container.
    ContainerName, "container name", "_.+-", MAX_NAME
);
checked_name!(
    /// A container's own host name.
    Hostname, "host name", "_.-", MAX_HOSTNAME
);
checked_name!(
    /// The name of a source inside a recipient.
    Alias, "alias", "_.+-", MAX_HOSTNAME
);
checked_name!(
    /// A namespace of Kubernetes.
    NamespaceName, "namespace", "-", MAX_LABEL
);
checked_name!(
    /// The name of a pod of Kubernetes.
    PodName, "pod", ".-", MAX_NAME
);

checked_name!(
    /// What an engine calls a network.
    NetworkName, "network", "_.+-", MAX_NAME
);

/// Length limit of a bridge name: the kernel's `IFNAMSIZ` without the NUL.
const MAX_BRIDGE: usize = 15;

/// The name of a bridge on the host, without characters that iptables reads as a pattern.
///
/// Every address and flow may contain one, so it is `Copy`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BridgeName([u8; MAX_BRIDGE]);

impl BridgeName {
    /// Checks `value`.
    pub fn new(value: &str) -> Result<Self, Invalid> {
        let checked = check("bridge", value, "_.-", MAX_BRIDGE)?;
        let mut bytes = [0; MAX_BRIDGE];
        bytes[..checked.len()].copy_from_slice(checked.as_bytes());
        Ok(Self(bytes))
    }

    /// Returns the text, which is safe wherever an interface is named.
    pub(crate) fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(MAX_BRIDGE);
        // Always valid: `new` accepts ASCII only.
        std::str::from_utf8(&self.0[..end]).unwrap_or_default()
    }

    /// Returns what the names of interfaces for its VLANs begin with, as CNI calls them. `None` if such a name
    /// would be too long.
    pub(crate) fn vlans(&self) -> Option<String> {
        let start = format!("{self}.");
        (start.len() < MAX_BRIDGE).then_some(start)
    }
}

impl fmt::Display for BridgeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for BridgeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BridgeName({self})")
    }
}

impl ContainerName {
    /// Parses the name in the record of `id`, which may be derived from the id.
    pub(crate) fn of_record(value: &str, id: &ContainerId) -> Result<Self, Invalid> {
        let derived = Self::from(id);
        if derived.0 == value { Ok(derived) } else { Self::new(value) }
    }

    /// Whether the name only resembles the id and no link can name it.
    pub(crate) fn is_derived(&self) -> bool {
        self.reference().is_none()
    }

    /// Returns the reference by which a link may name the container. A derived name has none.
    pub(crate) fn reference(&self) -> Option<Reference> {
        Reference::new(&self.0).ok()
    }
}

impl From<&ContainerId> for ContainerName {
    /// The default name of a container: its id, or what can be shown in place of it.
    fn from(id: &ContainerId) -> Self {
        Self(id.display_name())
    }
}

impl From<&Reference> for ContainerName {
    /// A reference has the form of a name; of `pod/container` it is the container, of `name@host` the name.
    fn from(reference: &Reference) -> Self {
        Self(reference.bare().to_owned())
    }
}

impl From<&Reference> for Alias {
    /// The default alias of a link is the source as written, even a full id, as in Docker. Of
    /// `pod/container` it is the container, of `name@host` the name.
    fn from(source: &Reference) -> Self {
        Self(source.bare().to_owned())
    }
}

impl Alias {
    /// Compares as host names, ignoring ASCII case.
    pub(crate) fn same_host(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }

    /// Whether every container's hosts file already uses this alias, see [`is_reserved`].
    pub(crate) fn is_reserved(&self) -> bool {
        is_reserved(&self.0)
    }

    /// Returns the prefix of this link's variables: upper case, with `-` replaced by `_` (moby
    /// daemon/links/links.go).
    pub(crate) fn variable_prefix(&self) -> String {
        self.0.to_ascii_uppercase().replace('-', "_")
    }
}

/// Whether every container's hosts file already uses this name, such as `localhost` or
/// `ip6-loopback`.
///
/// As an alias, such a name would send traffic meant for the container itself to the source.
pub(crate) fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.starts_with("localhost.") || name.starts_with("ip6-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_engines_give_are_accepted() {
        for name in ["db", "My.Db-2-1", "cache_1-2-2", "k8s_web_pod_ns_0", "a", "UP0", "_x"] {
            assert!(ContainerName::new(name).is_ok(), "{name}");
            assert!(Alias::new(name).is_ok(), "{name}");
        }
        assert!(ContainerName::new(&"f".repeat(MAX_NAME)).is_ok());
        assert!(ContainerName::new(&"f".repeat(MAX_NAME + 1)).is_err());
    }

    #[test]
    fn everything_else_is_refused() {
        let long = "x".repeat(MAX_HOSTNAME + 1);
        for name in [
            "",
            ".",
            "..",
            "-f",
            "a b",
            "a\tb",
            "a\nb",
            "a\rb",
            "a#b",
            "a\0b",
            "a/b",
            "/",
            "é",
            "a\u{2028}b",
            "a\u{202e}b",
            "a:b",
            "a,b",
            &long,
        ] {
            assert!(ContainerName::new(name).is_err(), "{name:?}");
            assert!(Alias::new(name).is_err(), "{name:?}");
            assert!(Hostname::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn bridges_of_every_length() {
        for name in ["b", "br0", "br-0123456789ab", "_.-"] {
            assert_eq!(BridgeName::new(name).map(|bridge| bridge.to_string()), Ok(name.to_owned()));
        }
        for name in ["", "br+", "br 0", "br0\0", "br-0123456789abc", "!br0", "br0\n"] {
            assert!(BridgeName::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn reserved_aliases() {
        for name in ["localhost", "LocalHost", "localhost.localdomain", "ip6-loopback"] {
            assert!(Alias::new(name).is_ok_and(|alias| alias.is_reserved()), "{name}");
        }
        assert!(Alias::new("localhosts").is_ok_and(|alias| !alias.is_reserved()));
    }
}
