//! What `ls` and `inspect` show of other hosts. Without `[cluster]` nothing.

use super::output::color::{Paint, Tone};
use super::output::table::{self, Cell};
use super::say_json;
use crate::cli::Format;
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::guests;
use crate::lifecycle::others::{Others, span};
use crate::lifecycle::remote;
use crate::model::{
    ContainerId, Guest, GuestRecord, HostName, Hostname, KnownRecords, LinkState, Offer, Phase,
    Record, Reference,
};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The sources of other hosts, with what is shown of the view.
pub(crate) struct Shown<'a> {
    others: Others<'a>,
    offers: Vec<Offer>,
    /// The recipients of other hosts that are let in here, by source.
    guests: BTreeMap<ContainerId, Vec<GuestRecord>>,
}

impl<'a> Shown<'a> {
    /// Reads all sources, and the recipients that are let in. `None` without `[cluster]`.
    pub(crate) fn of(host: &'a Host) -> Result<Option<Self>> {
        let Some(others) = Others::of(host)? else { return Ok(None) };
        let (offers, mut guests) = (others.all()?, BTreeMap::<_, Vec<_>>::new());
        for guest in guests::all(host)?.into_iter().filter(|guest| guest.phase == Phase::Ready) {
            guests.entry(guest.source.clone()).or_default().push(guest);
        }
        Ok(Some(Self { others, offers, guests }))
    }

    /// Whether what is known is believed.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.others.is_stale()
    }

    /// The recipients of other hosts that are linked to a container of this host.
    pub(crate) fn linked_to<'r>(
        &'r self,
        record: &'r Record,
    ) -> impl Iterator<Item = &'r GuestRecord> {
        let guests = self.guests.get(&record.id).into_iter().flatten();
        guests.filter(|guest| guest.run == record.owner)
    }

    /// The name of this host.
    pub(crate) fn own_host(&self) -> &str {
        self.others.cluster.name.as_str()
    }

    /// The names for completion, as `name@host`.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.offers.iter().map(|offer| format!("{}@{}", offer.name, offer.source.host))
    }

    /// A row of the table for each source, with the column HOST.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Vec<Cell>> + '_ {
        self.offers.iter().map(|offer| {
            let addresses: Vec<String> = offer.addresses.iter().map(ToString::to_string).collect();
            let ports = offer.ports.to_string();
            vec![
                offer.source.id.short().into(),
                offer.name.as_str().into(),
                offer.source.host.as_str().into(),
                addresses.join(",").into(),
                if ports.is_empty() { "-" } else { ports.as_str() }.into(),
                "-".into(),
                "-".into(),
                state(&self.others),
            ]
        })
    }

    /// A JSON object for each source.
    pub(crate) fn in_full(&self) -> impl Iterator<Item = Value> + '_ {
        self.offers.iter().map(|offer| in_full(&self.others, offer))
    }

    /// Adds the name of this host to the JSON object of a local container, the hosts of its sources, its recipients on
    /// other hosts, and its state.
    pub(crate) fn added(&self, shown: Value, record: &Record, known: &KnownRecords<'_>) -> Value {
        let mut shown = shown;
        shown["host"] = self.own_host().into();
        let linked_by = shown["linked_by"].as_array_mut().into_iter();
        linked_by.for_each(|all| {
            let ids = self.linked_to(record).map(|guest| &guest.recipient);
            all.extend(ids.map(|run| Value::from(format!("{}@{}", run.id, run.host))));
        });
        let links = shown["links"].as_array_mut().into_iter().flatten();
        for (shown, link_state) in links.zip(&record.links) {
            let there = link_state.there.as_ref().map(|run| run.host.as_str());
            let here = link_state.source.as_ref().map(|_| self.own_host());
            shown["connected_host"] = there.or(here).into();
        }
        match self.lack(record, known) {
            Some(Lack::News) => shown["state"] = "stale".into(),
            Some(Lack::Receipt(_)) => shown["state"] = "waits".into(),
            None => {}
        }
        shown
    }

    /// The state of a local container whose links to other hosts carry nothing, as a cell of the table.
    pub(crate) fn state_of(&self, record: &Record, known: &KnownRecords<'_>) -> Option<Cell> {
        match self.lack(record, known)? {
            Lack::News => Some(state(&self.others)),
            Lack::Receipt(host) => Some(Cell::new(Tone::Doubtful, format!("waits for {host}"))),
        }
    }

    /// What links of a local container to other hosts lack.
    fn lack<'r>(&self, record: &'r Record, known: &KnownRecords<'_>) -> Option<Lack<'r>> {
        let leads_elsewhere = |link_state: &LinkState| {
            link_state.there.is_some() || link_state.link.source.host().is_some()
        };
        if self.others.is_stale() && record.links.iter().any(leads_elsewhere) {
            return Some(Lack::News);
        }
        let guest = Guest { host: self.others.cluster.name.clone(), run: record.owner.clone() };
        let mut there = record.links.iter().filter_map(|link_state| link_state.there.as_ref());
        there.find(|run| !known.is_ready(run, &guest)).map(|run| Lack::Receipt(&run.host))
    }
}

