//! Elements of the sets, read from the kernel. Those that are about to lapse count as gone.

use super::messages::{ask_for_elements, ask_for_these, element, elements};
use super::sets::NftSet;
use super::{complaint, found};
use crate::error::Result;
use crate::firewall::elements::Element;
use crate::model::{Flow, OwnerTag};
use crate::sys::net::netlink::message::Message;
use crate::sys::net::netlink::uapi::NLMSG_ERROR;
use crate::sys::net::netlink::{Netlink, NetlinkError};

/// Lists the elements of all sets. A missing table gives an empty list.
pub(super) fn list(link: &mut Netlink) -> Result<Vec<Element<Flow>>> {
    let mut all = Vec::new();
    for set in NftSet::every() {
        let answer = link.ask(&ask_for_elements(set), |message| {
            all.extend(standing(message, set));
        })?;
        match answer {
            Err(refusal) if !found::is_absent(refusal) => return Err(complaint(refusal)),
            _ => {}
        }
    }
    Ok(all)
}

/// Whether all these elements exist without a timeout and belong to `owner`.
///
/// The time does not depend on the number of other elements.
pub(super) fn has_all(
    link: &mut Netlink,
    owner: &OwnerTag,
    elements: &[Element<Flow>],
) -> Result<bool> {
    let mut own = 0;
    for asked in ask_for_these(elements) {
        let answer = link.ask(&asked.together(), |message| {
            let is_own = |element: &Element<Flow>| element.belongs_to(owner) && !element.is_timed();
            own += standing(message, asked.set).filter(is_own).count();
        })?;
        if answer.is_err() {
            return Ok(false);
        }
    }
    Ok(own == elements.len())
}

/// Returns those of these elements that exist, with their owners. A missing table gives an empty list.
///
/// The time does not depend on the number of other elements.
pub(super) fn existing(
    link: &mut Netlink,
    elements: &[Element<Flow>],
) -> Result<Vec<Element<Flow>>> {
    let mut all = Vec::new();
    for asked in ask_for_these(elements) {
        let mut found = Vec::new();
        let read = |message: &Message<'_>| found.extend(standing(message, asked.set));
        if link.ask(&asked.together(), read)?.is_err() {
            // Some were flushed.
            found.clear();
            let mut refused = Ok(());
            link.ask_each(&asked.one_by_one(), |answer| match answer.code() {
                Some(code) if answer.kind == NLMSG_ERROR => {
                    let refusal = NetlinkError { sequence: answer.sequence, code };
                    if !found::is_absent(refusal) {
                        refused = Err(complaint(refusal));
                    }
                }
                _ => found.extend(standing(answer, asked.set)),
            })?;
            refused?;
        }
        all.append(&mut found);
    }
    Ok(all)
}

/// The elements in one message of an answer.
fn standing<'a>(
    message: &Message<'a>,
    set: NftSet,
) -> impl Iterator<Item = Element<Flow>> + use<'a> {
    elements(&message.attributes()).filter_map(move |item| element(set, &item))
}
