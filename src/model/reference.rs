//! References: how a link names its source.

use super::names::{MAX_NAME, check};
use super::{ContainerId, HostName, Invalid, PeerRun};
use std::borrow::Cow;
use std::fmt;

/// Length of the shortest prefix of an id that names a container: Docker's short form of an id.
const MIN_PREFIX: usize = 12;

/// How a link names its source: by name, by id, by the beginning of an engine's id, as
/// `pod/container`, or as `name@host` or `id@host` on another host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference(String);

impl Reference {
    /// Checks `value`, a name or an id on this host.
    pub fn new(value: &str) -> Result<Self, Invalid> {
        check("link source", value, "_.+-", MAX_NAME).map(Self)
    }

    /// Checks `value`, which may also be `pod/container` or `name@host`. Only a container in a pod may link
    /// to the first.
    pub(crate) fn of_link(value: &str) -> Result<Self, Invalid> {
        let is_part = |text: &str| Self::new(text).is_ok();
        if let Some((name, host)) = value.split_once('@') {
            Self::new(name)?;
            HostName::new(host)?;
            return match value.len() {
                0..=MAX_NAME => Ok(Self(value.to_owned())),
                _ => Err(Invalid::new("link source", value, "is too long")),
            };
        }
        match value.split_once('/') {
            Some((pod, container))
                if value.len() <= MAX_NAME && is_part(pod) && is_part(container) =>
            {
                Ok(Self(value.to_owned()))
            }
            _ => Self::new(value),
        }
    }

    /// The container of `run` by its id and its host.
    pub(crate) fn to_run(run: &PeerRun) -> Self {
        Self(run.key())
    }

    /// Returns the text, which is safe in a message and, without a slash, in a path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns pod and container of `pod/container`.
    pub(crate) fn in_pod(&self) -> Option<(&str, &str)> {
        self.0.split_once('/')
    }

    /// Returns the host of `name@host`.
    pub(crate) fn host(&self) -> Option<HostName> {
        self.0.split_once('@').and_then(|(_, host)| HostName::new(host).ok())
    }

    /// Returns the container without pod and host.
    pub(crate) fn bare(&self) -> &str {
        let name = self.0.split_once('@').map_or(self.as_str(), |(name, _)| name);
        name.split_once('/').map_or(name, |(_, container)| container)
    }

    /// Returns the reference without its host.
    #[must_use]
    pub(crate) fn without_host(&self) -> Self {
        let name = self.0.split_once('@').map_or(self.as_str(), |(name, _)| name);
        Self(name.to_owned())
    }

    /// Refuses `pod/container` and `name@host`.
    pub(crate) fn must_be_plain(&self) -> Result<(), Invalid> {
        Self::new(&self.0).map(drop)
    }

    /// Refuses `pod/container`.
    pub(crate) fn must_be_in_no_pod(&self) -> Result<(), Invalid> {
        match self.in_pod() {
            Some(_) => self.must_be_plain(),
            None => Ok(()),
        }
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

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Alias, ContainerName, Link, parse_links};

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
    fn a_source_on_another_host_is_a_name_or_an_id_and_a_host() {
        for (text, bare, host) in [
            ("mysql@b", "mysql", "b"),
            ("My_sql+1@node-1.example.org", "My_sql+1", "node-1.example.org"),
            ("0123456789ab@b", "0123456789ab", "b"),
        ] {
            let reference = Reference::of_link(text).unwrap();
            assert_eq!(reference.host(), HostName::new(host).ok());
            assert_eq!((reference.as_str(), reference.bare()), (text, bare));
            assert_eq!(reference.without_host(), Reference::new(bare).unwrap());
            assert_eq!(Alias::from(&reference).as_str(), bare);
            assert_eq!(ContainerName::from(&reference).as_str(), bare);
            assert_eq!(reference.key(), text);
            assert!(!reference.is_prefix(), "no prefix of another host's id");
            assert!(reference.must_be_plain().is_err() && reference.must_be_in_no_pod().is_ok());
        }
        let long = format!("{}@b", "x".repeat(MAX_NAME));
        for bad in ["@b", "mysql@", "@", "a@b@c", "a@B", "a@-b", "a@b.", "p/a@b", "a@b/c", &long] {
            assert!(Reference::of_link(bad).is_err(), "{bad}");
        }
        assert!(Reference::new("mysql@b").is_err(), "a container has no such name");
    }

    #[test]
    fn a_link_to_another_host_has_the_name_as_its_alias() {
        let links = parse_links("mysql@b, redis@c:cache db@b:db2").unwrap();
        let shown = |link: &Link| format!("{}:{}", link.source, link.alias);
        let shown: Vec<String> = links.iter().map(shown).collect();
        assert_eq!(shown, ["mysql@b:mysql", "redis@c:cache", "db@b:db2"]);
        assert!(parse_links("mysql@b mysql@c").is_err(), "two sources have one alias");
        assert!(parse_links("localhost@b").is_err());
    }
}
