//! This host: its configuration, records, firewall and boot id.

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::firewall::bridge::{self, BridgeTable};
use crate::firewall::xtables::allowance::{Allowance, UNDER_THE_LOCK};
use crate::firewall::{self, Choice, Firewall, Outside, SetupCache};
use crate::model::{
    BackendName, Bind, Family, Fingerprint, Inode, Instance, Place, SeparatedBridges, StateId, Ties,
};
use crate::store::notes::Notes;
use crate::store::{self, Store};
use crate::sys::hosts::lease;
use crate::sys::net::netlink::kept::KeptSockets;
use crate::sys::net::netns::{Now, addresses_of};
use crate::sys::private_dir::Directory;
use crate::sys::process::lock::{self, Lock};
use crate::sys::site::{self, Standing};
use crate::sys::{file, process};
use std::cell::OnceCell;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

/// The lock file of `watch` in the state directory.
pub(crate) const WATCH_LOCK: &str = "watch.lock";
/// How long a change waits for the host lock.
///
/// When many containers start at boot, each start waits for all earlier ones. The hooks that
/// oci-link installs have a timeout of 30 s.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a loop that takes the host lock again and again leaves it to others.
const BETWEEN_LOTS: Duration = Duration::from_micros(300);
/// How long a child of a killed `watch` may still hold its lock.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// Opens a backend by its name. The production closure captures nothing, so its box takes no memory.
type Backends = Box<dyn Fn(BackendName, SetupCache) -> Box<dyn Firewall>>;
/// Reads the addresses of a running container in its network namespace, see [`addresses_of`].
pub(crate) type ReadAddresses = Box<dyn Fn(&Instance, Option<Fingerprint>) -> Result<Now>>;

/// Everything that commands need, opened once.
pub(crate) struct Host {
    /// The configuration.
    pub(crate) config: Config,
    /// The boot id.
    pub(crate) boot: u128,
    /// What names the state directory in the tags of its rules.
    pub(crate) identity: StateId,
    /// The records.
    pub(crate) store: Box<dyn Store>,
    /// The backend for containers that start now.
    pub(crate) firewall: Box<dyn Firewall>,
    /// The table that knows the ports of bridges.
    pub(crate) ports: BridgeTable,
    backends: Backends,
    addresses: ReadAddresses,
    memory: SetupCache,
    state: Rc<Directory>,
}

/// The host while this process holds its lock. Whatever changes records, rules or hosts files takes
/// this in place of [`Host`]: what was planned stays true until it is dropped.
pub(crate) struct Locked<'h> {
    host: &'h Host,
    lock: Lock,
    /// Closed after the lock is released.
    _sockets: KeptSockets,
    /// How long programs may run under the lock.
    _programs: Allowance,
    separated: OnceCell<SeparatedBridges>,
    /// For each of [`Family::BOTH`]: why flows cannot be tied to ports.
    lacks: [OnceCell<Option<String>>; 2],
    /// Why the kernel has no table for that.
    no_table: OnceCell<Option<String>>,
}

/// What a plan changes: records, rules and hosts files. Exists only while the host lock is held.
#[derive(Clone, Copy)]
pub(crate) struct Effects<'a> {
    /// The records.
    pub(crate) store: &'a dyn Store,
    /// The rules.
    pub(crate) firewall: &'a dyn Firewall,
    /// The table that knows the ports of bridges.
    pub(crate) ports: &'a BridgeTable,
    /// The state directory. A hosts file of a container is never in it.
    pub(crate) state: &'a Path,
    /// The host lock.
    pub(crate) lock: &'a Lock,
}

