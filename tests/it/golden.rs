//! Our links beside Docker's own: what two real daemons did for twelve recipients each
//! (`tests/golden`) is done again on real containers, and must come out the same.

use crate::{
    cast::link_rules,
    support::{Container, Host, Runtime},
};
use serde::Deserialize;
use std::fs;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

/// One recipient as Docker had it.
#[derive(Deserialize)]
struct Case {
    recipient: String,
    id: String,
    ip: String,
    sources: Vec<Source>,
    links: Vec<Link>,
    own_env: Vec<String>,
    environ: Vec<String>,
    hosts: String,
    rules: Vec<String>,
}

#[derive(Deserialize)]
struct Source {
    name: String,
    id: String,
    ip: String,
    hostname: Option<String>,
    ports: Vec<String>,
    image_env: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Link {
    source: String,
    alias: Option<String>,
}

impl Link {
    fn alias(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.source)
    }

    fn annotation(&self) -> String {
        format!("{}:{}", self.source, self.alias())
    }
}

#[test]
fn links_are_those_of_docker_28() {
    compare("docker-28.5.json", "28");
}

#[test]
fn links_are_those_of_docker_20_in_its_dialect() {
    compare("docker-20.10.json", "27");
}

/// The cases take turns on the runtimes.
fn compare(file: &str, dialect: &str) {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).expect("golden file");
    let golden: Golden = serde_json::from_str(&text).expect("golden file");
    assert_eq!(golden.cases.len(), 12);
    let runtimes = [Runtime::Runc, Runtime::Crun].into_iter().cycle();
    for (case, runtime) in golden.cases.iter().zip(runtimes) {
        eprintln!("{file}, {}", case.recipient);
        Stage::set(&Host::open(runtime), case, dialect).compare(case);
    }
}

/// The case's containers, running.
struct Stage<'h> {
    host: &'h Host,
    recipient: Container<'h>,
    _sources: Vec<Container<'h>>,
    /// Docker's addresses and ours, IPv4 and IPv6.
    addresses: Vec<(String, [String; 2])>,
}

impl<'h> Stage<'h> {
    fn set(host: &'h Host, case: &Case, dialect: &str) -> Self {
        let config =
            format!("[firewall]\nbackend = \"iptables\"\n[env]\ndialect = \"{dialect}\"\n");
        fs::write(host.path("config.toml"), config).expect("written");

        let sources: Vec<_> = case.sources.iter().map(|source| start(host, source)).collect();
        let links: Vec<_> = case.links.iter().map(Link::annotation).collect();
        let bundle = host.container(&case.id).annotate("name", &case.recipient);
        let bundle = bundle.annotate("links", &links.join(",")).edit(without_name);
        let recipient = case.own_env.iter().fold(bundle, |bundle, own| bundle.env(own)).build();
        recipient.prepare().ok();
        recipient.run().ok();

        let oracle = case.sources.iter().map(|source| &source.ip).chain([&case.ip]);
        let ours = sources.iter().chain([&recipient]);
        let addresses = oracle.zip(ours).map(|(ip, container)| {
            (ip.clone(), container.addresses().map(|address| address.to_string()))
        });
        let addresses = addresses.collect();
        Self { host, recipient, _sources: sources, addresses }
    }

    fn compare(&self, case: &Case) {
        assert_eq!(self.environ(), self.environ_of(case), "environment of {}", case.recipient);
        assert_eq!(self.hosts_block(), self.hosts_block_of(case), "hosts of {}", case.recipient);
        assert_eq!(self.flows(), self.flows_of(case), "flows of {}", case.recipient);
    }

    /// Docker's text with our addresses.
    fn translate(&self, text: &str) -> String {
        let swap = |text: String, (theirs, [ours, _]): &(String, [String; 2])| {
            text.replace(theirs.as_str(), ours)
        };
        self.addresses.iter().fold(text.to_owned(), swap)
    }

    /// Duplicates count, order does not: Docker's follows a hash table.
    fn environ(&self) -> Vec<String> {
        sorted(self.recipient.environ().into_iter().filter(|entry| !is_the_systems(entry)))
    }

    fn environ_of(&self, case: &Case) -> Vec<String> {
        let entries = case.environ.iter().filter(|entry| !is_the_systems(entry));
        sorted(entries.map(|entry| self.translate(entry)))
    }

    fn hosts_block(&self) -> Vec<String> {
        let hosts = self.recipient.hosts();
        let block = hosts.split_once("# BEGIN oci-link\n").map(|(_, block)| block);
        let block = block.and_then(|block| block.strip_suffix("# END oci-link\n"));
        block.expect("a block at the end").lines().map(String::from).collect()
    }

