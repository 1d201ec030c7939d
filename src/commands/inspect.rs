//! `inspect`: one container's record, and whether the kernel agrees with it.

use super::{ls, table};
use crate::cli::{Format, Inspect};
use crate::error::{Context, Error, Kind, Result};
use crate::firewall::Ruleset;
use crate::host::Host;
use crate::model::{HostsPlace, Record, Reference};
use crate::sys::file::shown;
use crate::world::look_up;
use serde_json::{Value, json};

/// Prints one record.
pub fn run(host: &Host, arguments: &Inspect) -> Result<()> {
    let record = look_up(host.store.as_ref(), &Reference::new(&arguments.container)?)?;
    let rules = Rules::of(host, &record)?;
    let recipients = host.store.all()?;
    let linked_by: Vec<&Record> =
        recipients.iter().filter(|other| other.alias_of(&record.id).is_some()).collect();
    match arguments.format {
        Format::Json => {
            let value = in_full(host, &record, &linked_by, &rules);
            let text = serde_json::to_string_pretty(&value).context(Kind::Internal, || "JSON")?;
            println!("{text}");
        }
        Format::Table => {
            table::print(&["FIELD", "VALUE"], &fields(host, &record, &linked_by, &rules));
        }
    }
    Ok(())
}

/// The owner's rules: as recorded, and as the kernel has them now.
struct Rules {
    expected: Vec<String>,
    actual: std::result::Result<Vec<String>, Error>,
}

impl Rules {
    fn of(host: &Host, record: &Record) -> Result<Self> {
        host.at(record.backend, |site| {
            let ruleset = Ruleset { owner: &record.owner, before: &record.flows };
            let expected = site.firewall.expected(&record.owner, &record.flows);
            Ok(Self { expected, actual: site.firewall.read(ruleset) })
        })
    }

    fn verdict(&self) -> &'static str {
        match &self.actual {
            Err(_) => "unknown",
            Ok(actual) if *actual == self.expected => "as recorded",
            Ok(_) => "differ",
        }
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

fn in_full(host: &Host, record: &Record, linked_by: &[&Record], rules: &Rules) -> Value {
    let mut value = ls::summary(host, record, linked_by);
    let flows = record.flows.iter().map(|flow| {
        json!({
            "from": flow.from.to_string(),
            "to": flow.to.to_string(),
            "port": flow.port.number,
            "protocol": flow.port.protocol.as_str(),
            "bridge": flow.bridge.map(|bridge| bridge.to_string()),
        })
    });
    value["pid"] = json!(record.instance.pid);
    value["owner"] = json!(record.owner.as_str());
    value["backend"] = json!(record.backend.as_str());
    value["flows"] = json!(flows.collect::<Vec<_>>());
    value["env"] = json!(record.environment.iter().map(|v| v.key.as_str()).collect::<Vec<_>>());
    value["hosts"] = json!({ "path": hosts_path(record), "lines": hosts_lines(record) });
    value["rules"] = match &rules.actual {
        Ok(lines) => json!({ "verdict": rules.verdict(), "kernel": lines }),
        Err(error) => json!({ "verdict": rules.verdict(), "error": error.to_string() }),
    };
    value
}

fn fields(host: &Host, record: &Record, linked_by: &[&Record], rules: &Rules) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = |field: &str, value: String| rows.push(vec![field.to_owned(), value]);
    row("id", record.id.to_string());
    row("name", record.name.to_string());
    row("state", ls::state(host, record).to_owned());
    row("pid", record.instance.pid.to_string());
    for address in record.network.addresses() {
        row("address", address.to_string());
    }
    for port in record.ports.iter() {
        row("port", port.to_string());
    }
    for wired in &record.links {
        let source = wired.source.as_ref().map_or("absent", |id| id.as_str());
        row("link", format!("{} as {} ({source})", wired.link.source, wired.link.alias));
    }
    for other in linked_by {
        row("linked by", other.name.to_string());
    }
    for variable in &record.environment {
        row("shows", variable.key.clone());
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
    row("rules", format!("{}, {}", record.backend, rules.verdict()));
    match &rules.actual {
        Ok(lines) => lines.iter().for_each(|line| row("rule", line.clone())),
        Err(error) => row("rule", error.to_string()),
    }
    rows
}
