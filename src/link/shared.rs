//! A hosts file that several recipients share, as containers of one pod do.
//!
//! A resolver takes the first line of a name. So an alias for two sources leads both recipients to
//! the source of one of them.

use crate::model::{Alias, LinkState, Record};

/// Returns the first alias that `one` and `other` have for two sources. Both share a hosts file.
pub(crate) fn disputed_alias<'a>(one: &'a Record, other: &Record) -> Option<&'a Alias> {
    let is_disputed = |ours: &&LinkState| {
        other.links.iter().any(|theirs| {
            theirs.link.alias.same_host(ours.link.alias.as_str()) && have_two_sources(ours, theirs)
        })
    };
    one.links.iter().find(is_disputed).map(|link_state| &link_state.link.alias)
}

/// Whether two links with one alias lead to two sources.
pub(crate) fn have_two_sources(one: &LinkState, other: &LinkState) -> bool {
    if one.is_connected() && other.is_connected() {
        (&one.source, &one.there) != (&other.source, &other.there)
    } else {
        one.link.source != other.link.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ContainerId;
    use crate::model::sample::record;

    #[test]
    fn an_alias_for_two_sources_is_disputed() {
        let disputed = |one: &[&str], other: &[&str], ids: [Option<&str>; 2]| {
            let [mut one, mut other] =
                [one, other].map(|links| record("web", "", &[]).linked(links));
            for (record, id) in [&mut one, &mut other].into_iter().zip(ids) {
                record.links[0].source = id.map(|id| ContainerId::new(id).unwrap());
            }
            disputed_alias(&one, &other).map(ToString::to_string)
        };
        assert_eq!(disputed(&["a:db"], &["b:DB"], [Some("a"), Some("b")]).as_deref(), Some("db"));
        assert_eq!(disputed(&["a:db"], &["b:DB"], [Some("x"), Some("x")]), None, "one container");
        assert_eq!(disputed(&["a:db"], &["a:db"], [Some("x"), Some("y")]).as_deref(), Some("db"));
        assert_eq!(disputed(&["a:db"], &["b:c"], [Some("a"), Some("b")]), None);
        assert_eq!(disputed(&["a:db"], &["b:db"], [Some("a"), None]).as_deref(), Some("db"));
        assert_eq!(disputed(&["a:db"], &["a:db"], [Some("a"), None]), None, "it waits");
    }
}