impl Host {
    /// Opens the state directory. A directory that another user can change is an error.
    ///
    /// For a rootless engine, this process enters the network namespace with its bridges first, from which
    /// it does not come back.
    pub(crate) fn open(config: Config) -> Result<Self> {
        site::enter(None)?;
        let state = Rc::new(Directory::open_as(&config.state_dir, config.state_mode())?);
        let boot = process::boot_id()?;
        let identity = StateId::of(&config.state_dir);
        let store = store::open(Rc::clone(&state))?;
        let memory = SetupCache::new(Rc::clone(&state), boot);
        let (choice, backends): (Choice, Backends) = match site::standing() {
            // Where there is no bridge there is no rule, and the rules of an earlier site went with it.
            Standing::Nowhere { .. } => {
                let none = Choice::Fixed(BackendName::None);
                (none, Box::new(move |_, memory| firewall::select(none, memory)))
            }
            Standing::Home | Standing::Site { .. } => (
                config.firewall,
                Box::new(|name, memory| firewall::select(Choice::Fixed(name), memory)),
            ),
        };
        let firewall = firewall::select(choice, memory.clone());
        let (addresses, ports) = (Box::new(addresses_of), BridgeTable::new(memory.clone()));
        Ok(Self {
            config,
            boot,
            identity,
            store,
            firewall,
            ports,
            backends,
            addresses,
            memory,
            state,
        })
    }

    /// A host for unit tests: it keeps its records in `store` and its rules in `firewall`,
    /// `backends` opens every other backend, and `addresses` has the addresses of containers.
    #[cfg(test)]
    pub(crate) fn with(
        config: Config,
        store: Box<dyn Store>,
        firewall: Box<dyn Firewall>,
        backends: Backends,
        addresses: ReadAddresses,
    ) -> Result<Self> {
        let state = Rc::new(Directory::open_as(&config.state_dir, config.state_mode())?);
        let boot = process::boot_id()?;
        let memory = SetupCache::new(Rc::clone(&state), boot);
        let identity = StateId::default();
        // A unit test changes no rule of the host.
        let config = Config { bind: Bind::Bridge, ..config };
        let ports = BridgeTable::new(memory.clone());
        Ok(Self {
            config,
            boot,
            identity,
            store,
            firewall,
            ports,
            backends,
            addresses,
            memory,
            state,
        })
    }

