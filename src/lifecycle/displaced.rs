//! A container of this host starts with an address that links between hosts name.

use crate::cluster::mirror::Mirror;
use crate::cluster::spool::PeerRecord;
use crate::error::Result;
use crate::host::Locked;
use crate::lifecycle::guests;
use crate::lifecycle::together::replan_all;
use crate::model::{Address, Record, Reference};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Ends what links between hosts permit on those addresses of a new container that are on no bridge: their rules tell only
/// bridges of this host from ways to others. A container of this host comes first.
pub(crate) fn displace(host: &Locked<'_>, record: &Record) -> Result<()> {
    let addresses = record.network.addresses().iter().filter(|address| address.bridge().is_none());
    let addresses: Vec<IpAddr> = addresses.map(Address::ip).collect();
    if host.config.cluster.is_none() || addresses.is_empty() {
        return Ok(());
    }
    let Some(mirror) = Mirror::existing(host.directory())? else { return Ok(()) };
    let (mut recipients, mut sources) = (Vec::new(), BTreeSet::new());
    for address in addresses {
        for key in mirror.claimants(address)? {
            match mirror.get(&key)? {
                Some(PeerRecord::Offer(offer)) => {
                    let reference = Reference::to_run(&offer.source);
                    recipients.extend(host.store.recipients_naming(&reference)?);
                }
                Some(PeerRecord::Want(want)) => {
                    sources.extend(want.sources.into_iter().map(|source| source.id));
                }
                Some(PeerRecord::Host(_)) | None => {}
            }
        }
    }
    let replanned = replan_all(host, &recipients).into_result();
    replanned.and(guests::settle(host, sources.iter()).map(drop))
}
