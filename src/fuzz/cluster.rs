//! Fuzz target for the records of other hosts. What is accepted can be written again, and is then the same.
//! What is believed is inside the networks of its host.

use crate::cluster::format;
use crate::cluster::spool::{PeerKey, PeerRecord, check};
use crate::model::{Cluster, HostName, Subnet};
use std::collections::BTreeMap;
use std::time::Duration;

/// Any bytes, taken for each kind of record, and for a file name.
pub fn cluster(bytes: &[u8]) {
    if let Some(key) = std::str::from_utf8(bytes).ok().and_then(PeerKey::of_file) {
        let name = key.file_name();
        assert_eq!(name.as_bytes(), bytes);
        assert!(!name.contains('/') && name.len() <= 255, "{name}");
    }
    believed(bytes);
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

/// Checks the bytes as those of files of the host `b`, on the host `a`.
fn believed(bytes: &[u8]) {
    let mut networks = BTreeMap::new();
    for (host, network) in [("a", "10.10.1.0/24"), ("b", "10.10.2.0/24")] {
        let (Ok(host), Ok(network)) = (HostName::new(host), Subnet::parse(network)) else { return };
        networks.insert(host, vec![network]);
    }
    let Some((name, _)) = networks.first_key_value() else { return };
    let cluster = Cluster { name: name.clone(), networks, patience: Duration::from_secs(60) };
    for file in ["b~6f.offer", "b~db.offer", "b~web.want", "b~03.want", "b.host"] {
        let Some(key) = PeerKey::of_file(file) else { panic!("{file}") };
        let addresses = match check(&key, bytes, &cluster) {
            Ok(Some(PeerRecord::Offer(offer))) => offer.addresses,
            Ok(Some(PeerRecord::Want(want))) => {
                assert!(want.sources.iter().all(|source| source.host == cluster.name));
                want.addresses
            }
            Ok(Some(PeerRecord::Host(_)) | None) | Err(_) => continue,
        };
        assert!(!addresses.is_empty());
        assert!(addresses.iter().all(|address| cluster.admits(&key.host, *address)));
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
