//! The state of a link in one word, with the reason of a link that waits.

use crate::graph;
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::ambiguous::Ambiguous;
use crate::lifecycle::limited::gap;
use crate::lifecycle::lookup::{Requester, candidates};
use crate::lifecycle::others::Others;
use crate::lifecycle::routing::{declared, gap_to};
use crate::link::Candidate;
use crate::link::carry::{self, Gap, has_routed_flows};
use crate::model::{Guest, KnownRecords, LinkState, Record, Routing};

/// Why a link to another host carries nothing yet.
const NO_RECEIPT: &str = "waits for the other host";

/// Whether the host of the source has not said that it lets the recipient in.
fn lacks_receipt(
    host: &Host,
    record: &Record,
    link_state: &LinkState,
    known: &KnownRecords<'_>,
) -> bool {
    let (Some(run), Some(cluster)) = (&link_state.there, &host.config.cluster) else {
        return false;
    };
    let guest = Guest { host: cluster.hosts.name.clone(), run: record.owner.clone() };
    !known.is_ready(run, &guest)
}

/// The state of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkWord {
    /// Its lines and rules are there.
    Ready,
    /// It is ready and opens no port, because its source exposes none.
    NoPorts,
    /// The source runs without oci-link, and `watch` does not run: there are no rules.
    Unwatched,
    /// It is ready, and was connected too late for its variables.
    NoVariables,
    /// It is ready, and its packets are routed from one network to another.
    Routed,
    /// Its source is on another host, which has not let the recipient in yet.
    NoReceipt,
    /// Its source is not there, or no packet gets there.
    Waiting(Waiting),
}

/// Why a link waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// No container runs that the link means.
    NotThere,
    /// The other host shares no such container.
    NotShared,
    /// Nothing was heard of other hosts for too long.
    Silent,
    /// Several containers run that have the alias on the link's network.
    SeveralAliases,
    /// The source runs, and no packet gets there.
    Gap(Gap),
    /// The source runs, and another running container has the same address as one of the two.
    SharedAddress,
    /// The source runs and can be reached. The next look at the recipient makes the link.
    NotYet,
}

impl Waiting {
    /// Why `link_state` of `record`, which is not connected, waits.
    pub(crate) fn of(
        host: &Host,
        record: &Record,
        link_state: &LinkState,
        known: &KnownRecords<'_>,
    ) -> Self {
        if link_state.link.source.host().is_some() {
            return Self::elsewhere(host, record, link_state);
        }
        let runs = |source: &Record| is_running(source, host.boot).unwrap_or(true);
        let mut with_alias = link_state.user_network().map_or_else(Vec::new, |network| {
            let found = host.store.with_alias(network, &link_state.link.source);
            found.unwrap_or_default()
        });
        with_alias.retain(|other| other.id != record.id && runs(other));
        let meant = known.meant(record, link_state);
        if meant.is_none() && with_alias.len() > 1 {
            return Self::SeveralAliases;
        }
        let source = meant.or(with_alias.first());
        let source = source.filter(|source| source.network.is_own() && runs(source));
        let Some(source) = source else { return Self::NotThere };
        let is_engine = link_state.declared_by.is_engine();
        let gap = if is_engine { gap(record, link_state, source) } else { gap_to(record, source) };
        if let Some(gap) = gap {
            return Self::Gap(gap);
        }
        let candidate = [Candidate::Running(Box::new(source.clone()))];
        let shared = Ambiguous::find(host, record, &candidate);
        if shared.is_ok_and(|shared| !shared.is_empty()) {
            Self::SharedAddress
        } else {
            Self::NotYet
        }
    }

    /// Why a link that names another host waits.
    fn elsewhere(host: &Host, record: &Record, link_state: &LinkState) -> Self {
        let links = std::slice::from_ref(link_state);
        match candidates(host, Requester::of(record), links).as_deref() {
            Ok([Candidate::There(there)]) => {
                let routing = Routing { declared: declared(host), ..Routing::default() };
                carry::gap(record, &there.record, &routing).map_or(Self::NotYet, Self::Gap)
            }
            _ if Others::of(host).is_ok_and(|it| it.is_none_or(|others| others.is_stale())) => {
                Self::Silent
            }
            _ => Self::NotShared,
        }
    }

    /// The reason in words.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NotThere => "the source is not there",
            Self::NotShared => "the other host shares no such container",
            Self::Silent => "nothing is heard of other hosts",
            Self::SeveralAliases => "several containers have this alias",
            Self::Gap(gap) => gap.reason(),
            Self::SharedAddress => "another container has its address",
            Self::NotYet => "run oci-link sync",
        }
    }
}

impl LinkWord {
    /// The state of a link of `record`.
    pub(crate) fn of(
        host: &Host,
        record: &Record,
        link_state: &LinkState,
        known: &KnownRecords<'_>,
    ) -> Self {
        if !link_state.is_connected() {
            return Self::Waiting(Waiting::of(host, record, link_state, known));
        }
        match known.source(link_state) {
            _ if lacks_receipt(host, record, link_state, known) => Self::NoReceipt,
            None if link_state.there.is_some() => Self::NoReceipt,
            Some(source) if graph::opened(record, source).is_empty() => {
                let has_ports = source.by_engine && !source.ports.is_empty();
                if has_ports { Self::Unwatched } else { Self::NoPorts }
            }
            _ if record.lacks_variables(&link_state.link.alias) => Self::NoVariables,
            Some(source) if source.host.is_none() && has_routed_flows(record, source) => {
                Self::Routed
            }
            _ => Self::Ready,
        }
    }

    /// What is shown behind the link; nothing for a link that is ready.
    pub(crate) fn mark(self) -> String {
        match self {
            Self::Ready => String::new(),
            Self::NoPorts => " (no ports)".to_owned(),
            Self::Unwatched => " (no rules without oci-link watch)".to_owned(),
            Self::NoVariables => " (no variables)".to_owned(),
            Self::Routed => " (routed)".to_owned(),
            Self::NoReceipt => format!(" ({NO_RECEIPT})"),
            Self::Waiting(waiting) => format!(" (waiting: {})", waiting.reason()),
        }
    }

    /// The state in JSON. A link without ports or variables is ready, and so is a routed one.
    pub(crate) fn state(self) -> &'static str {
        match self {
            Self::Ready | Self::NoPorts | Self::Unwatched | Self::NoVariables | Self::Routed => {
                "ready"
            }
            Self::NoReceipt | Self::Waiting(_) => "waiting",
        }
    }

    /// Why the link waits; `None` for one that is ready.
    pub(crate) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Waiting(waiting) => Some(waiting.reason()),
            Self::NoReceipt => Some(NO_RECEIPT),
            _ => None,
        }
    }

    /// Whether the link may surprise an administrator.
    pub(crate) fn is_doubtful(self) -> bool {
        !matches!(self, Self::Ready | Self::Routed)
    }
}
