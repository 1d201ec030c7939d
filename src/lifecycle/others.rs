//! What is known of containers on other hosts. Reads local files only.

use crate::cluster::mirror::Mirror;
use crate::cluster::spool::{Of, PeerKey};
use crate::cluster::view::{BootClock, Freshness};
use crate::error::Result;
use crate::host::Host;
use crate::model::{Address, Cluster, ContainerId, HostName, Offer, PeerRun, Want};
use crate::sys::net::bridge::networks::bridge_addresses;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// The sources that other hosts share with this one, and how old that knowledge is.
pub(crate) struct Others<'a> {
    host: &'a Host,
    /// The declared hosts.
    pub(crate) cluster: &'a Cluster,
    /// `None` if nothing was ever heard.
    mirror: Option<Mirror>,
    freshness: Freshness,
    bridges: OnceCell<Vec<Address>>,
}

impl<'a> Others<'a> {
    /// Opens the mirror. Returns `None` without `[cluster]`.
    pub(crate) fn of(host: &'a Host) -> Result<Option<Self>> {
        let Some(config) = &host.config.cluster else { return Ok(None) };
        let mirror = Mirror::existing(host.directory())?;
        let view = mirror.as_ref().map_or(Ok(None), Mirror::view)?;
        let mut freshness = Freshness::default();
        if let Some(bytes) = view {
            // One of an earlier boot is no view.
            let _ = freshness.take(&bytes, host.boot, &BootClock);
        }
        let (cluster, bridges) = (&config.hosts, OnceCell::new());
        Ok(Some(Self { host, cluster, mirror, freshness, bridges }))
    }

    /// Returns the age of the view. `None` if nothing was ever heard in this boot.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.freshness.age(&BootClock)
    }

    /// Until when the view is believed: the time since the boot. `None` if nothing was ever heard in this boot.
    pub(crate) fn until(&self) -> Option<Duration> {
        self.freshness.until(self.cluster.patience)
    }

    /// Whether the view is too old to be believed.
    pub(crate) fn is_stale(&self) -> bool {
        self.age().is_none_or(|age| age >= self.cluster.patience)
    }

    /// Returns the sources with this name or id on `host`, or on any host.
    pub(crate) fn named(&self, name: &str, host: Option<&HostName>) -> Result<Vec<Offer>> {
        let Some(mirror) = &self.mirror else { return Ok(Vec::new()) };
        let mut found = mirror.named(name)?;
        found.retain(|offer| host.is_none_or(|host| offer.source.host == *host));
        self.usable(found)
    }

    /// Returns the source of this run, if its host still shares it.
    pub(crate) fn of_run(&self, run: &PeerRun) -> Result<Option<Offer>> {
        let found = self.mirror.as_ref().map_or(Ok(None), |it| it.offer(&run.host, &run.id))?;
        let found = found.filter(|offer| offer.source == *run);
        Ok(self.usable(found.into_iter().collect())?.pop())
    }

    /// Returns all sources, by host and name.
    pub(crate) fn all(&self) -> Result<Vec<Offer>> {
        let Some(mirror) = &self.mirror else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for key in mirror.keys()? {
            if let Of::Offer(id) = &key.of {
                found.extend(mirror.offer(&key.host, id)?);
            }
        }
        found.sort_by(|a, b| (&a.source.host, &a.name).cmp(&(&b.source.host, &b.name)));
        self.usable(found)
    }

    /// Returns the recipients of other hosts that want the source `id` of this host.
    pub(crate) fn wanting(&self, id: &ContainerId) -> Result<Vec<Want>> {
        self.mirror.as_ref().map_or(Ok(Vec::new()), |mirror| mirror.wanting(id))
    }

    /// Returns the recipients of other hosts that may want the source `id` of this host, each with its host. Reads no
    /// record.
    pub(crate) fn keys_wanting(&self, id: &ContainerId) -> Result<Vec<(HostName, ContainerId)>> {
        let keys = self.mirror.as_ref().map_or(Ok(BTreeSet::new()), |it| it.keys_wanting(id))?;
        let recipient = |key: PeerKey| match key.of {
            Of::Want(id) => Some((key.host, id)),
            Of::Host | Of::Offer(_) => None,
        };
        Ok(keys.into_iter().filter_map(recipient).collect())
    }

    /// Returns what the recipient `id` of `host` wants.
    pub(crate) fn want(&self, host: &HostName, id: &ContainerId) -> Result<Option<Want>> {
        self.mirror.as_ref().map_or(Ok(None), |mirror| mirror.want(host, id))
    }

    /// Returns those of `addresses`, of a container of `host`, that no other host claims and that are not of this host.
    pub(crate) fn believed(&self, host: &HostName, addresses: &[IpAddr]) -> Result<Vec<IpAddr>> {
        let Some(mirror) = &self.mirror else { return Ok(Vec::new()) };
        let mut kept = Vec::new();
        for address in mirror.undisputed(host, addresses)? {
            if self.cluster.admits(host, address) && !self.is_local(address)? {
                kept.push(address);
            }
        }
        Ok(kept)
    }

    /// Leaves out addresses that two hosts claim, and those of this host: its containers and bridges win. An
    /// offer without an address is left out.
    fn usable(&self, offers: Vec<Offer>) -> Result<Vec<Offer>> {
        let mut usable = Vec::new();
        for mut offer in offers {
            offer.addresses = self.believed(&offer.source.host, &offer.addresses)?;
            if !offer.addresses.is_empty() {
                usable.push(offer);
            }
        }
        Ok(usable)
    }

    /// Whether a container of this host has `ip`, or it is in the network of a bridge of this host.
    fn is_local(&self, ip: IpAddr) -> Result<bool> {
        if !self.host.store.holders_of(ip)?.is_empty() {
            return Ok(true);
        }
        let bridges = match self.bridges.get() {
            Some(bridges) => bridges,
            None => {
                let read = bridge_addresses()?;
                self.bridges.get_or_init(|| read)
            }
        };
        Ok(bridges.iter().any(|bridge| bridge.network_contains(ip)))
    }
}

/// Formats a time for a message: `12s`, `90s`, `12m`, `3h`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let whole = |unit: u64| seconds >= 2 * unit || seconds >= unit && seconds % unit == 0;
    if whole(3600) {
        format!("{}h", seconds / 3600)
    } else if whole(60) {
        format!("{}m", seconds / 60)
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests;
