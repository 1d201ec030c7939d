//! A host and a backend on it, called as the program calls it.

use crate::support::{Container, Host, Runtime};
use oci_link::testing::Directory;
use oci_link::testing::Result;
use oci_link::testing::{BackendName, BridgeName, Flow, OwnerTag, PortSet};
use oci_link::testing::{Choice, Firewall, Outside, OwnerScope, SetupCache};
use oci_link::testing::{boot_id, isolate, select};
use std::process::Command;

/// The isolated bridge: its containers reach each other by links only.
pub(super) const BRIDGE: &str = "br0";

/// A host of one backend.
pub(super) struct Site {
    pub(super) host: Host,
    pub(super) backend: BackendName,
}

impl Site {
    /// Isolated by the backend itself.
    pub(super) fn new(backend: BackendName) -> Self {
        let site = Self::open(backend);
        site.isolate(&[BRIDGE]);
        site
    }

    /// All containers reach each other.
    pub(super) fn open(backend: BackendName) -> Self {
        Self { host: Host::open(Runtime::Crun.turned()), backend }
    }

    /// Lets the backend do something inside the host.
    pub(super) fn act<T: Send>(&self, act: impl FnOnce(&dyn Firewall) -> T + Send) -> T {
        self.act_with_cache(|firewall, _| act(firewall))
    }

    fn act_with_cache<T: Send>(
        &self,
        act: impl FnOnce(&dyn Firewall, &SetupCache) -> T + Send,
    ) -> T {
        self.host.netns().enter(|| {
            let state = Directory::open(&self.host.state_dir()).expect("a state directory");
            let boot = boot_id().expect("a boot id");
            let choice = Choice::Fixed(self.backend);
            let cache = SetupCache::new(state.into(), boot);
            act(select(choice, cache.clone()).as_ref(), &cache)
        })
    }

    pub(super) fn isolate(&self, bridges: &[&str]) {
        let bridges: Vec<_> =
            bridges.iter().map(|name| BridgeName::new(name).expect("a bridge")).collect();
        let isolate = |firewall: &dyn Firewall, cache: &SetupCache| {
            isolate(firewall, cache, &bridges, &Outside::default())
        };
        self.act_with_cache(isolate).expect("isolation");
    }

    pub(super) fn ensure(&self, owner: &OwnerTag, before: &[Flow], flows: &[Flow]) {
        self.try_ensure(owner, before, flows).expect("flows are permitted");
    }

    pub(super) fn try_ensure(
        &self,
        owner: &OwnerTag,
        before: &[Flow],
        flows: &[Flow],
    ) -> Result<()> {
        self.act(|firewall| firewall.ensure(OwnerScope::new(owner, before), flows))
    }

    pub(super) fn remove(&self, owner: &OwnerTag, before: &[Flow]) {
        let removed = self.act(|firewall| firewall.remove(OwnerScope::new(owner, before)));
        removed.expect("rules are removed");
    }

    /// The owner's rules are exactly those for `flows`.
    #[track_caller]
    pub(super) fn assert_permitted(&self, owner: &OwnerTag, flows: &[Flow]) {
        let mut expected = self.act(|firewall| firewall.expected(owner, flows));
        let mut there = self.read(owner, flows);
        expected.sort();
        there.sort();
        assert_eq!(there, expected);
    }

    fn read(&self, owner: &OwnerTag, before: &[Flow]) -> Vec<String> {
        if self.backend == BackendName::Iptables {
            // Its own `read` empties the environment, which all tests share.
            let chain = format!("OCI-LINK-{owner}");
            let rules = self.host.rules();
            return rules
                .into_iter()
                .filter(|rule| rule.starts_with("-A ") && rule.contains(&chain))
                .collect();
        }
        self.act(|firewall| firewall.read(OwnerScope::new(owner, before))).expect("rules are read")
    }

    /// Everything there is: rules, chains, sets, and elements.
    pub(super) fn snapshot(&self) -> String {
        self.host.run(Command::new("nft").args(["list", "ruleset"])).ok()
            + &self.host.run(Command::new("ipset").args(["save", "-sorted"])).ok()
    }

    /// Runs each of `lines` inside the host.
    pub(super) fn by_hand(&self, lines: &[&str]) {
        for line in lines {
            let mut words = line.split(' ');
            let mut command = Command::new(words.next().expect("a program"));
            self.host.run(command.args(words)).ok();
        }
    }

    pub(super) fn running(&self, id: &str) -> Container<'_> {
        let container = self.host.container(id).build();
        container.run().ok();
        container
    }
}

/// The flows from one number on the bridge to `ports` of another, in both families.
pub(super) fn flows(from: u8, to: u8, ports: &str) -> Vec<Flow> {
    flows_on(Some(BRIDGE), from, to, ports)
}

/// The same bound to a bridge, or to none.
pub(super) fn flows_on(bridge: Option<&str>, from: u8, to: u8, ports: &str) -> Vec<Flow> {
    let bridge = bridge.map(|name| BridgeName::new(name).expect("a bridge").into());
    let ports = PortSet::parse(ports).expect("ports");
    let addresses = |number: u8| {
        [format!("10.77.0.{number}"), format!("fd77::{number:x}")].map(|ip| ip.parse())
    };
    let ends = addresses(from).into_iter().zip(addresses(to));
    ends.flat_map(|(from, to)| {
        let (from, to) = (from.expect("an address"), to.expect("an address"));
        ports.iter().map(move |ports| Flow { from, to, ports, bridge }).collect::<Vec<_>>()
    })
    .collect()
}

/// A tag of sixteen times `digit`.
pub(super) fn owner(digit: char) -> OwnerTag {
    OwnerTag::parse(&digit.to_string().repeat(16)).expect("a tag")
}
