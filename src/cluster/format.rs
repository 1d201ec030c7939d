//! The records that hosts exchange, as JSON: offers, wants, presence, and the courier's view.
//!
//! Bytes of other hosts can contain anything. What is returned is checked, and within all bounds; what
//! is refused has a reason in one line. Unknown keys are ignored.

mod write;

use super::json::Json;
use crate::model::{
    ContainerId, ContainerName, Guest, HostName, Hostname, Offer, OwnerTag, PeerRun, PortRange,
    PortSet, Share, View, Want,
};
use std::net::IpAddr;
#[cfg(any(test, fuzzing))]
pub(crate) use write::view_bytes;
pub(crate) use write::{offer_bytes, presence_bytes, want_bytes};

/// The version of all formats.
const VERSION: u64 = 1;
/// Length limit of an id in a record, in bytes: it is a part of a file name.
pub(crate) const MAX_ID: usize = 180;
/// Limit of further names.
const MAX_NAMES: usize = 8;
/// Limit of addresses.
const MAX_ADDRESSES: usize = 16;
/// Limit of ports.
const MAX_PORTS: usize = 1024;
/// Limit of guests of one source.
pub(crate) const MAX_GUESTS: usize = 512;
/// Limit of sources.
const MAX_SOURCES: usize = 256;
/// Length limit of the texts of a view, in characters. Longer ones are cut.
const MAX_TEXT: usize = 200;

/// Why a record is refused, in one line.
pub(crate) type Refused = String;

/// Parses an offer.
pub(crate) fn offer(bytes: &[u8]) -> Result<Offer, Refused> {
    let json = document(bytes)?;
    Ok(Offer {
        source: run(&json)?,
        name: required(&json, "name", container_name)?,
        names: list(&json, "names", (0, MAX_NAMES), container_name)?,
        hostname: optional(&json, "hostname", |value| checked(Hostname::new(text(value)?)))?,
        addresses: addresses(&json)?,
        ports: ports(&json)?,
        to: required(&json, "to", share)?,
        guests: list(&json, "guests", (0, MAX_GUESTS), guest)?,
    })
}

/// Parses a want.
pub(crate) fn want(bytes: &[u8]) -> Result<Want, Refused> {
    let json = document(bytes)?;
    Ok(Want {
        recipient: run(&json)?,
        name: required(&json, "name", container_name)?,
        addresses: addresses(&json)?,
        sources: list(&json, "sources", (0, MAX_SOURCES), run)?,
    })
}

/// Parses a host's presence, and returns the host.
pub(crate) fn presence(bytes: &[u8]) -> Result<HostName, Refused> {
    let json = document(bytes)?;
    required(&json, "incarnation", |value| text(value).map(drop))?;
    required(&json, "host", host)
}

/// Parses the courier's view.
pub(crate) fn view(bytes: &[u8]) -> Result<View, Refused> {
    let json = document(bytes)?;
    let line = |value: &Json| text(value).map(one_line);
    let boot = required(&json, "boot", boot)?;
    let problem = optional(&json, "problem", line)?;
    let fresh_ms = optional(&json, "fresh_ms", |value| match value {
        Json::Whole(number) => Ok(*number),
        _ => Err("want a number".to_owned()),
    })?;
    // A courier that has just begun has no proof yet.
    let why = || problem.as_ref().map_or_else(String::new, |problem| format!(": {problem}"));
    let fresh_ms = fresh_ms.ok_or_else(|| format!("nothing heard yet{}", why()))?;
    let by = optional(&json, "by", line)?.unwrap_or_default();
    let published = optional(&json, "published", |value| match value {
        Json::Bool(published) => Ok(*published),
        _ => Err("want true or false".to_owned()),
    })?;
    Ok(View { boot, fresh_ms, by, published: published.unwrap_or(true), problem })
}

/// Parses the object of one record, of the version that this program knows.
fn document(bytes: &[u8]) -> Result<Json, Refused> {
    let json = Json::parse(bytes)?;
    match json.get("v") {
        _ if !matches!(json, Json::Object(_)) => Err("want a JSON object".to_owned()),
        Some(Json::Whole(VERSION)) => Ok(json),
        Some(_) => Err("v: want version 1".to_owned()),
        None => Err("v: is missing".to_owned()),
    }
}

fn required<T>(
    json: &Json,
    key: &str,
    parse: impl FnOnce(&Json) -> Result<T, Refused>,
) -> Result<T, Refused> {
    optional(json, key, parse)?.ok_or_else(|| format!("{key}: is missing"))
}

