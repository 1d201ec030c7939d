//! Set elements with owner tags, shared by the ipset and nftables backends.
//!
//! Each element permits one flow (or a part of one) and has the tags of its owners as comment. A
//! set holds an element only once. Containers of one pod share an address; if two of them link to
//! the same source, they need the same element. Its comment then lists both tags (`tag tag`), and
//! the element is deleted with its last owner.
//!
//! This case is rare, so elements are added without reading the set first. Only if the kernel
//! refuses an element because it exists, all comments are read.

use super::InstalledRules;
use crate::model::{Flow, OwnerTag};
use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::time::Duration;

/// `IPSET_MAX_COMMENT_SIZE`. Nftables accepts 253 bytes, which is room for 14 owner tags.
const MAX_COMMENT: usize = 255;
/// A word that a reader adds to the comment of an element with a timeout. Ours have none, except while they lapse.
pub(crate) const TIMED: &str = "(timeout)";

/// A set element: a flow, or a part of what permits a flow, and its owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element<K> {
    /// The value that the set compares.
    pub(crate) key: K,
    /// The owner tags, separated by single spaces. Other programs may have written other text.
    pub(crate) comment: String,
    /// How long it lasts from now, of a flow between hosts. `None` if it lasts until it is removed.
    pub(crate) left: Option<Duration>,
}

impl<K> Element<K> {
    /// An element that lasts until it is removed.
    pub(crate) fn new(key: K, comment: String) -> Self {
        Self { key, comment, left: None }
    }

    /// Whether `owner` is one of the element's owners.
    pub(crate) fn belongs_to(&self, owner: &OwnerTag) -> bool {
        self.comment.split(' ').any(|tag| tag == owner.as_str())
    }

    /// Whether another program gave the element a timeout. It must be made again.
    pub(crate) fn is_timed(&self) -> bool {
        self.comment.ends_with(TIMED)
    }
}

/// The changes that bring the sets to the wanted state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Changes<K> {
    /// Elements to add.
    pub(crate) add: Vec<Element<K>>,
    /// Existing elements with their new comment.
    pub(crate) change: Vec<Element<K>>,
    /// Elements to delete.
    pub(crate) delete: Vec<Element<K>>,
}

impl<K: Copy + Eq + Hash> Changes<K> {
    /// Plans the changes from the existing elements `there` to exactly `keys` for `owner`.
    ///
    /// Elements of other owners stay as they are. Fails if a comment would exceed [`MAX_COMMENT`].
    pub(crate) fn plan(
        there: &[Element<K>],
        owner: &OwnerTag,
        keys: &[K],
    ) -> Result<Self, &'static str> {
        let mut changes = Self { add: vec![], change: vec![], delete: vec![] };
        let mut missing: HashSet<K> = keys.iter().copied().collect();
        for element in there {
            let wanted = missing.remove(&element.key);
            if wanted == element.belongs_to(owner) && !(wanted && element.is_timed()) {
                continue;
            }
            let tags = element.comment.split(' ').filter(|tag| !["", TIMED].contains(tag));
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
                return Err("too many linked containers have the same address");
            }
            changes.change.push(Element { key: element.key, comment, left: element.left });
        }
        let missing = keys.iter().filter(|key| missing.contains(*key));
        changes.add.extend(missing.map(|key| owned(*key, owner)));
        Ok(changes)
    }
}

/// An element that belongs to `owner` alone.
pub(crate) fn owned<K>(key: K, owner: &OwnerTag) -> Element<K> {
    Element::new(key, owner.as_str().to_owned())
}

/// Groups the elements by owner tag.
///
/// `show` returns the printed line of an element, or `None` if no rule uses its set. `flows`
/// returns the flows that an element permits; it is empty if the element alone permits nothing.
pub(crate) fn by_owner<K, F: IntoIterator<Item = Flow>>(
    there: &[Element<K>],
    show: impl Fn(&K) -> Option<String>,
    flows: impl Fn(&K) -> F,
) -> BTreeMap<OwnerTag, InstalledRules> {
    let mut owners: BTreeMap<OwnerTag, InstalledRules> = BTreeMap::new();
    for element in there {
        let Element { key, comment, .. } = element;
        for tag in comment.split(' ').filter_map(|tag| OwnerTag::parse(tag).ok()) {
            let kept = owners.entry(tag).or_default();
            kept.flows.extend(flows(key));
            kept.lines.extend(show(key).filter(|_| !element.is_timed()));
        }
    }
    for kept in owners.values_mut() {
        kept.lines.sort();
    }
    owners
}

