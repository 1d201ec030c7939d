//! What Docker did: visible rules, one pair per flow, made by `iptables-restore`.
//!
//! ```text
//! FORWARD              -j OCI-LINK                 first, once per boot
//! OCI-LINK             -j OCI-LINK-<tag>           one per recipient
//! OCI-LINK-<tag>       -s R -d S --dport N …       one pair per flow
//! ```
//!
//! Every change is one transaction of one program run. Making a chain fails when it exists, flushing
//! it fails when it does not, and then nothing of the transaction has happened: so the usual case
//! needs no look at what is there, and the unusual one notices by itself.

use super::{Firewall, Ruleset, failed};
use crate::error::{Context, Kind, Result};
use crate::model::{BackendName, Family, Flow, OwnerTag};
use crate::sys::child::{self, Output};
use crate::sys::directory::Directory;
use crate::sys::{netns, process};
use std::fmt::Write;
use std::path::Path;

/// Where distributions put it. `PATH` is somebody else's.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// How long iptables may wait for its lock, in seconds, and how long it may run, in milliseconds.
const LOCK_WAIT: &str = "3";
const PATIENCE: u16 = 5000;
/// The chain that FORWARD enters first.
const BASE: &str = "OCI-LINK";
const JUMP_TO_BASE: &str = "-A FORWARD -j OCI-LINK";

/// See the module.
#[derive(Debug)]
pub struct Iptables {
    state: Directory,
    here: String,
}

impl Iptables {
    /// `state` remembers for which boot and network namespace the base chain was made.
    pub fn new(state: Directory, boot: u128) -> Result<Self> {
        Ok(Self { state, here: format!("{boot:032x} {}", netns::own_cookie()?) })
    }

    /// Makes the rules of one family. First the way that fits what the record remembers, then, if
    /// the kernel disagrees, by what is really there.
    fn ensure_family(&self, tool: Tool, rules: Ruleset<'_>, flows: &[Flow]) -> Result<()> {
        if !self.remembers(tool)? {
            self.make_base(tool)?;
        }
        let known = rules.before.iter().any(|flow| Family::of(flow.from) == tool.family);
        let text = if known { rewrite(rules.owner, flows) } else { create(rules.owner, flows) };
        let Err(complaint) = tool.restore(&text)? else { return Ok(()) };
        log::debug!("{} disagrees with the record: {complaint}", tool.restore_name());
        self.make_base(tool)?;
        Self::reconcile(tool, rules.owner, Some(flows))
    }

    /// Whether the base chain was made since the host booted.
    fn remembers(&self, tool: Tool) -> Result<bool> {
        let note = self.state.read(tool.note(), 256)?;
        Ok(note.is_some_and(|note| note == self.here.as_bytes()))
    }

    /// Makes the base chain and the one jump to it, first in FORWARD. Rules that somebody else put
    /// into the chain stay.
    fn make_base(&self, tool: Tool) -> Result<()> {
        let there = tool.list()?;
        let forward: Vec<&String> =
            there.iter().filter(|line| line.starts_with("-A FORWARD ")).collect();
        let jumps = forward.iter().filter(|line| **line == JUMP_TO_BASE).count();
        let first = forward.first().is_some_and(|line| *line == JUMP_TO_BASE);
        let mut text = String::new();
        if !there.iter().any(|line| line == "-N OCI-LINK") {
            text.push_str("-N OCI-LINK\n");
        }
        for rule in tool.neighbour_discovery() {
            if !there.iter().any(|line| line == rule) {
                let _ = writeln!(text, "{rule}");
            }
        }
        if !(first && jumps == 1) {
            text.push_str(&"-D FORWARD -j OCI-LINK\n".repeat(jumps));
            text.push_str("-I FORWARD 1 -j OCI-LINK\n");
        }
        if !text.is_empty() {
            tool.restore(&text)?.map_err(failed)?;
        }
        self.state.write(tool.note(), self.here.as_bytes())
    }

