//! Owner tags: every rule carries the tag of the recipient that it belongs to.

use super::{ContainerId, Instance, Invalid, PeerRun, digest::sha256};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Number of digits of a tag that name the recipient instance. They follow those of the state
/// directory.
const INSTANCE: usize = 10;
/// Number of digits at the end that are a check of the others.
const CHECK: usize = 2;

/// Names a state directory in the tags of its rules: 16 bits of a hash of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateId(u16);

impl StateId {
    /// Hashes `path`, an absolute path without symlinks and `..`. Another spelling of the same path
    /// gives the same id.
    pub fn of(path: &Path) -> Self {
        let canonical: PathBuf = path.components().collect();
        let hash = sha256(canonical.as_os_str().as_bytes());
        Self(u16::from_str_radix(&hash[..4], 16).unwrap_or_default())
    }
}

/// Which state directory a rule belongs to, as far as its tag tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The own one, also if it was wiped since.
    Own,
    /// Another one of this host.
    Other,
    /// The tag was made by an earlier version, which did not name the state directory.
    Unknown,
}

/// The short hash that marks all rules of one recipient instance.
///
/// Of its 16 digits, 4 name the state directory, 10 the instance, and 2 are a check by which a tag
/// of an earlier version is recognized.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerTag(String);

impl OwnerTag {
    /// Hashes boot id, namespace cookie and container id. The result is stored in the record and not
    /// computed again.
    pub fn new(state: StateId, id: &ContainerId, instance: &Instance) -> Self {
        let text = format!("{:032x} {} {}", instance.boot, instance.netns, id.key());
        let named = format!("{:04x}{}", state.0, &sha256(text.as_bytes())[..INSTANCE]);
        Self(format!("{named}{}", check_of(&named)))
    }

    /// Hashes both ends of a link of another host's recipient. The result is stored, too.
    pub(crate) fn of_guest(state: StateId, source: &Self, recipient: &PeerRun) -> Self {
        let PeerRun { host, id, run } = recipient;
        let text = format!("guest {source} {host} {} {run}", id.key());
        let named = format!("{:04x}{}", state.0, &sha256(text.as_bytes())[..INSTANCE]);
        Self(format!("{named}{}", check_of(&named)))
    }

    /// Parses the tag in a record or a rule.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        if value.len() == 16 && value.bytes().all(|b| b"0123456789abcdef".contains(&b)) {
            Ok(Self(value.to_owned()))
        } else {
            Err(Invalid::new("owner tag", value, "want 16 hexadecimal digits"))
        }
    }

    /// Returns the tag, 16 hexadecimal digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares the tag with the state directory `own`. A record that has the tag knows better.
    pub(crate) fn origin(&self, own: StateId) -> Origin {
        let (named, check) = self.0.split_at(self.0.len() - CHECK);
        if check_of(named) != check {
            Origin::Unknown
        } else if named.starts_with(&format!("{:04x}", own.0)) {
            Origin::Own
        } else {
            Origin::Other
        }
    }
}

/// The check of the other digits. A tag of an earlier version passes it in one of 256 cases.
fn check_of(named: &str) -> String {
    let mut hash = sha256(format!("oci-link {named}").as_bytes());
    hash.truncate(CHECK);
    hash
}

impl fmt::Display for OwnerTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(state: &str, boot: u128, netns: u64, id: &str) -> OwnerTag {
        let instance = Instance { boot, netns, pid: 1, started: 2 };
        OwnerTag::new(StateId::of(Path::new(state)), &ContainerId::new(id).unwrap(), &instance)
    }

    #[test]
    fn a_tag_names_one_instance() {
        let first = tag("/run/oci-link", 1, 2, "db");
        assert_eq!(first, tag("/run/oci-link", 1, 2, "db"));
        assert_ne!(first, tag("/run/oci-link", 2, 2, "db"), "another boot");
        assert_ne!(first, tag("/run/oci-link", 1, 3, "db"), "another namespace");
        assert_ne!(first, tag("/run/oci-link", 1, 2, "web"), "another container");
        assert_ne!(first, tag("/run/other", 1, 2, "db"), "another state directory");
        assert_eq!(OwnerTag::parse(first.as_str()), Ok(first));
    }

    /// A running container keeps its rules while the program is replaced.
    #[test]
    fn a_tag_is_the_same_in_every_version() {
        assert_eq!(tag("/run/oci-link", 1, 2, "db").as_str(), "8d38ad0aaad0e4a5");
    }

    #[test]
    fn a_tag_tells_its_state_directory() {
        let [here, there] =
            ["/run/oci-link", "/run/other"].map(|path| StateId::of(Path::new(path)));
        let own = tag("/run//oci-link/.", 1, 2, "db");
        assert_eq!((own.origin(here), own.origin(there)), (Origin::Own, Origin::Other));
        let earlier = OwnerTag::parse("aaaaaaaaaaaaaaaa").unwrap();
        assert_eq!(earlier.origin(here), Origin::Unknown);
    }

    #[test]
    fn nothing_else_is_a_tag() {
        for bad in ["", "0123", "0123456789abcdeg", "0123456789ABCDEF", "0123456789abcdef0"] {
            assert!(OwnerTag::parse(bad).is_err(), "{bad}");
        }
    }
}
