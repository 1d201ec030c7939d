//! `events`: follows the records and prints what changes.
//!
//! It reads the records without the host lock, when the kernel reports that one was written. It changes nothing, and
//! sleeps while nothing happens. Without `watch` it works as well.

mod changes;

use super::say;
use crate::cli::Events;
use crate::error::Result;
use crate::host::Host;
use crate::logging::rfc_3339;
use crate::model::ContainerId;
use crate::recovery::journal::{Repair, Repairs};
use crate::store::{StoreEvent, Subscription};
use crate::sys::daemon::epoll::Waiting;
use crate::sys::daemon::inotify::Notices;
use changes::{Event, Link, Look, What, between, look};
use serde_json::{Value, json};
use std::os::fd::{AsFd, AsRawFd};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A starting container writes its record twice, and those of recipients change with it.
const PAUSE: Duration = Duration::from_millis(50);
/// After a look, rest so many times its duration: events take at most 20 % of a processor.
const REST: u32 = 4;
/// Upper bound for that rest.
const LONGEST_REST: Duration = Duration::from_secs(5);
/// Whatever removes a state directory should finish before it is opened again.
const SETTLED: Duration = Duration::from_millis(500);

/// Prints events until this process is ended. What was there before is not printed. `open` opens the host, again if
/// the state directory was replaced.
pub(crate) fn run(open: impl Fn() -> Result<Host>, arguments: &Events) -> Result<()> {
    let mut seen: Option<(Look, u64)> = None;
    loop {
        let host = open()?;
        seen = Some(follow(&host, seen, arguments.json)?);
        sleep(SETTLED);
    }
}

/// Prints events until the state directory is removed. Returns the last look, and the repairs that were counted.
fn follow(host: &Host, seen: Option<(Look, u64)>, in_json: bool) -> Result<(Look, u64)> {
    let waiting = Waiting::new()?;
    let mut records: Box<dyn Subscription> = host.store.subscribe()?;
    // A repair is a file that is renamed in the state directory itself.
    let repairs = Notices::new()?;
    repairs.add(host.directory())?;
    waiting.add(&records)?;
    waiting.add(&repairs)?;
    // The subscriptions exist: what changes during this look causes another one.
    let (mut before, mut counted) = match seen {
        Some(seen) => seen,
        None => {
            let now = look(&host.store.all()?, &Look::new());
            (now, Repairs::read(host.directory()).total)
        }
    };
    loop {
        let begun = Instant::now();
        let after = look(&host.store.all()?, &before);
        for event in between(&before, &after) {
            print(in_json, &of_record(&event), &line(&event))?;
        }
        before = after;
        let done = Repairs::read(host.directory());
        for repair in done.since(counted) {
            print(in_json, &of_repair(repair), &format!("{} {}", repair.outcome, repair.text))?;
        }
        counted = done.total;
        sleep((begun.elapsed() * REST).min(LONGEST_REST));
        if !wait(&waiting, records.as_mut(), &repairs)? {
            return Ok((before, counted));
        }
        sleep(PAUSE);
    }
}

/// Waits for a change. Returns whether the state directory is still there.
fn wait(waiting: &Waiting, records: &mut dyn Subscription, repairs: &Notices) -> Result<bool> {
    loop {
        let mut is_new = false;
        for source in waiting.ready(None)? {
            if source == repairs.as_fd().as_raw_fd() {
                is_new |= !repairs.take()?.is_empty();
                continue;
            }
            match records.poll()? {
                StoreEvent::Nothing => {}
                StoreEvent::Written | StoreEvent::Noted => is_new = true,
                StoreEvent::Gone => return Ok(false),
            }
        }
        if is_new {
            return Ok(true);
        }
    }
}

/// Prints one event: an object in one line, or the time and a line for people.
fn print(in_json: bool, object: &Value, line: &str) -> Result<()> {
    let time = rfc_3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    if in_json {
        let mut object = object.clone();
        object["time"] = time.into();
        return say(&format!("{object}\n"));
    }
    say(&format!("{time} {line}\n"))
}

fn line(event: &Event) -> String {
    let name = &event.name;
    let link = |alias: &str, link: &Link| {
        if alias == link.source { alias.to_owned() } else { format!("{}:{alias}", link.source) }
    };
    match &event.what {
        What::Started => format!("started {name} ({})", event.id.short()),
        What::Ended => format!("ended {name} ({})", event.id.short()),
        What::Linked(alias, to) => format!("linked {name} {}", link(alias, to)),
        What::Waiting(alias, to) => format!("waiting {name} {}", link(alias, to)),
        What::Closed(alias, to) => format!("closed {name} {}", link(alias, to)),
    }
}

fn of_record(event: &Event) -> Value {
    let (word, link) = match &event.what {
        What::Started => ("started", None),
        What::Ended => ("ended", None),
        What::Linked(alias, link) => ("linked", Some((alias, link))),
        What::Waiting(alias, link) => ("waiting", Some((alias, link))),
        What::Closed(alias, link) => ("closed", Some((alias, link))),
    };
    let mut object = json!({ "event": word, "id": event.id.as_str(), "name": event.name });
    if let Some((alias, link)) = link {
        object["alias"] = alias.as_str().into();
        object["source"] = link.source.as_str().into();
        object["connected"] = link.connected.as_ref().map(ContainerId::as_str).into();
    }
    object
}

fn of_repair(repair: &Repair) -> Value {
    json!({ "event": repair.outcome, "text": repair.text, "id": repair.container })
}
