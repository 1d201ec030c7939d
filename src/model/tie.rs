//! How a flow between two containers on one bridge is tied to it: to the bridge, or also to their ports.

use super::{Address, BackendName, BridgeName, Family, Flow, Invalid};
use std::fmt;
use std::hash::{Hash, Hasher};

/// What packets of a flow on a bridge must show.
///
/// Two are equal if the same rules permit their flows. The numbers of the ports are in the bridge table only.
#[derive(Debug, Clone, Copy)]
pub struct OnBridge {
    /// The bridge on which they come in and leave.
    pub name: BridgeName,
    /// Whether they must come by the port of the end that they name, and leave by the port of the other one.
    pub by_port: bool,
    /// The ports of the recipient and of the source, if they are known: indices in the network namespace with
    /// the bridges.
    pub ports: Option<[u32; 2]>,
    /// Whether the other end is on another host.
    pub crossing: Crossing,
}

/// Which ends of a flow are on a bridge of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub enum Crossing {
    /// Both. Packets come in and leave by the bridge.
    #[default]
    Within,
    /// The recipient. Packets come in by its bridge and leave by an interface that is not this bridge.
    Leaves,
    /// The source. Packets come in by an interface that is no bridge of containers, and leave by the bridge.
    Enters,
}

impl Crossing {
    /// The values other than [`Within`](Self::Within), which need the permission of another host too.
    pub const BETWEEN_HOSTS: [Self; 2] = [Self::Leaves, Self::Enters];

    /// The value in a record.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Within => "within",
            Self::Leaves => "leaves",
            Self::Enters => "enters",
        }
    }

    /// Parses the value in a record.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let known = [Self::Within, Self::Leaves, Self::Enters];
        let found = known.into_iter().find(|crossing| crossing.as_str() == text);
        found.ok_or_else(|| Invalid::new("crossing", text, "unknown"))
    }
}

impl PartialEq for OnBridge {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.by_port, self.crossing) == (other.name, other.by_port, other.crossing)
    }
}

impl Eq for OnBridge {}

impl Hash for OnBridge {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.name, self.by_port, self.crossing).hash(state);
    }
}

impl From<BridgeName> for OnBridge {
    fn from(name: BridgeName) -> Self {
        Self { name, by_port: false, ports: None, crossing: Crossing::Within }
    }
}

impl OnBridge {
    /// The tie to ports of the bridge `name`, whose numbers are not known.
    pub(crate) fn by_port(name: BridgeName) -> Self {
        Self { by_port: true, ..name.into() }
    }
}

/// The value of `firewall.bind` in config.toml.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Bind {
    /// To the ports where the host can do that, else to the bridge.
    #[default]
    Auto,
    /// To the ports. A link that cannot be tied to them is refused.
    Port,
    /// To the bridge.
    Bridge,
    /// To nothing but the addresses.
    None,
}

impl Bind {
    /// All values, as config.toml has them.
    pub(crate) const ALL: [Self; 4] = [Self::Auto, Self::Port, Self::Bridge, Self::None];

    /// The value in config.toml.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Port => "port",
            Self::Bridge => "bridge",
            Self::None => "none",
        }
    }

    /// Parses the value in config.toml.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bind| bind.as_str() == value)
    }

    /// Whether flows are tied to ports where that can be.
    pub(crate) fn wants_ports(self) -> bool {
        matches!(self, Self::Auto | Self::Port)
    }
}

/// How flows on one bridge are tied on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ties {
    /// What config.toml asks for.
    pub(crate) bind: Bind,
    /// For each of [`Family::BOTH`]: why flows cannot be tied to ports, and what to do. `None` if they can.
    pub(crate) lacks: [Option<String>; 2],
}

impl Default for Ties {
    fn default() -> Self {
        Self { bind: Bind::Bridge, lacks: [None, None] }
    }
}

impl Ties {
    /// Returns the ties for a container that has `flows`. Where some of a family are tied to ports, they stay so: a
    /// bridge that is filtered no longer carries them without a rule.
    #[must_use]
    pub(crate) fn kept(mut self, flows: &[Flow]) -> Self {
        for (family, lack) in Family::BOTH.into_iter().zip(&mut self.lacks) {
            let is_tied = |flow: &Flow| {
                Family::of(flow.from) == family && flow.bridge.is_some_and(|on| on.by_port)
            };
            if lack.is_some() && flows.iter().any(is_tied) {
                *lack = None;
            }
        }
        self
    }

    /// Why flows of a family cannot be tied to ports.
    pub(crate) fn lack(&self, family: Family) -> Option<&str> {
        let of = Family::BOTH.into_iter().zip(&self.lacks).find(|(its, _)| *its == family);
        of.and_then(|(_, lack)| lack.as_deref())
    }

