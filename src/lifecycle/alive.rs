//! Whether the process of a recorded container lives.

use crate::error::{Cause, Error, Kind, Result};
use crate::model::{Inode, ProcessPlace, Record};
use crate::sys::process;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;

thread_local! {
    /// The pid and start time of the process that was found dead last. All recipients of a source that ended
    /// ask for it, and it never runs again.
    static GONE: Cell<Option<(i32, u64)>> = const { Cell::new(None) };
    /// The processes that were found running, while a [`Remembered`] exists.
    static RUNNING: RefCell<Option<HashSet<(i32, u64)>>> = const { RefCell::new(None) };
}

/// While it exists, a process that was found running counts as running.
#[must_use = "the answers are forgotten when it is dropped"]
pub(crate) struct Remembered(());

/// Looks at each process once, until the returned value is dropped. For a command that only reports: what it
/// compares is the host at one moment. And for a start under the host lock: the end of a container that ends meanwhile
/// waits for the lock, and removes its links then.
pub(crate) fn remember() -> Remembered {
    RUNNING.set(Some(HashSet::new()));
    Remembered(())
}

impl Drop for Remembered {
    fn drop(&mut self) {
        RUNNING.set(None);
    }
}

/// Whether the container of `record` is running.
///
/// A record outlives its container if no hook reported the end. The container is dead if its
/// process is gone or a zombie, if the process of that pid started at another time, or if the host
/// has booted since. An error means that the process cannot be read, or that the record was made in
/// another pid or time namespace; the caller must not treat it as dead.
pub(crate) fn is_running(record: &Record, boot: u128) -> Result<bool> {
    let instance = &record.instance;
    if instance.boot != boot {
        return Ok(false);
    }
    must_be_seen(record)?;
    let process = (instance.pid, instance.started);
    if GONE.get() == Some(process) {
        return Ok(false);
    }
    if RUNNING.with_borrow(|known| known.as_ref().is_some_and(|known| known.contains(&process))) {
        return Ok(true);
    }
    let runs = process::start_time(instance.pid)? == Some(instance.started);
    if runs {
        RUNNING.with_borrow_mut(|known| known.as_mut().map(|known| known.insert(process)));
    } else {
        GONE.set(Some(process));
    }
    Ok(runs)
}

/// Fails if pids and start times in `record` have another meaning for this process.
pub(crate) fn must_be_seen(record: &Record) -> Result<()> {
    let Some(place) = &record.place else { return Ok(()) };
    let (there, here) = (place.processes, process::namespaces()?);
    if is_same(there, here) {
        return Ok(());
    }
    let message = format!(
        "container {}: was recorded in another pid or time namespace: run oci-link there",
        record.id
    );
    Err(Error::new(Kind::Namespace, message).because(Cause::OtherProcesses))
}

/// Whether both are the same, as far as `there` is known.
fn is_same(there: ProcessPlace, here: ProcessPlace) -> bool {
    let same = |there: Option<Inode>, here| there.is_none() || there == here;
    same(there.pid, here.pid) && same(there.time, here.time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::fakes::own;
    use crate::model::Place;

    #[test]
    fn a_process_is_looked_at_once_while_answers_are_remembered() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut record = own("web", "80", &["10.0.0.2/24"]);
        record.instance.pid = i32::try_from(child.id()).unwrap();
        record.instance.started = process::start_time(record.instance.pid).unwrap().unwrap();
        let boot = record.instance.boot;
        let once = remember();
        assert!(is_running(&record, boot).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_running(&record, boot).unwrap(), "as it was at that moment");
        drop(once);
        for _ in 0..2 {
            assert!(!is_running(&record, boot).unwrap());
        }
    }

    #[test]
    fn a_process_of_another_namespace_is_neither_running_nor_dead() {
        let here = process::namespaces().unwrap();
        let boot = process::boot_id().unwrap();
        let made_in = |processes| Record {
            place: Some(Place { network: 7, processes }),
            ..own("web", "80", &["10.0.0.2/24"])
        };
        assert!(is_running(&made_in(here), boot).unwrap());
        let other = Some(Inode { device: 1, number: 2 });
        for there in [ProcessPlace { pid: other, ..here }, ProcessPlace { time: other, ..here }] {
            let record = made_in(there);
            assert_eq!(is_running(&record, boot).unwrap_err().cause, Cause::OtherProcesses);
            assert!(!is_running(&record, boot + 1).unwrap(), "the host has booted since");
        }
        let unknown = ProcessPlace { pid: None, time: None };
        assert!(is_running(&made_in(unknown), boot).unwrap());
    }
}