/// Parses the value of `key`. `null` counts as missing.
fn optional<T>(
    json: &Json,
    key: &str,
    parse: impl FnOnce(&Json) -> Result<T, Refused>,
) -> Result<Option<T>, Refused> {
    let value = json.get(key).filter(|value| **value != Json::Null);
    value.map(parse).transpose().map_err(|why| format!("{key}: {why}"))
}

/// Parses an array with a number of items in these bounds. A missing array is empty.
fn list<T>(
    json: &Json,
    key: &str,
    (least, most): (usize, usize),
    parse: impl Fn(&Json) -> Result<T, Refused>,
) -> Result<Vec<T>, Refused> {
    let all = match json.get(key) {
        None | Some(Json::Null) => &[][..],
        Some(Json::List(all)) => all,
        Some(_) => return Err(format!("{key}: want an array")),
    };
    if all.len() < least || all.len() > most {
        return Err(format!("{key}: want {least} to {most} items"));
    }
    all.iter().map(|value| parse(value).map_err(|why| format!("{key}: {why}"))).collect()
}

fn text(value: &Json) -> Result<&str, Refused> {
    match value {
        Json::Text(text) => Ok(text),
        _ => Err("want a string".to_owned()),
    }
}

fn checked<T>(value: Result<T, impl ToString>) -> Result<T, Refused> {
    value.map_err(|why| why.to_string())
}

fn host(value: &Json) -> Result<HostName, Refused> {
    checked(HostName::new(text(value)?))
}

fn container_name(value: &Json) -> Result<ContainerName, Refused> {
    checked(ContainerName::new(text(value)?))
}

fn container_id(value: &Json) -> Result<ContainerId, Refused> {
    let text = text(value)?;
    if text.len() > MAX_ID {
        return Err("longer than 180 characters".to_owned());
    }
    checked(ContainerId::new(text))
}

/// Parses the keys `host`, `id` and `run` of an object.
fn run(json: &Json) -> Result<PeerRun, Refused> {
    Ok(PeerRun {
        host: required(json, "host", host)?,
        id: required(json, "id", container_id)?,
        run: required(json, "run", |value| checked(OwnerTag::parse(text(value)?)))?,
    })
}

fn guest(value: &Json) -> Result<Guest, Refused> {
    let (host, run) = text(value)?.split_once('/').ok_or("want HOST/RUN")?;
    Ok(Guest { host: checked(HostName::new(host))?, run: checked(OwnerTag::parse(run))? })
}

/// Parses the addresses, each once.
fn addresses(json: &Json) -> Result<Vec<IpAddr>, Refused> {
    let address = |value: &Json| {
        let text = text(value)?;
        text.parse::<IpAddr>().map_err(|_| "want addresses without a prefix".to_owned())
    };
    let mut all: Vec<IpAddr> = Vec::new();
    for address in list(json, "addresses", (1, MAX_ADDRESSES), address)? {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    Ok(all)
}

/// Parses the ports, each `NUMBER/PROTOCOL`.
fn ports(json: &Json) -> Result<PortSet, Refused> {
    let port = |value: &Json| {
        let text = text(value)?;
        let port = checked(PortRange::parse(text))?;
        // A record has one spelling of each port.
        let is_single = port.is_single() && port.to_string() == text;
        let refuse = || "want NUMBER/tcp, NUMBER/udp or NUMBER/sctp".to_owned();
        is_single.then_some(port).ok_or_else(refuse)
    };
    let all = list(json, "ports", (0, MAX_PORTS), port)?;
    Ok(all.into_iter().collect())
}

fn share(value: &Json) -> Result<Share, Refused> {
    let Json::List(hosts) = value else {
        return match text(value) {
            Ok("all") => Ok(Share::All),
            _ => Err("want \"all\" or an array of hosts".to_owned()),
        };
    };
    let hosts = hosts.iter().map(host).collect::<Result<Vec<_>, _>>()?;
    Share::only(hosts).ok_or_else(|| "more than 256 hosts".to_owned())
}

/// Parses a boot id as the kernel writes it.
fn boot(value: &Json) -> Result<u128, Refused> {
    let text = text(value)?;
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &&str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    if lengths != [8, 4, 4, 4, 12] || !parts.iter().all(is_hex) {
        return Err("want a boot id".to_owned());
    }
    checked(u128::from_str_radix(&parts.concat(), 16))
}

/// Returns the beginning of a text without control characters.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests;
