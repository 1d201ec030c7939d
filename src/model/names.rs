//! Names of containers: names, host names, aliases, and references to sources.

use super::{ContainerId, Invalid};
use std::borrow::Cow;
use std::fmt;

/// Length limit of names. They become file names with a suffix, and a file name has at most
/// 255 bytes.
const MAX_NAME: usize = 240;
/// Length of the shortest prefix of an id that names a container: Docker's short form of an id.
const MIN_PREFIX: usize = 12;
/// Length limit of a namespace of Kubernetes: a DNS label.
const MAX_LABEL: usize = 63;
/// Length limit of a host name (RFC 1035).
const MAX_HOSTNAME: usize = 253;

/// Accepts ASCII letters, digits and `extra`, starting with a letter, a digit or an underscore.
///
/// This excludes every character with a special meaning in a hosts file, a rule, a path or a
/// terminal. Examples are white space, `#`, `/`, NUL, a leading `-` or `.`, and non-ASCII
/// characters.
fn check(what: &'static str, value: &str, extra: &str, max: usize) -> Result<String, Invalid> {
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
    /// How a link names its source: by name, by id, by the beginning of an engine's id, or as
    /// `pod/container`.
    Reference, "link source", "_.+-", MAX_NAME
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

impl Reference {
    /// Checks `value`, which may also be `pod/container`. Only a container in a pod may link to such a source.
    pub(crate) fn of_link(value: &str) -> Result<Self, Invalid> {
        let is_part = |text: &str| Self::new(text).is_ok();
        match value.split_once('/') {
            Some((pod, container))
                if value.len() <= MAX_NAME && is_part(pod) && is_part(container) =>
            {
                Ok(Self(value.to_owned()))
            }
            _ => Self::new(value),
        }
    }

    /// Returns pod and container of `pod/container`.
    pub(crate) fn in_pod(&self) -> Option<(&str, &str)> {
        self.0.split_once('/')
    }

    /// Refuses `pod/container`.
    pub(crate) fn must_be_plain(&self) -> Result<(), Invalid> {
        Self::new(&self.0).map(drop)
    }

    /// Returns the reference as a file name.
    pub(crate) fn key(&self) -> Cow<'_, str> {
        match self.in_pod() {
            Some((pod, container)) => Cow::Owned(format!("{pod}~{container}")),
            None => Cow::Borrowed(&self.0),
        }
    }

    /// Whether the reference is long enough to name ids by their beginning: at least 12 hexadecimal
    /// digits. A shorter one could be meant as a name.
    pub(crate) fn is_prefix(&self) -> bool {
        let length = MIN_PREFIX..ContainerId::ENGINE_LENGTH;
        length.contains(&self.0.len()) && self.0.bytes().all(|b| b.is_ascii_hexdigit())
    }

    /// Whether a link finds `id` by this beginning of it. Only ids that engines draw at random are found
    /// so: other ids are words, and one may be the beginning of another.
    pub(crate) fn begins(&self, id: &ContainerId) -> bool {
        self.is_prefix() && id.is_engine_id() && id.as_str().starts_with(&self.0)
    }
}

impl From<&Reference> for ContainerName {
    /// A reference has the form of a name; of `pod/container` it is the container.
    fn from(reference: &Reference) -> Self {
        let name = reference.in_pod().map_or(reference.as_str(), |(_, container)| container);
        Self(name.to_owned())
    }
}

impl From<&Reference> for Alias {
    /// The default alias of a link is the source as written, even a full id, as in Docker. Of
    /// `pod/container` it is the container.
    fn from(source: &Reference) -> Self {
        let alias = source.in_pod().map_or(source.as_str(), |(_, container)| container);
        Self(alias.to_owned())
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
    fn only_the_beginning_of_an_engines_id_is_a_prefix() {
        let id = "0123456789abcdef".repeat(4);
        let begins = |text: &str, id: &str| {
            Reference::new(text).unwrap().begins(&ContainerId::new(id).unwrap())
        };
        for length in [12, 13, 40, 63] {
            assert!(begins(&id[..length], &id), "{length}");
        }
        for length in [1, 11, 64] {
            assert!(!begins(&id[..length], &id), "{length}");
        }
        assert!(!begins(&id[1..14], &id));
        for other in [&id[..63], "db-backup-0123456789", &format!("{id}0"), &id.replace('f', "g")] {
            assert!(!begins(&other[..12], other), "{other}");
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
