//! `inspect`: prints one container's record, its links as they would be planned now, and its rules
//! in the kernel.

use super::link_word::LinkWord;
use super::output::color::{Paint, Tone};
use super::output::table::{self, Cell};
use super::{ls, peers, say_json, warn_of_newer};
use crate::cli::{Format, Inspect};
use crate::error::{Error, Result};
use crate::firewall::OwnerScope;
use crate::firewall::bridge::keys::Key;
use crate::host::{Host, Locked};
use crate::lifecycle::isolating;
use crate::lifecycle::lookup::look_up;
use crate::lifecycle::planning::plan;
use crate::link::env::{link_variables, passed, passed_prefix};
use crate::link::{OnMissing, Plan};
use crate::model::{
    Flow, HostsPlace, KnownRecords, LinkState, PeerRun, PortRange, Record, Reference,
};
use crate::sys::file::shown;
use serde_json::{Value, json};

/// Prints the record of one container.
pub(crate) fn run(host: &Host, arguments: &Inspect) -> Result<()> {
    // Reading the rules clears the environment, so `TERM` and `NO_COLOR` are read first.
    let paint = Paint::for_stdout();
    let named = Reference::of_link(&arguments.container)?;
    if peers::inspect(host, &named, arguments.output.format())? {
        return Ok(());
    }
    let reference = named.without_host();
    // One lock for all reads: a container that starts meanwhile would look like a difference.
    let locked = host.lock()?;
    let record = look_up(host.store.as_ref(), &reference)?;
    let plan = Planned(plan(&locked, &record, None, true, OnMissing::Leave));
    let isolation = isolation(&locked, &record)?;
    let (recipients, newer) = host.store.everything()?;
    let rules = Rules::of(host, &record)?;
    warn_of_newer(&newer);
    drop(locked);
    let linked_by: Vec<&Record> =
        recipients.iter().filter(|other| other.alias_of(&record.id).is_some()).collect();
    let wanted_by = peers::wanted_by(host, &record)?;
    let others = peers::Shown::of(host)?;
    let sources = peers::with_sources(&recipients, others.as_ref());
    let records = KnownRecords::of(&sources).with_receipts(peers::offers(others.as_ref()));
    let all = Known { records, others: others.as_ref(), linked_by, wanted_by, isolation };
    match arguments.output.format() {
        Format::Json => say_json(&in_full(host, &record, &all, &plan, &rules)),
        Format::Table => {
            let fields = fields(host, &record, &all, &plan, &rules);
            table::print(paint, None, &["FIELD", "VALUE"], &fields)
        }
    }
}

/// What the records of all containers say about links.
struct Known<'a> {
    records: KnownRecords<'a>,
    /// The sources of other hosts.
    others: Option<&'a peers::Shown<'a>>,
    /// The recipients that are linked to the container.
    linked_by: Vec<&'a Record>,
    /// The recipients of other hosts that want it.
    wanted_by: Vec<String>,
    /// Whether it is isolated as its record says.
    isolation: Option<&'static str>,
}

/// The verdict on the isolation of a container that asks for it.
fn isolation(host: &Locked<'_>, record: &Record) -> Result<Option<&'static str>> {
    if record.isolation.is_none() {
        return Ok(None);
    }
    let is_whole = isolating::is_whole(host, record, &host.ports.owners()?)?;
    Ok(Some(if is_whole { AGREED } else { DIFFER }))
}

/// The plan for the container's links at this moment.
struct Planned(Result<Plan>);

impl Planned {
    fn verdict(&self, record: &Record) -> &'static str {
        match &self.0 {
            Err(_) => UNKNOWN,
            Ok(plan) if plan.agrees_with(record) => AGREED,
            Ok(_) => DIFFER,
        }
    }
}

const UNKNOWN: &str = "unknown";
const AGREED: &str = "as recorded";
const DIFFER: &str = "differ";

/// The color of a verdict.
fn tone(verdict: &str) -> Tone {
    match verdict {
        AGREED => Tone::Good,
        DIFFER => Tone::Bad,
        _ => Tone::Doubtful,
    }
}

/// The owner's rules according to the record, and as read from the kernel.
struct Rules {
    expected: Vec<String>,
    actual: std::result::Result<Vec<String>, Error>,
    /// The same for the ends of flows that are tied to bridge ports.
    expected_ports: Vec<Key>,
    ports: std::result::Result<Vec<Key>, Error>,
}

