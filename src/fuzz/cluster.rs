//! Fuzz target for the records of other hosts. What is accepted can be written again, and is then the same.

use crate::cluster::format;

/// Any bytes, taken for each kind of record.
pub fn cluster(bytes: &[u8]) {
    if let Ok(offer) = format::offer(bytes) {
        assert!((1..=16).contains(&offer.addresses.len()) && offer.ports.count() <= 1024);
        assert!(offer.source.id.as_str().len() <= 180 && offer.names.len() <= 8);
        if let Some(written) = format::offer_bytes(&offer) {
            assert_eq!(format::offer(&written).ok(), Some(offer));
        }
    }
    if let Ok(want) = format::want(bytes) {
        assert!((1..=16).contains(&want.addresses.len()) && want.sources.len() <= 256);
        if let Some(written) = format::want_bytes(&want) {
            assert_eq!(format::want(&written).ok(), Some(want));
        }
    }
    if let Ok(view) = format::view(bytes) {
        assert!(!view.by.contains(char::is_control) && view.by.chars().count() <= 200);
        let written = format::view_bytes(&view).unwrap_or_default();
        assert_eq!(format::view(&written).ok(), Some(view));
    }
    for refused in [format::offer(bytes).err(), format::presence(bytes).err()] {
        assert!(!refused.unwrap_or_default().contains('\n'), "a reason is one line");
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{HostName, Reference};
    use proptest::prelude::*;

    const OFFER: &[u8] = include_bytes!("../../fuzz/corpus/cluster/offer");

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn bytes_that_change_are_refused_or_checked(at in 0..OFFER.len(), byte: u8) {
            let mut bytes = OFFER.to_vec();
            bytes[at] = byte;
            super::cluster(&bytes);
        }

        #[test]
        fn what_is_accepted_is_kept(name in "[a-zA-Z0-9_][a-zA-Z0-9_.+-]{0,30}", host in "[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?") {
            let text = format!("{name}@{host}");
            let reference = Reference::of_link(&text).unwrap();
            prop_assert_eq!(reference.host(), HostName::new(&host).ok());
            prop_assert_eq!(reference.bare(), name.as_str());
            prop_assert_eq!(Reference::of_link(reference.as_str()).unwrap(), reference);
        }

        #[test]
        fn any_text_is_taken_whole_or_refused(text in "[a@/B.\\-_ \\n~é]{0,12}") {
            if let Ok(reference) = Reference::of_link(&text) {
                prop_assert_eq!(reference.as_str(), text.as_str());
                prop_assert_eq!(reference.host().is_some(), text.contains('@'));
                prop_assert_eq!(reference.in_pod().is_some(), text.contains('/'));
                prop_assert!(!reference.key().contains('/'));
                prop_assert!(!reference.bare().contains(['@', '/']));
            }
        }
    }
}
