//! `ls`: lists the containers and their links.

use super::link_word::LinkWord;
use super::output::color::{Paint, Tone};
use super::output::table::{self, Cell};
use super::peers::{self, Shown};
use super::{say, say_json, warn_of_newer};
use crate::cli::{Filter, Format, Ls, State};
use crate::error::Result;
use crate::graph;
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::disputes::{AliasDispute, NameDispute, about_aliases, about_names};
use crate::lifecycle::lookup::look_up;
use crate::lifecycle::remote;
use crate::link::carry::has_routed_flows;
use crate::model::{Alias, ContainerId, Hostname, KnownRecords, LinkState, Phase, Record};
use crate::sys::terminal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// The columns of the table.
const HEADINGS: [&str; 7] = ["ID", "NAME", "ADDRESS", "PORTS", "LINKS", "LINKED BY", "STATE"];

/// Prints what [`run`] prints without records.
pub(crate) fn without_records(arguments: &Ls) -> Result<()> {
    match arguments.output.format() {
        _ if arguments.quiet || arguments.names || arguments.aliases.is_some() => Ok(()),
        Format::Table => table::print(Paint::for_stdout(), None, &HEADINGS, &[]),
        Format::Json => say_json(&json!([])),
    }
}

/// Prints all records.
pub(crate) fn run(host: &Host, arguments: &Ls) -> Result<()> {
    let (mut records, newer) = host.store.everything()?;
    records.retain(|record| !record.is_pod_infra);
    records.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    if arguments.names {
        records.iter().try_for_each(|record| say(&format!("{}\n", record.name)))?;
        let others = Shown::of(host)?;
        let names = others.iter().flat_map(Shown::names);
        return names.into_iter().try_for_each(|name| say(&format!("{name}\n")));
    }
    if let Some(container) = &arguments.aliases {
        let record = look_up(host.store.as_ref(), &remote::named(host, container)?)?;
        return record
            .links
            .iter()
            .try_for_each(|link_state| say(&format!("{}\n", link_state.link.alias)));
    }
    warn_of_newer(&newer);
    let listed = |record: &&Record| {
        let state = (!arguments.filters.is_empty()).then(|| state(host, record));
        arguments.filters.iter().all(|filter| match filter {
            Filter::Name(text) => record.name.as_str().contains(text.as_str()),
            Filter::State(wanted) => state == Some(*wanted),
        })
    };
    if arguments.quiet {
        let mut listed = records.iter().filter(listed);
        return listed.try_for_each(|record| say(&format!("{}\n", record.id)));
    }
    let mut linked_by: BTreeMap<&ContainerId, Vec<&Record>> = BTreeMap::new();
    for record in &records {
        for source in record.links.iter().filter_map(|link_state| link_state.source.as_ref()) {
            let by = linked_by.entry(source).or_default();
            // Several links of one recipient follow each other.
            if by.last().is_none_or(|known| known.id != record.id) {
                by.push(record);
            }
        }
    }
    let by = |record: &Record| linked_by.get(&record.id).map_or(&[][..], Vec::as_slice);
    let disputes =
        Disputes::of(about_names(host.store.as_ref(), &records)?, about_aliases(&records));
    // The filters are about the containers of this host.
    let others = Shown::of(host)?;
    let all = peers::with_sources(&records, others.as_ref());
    let known = KnownRecords::of(&all).with_receipts(peers::offers(others.as_ref()));
    let own = others.as_ref().map(Shown::own_host);
    let shown_others = others.iter().filter(|_| arguments.filters.is_empty());
    match arguments.output.format() {
        Format::Table => {
            let rows = records.iter().filter(listed).map(|record| {
                let here = by(record).iter().map(|other| other.name.to_string());
                let there = others.iter().flat_map(|it| it.linked_to(record));
                let there = there.map(|it| format!("{}@{}", it.name, it.recipient.host));
                let linked_by: Vec<String> = here.chain(there).collect();
                let mut row = row(host, record, &known, &linked_by, &disputes);
                if let Some(state) = others.as_ref().and_then(|it| it.state_of(record, &known)) {
                    row.pop();
                    row.push(state);
                }
                if arguments.no_trunc {
                    row[0] = record.id.to_string().into();
                }
                with_host(row, own.map(Cell::from))
            });
            let rows: Vec<_> = rows.chain(shown_others.flat_map(Shown::rows)).collect();
            let headings = with_host(HEADINGS.to_vec(), own.map(|_| "HOST"));
            let width = if arguments.no_trunc { None } else { terminal::width() };
            table::print(Paint::for_stdout(), width, &headings, &rows)
        }
        Format::Json => {
            let shown = records.iter().filter(listed).map(|record| {
                let shown = disputes.added(summary(host, record, &known, by(record)), record);
                match &others {
                    Some(others) => others.added(shown, record, &known),
                    None => shown,
                }
            });
            say_json(&shown.chain(shown_others.flat_map(Shown::in_full)).collect::<Value>())
        }
    }
}

