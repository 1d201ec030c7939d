//! Whether the process of a recorded container lives.

use crate::error::Result;
use crate::model::Record;
use crate::sys::process;

/// Whether the container of `record` is running.
///
/// A record outlives its container if no hook reported the end. The container is dead if its
/// process is gone or a zombie, if the process of that pid started at another time, or if the host
/// has booted since. An error means that the process cannot be read; the caller must not treat it
/// as dead.
pub(crate) fn is_running(record: &Record, boot: u128) -> Result<bool> {
    let instance = &record.instance;
    Ok(instance.boot == boot && process::start_time(instance.pid)? == Some(instance.started))
}
