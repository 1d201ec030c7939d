//! The chains of the bridge table and their rules.

use super::extent::Extent;
use super::keys::PortSetName;
use super::matches::{
    End, REGISTER, Want, change_mark, ethernet_type, has, has_any, has_tag, is_at, is_between_ends,
    is_isolated_in_both, is_new, lacks, mark, of_type, on,
};
use super::{ALL_BITS, BOUND, ISOLATED_BOTH, ISOLATED_IN, ISOLATED_OUT};
use crate::firewall::nftables::expression::{Expression, Rule};
use crate::model::Family;
use crate::sys::net::netlink::uapi::{
    NF_BR_FORWARD, NF_BR_LOCAL_IN, NF_BR_LOCAL_OUT, NF_BR_POST_ROUTING,
};
use nix::libc::NF_DROP;

/// A chain of the table.
pub(super) struct Chain {
    /// Its name.
    pub(super) name: &'static str,
    /// Its hook (`NF_BR_…`), or none if others jump to it.
    pub(super) hook: Option<u32>,
    /// Its rules in order.
    pub(super) rules: fn() -> Vec<Rule>,
    /// What the kernel counts as uses of the chain: its rules and the jumps to it, with [`Extent::Links`] and with
    /// [`Extent::Isolation`]. A start compares this alone, and makes no rules.
    pub(super) uses: [u32; 2],
}

impl Chain {
    /// Whether it drops packets or says which a link permits. The others tidy marks up, or have nothing to do.
    pub(super) fn decides(&self, extent: Extent) -> bool {
        match extent {
            Extent::Links => ![ISOLATED, OUTPUT, POSTROUTING].contains(&self.name),
            Extent::Isolation => self.name != POSTROUTING,
        }
    }

    /// Whether it may be empty.
    pub(super) fn is_optional(&self, extent: Extent) -> bool {
        self.name == ISOLATED && extent == Extent::Links
    }

    /// Whether the kernel counts as many uses of it as of ours with this extent, or with a greater one.
    pub(super) fn has(&self, uses: Option<u32>, extent: Extent) -> bool {
        self.uses[extent as usize..].iter().any(|wanted| Some(*wanted) == uses)
    }
}

/// The chains of the table. A chain that others jump to comes first.
pub(super) static CHAINS: [Chain; 7] = [
    Chain { name: SUSPECT, hook: None, rules: suspect, uses: [7, 8] },
    Chain { name: ISOLATED, hook: None, rules: isolated, uses: [4, 9] },
    Chain { name: BEHIND, hook: None, rules: behind_tags, uses: [6, 6] },
    Chain { name: "input", hook: Some(NF_BR_LOCAL_IN), rules: input, uses: [5, 5] },
    Chain { name: "forward", hook: Some(NF_BR_FORWARD), rules: forward, uses: [5, 5] },
    Chain { name: OUTPUT, hook: Some(NF_BR_LOCAL_OUT), rules: output, uses: [2, 2] },
    Chain { name: POSTROUTING, hook: Some(NF_BR_POST_ROUTING), rules: postrouting, uses: [1, 1] },
];

const ISOLATED_ENDS: [(End, PortSetName, u32, &str); 2] = [
    (End::Source, PortSetName::PortsOut, ISOLATED_OUT, "from an isolated port"),
    (End::Destination, PortSetName::PortsIn, ISOLATED_IN, "to an isolated port"),
];

/// Packets that the host takes: those that it routes, and its own.
fn input() -> Vec<Rule> {
    let mut all = vec![clean("restored")];
    for (family, name) in FAMILIES {
        let kind = of_type(ethernet_type(family));
        let rule = [kind, is_at(family, End::Source, Want::Present), mark(BOUND)];
        all.push(Rule::new(&format!("{name} by the port of its source"), rule.concat()));
    }
    let rule = [on(End::Source, PortSetName::PortsOut), mark(ISOLATED_OUT)];
    all.push(Rule::new("from an isolated port", rule.concat()));
    let rule = [is_isolated_in_both(End::Source), mark(ISOLATED_BOTH)];
    all.push(Rule::new("from a port that is isolated in both directions", rule.concat()));
    all
}

/// Packets from one port to another. Those of links pass by what they do not need.
fn forward() -> Vec<Rule> {
    let jump = |name: &str, which: Vec<Expression>, to| {
        Rule::new(name, [which, vec![Expression::Goto(to)]].concat())
    };
    let mut all = vec![jump("other types, and tags", has_tag(), BEHIND)];
    for (family, name) in FAMILIES {
        let bound = Expression::SetBits { register: REGISTER, mask: ALL_BITS, bits: BOUND };
        let which = [is_between_ends(family), change_mark(bound)].concat();
        all.push(jump(&format!("{name} by the ports of both ends"), which, ISOLATED));
    }
    all.extend([clean("restored"), jump("other packets", Vec::new(), ISOLATED)]);
    all
}

