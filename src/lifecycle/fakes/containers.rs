//! Records of containers with a real process.

use crate::model::sample::record;
use crate::model::{Instance, OwnerTag, Record, StateId};
use crate::sys::net::netns::Process;
use crate::sys::process::{boot_id, own_pid};
use std::cell::RefCell;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

/// A process that a test can end. Clones refer to the same process.
#[derive(Clone)]
pub(crate) struct Sleeper(Rc<RefCell<Child>>);

impl Sleeper {
    /// Starts the process.
    pub(crate) fn new() -> Self {
        let child = Command::new("/bin/sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        Self(Rc::new(RefCell::new(child)))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.0.borrow().id().try_into().unwrap()
    }

    /// Ends the process and waits for its end.
    pub(crate) fn end(&self) {
        let mut child = self.0.borrow_mut();
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if Rc::strong_count(&self.0) == 1 {
            self.end();
        }
    }
}

/// A container whose process is this test: it runs until the test ends.
pub(crate) fn own(name: &str, ports: &str, addresses: &[&str]) -> Record {
    of_process(record(name, ports, addresses), own_pid().unwrap())
}

/// Returns the record with the process `pid` and a network namespace that no other name has.
pub(crate) fn of_process(record: Record, pid: i32) -> Record {
    let started = Process::pin(pid).unwrap().started();
    let mix = |sum: u64, byte: u8| sum.wrapping_mul(31).wrapping_add(byte.into());
    let netns = record.name.as_str().bytes().fold(7, mix);
    let instance = Instance { boot: boot_id().unwrap(), netns, pid, started };
    Record { owner: owner(&record, &instance), instance, ..record }
}

/// A later run of the same container: the namespace and the owner tag are new.
pub(crate) fn again(record: &Record) -> Record {
    let instance = Instance { netns: record.instance.netns + 1, ..record.instance.clone() };
    Record { owner: owner(record, &instance), instance, ..record.clone() }
}

/// The tag of this run, as the state directory of a scene makes it.
fn owner(record: &Record, instance: &Instance) -> OwnerTag {
    OwnerTag::new(StateId::default(), &record.id, instance)
}
