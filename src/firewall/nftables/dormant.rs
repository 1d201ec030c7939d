//! Tables that an administrator switched off (`flags dormant`). No packet reaches their chains.

use super::complaint;
use super::messages::{Transaction, about_table_of, message_type};
use crate::error::Result;
use crate::sys::net::netlink::Netlink;
use crate::sys::net::netlink::message::{Batch, Message};
use crate::sys::net::netlink::uapi::{
    NFT_MSG_GETTABLE, NFT_MSG_NEWTABLE, NFT_TABLE_F_DORMANT, NFTA_TABLE_FLAGS, NLM_F_CREATE,
};

/// Switches our table of a protocol family (`NFPROTO_…`) on, if it is switched off.
///
/// This is a transaction of its own: the kernel adds no chain with a hook to a table that the same transaction switches
/// on (EINVAL).
pub(crate) fn switch_on(link: &mut Netlink, family: u8) -> Result<()> {
    let (mut batch, mut is_dormant) = (Batch::default(), false);
    about_table_of(family, &mut batch, NFT_MSG_GETTABLE, 0, |_| ());
    link.ask_each(&batch, |answer| is_dormant |= is_switched_off(answer))?;
    if !is_dormant {
        return Ok(());
    }
    let mut transaction = Transaction::of(family);
    transaction.message(NFT_MSG_NEWTABLE, NLM_F_CREATE, |body| {
        body.number(NFTA_TABLE_FLAGS, 0);
    });
    transaction.commit(link)?.map_or(Ok(()), |refusal| Err(complaint(refusal)))
}

/// Whether an answer says that a table is switched off.
pub(crate) fn is_switched_off(answer: &Message<'_>) -> bool {
    answer.kind == message_type(NFT_MSG_NEWTABLE)
        && answer.attributes().number(NFTA_TABLE_FLAGS).unwrap_or(0) & NFT_TABLE_F_DORMANT != 0
}
