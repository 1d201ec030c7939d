//! Tables that belong to one process (`flags owner`): no other process can change them.

use super::messages::{TABLE, about_table};
use crate::error::Error;
use crate::firewall::failed;
use crate::sys::net::netlink::message::Batch;
use crate::sys::net::netlink::uapi::{NFT_MSG_GETTABLE, NFTA_TABLE_OWNER};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use nix::errno::Errno;
use std::fs;

/// The error for a refused change of our table. It names the process that owns the table, if that is
/// the reason.
pub(crate) fn refused(link: &mut Netlink, refusal: NetlinkError) -> Error {
    let why = format!("{} ({})", refusal.errno().desc(), refusal.code);
    let owner = if refusal.errno() == Errno::EPERM { owner(link) } else { None };
    failed(match owner.map(in_words) {
        Some(owner) => format!("nftables: table inet {TABLE} belongs to {owner}: {why}"),
        None => format!("nftables: {why}"),
    })
}

/// The netlink port of the process that owns our table.
fn owner(link: &mut Netlink) -> Option<u32> {
    let mut batch = Batch::default();
    about_table(&mut batch, NFT_MSG_GETTABLE, 0, |_| ());
    let mut owner = None;
    let answer = link.ask(&batch.with_receipt(), |message| {
        owner = message.attributes().number(NFTA_TABLE_OWNER);
    });
    answer.ok().and(owner)
}

/// The process with this netlink port. Usually the port is the process id.
pub(crate) fn in_words(port: u32) -> String {
    match fs::read_to_string(format!("/proc/{port}/comm")) {
        Ok(name) => format!("process {port} ({})", name.trim().escape_debug()),
        Err(_) => format!("the process with the netlink port {port}"),
    }
}
