//! The isolation of one container, which its annotation `org.oci-link.isolate` asks for.

use super::{BridgeName, Invalid};
use std::fmt;

/// The directions in which only links lead to or from a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolate {
    /// Only linked recipients, the host itself and published ports reach it.
    In,
    /// It reaches only the exposed ports of its sources, and the host itself.
    Out,
    /// Both.
    Both,
}

impl Isolate {
    /// Parses the value of the annotation. `none` gives `None`.
    pub(crate) fn parse(value: &str) -> Result<Option<Self>, Invalid> {
        match value.trim() {
            "in" => Ok(Some(Self::In)),
            "out" => Ok(Some(Self::Out)),
            "both" => Ok(Some(Self::Both)),
            "none" => Ok(None),
            _ => Err(Invalid::new("isolate", value, "want in, out, both or none")),
        }
    }

    /// Whether a value of the annotation asks for isolation.
    pub(crate) fn is_asked_by(value: &str) -> bool {
        matches!(Self::parse(value), Ok(Some(_)))
    }

    /// Returns the value of the annotation.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Both => "both",
        }
    }

    /// Whether connections to the container are limited.
    pub(crate) fn limits_in(self) -> bool {
        self != Self::Out
    }

    /// Whether connections of the container are limited.
    pub(crate) fn limits_out(self) -> bool {
        self != Self::In
    }
}

impl fmt::Display for Isolate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The host's end of an interface of a container: a port of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BridgePort {
    /// Its index in the network namespace with the bridges. The kernel gives an index once.
    pub(crate) index: u32,
    /// The bridge.
    pub(crate) bridge: BridgeName,
}

/// What isolates a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// The directions.
    pub(crate) directions: Isolate,
    /// The bridge ports of all its interfaces.
    pub(crate) ports: Vec<BridgePort>,
}

impl Isolation {
    /// Returns the bridges of the ports, each once.
    pub(crate) fn bridges(&self) -> Vec<BridgeName> {
        let mut all: Vec<BridgeName> = self.ports.iter().map(|port| port.bridge).collect();
        all.sort();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_of_four_words() {
        for (value, directions) in
            [("in", Isolate::In), (" out ", Isolate::Out), ("both\n", Isolate::Both)]
        {
            assert_eq!(Isolate::parse(value), Ok(Some(directions)));
            assert_eq!(directions.as_str(), value.trim());
            assert!(Isolate::is_asked_by(value));
        }
        assert_eq!(Isolate::parse(" none"), Ok(None));
        for value in ["", "IN", "yes", "in,out", "in out", "true", "all"] {
            assert!(Isolate::parse(value).is_err(), "{value:?}");
            assert!(!Isolate::is_asked_by(value), "{value:?}");
        }
        assert!(!Isolate::is_asked_by("none"));
    }

    #[test]
    fn both_is_both() {
        let directions = [Isolate::In, Isolate::Out, Isolate::Both];
        let limits = directions.map(|it| (it.limits_in(), it.limits_out()));
        assert_eq!(limits, [(true, false), (false, true), (true, true)]);
    }

    #[test]
    fn a_bridge_with_two_ports_counts_once() {
        let port = |index, name| BridgePort { index, bridge: BridgeName::new(name).unwrap() };
        let ports = vec![port(3, "br1"), port(4, "br0"), port(5, "br1")];
        let isolation = Isolation { directions: Isolate::In, ports };
        let names: Vec<String> = isolation.bridges().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["br0", "br1"]);
    }
}