    /// Docker's lines in the order of the links, where Docker's own is random, then the
    /// recipient's line. Docker had no IPv6: each of ours repeats the line above it.
    fn hosts_block_of(&self, case: &Case) -> Vec<String> {
        let lines: Vec<(&str, &str)> =
            case.hosts.lines().filter_map(|line| line.split_once('\t')).collect();
        let lines: Vec<_> = lines.iter().filter(|(ip, _)| ip.starts_with("172.17.")).collect();
        assert_eq!(lines.len(), case.links.len() + 1, "Docker has one line per link and its own");
        let aliases = case.links.iter().map(Link::alias).chain([&case.id[..12]]);
        let ordered = aliases.map(|alias| {
            let named = lines.iter().find(|(_, names)| names.split(' ').next() == Some(alias));
            named.unwrap_or_else(|| panic!("Docker names {alias}"))
        });
        let both = |(ip, names): &(&str, &str)| {
            let (_, ours) = self.addresses.iter().find(|(theirs, _)| theirs == ip).expect("known");
            ours.each_ref().map(|ip| format!("{ip}\t{names}"))
        };
        ordered.flat_map(|line| both(line)).collect()
    }

    /// Of IPv4, which is all that Docker filters.
    fn flows(&self) -> Vec<Flow> {
        let rules = link_rules(self.host);
        sorted(rules.iter().filter_map(|rule| Flow::parse(rule)).filter(|flow| !flow.is_ipv6()))
    }

    /// Docker never took away the rules of earlier cases, and gave their addresses out again. A
    /// rule is this case's if it is between the recipient and a source of its own, and names a
    /// port that this source exposes; whatever else the addresses had, earlier containers had.
    fn flows_of(&self, case: &Case) -> Vec<Flow> {
        let flows = case.rules.iter().filter_map(|rule| Flow::parse(rule));
        let own = flows.filter(|flow| {
            let (from, to) = flow.endpoints();
            let exposes = |source: &Source| source.ip == to && source.ports.contains(&flow.port);
            from == case.ip && case.sources.iter().any(exposes)
        });
        let mut own = sorted(own.map(|flow| Flow {
            source: self.translate(&flow.source),
            destination: self.translate(&flow.destination),
            ..flow
        }));
        own.dedup();
        own
    }
}

fn start<'h>(host: &'h Host, source: &Source) -> Container<'h> {
    let ports = if source.ports.is_empty() { "none".into() } else { source.ports.join(",") };
    let bundle = host.container(&source.id).annotate("name", &source.name);
    let bundle = bundle.annotate("ports", &ports).hooks().edit(|config| match &source.hostname {
        Some(name) => config["hostname"] = name.as_str().into(),
        None => without_name(config),
    });
    let environment = source.image_env.iter().flatten();
    let container = environment.fold(bundle, |bundle, entry| bundle.env(entry)).build();
    container.run().ok();
    container
}

/// Docker then takes the short id, and so must we.
fn without_name(config: &mut serde_json::Value) {
    config.as_object_mut().expect("an object").remove("hostname");
}

/// Set by the runtime or the engine, on both sides.
fn is_the_systems(entry: &str) -> bool {
    ["PATH=", "HOME=", "HOSTNAME="].iter().any(|key| entry.starts_with(key))
}

/// What one rule lets through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Flow {
    source: String,
    destination: String,
    /// As in an annotation: `3306/tcp`.
    port: String,
    /// From that port instead of to it.
    back: bool,
}

impl Flow {
    /// Nothing for a rule that names no port.
    fn parse(rule: &str) -> Option<Self> {
        let words: Vec<&str> = rule.split(' ').collect();
        let after = |flag| words.windows(2).find(|pair| pair[0] == flag).map(|pair| pair[1]);
        let (back, number) = match (after("--dport"), after("--sport")) {
            (Some(number), None) => (false, number),
            (None, Some(number)) => (true, number),
            _ => return None,
        };
        let address = |flag| Some(after(flag)?.split_once('/')?.0.to_owned());
        Some(Self {
            source: address("-s")?,
            destination: address("-d")?,
            port: format!("{number}/{}", after("-p")?),
            back,
        })
    }

    fn is_ipv6(&self) -> bool {
        self.source.contains(':')
    }

    /// The client and the server.
    fn endpoints(&self) -> (&str, &str) {
        if self.back {
            (&self.destination, &self.source)
        } else {
            (&self.source, &self.destination)
        }
    }
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<_> = items.collect();
    items.sort();
    items
}
