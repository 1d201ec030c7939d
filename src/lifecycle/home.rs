//! Whether this process is in the namespaces in which the records of its state directory were made.
//! In others it sees other rules and other processes, so it changes nothing.

use crate::error::{Cause, Error, Kind, Result};
use crate::host::Host;
use crate::lifecycle::alive::{is_running, must_be_seen};
use crate::lifecycle::privileges::AfterHook;
use crate::model::Record;
use crate::sys::file::shown;
use crate::sys::net::netns::enter_first;
use crate::sys::site::{Standing, is_known, standing, whose};

/// Fails if a record was made in other namespaces, with the cause [`Cause::OtherNetwork`] or
/// [`Cause::OtherProcesses`].
///
/// Reads one file if no record was lost since the last start here, otherwise all records.
pub(crate) fn check(host: &Host) -> Result<()> {
    let is_nowhere = matches!(standing(), Standing::Nowhere { .. });
    if !is_nowhere && host.store.is_complete(&host.epoch()?)? {
        return Ok(());
    }
    // A record that cannot be read tells nothing. What needs it fails later.
    let mut records = host.store.all().unwrap_or_default();
    if whose().has_site_elsewhere() {
        // The site of a rootless engine goes with its last container.
        records.retain(|record| !is_running(record, host.boot).is_ok_and(|runs| !runs));
    }
    records.iter().try_for_each(|record| check_record(host, record))
}

/// Fails if `record` was made in other namespaces of this boot.
pub(crate) fn check_record(host: &Host, record: &Record) -> Result<()> {
    let Some(place) = record.place.filter(|_| record.instance.boot == host.boot) else {
        return Ok(());
    };
    must_be_seen(record)?;
    let here = host.place()?.network;
    // Before Linux 5.14 all cookies are 0.
    if place.network == here || place.network == 0 {
        return Ok(());
    }
    if whose().has_site_elsewhere() {
        if !is_running(record, host.boot)? && !is_known(place.network) {
            return Ok(());
        }
    } else if here == 0 {
        return Ok(());
    }
    let message = format!(
        "container {}: was recorded in another network namespace: run oci-link there, or remove {} if \
         that namespace is gone",
        record.id,
        shown(&host.config.state_dir)
    );
    Err(Error::new(Kind::Namespace, message).because(Cause::OtherNetwork(place.network)))
}

/// Returns the cause of `error`, which is the network namespace of this process if that is another one:
/// there the interfaces of a container lead nowhere.
pub(crate) fn explain(host: &Host, error: Error) -> Error {
    let is_cause = |other: &Error| matches!(other.cause, Cause::OtherNetwork(_));
    check(host).err().filter(is_cause).unwrap_or(error)
}

/// Opens the host where its records were made, as far as a rootless engine has several sites.
pub(crate) fn open_at_home(open: impl Fn() -> Result<Host>) -> Result<Host> {
    let host = open()?;
    if !whose().has_site_elsewhere() {
        return Ok(host);
    }
    let Err(Cause::OtherNetwork(cookie)) = check(&host).map_err(|error| error.cause) else {
        return Ok(host);
    };
    if enter_first(cookie)?.is_some() { open() } else { Ok(host) }
}

/// Calls `act`. If the records were made in another network namespace, and it is that of process 1 or another
/// one of the same rootless engine, calls `act` again there.
///
/// `after` says whether this process continues afterwards, in its own namespace.
pub(crate) fn at_home<T>(after: AfterHook, act: impl Fn() -> Result<T>) -> Result<T> {
    let done = act();
    let Err(Cause::OtherNetwork(cookie)) = done.as_ref().map_err(|error| error.cause) else {
        return done;
    };
    let Some(left) = enter_first(cookie)? else { return done };
    log::debug!("entered the network namespace of the records");
    let done = act();
    if after == AfterHook::Continue {
        left.enter()?;
    }
    done
}