/// Formats elements for `inspect`, sorted because a set has no order.
pub(crate) fn shown<K>(
    keys: impl IntoIterator<Item = K>,
    show: impl Fn(&K) -> String,
) -> Vec<String> {
    let mut lines: Vec<String> = keys.into_iter().map(|key| show(&key)).collect();
    lines.sort();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PortRange, Protocol};

    fn element(key: u16, comment: &str) -> Element<u16> {
        Element::new(key, comment.to_owned())
    }

    fn is_nothing(changes: &Changes<u16>) -> bool {
        [&changes.add, &changes.change, &changes.delete].iter().all(|list| list.is_empty())
    }

    const A: &str = "aaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbb";

    #[test]
    fn only_what_differs_changes() {
        let a = OwnerTag::parse(A).unwrap();
        let there = [element(1, A), element(2, A), element(3, B), element(4, "by hand")];
        let changes = Changes::plan(&there, &a, &[1, 5]).unwrap();
        assert_eq!(changes.add, [element(5, A)]);
        assert_eq!(changes.delete, [element(2, A)]);
        assert!(changes.change.is_empty());
        let nothing = Changes::plan(&there, &a, &[1, 2]).unwrap();
        assert!(is_nothing(&nothing));
    }

    #[test]
    fn a_shared_element_goes_with_its_last_owner() {
        let a = OwnerTag::parse(A).unwrap();
        let both = format!("{B} {A}");
        let joined = Changes::plan(&[element(1, B)], &a, &[1]).unwrap();
        assert_eq!(joined.change, [element(1, &both)]);
        let left = Changes::plan(&[element(1, &both)], &a, &[]).unwrap();
        assert_eq!((left.change, left.delete), (vec![element(1, B)], vec![]));
        let last = Changes::plan(&[element(1, A)], &a, &[]).unwrap();
        assert_eq!(last.delete, [element(1, A)]);
        let by_hand = Changes::plan(&[element(1, "mine"), element(2, "")], &a, &[]).unwrap();
        assert!(is_nothing(&by_hand));
    }

    #[test]
    fn a_shared_element_is_each_owners() {
        let (a, b) = (OwnerTag::parse(A).unwrap(), OwnerTag::parse(B).unwrap());
        let there = [element(2, &format!("{B} {A}")), element(1, A), element(3, "by hand")];
        let flow = |number: &u16| {
            let ports = PortRange::single(*number, Protocol::Tcp).unwrap();
            let (from, to) = ([10, 0, 0, 2].into(), [10, 0, 0, 3].into());
            (*number != 3).then_some(Flow { from, to, ports, bridge: None })
        };
        let owners = by_owner(&there, |key| Some(key.to_string()), flow);
        assert_eq!(owners.len(), 2);
        assert_eq!(owners[&a].lines, ["1", "2"]);
        assert_eq!(owners[&b].flows, [flow(&2).unwrap()]);
        assert!(by_owner(&there, |_| None, flow)[&b].lines.is_empty());
    }

    /// It would go by itself while its container runs.
    #[test]
    fn an_element_with_a_timeout_is_made_again() {
        let (a, b) = (OwnerTag::parse(A).unwrap(), OwnerTag::parse(B).unwrap());
        let there = [element(1, &format!("{A} {B} {TIMED}")), element(2, &format!("{A} {TIMED}"))];
        let again = Changes::plan(&there, &a, &[1, 2]).unwrap();
        assert_eq!(again.change, [element(1, &format!("{B} {A}")), element(2, A)]);
        let gone = Changes::plan(&there, &a, &[]).unwrap();
        assert_eq!((gone.change, gone.delete.len()), (vec![element(1, B)], 1));
        assert!(is_nothing(&Changes::plan(&there[1..], &b, &[]).unwrap()), "another owner's");
        let owners = by_owner(&there, |key| Some(key.to_string()), |_| None);
        assert!(owners[&a].lines.is_empty(), "not as it should be");
    }

    #[test]
    fn a_set_is_shown_in_order() {
        assert_eq!(shown([2, 3, 1], u16::to_string), ["1", "2", "3"]);
    }

    #[test]
    fn a_comment_has_an_end() {
        let a = OwnerTag::parse(A).unwrap();
        let room = MAX_COMMENT - " ".len() - A.len();
        let joined = |length| Changes::plan(&[element(1, &"x".repeat(length))], &a, &[1]);
        assert_eq!(joined(room).unwrap().change[0].comment.len(), MAX_COMMENT);
        assert!(joined(room + 1).is_err());
    }
}
