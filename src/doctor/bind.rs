//! How links between two containers on one bridge are tied, and why.

use super::HostContext;
use super::check::Check;
use crate::firewall::bridge::{self, BridgeTable};
use crate::firewall::{Choice, SetupCache};
use crate::model::{BackendName, Bind, Family, Ties};
use crate::sys::process;
use std::rc::Rc;

pub(crate) fn examine(context: &HostContext) -> Option<Check> {
    let config = &context.config;
    if config.firewall == Choice::Fixed(BackendName::None) {
        return None;
    }
    let state = context.state.as_ref().zip(process::boot_id().ok());
    let table =
        state.map(|(state, boot)| BridgeTable::new(SetupCache::new(Rc::clone(state), boot)));
    let no_table = || {
        let asked = table.as_ref().map_or_else(bridge::is_supported, BridgeTable::is_supported);
        asked.err().map(|error| error.to_string())
    };
    Some(judge(context, &bridge::ties(config.bind, |family| bridge::lack(family, no_table))))
}

fn judge(context: &HostContext, ties: &Ties) -> Check {
    let [v4, v6] = Family::BOTH.map(|family| ties.lack(family).map(ToOwned::to_owned));
    match (ties.bind, v4.as_deref().or(v6.as_deref())) {
        (Bind::Bridge | Bind::None, _) => Check::ok("bind", said(ties.bind)),
        (Bind::Auto | Bind::Port, None) => Check::ok("bind", said(Bind::Port)),
        (Bind::Auto, Some(_)) => {
            let shown = [("IPv4", v4), ("IPv6", v6)].map(|(family, lack)| match lack {
                None => format!("{family}: {}", said(Bind::Port)),
                Some(lack) => format!("{family}: {}, because {lack}", said(Bind::Bridge)),
            });
            Check::ok("bind", shown.join("; "))
        }
        (Bind::Port, Some(lack)) => {
            let cause = format!("firewall.bind is \"port\", and links are refused: {lack}");
            Check::fault("bind", cause, context.set("firewall.bind", "auto"))
        }
    }
}

fn said(bind: Bind) -> &'static str {
    match bind {
        Bind::Auto | Bind::Port => "links on one bridge are tied to the ports of both containers",
        Bind::Bridge => "links on one bridge are tied to the bridge",
        Bind::None => "links on one bridge are tied to nothing but addresses",
    }
}