/// Frames from one port to another that other chains may not see. IPv4 and IPv6 may be behind a tag.
fn behind_tags() -> Vec<Rule> {
    let mut all = vec![clean("restored")];
    for (family, name) in FAMILIES {
        let rule = [is_between_ends(family), mark(BOUND)].concat();
        all.push(Rule::new(&format!("{name} by the ports of both ends, tagged"), rule));
    }
    for (name, chain) in [("isolated or not", ISOLATED), ("what nothing else sees", SUSPECT)] {
        all.push(Rule::new(name, vec![Expression::Jump(chain)]));
    }
    all
}

/// Packets from or to the port of an isolated container.
fn isolated() -> Vec<Rule> {
    let of_end = |(end, set, bit, name): (_, _, _, &str)| {
        Rule::new(name, [on(end, set), mark(bit)].concat())
    };
    let mut all: Vec<Rule> = ISOLATED_ENDS.map(of_end).into();
    for (end, name) in [(End::Source, "from"), (End::Destination, "to")] {
        let rule = [is_isolated_in_both(end), mark(ISOLATED_BOTH)];
        let name = format!("{name} a port that is isolated in both directions");
        all.push(Rule::new(&name, rule.concat()));
    }
    let jump = vec![Expression::Jump(SUSPECT)];
    let which = [has_any(ISOLATED_IN | ISOLATED_OUT), lacks(BOUND), jump];
    all.push(Rule::new("isolated, not by the ports of a link", which.concat()));
    all
}

/// Frames that other chains may not see, and packets from or to an isolated port that do not come and leave by the
/// ports of a link.
///
/// Between the addresses of a link, a packet of which one end is not at its port is no answer, whatever the state of the
/// connection that it claims to belong to. What is behind several tags is not looked at: `nft` 1.0 ends with an
/// assertion when it lists a rule that does.
fn suspect() -> Vec<Rule> {
    let mut all = Vec::new();
    for (family, name) in FAMILIES {
        for (right, wrong, which, whose) in [
            (End::Destination, End::Source, "source", Vec::new()),
            (End::Source, End::Destination, "destination", has_any(ISOLATED_IN | ISOLATED_OUT)),
        ] {
            let rule = [
                whose,
                of_type(ethernet_type(family)),
                is_at(family, right, Want::Present),
                is_at(family, wrong, Want::Missing),
                drop(),
            ];
            all.push(Rule::new(&format!("{name}, a wrong port of the {which}"), rule.concat()));
        }
    }
    for (end, set, _, name) in ISOLATED_ENDS {
        let rule = [has_tag(), on(end, set), drop()];
        all.push(Rule::new(&format!("{name}, unseen"), rule.concat()));
    }
    all
}

/// Packets that the host sends or routes.
fn output() -> Vec<Rule> {
    let to = End::Destination;
    let rules = [
        ("to an isolated port", on(to, PortSetName::PortsIn), is_new()),
        (
            "to a port that is isolated in both directions",
            is_isolated_in_both(to),
            has(ISOLATED_IN),
        ),
    ];
    let make = |(name, which, marked)| Rule::new(name, [which, marked, drop()].concat());
    rules.map(make).into()
}

/// Packets that leave by a port.
fn postrouting() -> Vec<Rule> {
    vec![clean("decided")]
}

const FAMILIES: [(Family, &str); 2] = [(Family::V4, "IPv4"), (Family::V6, "IPv6")];
/// The name of the chain that looks at them twice. Older versions had frames with tags only there.
const SUSPECT: &str = "tagged";
/// The name of the chain that is empty until a container is isolated.
const ISOLATED: &str = "isolated";
const OUTPUT: &str = "output";
const POSTROUTING: &str = "postrouting";
/// The name of the chain for frames that may be tagged.
const BEHIND: &str = "behind-tags";

/// The rule that takes our bits out of a mark. The others stay. To look for them first costs as much.
///
/// A host may save marks in connections and restore them (`CONNMARK`), before the chains `input` and `forward`.
fn clean(name: &str) -> Rule {
    let without = Expression::Mask { register: REGISTER, mask: !ALL_BITS };
    Rule::new(&format!("marks that are {name}"), change_mark(without))
}

fn drop() -> Vec<Expression> {
    vec![Expression::Verdict(NF_DROP)]
}