/// Puts the column HOST behind the name, if there is one.
fn with_host<T>(mut row: Vec<T>, host: Option<T>) -> Vec<T> {
    if let Some(host) = host {
        row.insert(2, host);
    }
    row
}

/// What the listed containers claim at once.
struct Disputes<'a> {
    /// The first dispute about a name of each container.
    names: HashMap<&'a ContainerId, NameDispute<'a>>,
    /// The disputes about aliases of each container.
    aliases: HashMap<&'a ContainerId, Vec<(&'a Alias, &'a Record)>>,
}

impl<'a> Disputes<'a> {
    fn of(names: Vec<NameDispute<'a>>, aliases: Vec<AliasDispute<'a>>) -> Self {
        let mut all = Self { names: HashMap::new(), aliases: HashMap::new() };
        for dispute in names {
            all.names.entry(&dispute.claimant.id).or_insert(dispute);
        }
        for AliasDispute { alias, recipients: [first, second] } in aliases {
            all.aliases.entry(&first.id).or_default().push((alias, second));
            all.aliases.entry(&second.id).or_default().push((alias, first));
        }
        all
    }

    /// The name of `record`, with a mark if links by one of its names do not find it.
    fn name(&self, record: &Record) -> Cell {
        let name = record.name.as_str();
        let dispute = self.names.get(&record.id);
        match dispute.map(|dispute| (dispute.name, dispute.owner)) {
            None => name.into(),
            Some((of, Some(owner))) if *of == record.name => {
                Cell::new(Tone::Doubtful, format!("{name} (belongs to {})", owner.id.short()))
            }
            Some((of, Some(owner))) => {
                let owner = owner.id.short();
                Cell::new(Tone::Doubtful, format!("{name} ({of} belongs to {owner})"))
            }
            Some((of, None)) => Cell::new(Tone::Doubtful, format!("{name} (not found by {of})")),
        }
    }

    /// The recipient that has `alias` for another source in the hosts file of `record`.
    fn rival(&self, record: &Record, alias: &Alias) -> Option<&Record> {
        let mut all = self.aliases.get(&record.id)?.iter();
        let dispute = all.find(|(disputed, _)| disputed.same_host(alias.as_str()));
        dispute.map(|(_, rival)| *rival)
    }

    /// Adds the disputes to the JSON object of `record`.
    fn added(&self, mut shown: Value, record: &Record) -> Value {
        if let Some(dispute) = self.names.get(&record.id) {
            shown["name_owner"] = dispute.owner.map(|owner| owner.id.as_str()).into();
        }
        for (at, link_state) in record.links.iter().enumerate() {
            if let Some(rival) = self.rival(record, &link_state.link.alias) {
                shown["links"][at]["disputed_by"] = rival.id.as_str().into();
            }
        }
        shown
    }
}

/// The state of a container. It is unknown if its process cannot be examined.
pub(crate) fn state(host: &Host, record: &Record) -> State {
    match (is_running(record, host.boot), record.phase) {
        (Err(_), _) => State::Unknown,
        (Ok(false), _) => State::Dead,
        (Ok(true), Phase::Ready) => State::Ready,
        (Ok(true), Phase::Pending) => State::Pending,
    }
}

/// A table cell with the state, in its color.
pub(crate) fn state_cell(host: &Host, record: &Record) -> Cell {
    let state = state(host, record);
    let tone = match state {
        State::Ready => Tone::Good,
        State::Pending => Tone::Doubtful,
        State::Dead | State::Unknown => Tone::Bad,
    };
    Cell::new(tone, state.as_str())
}

