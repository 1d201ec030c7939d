//! Other recipients, who run all the time. Each was made by a hook of its own and has a record and
//! a link: one source, one port.

use crate::{
    containers::{Container, Network},
    kernel,
    rig::{Rig, Wish},
};
use std::{net::Ipv4Addr, thread};

/// Each of their rules is looked at. More would show only that it goes on so.
const MOST_OF_IPTABLES: usize = 1000;

/// One on each host.
pub(crate) struct Crowd<'a> {
    hosts: Vec<Others<'a>>,
}

/// The others of one host. They share one process and one namespace, whose address changes from one
/// to the next.
struct Others<'a> {
    rig: &'a Rig,
    network: Network,
    process: Container,
    size: usize,
}

impl<'a> Crowd<'a> {
    /// There must be a source called `db` on each host.
    pub(crate) fn new(rigs: &'a [Rig]) -> Self {
        let others = |rig| {
            let network = Network::new("10.2.0.1", None);
            Others { rig, process: network.start(), network, size: 0 }
        };
        Self { hosts: rigs.iter().map(others).collect() }
    }

    /// Grows to `size` on every host that is to hold so many.
    pub(crate) fn grow(&mut self, size: usize) {
        thread::scope(|scope| {
            for others in self.hosts.iter_mut().filter(|others| holds(others.rig, size)) {
                scope.spawn(move || others.grow(size));
            }
        });
    }
}

/// Whether so many others are made with this backend.
pub(crate) fn holds(rig: &Rig, size: usize) -> bool {
    rig.backend != "iptables" || size <= MOST_OF_IPTABLES
}

impl Others<'_> {
    fn grow(&mut self, size: usize) {
        for number in self.size..size {
            let address = u32::from(Ipv4Addr::new(10, 2, 0, 1));
            let number = u32::try_from(number).expect("not so many");
            self.network.readdress(Ipv4Addr::from(address + number));
            let id = format!("other{number}");
            let wish = Wish { id: &id, links: "db", ports: 0 };
            self.rig.create(&wish, &self.process).run();
            self.rig.forget_bundle(&id);
        }
        self.size = size;
        let links = kernel::links(self.rig).unwrap_or(size);
        assert_eq!(links, size, "{}: links of others", self.rig.backend);
    }
}