    /// One transaction from what is there to what should be; without `flows`, to nothing.
    fn reconcile(tool: Tool, owner: &OwnerTag, flows: Option<&[Flow]>) -> Result<()> {
        let chain = chain(owner);
        let there = tool.list()?;
        let exists = there.contains(&format!("-N {chain}"));
        let jumps = there.iter().filter(|line| **line == format!("-A {BASE} -j {chain}")).count();
        let mut text = format!("-D {BASE} -j {chain}\n").repeat(jumps);
        match (flows, exists) {
            (Some(flows), true) => {
                text.push_str(&rewrite(owner, flows));
                let _ = writeln!(text, "-A {BASE} -j {chain}");
            }
            (Some(flows), false) => text.push_str(&create(owner, flows)),
            (None, true) => {
                let _ = writeln!(text, "-F {chain}\n-X {chain}");
            }
            (None, false) => {}
        }
        if text.is_empty() { Ok(()) } else { tool.restore(&text)?.map_err(failed) }
    }

    fn remove_family(tool: Tool, owner: &OwnerTag) -> Result<()> {
        let chain = chain(owner);
        let text = format!("-D {BASE} -j {chain}\n-F {chain}\n-X {chain}\n");
        match tool.restore(&text)? {
            Ok(()) => Ok(()),
            Err(_) => Self::reconcile(tool, owner, None),
        }
    }
}

impl Firewall for Iptables {
    fn name(&self) -> BackendName {
        BackendName::Iptables
    }

    /// IPv6 first: where the second family fails, the undo has the family behind it that more
    /// hosts can do.
    fn ensure(&self, rules: Ruleset<'_>, flows: &[Flow]) -> Result<()> {
        for family in [Family::V6, Family::V4] {
            let of = |flow: &&Flow| Family::of(flow.from) == family;
            let wanted: Vec<Flow> = flows.iter().filter(of).copied().collect();
            if !wanted.is_empty() {
                self.ensure_family(Tool::find(family)?, rules, &wanted)?;
            } else if rules.before.iter().any(|flow| of(&flow)) {
                Self::remove_family(Tool::find(family)?, rules.owner)?;
            }
        }
        Ok(())
    }

    fn remove(&self, rules: Ruleset<'_>) -> Result<()> {
        for family in families(rules.before) {
            Self::remove_family(Tool::find(family)?, rules.owner)?;
        }
        Ok(())
    }

    /// Off the way of any container, so by the library for it.
    fn read(&self, rules: Ruleset<'_>) -> Result<Vec<String>> {
        process::scrub_environment();
        let chain = chain(rules.owner);
        let mut lines = Vec::new();
        for family in families(rules.before) {
            let tables =
                iptables::new(family == Family::V6).context(Kind::Firewall, || "iptables")?;
            let there = tables.chain_exists("filter", &chain);
            if there.context(Kind::Firewall, || "iptables")? {
                let rules = tables.list("filter", &chain).context(Kind::Firewall, || "iptables")?;
                lines.extend(rules.into_iter().filter(|line| line.starts_with("-A ")));
            }
        }
        Ok(lines)
    }

    fn expected(&self, owner: &OwnerTag, flows: &[Flow]) -> Vec<String> {
        families(flows)
            .flat_map(|family| flows.iter().filter(move |flow| Family::of(flow.from) == family))
            .flat_map(|flow| pair(owner, flow))
            .collect()
    }
}

/// The families that occur in `flows`.
fn families(flows: &[Flow]) -> impl Iterator<Item = Family> {
    let has = |family| flows.iter().any(|flow| Family::of(flow.from) == family);
    Family::BOTH.into_iter().filter(move |family| has(*family)).collect::<Vec<_>>().into_iter()
}

/// 25 of the 28 characters that a chain's name may have.
fn chain(owner: &OwnerTag) -> String {
    format!("{BASE}-{owner}")
}

