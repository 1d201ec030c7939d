//! This host: its configuration, its records, its firewall, its boot.

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::firewall::{self, Choice, Firewall, SetupCache};
use crate::model::BackendName;
use crate::store::{self, Store};
use crate::sys::net::netlink::namespace_cookie;
use crate::sys::private_dir::Directory;
use crate::sys::process::lock::{self, Lock};
use crate::sys::{file, process};
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Held by `watch` while it runs, in the state directory.
pub(crate) const WATCH_LOCK: &str = "watch.lock";
/// A program that a killed watch had begun may hold its lock a moment longer.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// Opens a backend by its name. The production closure captures nothing, so its box takes no memory.
type Backends = Box<dyn Fn(BackendName, SetupCache) -> Box<dyn Firewall>>;

/// Everything that commands need, opened once.
pub(crate) struct Host {
    /// How it wants its links.
    pub(crate) config: Config,
    /// Its boot id.
    pub(crate) boot: u128,
    /// The records.
    pub(crate) store: Box<dyn Store>,
    /// Keeps the rules of containers that start now.
    pub(crate) firewall: Box<dyn Firewall>,
    backends: Backends,
    memory: SetupCache,
    state: Rc<Directory>,
}

/// The host while this process holds its lock. Whatever changes records, rules or hosts files takes
/// this in place of [`Host`]: what was planned stays true until it is dropped.
pub(crate) struct Locked<'h> {
    host: &'h Host,
    lock: Lock,
}

/// What a plan changes: records, rules and hosts files. Exists only while the host lock is held.
#[derive(Clone, Copy)]
pub(crate) struct Effects<'a> {
    /// The records.
    pub(crate) store: &'a dyn Store,
    /// The rules.
    pub(crate) firewall: &'a dyn Firewall,
    /// The state directory. A hosts file of a container is never in it.
    pub(crate) state: &'a Path,
    /// The host lock.
    pub(crate) lock: &'a Lock,
}

impl Host {
    /// Opens the state directory, and refuses one that others could have touched.
    pub(crate) fn open(config: Config) -> Result<Self> {
        let state = Rc::new(Directory::open(&config.state_dir)?);
        let boot = process::boot_id()?;
        let store = store::open(Rc::clone(&state))?;
        let memory = SetupCache::new(Rc::clone(&state), boot);
        let firewall = firewall::select(config.firewall, memory.clone());
        let backends: Backends =
            Box::new(|name, memory| firewall::select(Choice::Fixed(name), memory));
        Ok(Self { config, boot, store, firewall, backends, memory, state })
    }

    /// A host for unit tests: it keeps its records in `store` and its rules in `firewall`, and
    /// `backends` opens every other backend.
    #[cfg(test)]
    pub(crate) fn with(
        config: Config,
        store: Box<dyn Store>,
        firewall: Box<dyn Firewall>,
        backends: Backends,
    ) -> Result<Self> {
        let state = Rc::new(Directory::open(&config.state_dir)?);
        let boot = process::boot_id()?;
        let memory = SetupCache::new(Rc::clone(&state), boot);
        Ok(Self { config, boot, store, firewall, backends, memory, state })
    }

    /// The state directory.
    pub(crate) fn state(&self) -> BorrowedFd<'_> {
        self.state.as_fd()
    }

    /// What rules and records cannot outlast: this boot, and the network namespace we are in.
    pub(crate) fn epoch(&self) -> Result<String> {
        Ok(format!("{:032x} {}", self.boot, namespace_cookie()?))
    }

    /// The right to watch this state directory, which one process has until it drops this.
    pub(crate) fn sole_watch(&self) -> Result<Lock> {
        lock::within(LAST_BREATH, self.state.open_lock(WATCH_LOCK)?)?.ok_or_else(|| {
            let place = file::shown(&self.config.state_dir);
            Error::new(Kind::State, format!("{place}: is watched by another process already"))
        })
    }

    /// Waits for the host lock and takes it. Fails if another process holds it for too long.
    pub(crate) fn lock(&self) -> Result<Locked<'_>> {
        Ok(Locked { host: self, lock: self.store.lock()? })
    }

    /// Calls `ask` with the backend `name`, whatever config.toml says today.
    pub(crate) fn backend<T>(
        &self,
        name: BackendName,
        ask: impl FnOnce(&dyn Firewall) -> Result<T>,
    ) -> Result<T> {
        if self.firewall.chosen() == Some(name) {
            return ask(self.firewall.as_ref());
        }
        ask((self.backends)(name, self.memory.clone()).as_ref())
    }
}

impl Locked<'_> {
    /// The lock itself, which changes of the store ask for.
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Isolates the bridges that config.toml names, and no others.
    pub(crate) fn isolate(&self) -> Result<()> {
        firewall::isolate(self.firewall.as_ref(), &self.memory, &self.config.isolate)
    }

    /// Calls `act` with the records and the backend `name`, which keeps the rules of a record.
    pub(crate) fn effects<T>(
        &self,
        name: BackendName,
        act: impl FnOnce(Effects<'_>) -> Result<T>,
    ) -> Result<T> {
        let (store, state) = (self.store.as_ref(), self.config.state_dir.as_path());
        self.backend(name, |firewall| act(Effects { store, firewall, state, lock: &self.lock }))
    }
}

impl Deref for Locked<'_> {
    type Target = Host;

    fn deref(&self) -> &Host {
        self.host
    }
}
