//! The variables that describe a source to a recipient.
//!
//! There are two dialects: Docker 20.10 to 27, and Docker 28 (moby daemon/links/links.go).

use crate::model::{Address, Alias, ContainerName, PortSet, Protocol, Record, Variable};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;

/// Which Docker versions the variables follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Docker 27 and older.
    V27,
    /// Docker 28 and later.
    #[default]
    V28,
}

/// The longest entry of an environment, with the NUL at its end: the kernel's `MAX_ARG_STRLEN` with
/// pages of 4 KiB. With a longer entry no program can be executed.
const MAX_ENTRY: usize = 128 * 1024;

/// Limit of the ports of a link that get variables of their own. More would not fit into an
/// environment.
const MAX_DESCRIBED: usize = 4096;

/// The variables of all links of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkVariables {
    /// The variables, in the order of the links. Entries with the same key have the same value, and are
    /// of one link: dialect 27 repeats some.
    pub variables: Vec<Variable>,
    /// What could not be passed on.
    pub left_out: Vec<LeftOut>,
}

/// Variables of a link that the recipient does not get. The text is one line, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// It is longer than the kernel accepts.
    TooLong {
        /// The variable's key.
        key: String,
        /// The length of the entry in bytes, with the NUL at its end.
        length: usize,
    },
    /// Another link, or the same one, gives the key another value. The first value counts.
    Taken {
        /// The variable's key.
        key: String,
        /// The alias of the link with the first value.
        by: Alias,
        /// The alias of the link with the other value.
        alias: Alias,
    },
    /// They are of ports beyond the first 4096, the bounds of ranges first.
    Ports {
        /// The link's alias.
        alias: Alias,
        /// The number of ports that the source exposes.
        exposed: usize,
    },
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { key, length } => {
                let key = shortened(key);
                write!(
                    f,
                    "variable {key} is left out: it has {length} bytes, and the kernel accepts \
                     {MAX_ENTRY}"
                )
            }
            Self::Taken { key, by, alias } => {
                let key = shortened(key);
                write!(
                    f,
                    "variable {key} of link {alias} is left out: link {by} gives it another value"
                )
            }
            Self::Ports { alias, exposed } => write!(
                f,
                "link {alias} has variables for {MAX_DESCRIBED} of its {exposed} ports: more would \
                 not fit into an environment"
            ),
        }
    }
}

/// The first characters of a key, escaped: a source may have chosen the key.
fn shortened(key: &str) -> String {
    key.chars().take(100).flat_map(char::escape_default).collect()
}

/// Returns all variables of all links of one recipient.
///
/// A link variable with the key of one of the recipient's `own` variables is left out silently, as in
/// Docker. So that no key has two values, the first value of a key counts.
pub fn link_variables<'a>(
    recipient: &ContainerName,
    links: impl IntoIterator<Item = (&'a Alias, &'a Record)>,
    own: &[Variable],
    dialect: Dialect,
) -> LinkVariables {
    let own: HashSet<&str> = own.iter().map(|variable| variable.key.as_str()).collect();
    let mut found = LinkVariables::default();
    let mut known: HashMap<String, (String, &Alias)> = HashMap::new();
    for (alias, source) in links {
        let exposed = source.ports.count();
        if exposed > MAX_DESCRIBED {
            found.left_out.push(LeftOut::Ports { alias: alias.clone(), exposed });
        }
        for variable in describe(recipient, alias, source, dialect) {
            let Variable { key, value } = &variable;
            if own.contains(key.as_str()) {
                continue;
            }
            let length = key.len() + value.len() + "=\0".len();
            let first = known.get(key);
            if length > MAX_ENTRY {
                found.left_out.push(LeftOut::TooLong { key: key.clone(), length });
            } else if let Some((_, by)) = first.filter(|(first, _)| first != value) {
                let (key, by, alias) = (key.clone(), (*by).clone(), alias.clone());
                found.left_out.push(LeftOut::Taken { key, by, alias });
            } else if first.is_none_or(|(_, by)| *by == alias) {
                known.insert(key.clone(), (value.clone(), alias));
                found.variables.push(variable);
            }
        }
    }
    found
}

/// Returns the key of the variable that every link has.
pub(crate) fn name_variable(alias: &Alias) -> String {
    format!("{}_NAME", alias.variable_prefix())
}

/// Returns the variables of one link.
fn describe(
    recipient: &ContainerName,
    alias: &Alias,
    source: &Record,
    dialect: Dialect,
) -> Vec<Variable> {
    let prefix = alias.variable_prefix();
    let mut variables = match address(source) {
        Some(ip) => Ports { prefix: &prefix, ip }.describe(each_port(&source.ports), dialect),
        None => Vec::new(),
    };
    variables.push(Variable::new(name_variable(alias), format!("/{recipient}/{alias}")));
    variables.extend(
        passed(source)
            .map(|v| Variable::new(format!("{}{}", passed_prefix(alias), v.key), v.value.clone())),
    );
    variables
}

/// Returns what precedes the keys of the source's own variables.
pub(crate) fn passed_prefix(alias: &Alias) -> String {
    format!("{}_ENV_", alias.variable_prefix())
}

/// Returns the source's own variables that recipients receive: all published ones except `HOME` and
/// `PATH`.
pub(crate) fn passed(source: &Record) -> impl Iterator<Item = &Variable> {
    source.environment.iter().filter(|v| v.key != "HOME" && v.key != "PATH")
}

/// Returns the address for the variables. It is the first IPv4 address, as in Docker, or else the
/// first address.
fn address(source: &Record) -> Option<IpAddr> {
    let mut all = source.network.addresses().iter().map(Address::ip);
    let first = all.clone().next();
    all.find(IpAddr::is_ipv4).or(first)
}

