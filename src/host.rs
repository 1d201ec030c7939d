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
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Held by `watch` while it runs, in the state directory.
pub(crate) const WATCH_LOCK: &str = "watch.lock";
/// A program that a killed watch had begun may hold its lock a moment longer.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// Where plans take effect.
#[derive(Clone, Copy)]
pub(crate) struct Effects<'a> {
    /// The records.
    pub(crate) store: &'a dyn Store,
    /// The rules.
    pub(crate) firewall: &'a dyn Firewall,
    /// The state directory, which holds no container's files.
    pub(crate) state: &'a Path,
}

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
    memory: SetupCache,
    state: Rc<Directory>,
}

impl Host {
    /// Opens the state directory, and refuses one that others could have touched.
    pub(crate) fn open(config: Config) -> Result<Self> {
        let state = Rc::new(Directory::open(&config.state_dir)?);
        let boot = process::boot_id()?;
        let store = store::open(Rc::clone(&state))?;
        let memory = SetupCache::new(Rc::clone(&state), boot);
        let firewall = firewall::select(config.firewall, memory.clone());
        Ok(Self { config, boot, store, firewall, memory, state })
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
            Error::new(Kind::State, format!("{place}: another oci-link watch is already running"))
        })
    }

    /// Isolates the bridges that config.toml names, and no others. The caller holds the host lock.
    pub(crate) fn isolate(&self) -> Result<()> {
        firewall::isolate(self.firewall.as_ref(), &self.memory, &self.config.isolate)
    }

    /// Calls `act` with the site whose firewall keeps the rules of a record made by `backend`,
    /// whatever config.toml says today.
    pub(crate) fn effects<T>(
        &self,
        backend: BackendName,
        act: impl FnOnce(Effects<'_>) -> Result<T>,
    ) -> Result<T> {
        let other;
        let firewall = if self.firewall.chosen() == Some(backend) {
            self.firewall.as_ref()
        } else {
            other = firewall::select(Choice::Fixed(backend), self.memory.clone());
            other.as_ref()
        };
        act(Effects { store: self.store.as_ref(), firewall, state: &self.config.state_dir })
    }
}
