//! What the two backends with sets have in common: flows as elements of a set, each with the tags
//! of its owners as comment.
//!
//! A set holds an element once. Containers of one pod share an address, and when both are linked
//! to the same source they need the same element: its comment then names both (`tag tag`), and it
//! goes with the last of them. That is rare, so nothing is looked at in order to add: adding what
//! exists is refused, and only then the comments are read.

use super::Kept;
use crate::model::{Flow, OwnerTag};
use std::collections::{BTreeMap, HashSet};

/// The kernel takes no longer comment: room for 15 owners.
const MAX_COMMENT: usize = 255;

/// A flow that a set permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// What is permitted.
    pub flow: Flow,
    /// Whose it is.
    pub comment: String,
}

impl Element {
    /// Whether it is one of the owner's.
    pub fn belongs_to(&self, owner: &OwnerTag) -> bool {
        self.comment.split(' ').any(|tag| tag == owner.as_str())
    }
}

/// What is to be done to the sets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Elements to add.
    pub add: Vec<Element>,
    /// Elements that are there, with their new comment.
    pub change: Vec<Element>,
    /// Elements to delete.
    pub delete: Vec<Element>,
}

impl Changes {
    /// From what is `there` to exactly `flows` for `owner`, and no change for anybody else.
    pub fn plan(there: &[Element], owner: &OwnerTag, flows: &[Flow]) -> Result<Self, &'static str> {
        let mut changes = Self::default();
        let mut missing: HashSet<Flow> = flows.iter().copied().collect();
        for element in there {
            let wanted = missing.remove(&element.flow);
            if wanted == element.belongs_to(owner) {
                continue;
            }
            let tags = element.comment.split(' ').filter(|tag| !tag.is_empty());
            let mut tags: Vec<&str> = tags.filter(|tag| *tag != owner.as_str()).collect();
            if wanted {
                tags.push(owner.as_str());
            }
            if tags.is_empty() {
                changes.delete.push(element.clone());
                continue;
            }
            let comment = tags.join(" ");
            if comment.len() > MAX_COMMENT {
                return Err("too many containers with one address are linked to one port");
            }
            changes.change.push(Element { flow: element.flow, comment });
        }
        let missing = flows.iter().filter(|flow| missing.contains(*flow));
        changes.add.extend(missing.map(|flow| owned(*flow, owner)));
        Ok(changes)
    }
}

/// The element for a flow that nobody else has.
pub fn owned(flow: Flow, owner: &OwnerTag) -> Element {
    Element { flow, comment: owner.as_str().to_owned() }
}

/// The elements of each owner. `show` is none where no rule asks for them.
pub fn by_owner(
    there: &[Element],
    show: impl Fn(&Flow) -> Option<String>,
) -> BTreeMap<OwnerTag, Kept> {
    let mut owners: BTreeMap<OwnerTag, Kept> = BTreeMap::new();
    for Element { flow, comment } in there {
        for tag in comment.split(' ').filter_map(|tag| OwnerTag::parse(tag).ok()) {
            let kept = owners.entry(tag).or_default();
            kept.flows.push(*flow);
            kept.lines.extend(show(flow));
        }
    }
    for kept in owners.values_mut() {
        kept.lines.sort();
    }
    owners
}

/// How `inspect` shows elements: sorted, for a set has no order.
pub fn shown(flows: impl IntoIterator<Item = Flow>, show: impl Fn(&Flow) -> String) -> Vec<String> {
    let mut lines: Vec<String> = flows.into_iter().map(|flow| show(&flow)).collect();
    lines.sort();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Port, Protocol};

    fn flow(number: u16) -> Flow {
        let port = Port { number, protocol: Protocol::Tcp };
        Flow { from: [10, 0, 0, 2].into(), to: [10, 0, 0, 3].into(), port }
    }

    fn element(number: u16, comment: &str) -> Element {
        Element { flow: flow(number), comment: comment.to_owned() }
    }

    const A: &str = "aaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbb";

    #[test]
    fn only_what_differs_changes() {
        let a = OwnerTag::parse(A).unwrap();
        let there = [element(1, A), element(2, A), element(3, B), element(4, "by hand")];
        let changes = Changes::plan(&there, &a, &[flow(1), flow(5)]).unwrap();
        assert_eq!(changes.add, [element(5, A)]);
        assert_eq!(changes.delete, [element(2, A)]);
        assert!(changes.change.is_empty());
        let nothing = Changes::plan(&there, &a, &[flow(1), flow(2)]).unwrap();
        assert_eq!(nothing, Changes::default());
    }

    #[test]
    fn a_shared_element_goes_with_its_last_owner() {
        let a = OwnerTag::parse(A).unwrap();
        let both = format!("{B} {A}");
        let joined = Changes::plan(&[element(1, B)], &a, &[flow(1)]).unwrap();
        assert_eq!(joined.change, [element(1, &both)]);
        let left = Changes::plan(&[element(1, &both)], &a, &[]).unwrap();
        assert_eq!((left.change, left.delete), (vec![element(1, B)], vec![]));
        let last = Changes::plan(&[element(1, A)], &a, &[]).unwrap();
        assert_eq!(last.delete, [element(1, A)]);
        let by_hand = Changes::plan(&[element(1, "mine"), element(2, "")], &a, &[]).unwrap();
        assert_eq!(by_hand, Changes::default());
    }

    #[test]
    fn a_shared_element_is_each_owners() {
        let (a, b) = (OwnerTag::parse(A).unwrap(), OwnerTag::parse(B).unwrap());
        let there = [element(2, &format!("{B} {A}")), element(1, A), element(3, "by hand")];
        let owners = by_owner(&there, |flow| Some(flow.port.to_string()));
        assert_eq!(owners.len(), 2);
        assert_eq!(owners[&a].lines, ["1/tcp", "2/tcp"]);
        assert_eq!(owners[&b].flows, [flow(2)]);
        assert!(by_owner(&there, |_| None)[&b].lines.is_empty());
    }

    #[test]
    fn a_comment_has_an_end() {
        let a = OwnerTag::parse(A).unwrap();
        let full = vec![B; 15].join(" ");
        assert!(Changes::plan(&[element(1, &full)], &a, &[flow(1)]).is_err());
    }
}
