//! The variables that describe a source to a recipient.
//!
//! There are two dialects: Docker 20.10 to 27, and Docker 28 (moby daemon/links/links.go).

use crate::model::{Address, Alias, ContainerName, Port, Protocol, Record, Variable};
use std::collections::HashSet;
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

/// Returns all variables of all links of one recipient, in the order of the links.
///
/// A link variable with the key of one of the recipient's `own` variables is left out.
pub fn link_variables<'a>(
    recipient: &ContainerName,
    links: impl IntoIterator<Item = (&'a Alias, &'a Record)>,
    own: &[Variable],
    dialect: Dialect,
) -> Vec<Variable> {
    let own: HashSet<&str> = own.iter().map(|variable| variable.key.as_str()).collect();
    links
        .into_iter()
        .flat_map(|(alias, source)| describe(recipient, alias, source, dialect))
        .filter(|variable| !own.contains(variable.key.as_str()))
        .collect()
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
        Some(ip) => Ports { prefix: &prefix, ip }.describe(source.ports.iter().collect(), dialect),
        None => Vec::new(),
    };
    variables.push(Variable::new(name_variable(alias), format!("/{recipient}/{alias}")));
    variables.extend(
        passed(source).map(|v| Variable::new(format!("{prefix}_ENV_{}", v.key), v.value.clone())),
    );
    variables
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
        for port in &ports {
            variables.extend(self.single(*port));
        }
        let ranges = match dialect {
            Dialect::V28 => ranges_28(&ports),
            Dialect::V27 => ranges_27(&ports),
        };
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
mod tests {
    use super::*;
    use crate::model::sample::{alias, record};

    fn described(name: &str, ports: &str, dialect: Dialect) -> Vec<String> {
        let source = record("s", ports, &["10.88.0.7/16"]);
        let web = ContainerName::new("web").unwrap();
        describe(&web, &alias(name), &source, dialect).iter().map(ToString::to_string).collect()
    }

    fn has(variables: &[String], start: &str) -> bool {
        variables.iter().any(|variable| variable.starts_with(start))
    }

    #[test]
    fn one_port() {
        let source =
            record("s", "5432", &["10.88.0.7/16"]).showing(&["PGUSER=app", "HOME=/", "PATH=/bin"]);
        let web = ContainerName::new("web").unwrap();
        let variables = describe(&web, &alias("pg-main"), &source, Dialect::V28);
        let variables: Vec<_> = variables.iter().map(ToString::to_string).collect();
        assert_eq!(
            variables,
            [
                "PG_MAIN_PORT=tcp://10.88.0.7:5432",
                "PG_MAIN_PORT_5432_TCP_ADDR=10.88.0.7",
                "PG_MAIN_PORT_5432_TCP_PORT=5432",
                "PG_MAIN_PORT_5432_TCP_PROTO=tcp",
                "PG_MAIN_PORT_5432_TCP=tcp://10.88.0.7:5432",
                "PG_MAIN_NAME=/web/pg-main",
                "PG_MAIN_ENV_PGUSER=app",
            ]
        );
    }

    #[test]
    fn a_range_of_two_is_one_since_28() {
        let new = described("q", "7000-7001", Dialect::V28);
        assert!(new.contains(&"Q_PORT_7000_TCP_START=tcp://10.88.0.7:7000".to_owned()));
        assert!(new.contains(&"Q_PORT_7000_TCP_PORT_START=7000".to_owned()));
        assert!(new.contains(&"Q_PORT_7000_TCP_END=tcp://10.88.0.7:7001".to_owned()));
        assert!(new.contains(&"Q_PORT_7000_TCP_PORT_END=7001".to_owned()));
        let old = described("q", "7000-7001", Dialect::V27);
        assert!(!old.iter().any(|variable| variable.contains("_START")), "{old:?}");
        let three = described("q", "7000-7002", Dialect::V27);
        assert!(three.contains(&"Q_PORT_7000_TCP_END=tcp://10.88.0.7:7002".to_owned()));
    }

    #[test]
    fn old_ranges_do_not_look_at_protocols() {
        let ports = "53/tcp 53/udp 54/udp";
        let new = described("dns", ports, Dialect::V28);
        assert!(has(&new, "DNS_PORT_53_UDP_START=") && !has(&new, "DNS_PORT_53_TCP_START="));
        let old = described("dns", ports, Dialect::V27);
        assert!(has(&old, "DNS_PORT_53_TCP_START=tcp://10.88.0.7:53"), "{old:?}");
        assert!(has(&old, "DNS_PORT_53_UDP_END=udp://10.88.0.7:54"), "{old:?}");
        assert!(has(&old, "DNS_PORT_53_UDP_PORT_END=54"), "{old:?}");
    }

    #[test]
    fn default_ports() {
        let default = |ports, dialect| described("x", ports, dialect).swap_remove(0);
        assert_eq!(default("2905/sctp 161/udp", Dialect::V28), "X_PORT=sctp://10.88.0.7:2905");
        assert_eq!(default("2905/sctp 161/udp", Dialect::V27), "X_PORT=udp://10.88.0.7:161");
        assert_eq!(default("80/udp 9000", Dialect::V28), "X_PORT=tcp://10.88.0.7:9000");
        assert_eq!(default("80/udp 9000", Dialect::V27), "X_PORT=udp://10.88.0.7:80");
    }

    #[test]
    fn the_last_port_ends_its_range() {
        let variables = described("x", "1-3,65534-65535", Dialect::V28);
        assert!(variables.contains(&"X_PORT_1_TCP_PORT_END=3".to_owned()));
        assert!(variables.contains(&"X_PORT_65534_TCP_PORT_END=65535".to_owned()));
    }

    #[test]
    fn without_ports_or_addresses_there_is_little_to_say() {
        assert_eq!(described("x", "none", Dialect::V28), ["X_NAME=/web/x"]);
        let source = record("s", "80", &[]);
        let web = ContainerName::new("web").unwrap();
        assert_eq!(describe(&web, &alias("x"), &source, Dialect::V28).len(), 1);
    }

    #[test]
    fn a_source_with_only_ipv6_is_described_by_it() {
        let source = record("s", "80", &["fd00::2/64"]);
        let web = ContainerName::new("web").unwrap();
        let variables = describe(&web, &alias("x"), &source, Dialect::V28);
        assert_eq!(variables[0].to_string(), "X_PORT=tcp://[fd00::2]:80");
    }

    #[test]
    fn own_variables_win() {
        let source = record("s", "80", &["10.0.0.2/24"]);
        let (web, db) = (ContainerName::new("web").unwrap(), alias("db"));
        let own = [Variable::new("DB_NAME", "mine")];
        let variables = link_variables(&web, [(&db, &source)], &own, Dialect::V28);
        assert!(variables.iter().all(|variable| variable.key != "DB_NAME"));
        assert_eq!(variables.len(), 5);
    }
}