impl Rules {
    fn of(host: &Host, record: &Record) -> Result<Self> {
        let ports = host.ports.owners().map(|mut owners| {
            let mut there = owners.remove(&record.owner).unwrap_or_default();
            there.sort();
            there
        });
        let expected_ports = Key::of_flows(&record.flows);
        host.backend(record.backend, |firewall| {
            let ruleset = OwnerScope::new(&record.owner, &record.flows);
            let expected = firewall.expected(&record.owner, &record.flows);
            Ok(Self { expected, actual: firewall.read(ruleset), expected_ports, ports })
        })
    }

    fn verdict(&self) -> &'static str {
        match (&self.actual, &self.ports) {
            (Err(_), _) | (_, Err(_)) => UNKNOWN,
            (Ok(actual), Ok(ports))
                if *actual == self.expected && *ports == self.expected_ports =>
            {
                AGREED
            }
            _ => DIFFER,
        }
    }

    /// The lines of the bridge table, if it could be read.
    fn ports(&self) -> Vec<String> {
        self.ports.iter().flatten().map(Key::show).collect()
    }
}

fn hosts_path(record: &Record) -> Option<String> {
    record.hosts.as_ref().map(|edit| match &edit.place {
        HostsPlace::Mount { path, .. } => shown(path),
        HostsPlace::Rootfs { path, .. } => format!("{}/etc/hosts", shown(path)),
    })
}

