//! What happens on three hosts.

use proptest::prelude::*;

/// Two sources and two recipients of each host.
pub(super) const NAMES: [&str; 4] = ["db0", "db1", "web0", "web1"];
/// In seconds.
pub(super) const PATIENCE: u64 = 60;
/// Addresses of each network. The hosts `b` and `c` share one.
pub(super) const PLACES: u8 = 4;

#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// A container starts. Bits say which hosts may link to it, or to which sources it is linked.
    Start { host: usize, name: usize, place: u8, bits: u8 },
    /// A container ends.
    End { host: usize, name: usize },
    /// A container's process ends, and no hook is called.
    Die { host: usize, name: usize },
    /// Some of the records of a host are carried to another one.
    Carry { from: usize, to: usize, bits: u8 },
    /// What a host knows of others is so many seconds old.
    Hear { host: usize, age: u64 },
    /// `watch` reads the spool.
    Look { host: usize },
    /// `watch` looks at the age of what it knows.
    Age { host: usize },
    /// `watch` lets the recipients of others in, and tells other hosts.
    Tell { host: usize },
    /// For a while everything is carried, and all hosts look.
    Meet,
}

/// Any event. Containers that run are more frequent than those that end.
pub(super) fn event() -> impl Strategy<Value = Event> {
    let (host, name) = (0..3usize, 0..NAMES.len());
    let bits = (any::<u8>(), any::<u8>()).prop_map(|(one, other)| one | other);
    prop_oneof![
        8 => (host.clone(), name.clone(), 0..PLACES, bits.clone())
            .prop_map(|(host, name, place, bits)| Event::Start { host, name, place, bits }),
        2 => (host.clone(), name.clone()).prop_map(|(host, name)| Event::End { host, name }),
        1 => (host.clone(), name).prop_map(|(host, name)| Event::Die { host, name }),
        5 => (host.clone(), host.clone(), bits)
            .prop_map(|(from, to, bits)| Event::Carry { from, to, bits }),
        3 => (host.clone(), prop_oneof![Just(0), Just(PATIENCE - 30), Just(PATIENCE)])
            .prop_map(|(host, age)| Event::Hear { host, age }),
        4 => host.clone().prop_map(|host| Event::Look { host }),
        3 => host.clone().prop_map(|host| Event::Age { host }),
        4 => host.prop_map(|host| Event::Tell { host }),
        2 => Just(Event::Meet),
    ]
}