    /// The state directory.
    pub(crate) fn state(&self) -> BorrowedFd<'_> {
        self.state.as_fd()
    }

    /// The state directory, for files that are no records.
    pub(crate) fn directory(&self) -> &Directory {
        &self.state
    }

    /// The namespaces of this process, which its records name.
    pub(crate) fn place(&self) -> Result<Place> {
        Ok(Place { network: self.memory.cookie()?, processes: process::namespaces()? })
    }

    /// The boot and the namespaces of this process as text. Records made in others are not its own.
    pub(crate) fn epoch(&self) -> Result<String> {
        let Place { network, processes } = self.place()?;
        let number = |inode: Option<Inode>| inode.map_or(0, |inode| inode.number);
        let (pid, time) = (number(processes.pid), number(processes.time));
        Ok(format!("{:032x} {network} {pid} {time}", self.boot))
    }

    /// Takes the lock of `watch`. Fails if another process watches this state directory.
    pub(crate) fn sole_watch(&self) -> Result<Lock> {
        lock::within(LAST_BREATH, self.state.open_lock(WATCH_LOCK)?)?.ok_or_else(|| {
            let place = file::shown(&self.config.state_dir);
            Error::new(Kind::State, format!("{place}: another oci-link watch is already running"))
        })
    }

    /// Whether `watch` runs on this state directory.
    pub(crate) fn is_watched(&self) -> bool {
        self.state.has(WATCH_LOCK)
            && self.state.open_lock(WATCH_LOCK).is_ok_and(|file| lock::is_held(&file))
    }

    /// Waits for the host lock and takes it. Fails if another process holds it for 20 s.
    pub(crate) fn lock(&self) -> Result<Locked<'_>> {
        self.lock_within(PATIENCE)
    }

    /// Takes the host lock in a loop that does so for each lot of its work. Those that wait for the lock come first:
    /// flock(2) wakes them, but the loop would have it again before they run.
    pub(crate) fn lock_for_a_lot(&self) -> Result<Locked<'_>> {
        thread::sleep(BETWEEN_LOTS);
        self.lock()
    }

    /// Waits for the host lock, but not longer than `patience`. Fails with [`Cause::LockHeld`] then.
    ///
    /// [`Cause::LockHeld`]: crate::error::Cause::LockHeld
    pub(crate) fn lock_within(&self, patience: Duration) -> Result<Locked<'_>> {
        let lock = self.store.lock(patience)?;
        lease::begin_event();
        let (separated, sockets) = (OnceCell::new(), KeptSockets::begin());
        Ok(Locked {
            host: self,
            lock,
            _sockets: sockets,
            _programs: Allowance::begin(UNDER_THE_LOCK),
            separated,
            lacks: Default::default(),
            no_table: OnceCell::new(),
        })
    }

    /// Reads the addresses of a running container in its network namespace, as [`addresses_of`] does.
    pub(crate) fn read_addresses(
        &self,
        instance: &Instance,
        known: Option<Fingerprint>,
    ) -> Result<Now> {
        (self.addresses)(instance, known)
    }

    /// The notes of containers whose start or end could not be recorded.
    pub(crate) fn notes(&self) -> Notes<'_> {
        Notes::new(&self.state)
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

    /// The bridges that an engine separates. They are read once, when they are needed first.
    pub(crate) fn separated(&self, read: impl FnOnce() -> SeparatedBridges) -> &SeparatedBridges {
        self.separated.get_or_init(read)
    }

    /// How flows of `families` on one bridge are tied. Read once for each family, when it is needed first: before
    /// privileges are dropped, if flows are planned after that.
    pub(crate) fn ties(&self, families: &[Family]) -> Ties {
        let has_rules = self.config.firewall != Choice::Fixed(BackendName::None);
        let bind = if has_rules { self.config.bind } else { Bind::Bridge };
        let reason = || self.ports.is_supported().err().map(|error| error.to_string());
        let read = |family| bridge::lack(family, || self.no_table.get_or_init(reason).clone());
        bridge::ties(bind, |family| {
            let known = Family::BOTH.into_iter().zip(&self.lacks).find(|(its, _)| *its == family);
            let (_, lack) = known.filter(|_| families.contains(&family))?;
            lack.get_or_init(|| read(family)).clone()
        })
    }

    /// Restores the isolation of the bridges that config.toml names, if it seems to be missing.
    pub(crate) fn hold_isolation(&self) -> Result<()> {
        if self.config.isolate.is_empty() { Ok(()) } else { self.firewall.hold() }
    }

    /// Isolates the bridges that config.toml names, and no others.
    pub(crate) fn isolate(&self) -> Result<()> {
        let (bridges, outside) = (&self.config.isolate, self.outside()?);
        firewall::isolate(self.firewall.as_ref(), &self.memory, bridges, &outside)
    }

    /// Which of the isolated bridges have networks that are routed between hosts. Reads nothing without `[cluster]`.
    pub(crate) fn outside(&self) -> Result<Outside> {
        match &self.config.cluster {
            Some(cluster) if !self.config.isolate.is_empty() => {
                Outside::read(&cluster.hosts, &self.config.isolate)
            }
            _ => Ok(Outside::default()),
        }
    }

    /// Calls `act` with the records and the backend `name`, which keeps the rules of a record.
    pub(crate) fn effects<T>(
        &self,
        name: BackendName,
        act: impl FnOnce(Effects<'_>) -> Result<T>,
    ) -> Result<T> {
        let (store, state) = (self.store.as_ref(), self.config.state_dir.as_path());
        let ports = &self.ports;
        self.backend(name, |firewall| {
            act(Effects { store, firewall, ports, state, lock: &self.lock })
        })
    }
}

impl Deref for Locked<'_> {
    type Target = Host;

    fn deref(&self) -> &Host {
        self.host
    }
}