/// The links as `source`, `source:alias` or `source (alias, alias)`, with a mark for those that wait, open no port
/// or lack variables, and for those whose alias is disputed.
fn links(record: &Record, words: &[LinkWord], disputes: &Disputes<'_>) -> Vec<String> {
    let mark = |it: &LinkState, word: &LinkWord| {
        let engine = it.declared_by.is_engine().then(|| format!(" ({})", it.declared_by));
        let rival = disputes.rival(record, &it.link.alias);
        let rival = rival.map(|rival| format!(" (disputed by {})", rival.name));
        format!("{}{}{}", engine.unwrap_or_default(), word.mark(), rival.unwrap_or_default())
    };
    // Compose makes three aliases of one source.
    let mut groups: Vec<(&LinkState, String, Vec<&str>)> = Vec::new();
    for (it, word) in record.links.iter().zip(words) {
        let mark = mark(it, word);
        let is_alike = |(first, other, _): &&mut (&LinkState, String, Vec<&str>)| {
            first.link.source == it.link.source && *other == mark
        };
        match groups.iter_mut().find(is_alike) {
            Some((_, _, aliases)) => aliases.push(it.link.alias.as_str()),
            None => groups.push((it, mark, vec![it.link.alias.as_str()])),
        }
    }
    let shown = |(it, mark, aliases): (&LinkState, String, Vec<&str>)| match aliases[..] {
        [alias] if alias == it.link.source.as_str() => format!("{alias}{mark}"),
        [alias] => format!("{}:{alias}{mark}", it.link.source),
        _ => format!("{} ({}){mark}", it.link.source, aliases.join(", ")),
    };
    groups.into_iter().map(shown).collect()
}

fn row(
    host: &Host,
    record: &Record,
    known: &KnownRecords<'_>,
    linked_by: &[String],
    disputes: &Disputes<'_>,
) -> Vec<Cell> {
    let or_dash = |cell: String| if cell.is_empty() { "-".to_owned() } else { cell }.into();
    let addresses: Vec<_> =
        record.network.addresses().iter().map(|address| address.ip().to_string()).collect();
    let address = record.network.word().map_or_else(|| addresses.join(","), str::to_owned);
    let words = record.links.iter().map(|it| LinkWord::of(host, record, it, known));
    let words: Vec<LinkWord> = words.collect();
    let is_doubtful = words.iter().any(|word| word.is_doubtful());
    let links = or_dash(links(record, &words, disputes).join(","));
    vec![
        record.id.short().into(),
        if record.by_engine {
            Cell::from(format!("{} (by docker)", record.name))
        } else if let (Some(isolation), None) = (&record.isolation, disputes.names.get(&record.id))
        {
            Cell::from(format!("{} (isolated: {})", record.name, isolation.directions))
        } else {
            disputes.name(record)
        },
        or_dash(address),
        or_dash(record.ports.to_string()),
        if is_doubtful { links.with(Tone::Doubtful) } else { links },
        or_dash(linked_by.join(",")),
        state_cell(host, record),
    ]
}

/// The JSON object for a record, with complete ids.
pub(crate) fn summary(
    host: &Host,
    record: &Record,
    known: &KnownRecords<'_>,
    linked_by: &[&Record],
) -> Value {
    let addresses = record.network.addresses().iter().map(|address| address.ip().to_string());
    let mut shown = json!({
        "id": record.id.as_str(),
        "name": record.name.as_str(),
        "host": null,
        "hostname": record.hostname.as_ref().map(Hostname::as_str),
        "network": record.network.word().unwrap_or("own"),
        "addresses": addresses.collect::<Vec<_>>(),
        "ports": record.ports.iter().map(|port| port.to_string()).collect::<Vec<_>>(),
        "links": links_in_full(host, record, known),
        "linked_by": linked_by.iter().map(|other| other.id.as_str()).collect::<Vec<_>>(),
        "state": state(host, record).as_str(),
    });
    if record.by_engine {
        shown["by"] = "docker".into();
    }
    if let Some(isolation) = &record.isolation {
        shown["isolate"] = isolation.directions.as_str().into();
    }
    shown
}

/// The id of the source that the link is connected to.
fn connected(link_state: &LinkState) -> Option<&ContainerId> {
    link_state.source.as_ref().or(link_state.there.as_ref().map(|run| &run.id))
}

/// The JSON array for the links of a record: what each names, its state, and the ports that it opens. A
/// link that waits has a reason.
pub(crate) fn links_in_full(host: &Host, record: &Record, known: &KnownRecords<'_>) -> Value {
    let links = record.links.iter().map(|link_state| {
        let source = known.source(link_state);
        let ports = source.map(|source| graph::opened(record, source)).unwrap_or_default();
        let word = LinkWord::of(host, record, link_state, known);
        let mut shown = json!({
            "source": link_state.link.source.as_str(),
            "alias": link_state.link.alias.as_str(),
            "connected": connected(link_state).map(ContainerId::as_str),
            "state": word.state(),
            "declared_by": link_state.declared_by.to_string(),
            "ports": ports.iter().map(|port| port.to_string()).collect::<Vec<_>>(),
        });
        if let Some(reason) = word.reason() {
            shown["reason"] = reason.into();
        }
        if source.is_some_and(|source| has_routed_flows(record, source)) {
            shown["routed"] = true.into();
        }
        if record.lacks_variables(&link_state.link.alias) {
            shown["variables"] = false.into();
        }
        shown
    });
    links.collect()
}