fn hosts_lines(record: &Record) -> Vec<&str> {
    let block = record.hosts.as_ref().map_or("", |edit| edit.block.as_str());
    block.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

fn flows_in_full(flows: &[Flow]) -> Value {
    let flows = flows.iter().map(|flow| {
        let mut shown = json!({
            "from": flow.from.to_string(),
            "to": flow.to.to_string(),
            "port": numbers(flow.ports),
            "protocol": flow.ports.protocol().as_str(),
            "bridge": flow.bridge.map(|on| on.name.to_string()),
        });
        if let Some(on) = flow.bridge.filter(|_| flow.crosses()) {
            shown["crossing"] = on.crossing.as_str().into();
        }
        shown
    });
    flows.collect()
}

/// The variables of the links as they are now, by key. `None` is the value of one of the source's own variables,
/// which may be secret.
fn variables(
    host: &Host,
    record: &Record,
    known: &KnownRecords<'_>,
) -> Vec<(String, Option<String>)> {
    let links = record.links.iter().filter_map(|it| Some((&it.link.alias, known.source(it)?)));
    let links: Vec<_> = links.collect();
    let secret: Vec<String> = links.iter().map(|(alias, _)| passed_prefix(alias)).collect();
    let found = link_variables(&record.name, links, &[], host.config.dialect);
    let shown = found.variables.into_iter().map(|variable| {
        let is_secret = secret.iter().any(|prefix| variable.key.starts_with(prefix.as_str()));
        (variable.key, (!is_secret).then_some(variable.value))
    });
    shown.collect()
}

/// A number for a single port, and a text such as `7000-7010` for a range.
fn numbers(ports: PortRange) -> Value {
    if ports.is_single() {
        ports.first().into()
    } else {
        format!("{}-{}", ports.first(), ports.last()).into()
    }
}

fn in_full(host: &Host, record: &Record, all: &Known<'_>, plan: &Planned, rules: &Rules) -> Value {
    let mut value = ls::summary(host, record, &all.records, &all.linked_by);
    if let Some(others) = all.others {
        value = others.added(value, record, &all.records);
    }
    value["pid"] = json!(record.instance.pid);
    value["owner"] = json!(record.owner.as_str());
    value["backend"] = json!(record.backend.as_str());
    value["flows"] = flows_in_full(&record.flows);
    if !all.wanted_by.is_empty() {
        value["wanted_by"] = json!(all.wanted_by);
    }
    if let Some((isolation, verdict)) = record.isolation.as_ref().zip(all.isolation) {
        let ports = isolation
            .ports
            .iter()
            .map(|port| json!({ "index": port.index, "bridge": port.bridge.to_string() }));
        value["isolation"] = json!({ "verdict": verdict, "ports": ports.collect::<Value>() });
    }
    value["env"] = json!(record.environment.iter().map(|v| v.key.as_str()).collect::<Vec<_>>());
    value["shows"] = passed(record).map(|variable| variable.key.as_str()).collect();
    let variables = variables(host, record, &all.records);
    value["variables"] =
        variables.into_iter().map(|(key, value)| (key, Value::from(value))).collect();
    value["hosts"] = json!({ "path": hosts_path(record), "lines": hosts_lines(record) });
    value["plan"] = match &plan.0 {
        Ok(Plan { record: planned, .. }) => json!({
            "verdict": plan.verdict(record),
            "links": ls::links_in_full(host, planned, &all.records),
            "flows": flows_in_full(&planned.flows),
        }),
        Err(error) => json!({ "verdict": plan.verdict(record), "error": error.to_string() }),
    };
    value["rules"] = match &rules.actual {
        Ok(lines) => {
            json!({ "verdict": rules.verdict(), "kernel": lines, "ports": rules.ports() })
        }
        Err(error) => json!({ "verdict": rules.verdict(), "error": error.to_string() }),
    };
    value
}

fn fields(
    host: &Host,
    record: &Record,
    all: &Known<'_>,
    plan: &Planned,
    rules: &Rules,
) -> Vec<Vec<Cell>> {
    let mut rows = vec![vec![Cell::from("id"), record.id.to_string().into()]];
    rows.push(vec!["name".into(), record.name.as_str().into()]);
    let lacks = all.others.and_then(|others| others.state_of(record, &all.records));
    rows.push(vec!["state".into(), lacks.unwrap_or_else(|| ls::state_cell(host, record))]);
    let mut row = |field: &str, value: String| rows.push(vec![field.into(), value.into()]);
    row("pid", record.instance.pid.to_string());
    for address in record.network.addresses() {
        row("address", address.to_string());
    }
    for port in record.ports.iter() {
        row("port", port.to_string());
    }
    for link_state in &record.links {
        let word = LinkWord::of(host, record, link_state, &all.records);
        row(
            "link",
            match word {
                LinkWord::NoPorts | LinkWord::Unwatched | LinkWord::Routed => {
                    link(link_state) + &word.mark()
                }
                LinkWord::NoReceipt => link(link_state) + &word.mark(),
                LinkWord::Waiting(_) => link(link_state).replace(" (waiting)", &word.mark()),
                LinkWord::Ready | LinkWord::NoVariables => link(link_state),
            },
        );
    }
    for (key, value) in variables(host, record, &all.records) {
        row("variable", format!("{key}={}", value.as_deref().unwrap_or("…")));
    }
    for other in &all.linked_by {
        row("linked by", other.name.to_string());
    }
    for guest in all.others.iter().flat_map(|others| others.linked_to(record)) {
        row("linked by", format!("{}@{}", guest.name, guest.recipient.host));
    }
    for other in &all.wanted_by {
        row("wanted by", other.clone());
    }
    for variable in passed(record) {
        row("passes on", variable.key.clone());
    }
    if let Some(path) = hosts_path(record) {
        row("hosts file", path);
    }
    for line in hosts_lines(record) {
        row("hosts line", line.replace('\t', " "));
    }
    for flow in &record.flows {
        row("flow", flow.to_string());
    }
    if let Some((isolation, verdict)) = record.isolation.as_ref().zip(all.isolation) {
        let text = format!("{}, {verdict}", isolation.directions);
        rows.push(vec!["isolated".into(), Cell::new(tone(verdict), text)]);
    }
    rows.extend(plan_rows(record, plan));
    let verdict = format!("{}, {}", record.backend, rules.verdict());
    rows.push(vec!["rules".into(), Cell::new(tone(rules.verdict()), verdict)]);
    let mut rule = |line: &str| rows.push(vec!["rule".into(), line.into()]);
    match &rules.actual {
        Ok(lines) => lines.iter().for_each(|line| rule(line)),
        Err(error) => rule(&error.to_string()),
    }
    rules.ports().iter().for_each(|line| rule(line));
    if let Err(error) = &rules.ports {
        rule(&error.to_string());
    }
    rows
}

fn link(link_state: &LinkState) -> String {
    let there = || link_state.there.as_ref().map(PeerRun::key);
    let source = link_state.source.as_ref().map(ToString::to_string).or_else(there);
    let source = source.unwrap_or_else(|| "waiting".to_owned());
    let by = &link_state.declared_by;
    let by = if by.is_engine() { format!(", declared by {by}") } else { String::new() };
    format!("{} as {}{by} ({source})", link_state.link.source, link_state.link.alias)
}

/// Rows that compare the record with the current plan. They list the planned links and flows if
/// they differ from the record.
fn plan_rows(record: &Record, plan: &Planned) -> Vec<Vec<Cell>> {
    let verdict = plan.verdict(record);
    let mut rows = vec![vec!["plan".into(), Cell::new(tone(verdict), verdict)]];
    let mut row = |field: &str, value: String| rows.push(vec![field.into(), value.into()]);
    match &plan.0 {
        Ok(plan) if verdict == DIFFER => {
            plan.record.links.iter().for_each(|link_state| row("planned link", link(link_state)));
            plan.record.flows.iter().for_each(|flow| row("planned flow", flow.to_string()));
        }
        Ok(_) => {}
        Err(error) => row("planned", error.to_string()),
    }
    rows
}
