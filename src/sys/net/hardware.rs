//! Hardware addresses of the interfaces of a container.

use super::netlink::message::Batch;
use super::netlink::uapi::{
    AF_UNSPEC, IFLA_ADDRESS, IFLA_EXT_MASK, NLM_F_DUMP, RTEXT_FILTER_SKIP_STATS, RTM_GETLINK,
    RTM_NEWLINK,
};
use super::netlink::{Netlink, NetlinkError};
use super::netns::{Process, inside};
use crate::error::{Context, Kind, Result};

/// The number of interfaces that are listed.
const MAX_INTERFACES: usize = 256;

/// Returns the hardware addresses in the network namespace of `process`, which this process enters and
/// leaves again. Requires `CAP_SYS_ADMIN`.
pub(crate) fn addresses(process: &Process) -> Result<Vec<[u8; 6]>> {
    inside(process, list)?
}

fn list() -> Result<Vec<[u8; 6]>> {
    let (mut question, mut found) = (Batch::default(), Vec::new());
    question.message(RTM_GETLINK, NLM_F_DUMP, AF_UNSPEC, |body| {
        body.header(&[0, 0, 0]).bytes(IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    });
    let mut link = Netlink::route()?;
    let answer = link.ask_until(&question, |message| {
        let attributes = message.interface().filter(|_| message.kind == RTM_NEWLINK);
        let address = attributes.and_then(|all| <[u8; 6]>::try_from(all.get(IFLA_ADDRESS)?).ok());
        found.extend(address);
        found.len() >= MAX_INTERFACES
    });
    let refused = answer.context(Kind::Namespace, || "interfaces")?;
    refused.map_err(NetlinkError::errno).context(Kind::Namespace, || "interfaces")?;
    Ok(found)
}