/// What links to other hosts lack.
enum Lack<'a> {
    /// News: those that are known are too old.
    News,
    /// The word of this host that it has let the recipient in.
    Receipt(&'a HostName),
}

/// The sources of other hosts that are known.
pub(crate) fn offers<'s>(others: Option<&'s Shown<'_>>) -> &'s [Offer] {
    others.map_or(&[], |others| &others.offers)
}

/// Returns `records` with those of the sources on other hosts.
pub(crate) fn with_sources<'r>(
    records: &'r [Record],
    others: Option<&Shown<'_>>,
) -> Cow<'r, [Record]> {
    let there = offers(others).iter().map(Offer::as_record);
    match others {
        None => Cow::Borrowed(records),
        Some(_) => Cow::Owned(records.iter().cloned().chain(there).collect()),
    }
}

/// The state of the sources of other hosts.
fn state(others: &Others<'_>) -> Cell {
    match others.age() {
        _ if !others.is_stale() => Cell::new(Tone::Good, "ready"),
        Some(age) => Cell::new(Tone::Bad, format!("stale ({})", span(age))),
        None => Cell::new(Tone::Bad, "stale"),
    }
}

fn in_full(others: &Others<'_>, offer: &Offer) -> Value {
    json!({
        "id": offer.source.id.as_str(),
        "name": offer.name.as_str(),
        "hostname": offer.hostname.as_ref().map(Hostname::as_str),
        "host": offer.source.host.as_str(),
        "addresses": offer.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "ports": offer.ports.iter().map(|port| port.to_string()).collect::<Vec<_>>(),
        "links": [],
        "linked_by": [],
        "state": if others.is_stale() { "stale" } else { "ready" },
        "view_age_s": others.age().map(|age| age.as_secs()),
    })
}

/// Prints the source `reference` of another host. Returns false if it names none.
pub(crate) fn inspect(host: &Host, reference: &Reference, format: Format) -> Result<bool> {
    let Some((others, offer)) = remote::source(host, reference)? else { return Ok(false) };
    match format {
        Format::Json => {
            let mut shown = in_full(&others, &offer);
            shown["run"] = offer.source.run.as_str().into();
            say_json(&shown)?;
        }
        Format::Table => {
            let mut rows: Vec<Vec<Cell>> = Vec::new();
            let mut row = |field: &str, value: Cell| rows.push(vec![field.into(), value]);
            row("id", offer.source.id.to_string().into());
            row("name", offer.name.as_str().into());
            row("host", offer.source.host.as_str().into());
            row("state", state(&others));
            for address in &offer.addresses {
                row("address", address.to_string().into());
            }
            for port in offer.ports.iter() {
                row("port", port.to_string().into());
            }
            row("run", offer.source.run.as_str().into());
            table::print(Paint::for_stdout(), None, &["FIELD", "VALUE"], &rows)?;
        }
    }
    Ok(true)
}

/// The recipients of other hosts that want a container of this host, as `name@host`.
pub(crate) fn wanted_by(host: &Host, record: &Record) -> Result<Vec<String>> {
    let Some(others) = Others::of(host)? else { return Ok(Vec::new()) };
    let wants = others.wanting(&record.id)?;
    let shown = wants.iter().map(|want| format!("{}@{}", want.name, want.recipient.host));
    Ok(shown.collect())
}
