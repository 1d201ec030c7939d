//! Other ways into a host than its bridge, and untrusted namespaces at their ends.

use super::{container::Container, host::Host, netns::Netns};
use std::{fs, net::IpAddr};

/// Interfaces of the host's, apart from `br0`.
pub(crate) const SECOND_BRIDGE: &str = "br1";
pub(crate) const UPLINK: &str = "eth0";

impl Host {
    /// `br1`, with networks of its own: 10.78.0.0/24 and `fd78::/64`. The host routes between all,
    /// and does not ask whether an address comes from where it should.
    pub(crate) fn lay_second_bridge(&self) {
        self.ip(
            self.netns(),
            "link add br1 address 02:42:0a:4e:00:01 type bridge
             link set br1 up
             addr add 10.78.0.1/24 dev br1
             addr add fd78::1/64 dev br1 nodad",
        )
        .ok();
        self.trust_sources();
    }

    /// Plugs `container` into `br1` as well, under the same number.
    pub(crate) fn plug_into_second(&self, container: &Container) {
        let (number, inside) = (container.number(), container.netns());
        let name = inside.name();
        self.ip(
            self.netns(),
            &format!("link add master br1 up type veth peer name eth1 netns {name}"),
        )
        .ok();
        self.ip(
            inside,
            &format!(
                "addr add 10.78.0.{number}/24 dev eth1
                 addr add fd78::{number:x}/64 dev eth1 nodad
                 link set eth1 up"
            ),
        )
        .ok();
    }

    /// Takes `container` off the bridge and gives it a wire of its own, as CNI's ptp does: the
    /// host routes to it. The host's end is called `name`.
    pub(crate) fn route_to(&self, container: &Container, name: &str) {
        container.unplug();
        let [v4, v6] = container.addresses();
        self.lay_wire(name, container.netns());
        self.ip(
            container.netns(),
            &format!(
                "addr add {v4}/32 dev eth0
                 addr add {v6}/128 dev eth0 nodad
                 route add default via 10.77.0.1 dev eth0 onlink
                 route add default via fe80::1 dev eth0"
            ),
        )
        .ok();
        self.ip(
            self.netns(),
            &format!("route add {v4}/32 dev {name}\nroute add {v6}/128 dev {name}"),
        )
        .ok();
    }

    /// A host on the second bridge.
    pub(crate) fn host_on_second_bridge(&self) -> Netns {
        let inside = Netns::create();
        let name = inside.name();
        self.ip(
            self.netns(),
            &format!("link add master br1 up type veth peer name eth0 netns {name}"),
        )
        .ok();
        self.ip(
            &inside,
            "link set lo up
             link set eth0 up
             addr add 10.78.0.9/24 dev eth0
             addr add fd78::9/64 dev eth0 nodad
             route add default via 10.78.0.1
             route add default via fd78::1",
        )
        .ok();
        inside
    }

    /// A host beyond the `eth0` of this host.
    pub(crate) fn host_outside(&self) -> Netns {
        let inside = Netns::create();
        self.lay_wire(UPLINK, &inside);
        self.ip(
            &inside,
            "addr add 10.79.0.9/24 dev eth0
             route add default via 10.77.0.1 dev eth0 onlink
             route add default via fe80::1 dev eth0",
        )
        .ok();
        inside
    }

    /// An attacker takes these addresses, and gives back those that it had taken before.
    pub(crate) fn borrow(&self, attacker: &Netns, [v4, v6]: [IpAddr; 2]) {
        self.ip(
            attacker,
            &format!(
                "addr flush dev eth0 to 10.77.0.0/24
                 addr flush dev eth0 to fd77::/64
                 addr add {v4}/32 dev eth0
                 addr add {v6}/128 dev eth0 nodad"
            ),
        )
        .ok();
    }

    /// A wire from the host's interface `name` to `eth0` inside; the host answers at `fe80::1`.
    fn lay_wire(&self, name: &str, inside: &Netns) {
        let to = inside.name();
        self.ip(
            self.netns(),
            &format!(
                "link add {name} up type veth peer name eth0 netns {to}
                 addr add fe80::1/64 dev {name} nodad"
            ),
        )
        .ok();
        self.ip(inside, "link set lo up\nlink set eth0 up").ok();
        self.trust_sources();
    }

    /// The kernel's own guard against borrowed addresses is off, as it is for IPv6 on any host.
    fn trust_sources(&self) {
        self.netns().enter(|| {
            for interface in fs::read_dir("/proc/sys/net/ipv4/conf").expect("proc") {
                let switch = interface.expect("proc").path().join("rp_filter");
                fs::write(switch, "0").expect("rp_filter");
            }
        });
    }
}