/// The transaction for a recipient that has no chain yet.
fn create(owner: &OwnerTag, flows: &[Flow]) -> String {
    let chain = chain(owner);
    format!("-N {chain}\n{}-A {BASE} -j {chain}\n", pairs(owner, flows))
}

/// The transaction for a recipient that has one.
fn rewrite(owner: &OwnerTag, flows: &[Flow]) -> String {
    format!("-F {}\n{}", chain(owner), pairs(owner, flows))
}

fn pairs(owner: &OwnerTag, flows: &[Flow]) -> String {
    flows
        .iter()
        .flat_map(|flow| pair(owner, flow))
        .fold(String::new(), |text, rule| text + &rule + "\n")
}

/// There: new connections to the port. Back: only what belongs to one of them, where Docker let
/// the source open connections of its own from that port.
fn pair(owner: &OwnerTag, flow: &Flow) -> [String; 2] {
    let (chain, bits) = (chain(owner), if flow.from.is_ipv4() { 32 } else { 128 });
    let Flow { from, to, port } = flow;
    let (proto, number) = (port.protocol, port.number);
    [
        format!(
            "-A {chain} -s {from}/{bits} -d {to}/{bits} -p {proto} -m {proto} --dport {number} \
             -j ACCEPT"
        ),
        format!(
            "-A {chain} -s {to}/{bits} -d {from}/{bits} -p {proto} -m {proto} --sport {number} \
             -m conntrack --ctstate ESTABLISHED -j ACCEPT"
        ),
    ]
}

/// The programs of one family.
#[derive(Debug, Clone, Copy)]
struct Tool {
    family: Family,
    directory: &'static str,
}

impl Tool {
    fn find(family: Family) -> Result<Self> {
        DIRECTORIES
            .into_iter()
            .map(|directory| Self { family, directory })
            .find(|tool| Path::new(&tool.program(tool.restore_name())).exists())
            .ok_or_else(|| {
                let missing = Self { family, directory: "" }.restore_name();
                failed(format!("{missing}: not installed (looked in {})", DIRECTORIES.join(", ")))
            })
    }

    fn program(self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    fn restore_name(self) -> &'static str {
        match self.family {
            Family::V4 => "iptables-restore",
            Family::V6 => "ip6tables-restore",
        }
    }

    /// The file that remembers the base chain.
    fn note(self) -> &'static str {
        match self.family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        }
    }

    /// A bridge filters what IPv6 has in place of ARP, while ARP itself passes: without it no
    /// container finds another's link address, whatever its link permits. It opens nothing.
    fn neighbour_discovery(self) -> &'static [&'static str] {
        match self.family {
            Family::V4 => &[],
            Family::V6 => &[
                "-A OCI-LINK -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT",
                "-A OCI-LINK -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT",
            ],
        }
    }

    /// Carries out one transaction. The inner error is the program's word that it would not: then
    /// nothing has happened.
    fn restore(self, commands: &str) -> Result<std::result::Result<(), String>> {
        let input = format!("*filter\n{commands}COMMIT\n");
        let args = ["--noflush", "--wait", LOCK_WAIT];
        let output = self.run(self.restore_name(), &args, &input)?;
        Ok(if output.status.success() { Ok(()) } else { Err(self.complaint(&output)) })
    }

    /// All chains and rules of the filter table.
    fn list(self) -> Result<Vec<String>> {
        let output = self.run(self.note(), &["--wait", LOCK_WAIT, "-S"], "")?;
        if output.status.success() {
            Ok(output.stdout.lines().map(str::to_owned).collect())
        } else {
            Err(failed(self.complaint(&output)))
        }
    }

    fn run(self, name: &str, args: &[&str], input: &str) -> Result<Output> {
        child::run(&self.program(name), args, input, PATIENCE, Kind::Firewall)
    }

    fn complaint(self, output: &Output) -> String {
        let Output { status, complaint, .. } = output;
        format!("{}: {status}: {complaint}", self.program(self.restore_name()))
    }
}
