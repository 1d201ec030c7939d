//! Links of running containers that carry nothing although nothing is broken: the source exposes no
//! port, runs without us, has no address, or shares no network with the recipient.

use super::HostContext;
use super::check::{Check, Fix, advice, word};
use super::docker::{self, Container};
use crate::lifecycle::routing::cut;
use crate::model::{KnownRecords, LinkState, Record};
use std::path::Path;

/// Links that are listed.
const SHOWN: usize = 20;

pub(super) fn examine(context: &HostContext) -> Vec<Check> {
    let of_docker = docker::containers(&context.question.root);
    let running = KnownRecords::of(&context.running);
    let links = context.running.iter().flat_map(|me| me.links.iter().map(move |link| (me, link)));
    let check = |(me, link): (&Record, &LinkState)| match &link.source {
        Some(id) => {
            let source = running.get(id)?;
            no_ports(me, link, source).or_else(|| unwatched(me, link, source))
        }
        None => cut_off(context, &running, me, link)
            .or_else(|| unmanaged(context, me, link, &of_docker)),
    };
    links.filter_map(check).take(SHOWN).collect()
}

/// A link whose source exposes no port.
fn no_ports(me: &Record, link: &LinkState, source: &Record) -> Option<Check> {
    if !source.ports.is_empty() {
        return None;
    }
    let subject = format!("link of {}", me.name);
    let alias = &link.link.alias;
    let cause = format!(
        "{alias} opens no port (no ports): {} exposes none, or its log says that its ports are ignored",
        source.name
    );
    let fix =
        advice(format!("create {} again with --annotation org.oci-link.ports=PORT", source.name));
    Some(Check::warning(&subject, cause, fix))
}

/// A link to a source of Docker that runs without us. Its rules are made while `watch` runs.
fn unwatched(me: &Record, link: &LinkState, source: &Record) -> Option<Check> {
    let has_rules =
        source.network.addresses().iter().any(|to| me.flows.iter().any(|flow| flow.to == to.ip()));
    if !source.by_engine || has_rules {
        return None;
    }
    let cause = format!(
        "{} opens no port: {} runs without oci-link, so its rules are made only while oci-link watch runs",
        link.link.alias, source.name
    );
    let fix = "systemctl enable --now oci-link-watch.service".to_owned();
    Some(Check::warning(&format!("link of {}", me.name), cause, fix))
}

/// A link that waits although its source runs: no packet gets there.
fn cut_off(
    context: &HostContext,
    running: &KnownRecords<'_>,
    me: &Record,
    link: &LinkState,
) -> Option<Check> {
    let others = running.others(me, link).map(|(_, other)| other);
    let mut all = others.filter(|other| other.network.is_own());
    let source = all.next().filter(|_| all.next().is_none())?;
    let (cause, fix) = cut(me, source)?;
    let cause = format!("{} waits: {cause}", link.link.alias);
    let fix = advice(format!("{fix}, then call {}", context.call("sync")));
    Some(Check::fault(&format!("link of {}", me.name), cause, fix))
}

/// A link that waits for a container which runs under another runtime.
fn unmanaged(
    context: &HostContext,
    me: &Record,
    link: &LinkState,
    of_docker: &[Container],
) -> Option<Check> {
    let wanted = link.link.source.as_str();
    let found = of_docker.iter().find(|other| other.name == wanted || other.id == wanted)?;
    let has_record = context.running.iter().any(|record| record.id.as_str() == found.id);
    if !found.runs || has_record {
        return None;
    }
    let subject = format!("link of {}", me.name);
    let (cause, fix): (String, Fix) = if found.is_ours {
        let cause = format!("waits for {wanted}, which runs, but has no record");
        (cause, format!("docker restart {}", word(Path::new(&found.name))).into())
    } else {
        let cause = format!(
            "waits for {wanted}, which runs, but not under oci-link: its runtime is {}",
            found.runtime
        );
        (cause, advice(format!("create {} again with docker run --runtime oci-link", found.name)))
    };
    Some(Check::fault(&subject, cause, fix))
}
