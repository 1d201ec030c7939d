//! What a hook sees of a container: a process with a network namespace and a mount namespace.

#![allow(unsafe_code)] // Each block says why.

use crate::namespace::Namespace;
use nix::{
    libc,
    sched::{CloneFlags, unshare},
};
use std::{
    mem,
    net::{Ipv4Addr, UdpSocket},
    os::fd::AsRawFd,
    process::{Child, Command},
};

/// The bridge of each host.
pub(crate) const BRIDGE: &str = "br0";

/// A network namespace with one interface.
pub(crate) struct Network(Namespace);

impl Network {
    pub(crate) fn new(v4: &str, v6: Option<&str>) -> Self {
        let namespace = Namespace::new();
        let v6 = v6.map_or(String::new(), |v6| format!("addr add {v6}/64 dev eth0 nodad\n"));
        namespace.ip(&format!(
            "link add eth0 type veth peer name eth1\n\
             addr add {v4}/8 dev eth0\nlink set eth0 up\n{v6}"
        ));
        Self(namespace)
    }

    /// Plugged into the bridge of `host`. Its prefix length is 8, and 64 for IPv6.
    pub(crate) fn plugged(host: &Namespace, v4: &str, v6: Option<&str>) -> Self {
        let namespace = Namespace::new();
        host.ip(&format!(
            "link add master {BRIDGE} up type veth peer name eth0 netns {}\n",
            namespace.path()
        ));
        let v6 = v6.map_or(String::new(), |v6| format!("addr add {v6}/64 dev eth0 nodad\n"));
        namespace.ip(&format!("addr add {v4}/8 dev eth0\nlink set eth0 up\n{v6}"));
        Self(namespace)
    }

    /// Plugged into the bridge of `host`, with the way to all other networks through `gate`.
    pub(crate) fn routed(host: &Namespace, v4: &str, gate: &str) -> Self {
        let namespace = Namespace::new();
        host.ip(&format!(
            "link add master {BRIDGE} up type veth peer name eth0 netns {}\n",
            namespace.path()
        ));
        namespace.ip(&format!(
            "addr add {v4} dev eth0\nlink set eth0 up\nroute add default via {gate}\n"
        ));
        Self(namespace)
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.0
    }

    /// Gives it another address instead of the one it has. Thousands are wanted, so no program is
    /// run for it.
    pub(crate) fn readdress(&self, v4: Ipv4Addr) {
        let done = self.0.enter(|| set_address("eth0", v4));
        assert_eq!(done, 0, "address {v4}");
    }

    /// A process in it, until dropped.
    pub(crate) fn start(&self) -> Container {
        self.0.enter(|| {
            // Every container has mounts of its own; a hook is wary of one that has not.
            unshare(CloneFlags::CLONE_NEWNS).expect("root may unshare");
            Container(Command::new("sleep").arg("600").spawn().expect("sleep starts"))
        })
    }
}

/// What `ip addr` would do; -1 if the kernel refuses.
fn set_address(interface: &str, v4: Ipv4Addr) -> libc::c_int {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // SAFETY: both structures are plain data, for which zero is a value.
    let (mut request, mut address) =
        unsafe { (mem::zeroed::<libc::ifreq>(), mem::zeroed::<libc::sockaddr_in>()) };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.try_into().expect("ASCII");
    }
    address.sin_family = libc::sa_family_t::try_from(libc::AF_INET).expect("a small number");
    address.sin_addr.s_addr = u32::from(v4).to_be();
    // SAFETY: a sockaddr_in is a sockaddr of the same size.
    request.ifr_ifru.ifru_addr =
        unsafe { mem::transmute::<libc::sockaddr_in, libc::sockaddr>(address) };
    // SAFETY: the request outlives the call, which only reads it.
    unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR, &raw const request) }
}

/// The first process of a container, killed when dropped.
pub(crate) struct Container(Child);

impl Container {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