/// One exposed port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Port {
    number: u16,
    protocol: Protocol,
}

/// Returns every single port of `ports`.
fn each_port(ports: &PortSet) -> Vec<Port> {
    let each = ports.iter().flat_map(|range| {
        let protocol = range.protocol();
        range.numbers().map(move |number| Port { number, protocol })
    });
    each.collect()
}

/// The alias prefix and the address that all port variables share.
struct Ports<'a> {
    prefix: &'a str,
    ip: IpAddr,
}

impl Ports<'_> {
    fn describe(&self, mut ports: Vec<Port>, dialect: Dialect) -> Vec<Variable> {
        match dialect {
            Dialect::V28 => ports.sort_by_key(|p| (order_28(p.protocol), p.number)),
            Dialect::V27 => ports.sort_by_key(|p| (p.number, p.protocol)),
        }
        let Some(default) = ports.first() else { return Vec::new() };
        let mut variables =
            vec![Variable::new(format!("{}_PORT", self.prefix), self.url(*default))];
        let ranges = match dialect {
            Dialect::V28 => ranges_28(&ports),
            Dialect::V27 => ranges_27(&ports),
        };
        for port in described(&ports) {
            variables.extend(self.single(port));
        }
        for (first, last) in ranges {
            variables.extend(self.range(first, last));
        }
        variables
    }

    /// Returns for example `tcp://10.0.0.2:3306`.
    fn url(&self, port: Port) -> String {
        match self.ip {
            IpAddr::V4(ip) => format!("{}://{ip}:{}", port.protocol, port.number),
            IpAddr::V6(ip) => format!("{}://[{ip}]:{}", port.protocol, port.number),
        }
    }

    /// Returns for example `PREFIX_PORT_3306_TCP`.
    ///
    /// Number and protocol may come from two ports, see [`Self::range`].
    fn key(&self, number: u16, protocol: Protocol) -> String {
        format!("{}_PORT_{number}_{}", self.prefix, protocol.as_str().to_ascii_uppercase())
    }

    fn single(&self, port: Port) -> [Variable; 4] {
        let key = self.key(port.number, port.protocol);
        [
            Variable::new(format!("{key}_ADDR"), self.ip.to_string()),
            Variable::new(format!("{key}_PORT"), port.number.to_string()),
            Variable::new(format!("{key}_PROTO"), port.protocol.as_str()),
            Variable::new(key, self.url(port)),
        ]
    }

    /// Returns the four variables of a port range.
    ///
    /// The keys of the end contain the first port's number and the last port's protocol. The
    /// protocols differ only in dialect 27, whose ranges ignore the protocol.
    fn range(&self, first: Port, last: Port) -> [Variable; 4] {
        let start = self.key(first.number, first.protocol);
        let end = self.key(first.number, last.protocol);
        [
            Variable::new(format!("{start}_START"), self.url(first)),
            Variable::new(format!("{start}_PORT_START"), first.number.to_string()),
            Variable::new(format!("{end}_END"), self.url(last)),
            Variable::new(format!("{end}_PORT_END"), last.number.to_string()),
        ]
    }
}

/// Returns the ports that get variables of their own, in the order of `ports`.
///
/// It is all of them if they are not too many. Else the bounds of all ranges come first, so that a
/// long range does not take the place of other ports.
fn described(ports: &[Port]) -> Vec<Port> {
    if ports.len() <= MAX_DESCRIBED {
        return ports.to_vec();
    }
    let all: HashSet<Port> = ports.iter().copied().collect();
    let is_inside = |port: &&Port| {
        let neighbours = [port.number.checked_sub(1), port.number.checked_add(1)];
        neighbours
            .into_iter()
            .all(|number| number.is_some_and(|number| all.contains(&Port { number, ..**port })))
    };
    let bounds = ports.iter().filter(|port| !is_inside(port));
    let chosen = bounds.chain(ports.iter().filter(is_inside)).take(MAX_DESCRIBED);
    let chosen: HashSet<&Port> = chosen.collect();
    ports.iter().filter(|port| chosen.contains(port)).copied().collect()
}

/// Sort key of Docker 28: tcp first, then the other protocols by name.
fn order_28(protocol: Protocol) -> (bool, &'static str) {
    (protocol != Protocol::Tcp, protocol.as_str())
}

/// Finds the ranges of Docker 28: two or more consecutive numbers of one protocol.
fn ranges_28(ports: &[Port]) -> Vec<(Port, Port)> {
    let consecutive =
        |a: &Port, b: &Port| a.protocol == b.protocol && a.number.checked_add(1) == Some(b.number);
    ports
        .chunk_by(consecutive)
        .filter(|run| run.len() > 1)
        .filter_map(|run| Some((*run.first()?, *run.last()?)))
        .collect()
}

/// Finds the ranges of Docker 27.
///
/// The allowed number starts above the first port and grows by one per further entry. An entry of
/// any protocol extends the range if its number is not above the allowed one, even if it repeats a
/// number. Two entries are not a range; Docker 27 wants a third.
fn ranges_27(ports: &[Port]) -> Vec<(Port, Port)> {
    let mut ranges = Vec::new();
    let mut rest = ports;
    while let Some((first, later)) = rest.split_first() {
        let allowed = (u32::from(first.number) + 1)..;
        let more = later
            .iter()
            .zip(allowed)
            .take_while(|(port, allowed)| u32::from(port.number) <= *allowed)
            .count();
        if more > 1 {
            ranges.push((*first, later[more - 1]));
            rest = &later[more..];
        } else {
            rest = later;
        }
    }
    ranges
}

#[cfg(test)]
mod tests;
