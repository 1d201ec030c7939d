//! A host in memory with containers, and the loop over all calls of a step.

use super::{Fault, Journal, Kernel, MemoryFirewall, MemoryStore};
use crate::config::Config;
use crate::engine::Listing;
use crate::error::{Kind, Result};
use crate::firewall::Firewall;
use crate::host::Host;
use crate::lifecycle::absent::Absences;
use crate::lifecycle::privileges::AfterHook;
use crate::lifecycle::starting::StartingContainer;
use crate::lifecycle::{start, stop};
use crate::model::sample::{alias, reference};
use crate::model::{
    Address, BackendName, BridgeName, Flow, Instance, Link, Missing, Network, Record,
};
use crate::sys::hosts::HostsFile;
use crate::sys::net::netns::{Now, Process};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The hosts file of every container before its first link.
pub(crate) const HOSTS: &str = "127.0.0.1\tlocalhost\n";

/// One host whose records and rules are in memory. Its hosts files are real.
pub(crate) struct Scene {
    /// The host, for the functions under test.
    pub(crate) host: Host,
    /// The calls of store and firewall.
    pub(crate) journal: Journal,
    /// The rules and connections.
    pub(crate) kernel: Rc<RefCell<Kernel>>,
    /// The records.
    pub(crate) store: MemoryStore,
    directory: PathBuf,
    live: Rc<RefCell<Live>>,
}

/// The addresses that containers have now, by the cookie of their network namespace. All others have
/// those of their records.
type Live = BTreeMap<u64, Vec<Address>>;

impl Scene {
    /// A host without containers. Its store is complete.
    pub(crate) fn new() -> Self {
        Self::isolating(&[])
    }

