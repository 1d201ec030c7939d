//! The wires: a bridge in the host's namespace, a veth pair to each container's.

use super::{host::Host, netns::Netns, outcome::Outcome};
use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    process::Command,
};

/// A container's number on the bridge is the last part of both its addresses; the part before is that of the
/// host's network.
pub(crate) fn ipv4(network: u8, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, network, number)
}

pub(crate) fn ipv6(network: u8, number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd77, 0, 0, network.into(), 0, 0, 0, number.into())
}

impl Host {
    /// `br0` with its addresses. What crosses it is shown to iptables, as on any host of
    /// containers; `nodad` spares the second that IPv6 waits before it uses an address.
    pub(crate) fn lay_bridge(&self) {
        self.netns().enter(|| {
            for switch in [
                "ipv4/ip_forward",
                "ipv6/conf/all/forwarding",
                "bridge/bridge-nf-call-iptables",
                "bridge/bridge-nf-call-ip6tables",
                "bridge/bridge-nf-filter-vlan-tagged",
                "bridge/bridge-nf-filter-pppoe-tagged",
            ] {
                fs::write(format!("/proc/sys/net/{switch}"), "1").expect(switch);
            }
        });
        let (v4, v6) = (ipv4(self.network(), 1), ipv6(self.network(), 1));
        // As engines do: a bridge without an address of its own takes the lowest one of its ports, and the neighbours
        // of a container that comes first send to the old one.
        self.ip(
            self.netns(),
            &format!(
                "link set lo up
                 link add br0 address 02:42:0a:4d:00:01 type bridge
                 link set br0 up
                 addr add {v4}/24 dev br0
                 addr add {v6}/64 dev br0 nodad"
            ),
        )
        .ok();
    }

    /// A namespace for one container, connected before the container is made: this is how engines
    /// and CNI do it.
    pub(crate) fn plug(&self, number: u8) -> Netns {
        let inside = Netns::create();
        let name = inside.name();
        self.ip(
            self.netns(),
            &format!("link add master br0 up type veth peer name eth0 netns {name}"),
        )
        .ok();
        let [(v4, v6), (gate4, gate6)] =
            [number, 1].map(|number| (ipv4(self.network(), number), ipv6(self.network(), number)));
        self.ip(
            &inside,
            &format!(
                "link set lo up
                 addr add {v4}/24 dev eth0
                 addr add {v6}/64 dev eth0 nodad
                 link set eth0 up
                 route add default via {gate4}
                 route add default via {gate6}"
            ),
        )
        .ok();
        inside
    }

    /// Pulls the wire out at once; the kernel would take its time after the namespace's end, and
    /// two containers would answer for one address.
    pub(crate) fn unplug(&self, inside: &Netns) -> Outcome {
        self.ip(inside, "link del eth0")
    }

    pub(crate) fn ip(&self, namespace: &Netns, lines: &str) -> Outcome {
        let mut ip = Command::new("ip");
        ip.args(["-netns", namespace.name(), "-batch", "-"]);
        self.feed(&mut ip, lines.as_bytes())
    }
}
