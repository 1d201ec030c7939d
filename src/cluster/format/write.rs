//! Writes the records of this host.

use super::{MAX_GUESTS, MAX_ID, MAX_NAMES, MAX_PORTS, MAX_SOURCES, VERSION};
use crate::cluster::json::MAX_BYTES;
#[cfg(any(test, fuzzing))]
use crate::model::View;
use crate::model::{ContainerName, Guest, HostName, Hostname, Offer, PeerRun, Share, Want};
use serde::Serialize;
use std::net::IpAddr;

#[derive(Serialize)]
struct WireOffer<'a> {
    v: u64,
    host: &'a str,
    id: &'a str,
    run: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    names: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    addresses: &'a [IpAddr],
    ports: Vec<String>,
    to: WireShare<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guests: Vec<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireShare<'a> {
    All(&'static str),
    Only(Vec<&'a str>),
}

#[derive(Serialize)]
struct WireWant<'a> {
    v: u64,
    host: &'a str,
    id: &'a str,
    run: &'a str,
    name: &'a str,
    addresses: &'a [IpAddr],
    sources: Vec<WireRun<'a>>,
}

#[derive(Serialize)]
struct WireRun<'a> {
    host: &'a str,
    id: &'a str,
    run: &'a str,
}

#[derive(Serialize)]
struct WirePresence<'a> {
    v: u64,
    host: &'a str,
    incarnation: &'a str,
}

#[cfg(any(test, fuzzing))]
#[derive(Serialize)]
struct WireView<'a> {
    v: u64,
    boot: String,
    fresh_ms: u64,
    by: &'a str,
    published: bool,
    problem: Option<&'a str>,
}

/// Writes an offer. One that another host would refuse is `None`: an id that is too long or begins with a
/// full stop, no address, too many ports, or a record of more than 64 KiB. Names and guests beyond the
/// bounds are left out.
pub(crate) fn offer_bytes(offer: &Offer) -> Option<Vec<u8>> {
    let mut ports = Vec::new();
    for range in offer.ports.iter() {
        if ports.len() + range.count() > MAX_PORTS {
            return None;
        }
        ports.extend(range.numbers().map(|number| format!("{number}/{}", range.protocol())));
    }
    let to = match &offer.to {
        Share::None => return None,
        Share::All => WireShare::All("all"),
        Share::Only(hosts) => WireShare::Only(hosts.iter().map(HostName::as_str).collect()),
    };
    let guest = |guest: &Guest| format!("{}/{}", guest.host, guest.run);
    let PeerRun { host, id, run } = &offer.source;
    is_publishable(&offer.source, &offer.addresses).then_some(())?;
    bytes(&WireOffer {
        v: VERSION,
        host: host.as_str(),
        id: id.as_str(),
        run: run.as_str(),
        name: offer.name.as_str(),
        names: offer.names.iter().map(ContainerName::as_str).take(MAX_NAMES).collect(),
        hostname: offer.hostname.as_ref().map(Hostname::as_str),
        addresses: &offer.addresses,
        ports,
        to,
        guests: offer.guests.iter().map(guest).take(MAX_GUESTS).collect(),
    })
}

/// Writes a want. One that another host would refuse is `None`, as for [`offer_bytes`].
pub(crate) fn want_bytes(want: &Want) -> Option<Vec<u8>> {
    let PeerRun { host, id, run } = &want.recipient;
    let is_bounded = (1..=MAX_SOURCES).contains(&want.sources.len());
    (is_bounded && is_publishable(&want.recipient, &want.addresses)).then_some(())?;
    bytes(&WireWant {
        v: VERSION,
        host: host.as_str(),
        id: id.as_str(),
        run: run.as_str(),
        name: want.name.as_str(),
        addresses: &want.addresses,
        sources: want.sources.iter().map(wire_run).collect(),
    })
}

/// Writes the presence of a host.
pub(crate) fn presence_bytes(host: &HostName, incarnation: &str) -> Option<Vec<u8>> {
    bytes(&WirePresence { v: VERSION, host: host.as_str(), incarnation })
}

/// Writes a view. In practice the courier does.
#[cfg(any(test, fuzzing))]
pub(crate) fn view_bytes(view: &View) -> Option<Vec<u8>> {
    let boot = format!("{:032x}", view.boot);
    let boot = [&boot[..8], &boot[8..12], &boot[12..16], &boot[16..20], &boot[20..]].join("-");
    bytes(&WireView {
        v: VERSION,
        boot,
        fresh_ms: view.fresh_ms,
        by: &view.by,
        published: view.published,
        problem: view.problem.as_deref(),
    })
}

fn wire_run(run: &PeerRun) -> WireRun<'_> {
    WireRun { host: run.host.as_str(), id: run.id.as_str(), run: run.run.as_str() }
}

/// Whether the record can have a file name, and has addresses within the bounds.
fn is_publishable(run: &PeerRun, addresses: &[IpAddr]) -> bool {
    let id = run.id.as_str();
    let is_bounded = (1..=super::MAX_ADDRESSES).contains(&addresses.len());
    is_bounded && id.len() <= MAX_ID && !id.starts_with('.') && run.id.tag().is_none()
}

fn bytes(record: &impl Serialize) -> Option<Vec<u8>> {
    let bytes = serde_json::to_vec(record).ok()?;
    (bytes.len() <= MAX_BYTES).then_some(bytes)
}