    /// The tie of flows between two addresses, with rules of `backend`. `None` if they are on no common bridge.
    ///
    /// With [`Bind::Port`], a flow that cannot be tied to ports is tied to them all the same: it permits
    /// nothing then.
    pub(crate) fn between(
        &self,
        ours: &Address,
        theirs: &Address,
        backend: BackendName,
    ) -> Option<OnBridge> {
        let name = ours.bridge().filter(|ours| theirs.bridge() == Some(*ours))?;
        let by_port = match self.bind {
            Bind::None => return None,
            Bind::Bridge => false,
            Bind::Port => true,
            Bind::Auto => self.obstacle(ours, theirs).is_none(),
        };
        let by_port = by_port && backend != BackendName::None;
        let ports = ours.port().zip(theirs.port()).filter(|_| by_port);
        Some(OnBridge { by_port, ports: ports.map(Into::into), ..name.into() })
    }

    /// Why flows between two addresses on one bridge cannot be tied to ports.
    pub(crate) fn obstacle(&self, ours: &Address, theirs: &Address) -> Option<String> {
        if let Some(lack) = self.lack(Family::of(ours.ip())) {
            return Some(lack.to_owned());
        }
        let unknown = [ours, theirs].into_iter().find(|address| address.port().is_none())?;
        Some(format!("the bridge port of {} is not known: run oci-link sync", unknown.ip()))
    }
}

impl fmt::Display for OnBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, bridge: &str, port: u32) -> Address {
        let address = Address::parse(text).unwrap().on(BridgeName::new(bridge).ok());
        address.behind(Some(port).filter(|port| *port != 0))
    }

    fn ties(bind: Bind, v4: Option<&str>) -> Ties {
        Ties { bind, lacks: [v4.map(ToOwned::to_owned), None] }
    }

    #[test]
    fn auto_takes_the_ports_where_it_can() {
        let (a, b) = (at("10.0.0.2/24", "br0", 7), at("10.0.0.3/24", "br0", 8));
        let backend = BackendName::Nftables;
        let by_port = |ties: &Ties, a: &Address, b: &Address| {
            ties.between(a, b, backend).map(|on: OnBridge| on.by_port)
        };
        let (can, cannot) = (ties(Bind::Auto, None), ties(Bind::Auto, Some("off")));
        assert_eq!(by_port(&can, &a, &b), Some(true));
        assert_eq!(by_port(&cannot, &a, &b), Some(false));
        let unknown = [at("10.0.0.2/24", "br0", 0), at("10.0.0.3/24", "br0", 0)];
        for [one, other] in [[&unknown[0], &b], [&a, &unknown[1]]] {
            assert_eq!(by_port(&can, one, other), Some(false));
        }
        let (v6, other) = (at("fd00::2/64", "br0", 7), at("fd00::3/64", "br0", 8));
        assert_eq!(by_port(&cannot, &v6, &other), Some(true), "each family for itself");
        for elsewhere in ["br1", ""] {
            let there = at("10.0.0.3/24", elsewhere, 8);
            assert_eq!(can.between(&a, &there, backend), None);
        }
        let none = can.between(&a, &b, BackendName::None).unwrap();
        assert!(!none.by_port, "without rules there is nothing to tie");
    }

    #[test]
    fn a_crossing_is_read_as_it_is_written() {
        for crossing in [Crossing::Within, Crossing::Leaves, Crossing::Enters] {
            assert_eq!(Crossing::parse(crossing.as_str()).unwrap(), crossing);
        }
        assert!(Crossing::parse("").is_err());
        let on = OnBridge::from(BridgeName::new("br0").unwrap());
        assert_ne!(on, OnBridge { crossing: Crossing::Leaves, ..on }, "other rules permit it");
    }

    #[test]
    fn other_values_do_what_they_say() {
        let (a, b) = (at("10.0.0.2/24", "br0", 7), at("10.0.0.3/24", "br0", 8));
        let tie = |bind, lack| ties(bind, lack).between(&a, &b, BackendName::Ipset);
        assert_eq!(tie(Bind::None, None), None);
        for lack in [None, Some("off")] {
            assert!(!tie(Bind::Bridge, lack).unwrap().by_port);
            assert!(tie(Bind::Port, lack).unwrap().by_port, "closed, not open");
        }
        for bind in Bind::ALL {
            assert_eq!(Bind::parse(bind.as_str()), Some(bind));
        }
        assert_eq!(Bind::parse("ports"), None);
    }
}
