//! Whether the process of a recorded container lives.

use crate::error::Result;
use crate::model::Record;
use crate::sys::process;

/// Whether the container of `record` runs now. A record outlives its container when nobody told
/// us of its end: then its process is gone, is a zombie, or is another one that started later, or
/// the host has booted since.
pub(crate) fn is_running(record: &Record, boot: u128) -> Result<bool> {
    let instance = &record.instance;
    Ok(instance.boot == boot && process::start_time(instance.pid)? == Some(instance.started))
}