    /// A host without containers whose config.toml isolates `bridges`.
    pub(crate) fn isolating(bridges: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = format!("oci-link-scene-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        // The umask may permit other users to write, which the state directory refuses.
        fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
        let isolate = bridges.iter().map(|name| BridgeName::new(name).unwrap()).collect();
        let config = Config { state_dir: directory.join("state"), isolate, ..Config::default() };
        let (journal, kernel) = (Journal::default(), Rc::new(RefCell::new(Kernel::default())));
        let store = MemoryStore::new(&journal, &directory.join("lock"));
        let of_backend = {
            let (journal, kernel) = (journal.clone(), Rc::clone(&kernel));
            move |name| -> Box<dyn Firewall> {
                Box::new(MemoryFirewall::new(name, &journal, &kernel))
            }
        };
        let firewall = of_backend(BackendName::Ipset);
        let backends = Box::new(move |name, _| of_backend(name));
        let live = Rc::new(RefCell::new(Live::new()));
        let addresses = {
            let (journal, live, store) = (journal.clone(), Rc::clone(&live), store.clone());
            Box::new(move |instance: &Instance, _| {
                let recorded = || {
                    let mut records = store.records().into_iter();
                    let record = records.find(|record| record.instance.netns == instance.netns)?;
                    Some(record.network.addresses().to_vec())
                };
                let now = || Ok(live.borrow().get(&instance.netns).cloned().or_else(recorded));
                let now = journal.call(Kind::Namespace, "read addresses", now)?;
                Ok(now.map_or(Now::Elsewhere, |now| Now::Read(now, None)))
            })
        };
        let store_of_host = Box::new(store.clone());
        let host = Host::with(config, store_of_host, firewall, backends, addresses).unwrap();
        store.set_epoch(Some(host.epoch().unwrap()));
        Self { host, journal, kernel, store, directory, live }
    }

    /// The scene's directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The hosts file of the container `name`, created at the first call.
    pub(crate) fn hosts(&self, name: &str) -> PathBuf {
        let path = self.directory.join(format!("{name}.hosts"));
        if !path.exists() {
            fs::write(&path, HOSTS).unwrap();
        }
        self.journal.watch(name, &path);
        path
    }

    /// Gives the container `name` the hosts file of the container `owner`.
    pub(crate) fn share_hosts(&self, name: &str, owner: &str) {
        fs::hard_link(self.hosts(owner), self.directory.join(format!("{name}.hosts"))).unwrap();
    }

    /// A bundle whose config.json mounts the hosts file of the container `name`.
    pub(crate) fn bundle(&self, name: &str) -> PathBuf {
        let bundle = self.directory.join(format!("{name}.bundle"));
        if !bundle.exists() {
            fs::create_dir(&bundle).unwrap();
            let mount = format!(
                r#"{{"destination":"/etc/hosts","type":"bind","source":"{}","options":["bind"]}}"#,
                self.hosts(name).display()
            );
            let config = format!(r#"{{"root":{{"path":"rootfs"}},"mounts":[{mount}]}}"#);
            fs::write(bundle.join("config.json"), config).unwrap();
        }
        bundle
    }

    /// Starts a container as a hook that continues afterwards.
    pub(crate) fn start(&self, record: &Record) -> Result<()> {
        self.start_with(record, Missing::Fail, AfterHook::Continue)
    }

    /// Starts a container with this value of the annotation `missing`.
    pub(crate) fn start_with(
        &self,
        record: &Record,
        missing: Missing,
        after: AfterHook,
    ) -> Result<()> {
        let mut record = record.clone();
        let name = record.id.to_string();
        self.live.borrow_mut().remove(&record.instance.netns);
        self.kernel.borrow_mut().names.insert(record.owner.clone(), name.clone());
        record.bundle = Some(self.bundle(&name));
        let linked = !record.links.is_empty() && record.network != Network::Host;
        let state = &self.host.config.state_dir;
        let hosts = linked.then(|| HostsFile::of_mount(&self.hosts(&name), state)).transpose()?;
        let container = StartingContainer {
            process: Process::pin(record.instance.pid)?,
            hosts,
            ipv6_loopback: true,
            missing,
            listing: Listing::None,
            config: b"{}".to_vec(),
            absences: Absences::default(),
            record,
        };
        start(&self.host, container, after)
    }

    /// Ends a container as a poststop hook does.
    pub(crate) fn stop(&self, name: &str) -> Result<()> {
        stop(&self.host, &crate::model::sample::record(name, "", &[]).id, AfterHook::Continue)
    }

    /// Links two running containers; `link` is `source:alias`.
    pub(crate) fn connect(&self, recipient: &str, link: &str) -> Result<()> {
        let link = Link::parse(link).unwrap();
        crate::lifecycle::connect::connect(&self.host, &reference(recipient), link)
    }

    /// Ends a link of a running container.
    pub(crate) fn disconnect(&self, recipient: &str, link: &str) -> Result<()> {
        crate::lifecycle::connect::disconnect(&self.host, &reference(recipient), &alias(link))
    }

    /// Makes the container `name` dead: its process id belongs to a later process now.
    pub(crate) fn end_process(&self, name: &str) {
        self.store.alter(name, |record| record.instance.started += 1);
    }

    /// Gives the container `name`, which runs, other addresses. Its record stays as it is.
    pub(crate) fn move_to(&self, name: &str, addresses: &[&str]) {
        let now = addresses.iter().map(|text| Address::parse(text).unwrap()).collect();
        let cookie = self.store.record(name).unwrap().instance.netns;
        self.live.borrow_mut().insert(cookie, now);
    }

    /// Every permitted flow gets a tracked connection.
    pub(crate) fn use_all_flows(&self) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.connections = kernel.rules.values().flatten().copied().collect();
    }

    /// The flows that rules permit now, of all owners and backends.
    pub(crate) fn permitted(&self) -> Vec<Flow> {
        self.kernel.borrow().rules.values().flatten().copied().collect()
    }

    /// The content of the hosts file of the container `name`.
    pub(crate) fn hosts_text(&self, name: &str) -> String {
        fs::read_to_string(self.hosts(name)).unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Runs `step` with each of its calls failing in every way, after `prepare`.
///
/// After each failure the records must name every rule and every hosts line. The step is then
/// repeated without a failure and must reach the state of a clean run.
pub(crate) fn every_failure(prepare: impl Fn(&Scene), step: impl Fn(&Scene) -> Result<()>) {
    let prepared = || {
        let scene = Scene::new();
        prepare(&scene);
        scene.journal.restart();
        scene
    };
    let clean = prepared();
    step(&clean).unwrap();
    let calls = clean.journal.count();
    assert!(calls > 0);
    let expected = clean.state();
    for fault in Fault::ALL {
        for number in 1..=calls {
            let scene = prepared();
            scene.journal.fail(fault, number);
            let outcome = step(&scene);
            let call = scene.journal.text_of(number);
            let case = format!("{fault:?} at call {number}, {call}: {outcome:?}");
            scene.journal.restart();
            scene.assert_named(&case);
            if let Err(error) = step(&scene) {
                panic!("{case}: the step fails again: {error}");
            }
            assert_eq!(scene.state(), expected, "{case}");
        }
    }
}
