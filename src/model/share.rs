//! The value of `org.oci-link.share`: which other hosts may link to a container.

use super::{HostName, Invalid};
use std::fmt;

/// Limit of hosts in one value, as in the records that hosts exchange.
const MAX_HOSTS: usize = 256;

/// Which other hosts may link to a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Share {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// These, in order and each once.
    Only(Vec<HostName>),
}

impl Share {
    /// Parses `none`, `all`, or names of hosts between commas.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        match value.trim() {
            "none" => Ok(Self::None),
            "all" => Ok(Self::All),
            names => {
                let refuse = |why| Invalid::new("share", value, why);
                let names = names.split(',').map(|name| HostName::new(name.trim()).ok());
                // A word between hosts could be read as one on its own later.
                let is_host = |host: &HostName| !["none", "all"].contains(&host.as_str());
                let hosts = names.map(|host| host.filter(is_host)).collect::<Option<Vec<_>>>();
                Self::only(hosts.ok_or_else(|| refuse("want none, all, or hosts between commas"))?)
                    .ok_or_else(|| refuse("more than 256 hosts"))
            }
        }
    }

    /// Whether containers of `host` may link to it.
    pub(crate) fn admits(&self, host: &HostName) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(hosts) => hosts.contains(host),
        }
    }

    /// Returns the value for `hosts`, or `None` if they are too many.
    pub(crate) fn only(mut hosts: Vec<HostName>) -> Option<Self> {
        hosts.sort();
        hosts.dedup();
        (hosts.len() <= MAX_HOSTS).then_some(Self::Only(hosts))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::All => f.write_str("all"),
            Self::Only(hosts) => {
                let hosts: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
                f.write_str(&hosts.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_word_or_a_list_of_hosts() {
        for (value, shown) in [
            ("none", "none"),
            (" all ", "all"),
            ("b", "b"),
            ("c, b,b", "b,c"),
            ("node-1.example.org", "node-1.example.org"),
        ] {
            let share = Share::parse(value).unwrap();
            assert_eq!(share.to_string(), shown, "{value}");
            assert_eq!(Share::parse(shown), Ok(share));
        }
        for bad in [
            "", ",", "b,,c", "b c", "B", "*", "b,@", "all,", "all,all", "b,none", "b/c", "-", "b;c",
        ] {
            assert!(Share::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Share::default(), Share::None);
    }

    #[test]
    fn bounded() {
        let many = |count| (0..count).map(|n| format!("h{n}")).collect::<Vec<_>>().join(",");
        assert!(Share::parse(&many(256)).is_ok());
        assert!(Share::parse(&many(257)).is_err());
        assert!(Share::parse(&format!("{0},{0}", many(256))).is_ok(), "each counts once");
    }
}
